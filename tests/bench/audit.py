"""audit: what `lazaret image audit` costs on data of the tracker's size: seconds and peak memory.

The data is made here, in the tracker's shape: 4,500 sources, the kernel's with 14,000 issues, each
known to five suites, 80 MB in all. Beside it, what Python's json takes to load the same file.
Needs LAZARET, the program, and tests/e2e in PYTHONPATH; no image and no guest.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import time

import store

LAZARET = os.environ["LAZARET"]
LIMIT_KB = 64 << 10
SUITES = ("bullseye", "bookworm", "trixie", "forky", "sid")
WANTED = ("glibc", "openssl", "python3.11", "linux-6.12", "zlib", "dpkg", "perl", "util-linux")


def issue(rng):
    def release(suite):
        fixed = rng.random() < 0.7
        ret = {"status": "resolved" if fixed else "open", "repositories": {suite: "1.2.3-4"},
               "urgency": rng.choice(("not yet assigned", "unimportant", "low"))}
        if fixed:
            ret["fixed_version"] = f"1:{rng.randrange(100)}.{rng.randrange(100)}-1"
        return ret

    return {"description": "x" * rng.randrange(100, 1200), "scope": "local",
            "releases": {suite: release(suite) for suite in SUITES}}


def write(path, megabytes):
    rng = random.Random(1)
    names = list(WANTED) + [f"source-{i}" for i in range(4500 - len(WANTED))]
    with open(path, "w", encoding="ascii") as f:
        f.write("{")
        for i, name in enumerate(names):
            if f.tell() > megabytes * 1000000:
                break
            n = 14000 if name == "linux-6.12" else rng.randrange(1, 30)
            issues = {f"CVE-{2000 + k % 26}-{1000 + k}": issue(rng) for k in range(n)}
            f.write(f'{"," if i else ""}"{name}":{json.dumps(issues)}')
        f.write("}")


def in_a_child(function, *args):
    """A child begins with its parent's memory, and its peak counts: so this one stays small."""
    pid = os.fork()
    if pid == 0:
        try:
            function(*args)
            os._exit(0)
        except BaseException:  # pylint: disable=broad-except
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        sys.exit("audit: the data could not be made")


def measure(argv):
    """(seconds, peak kB, status)"""
    began = time.monotonic()
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return time.monotonic() - began, used.ru_maxrss, child.returncode


def main(megabytes="80"):
    with tempfile.TemporaryDirectory(prefix="lz-bench-") as folder:
        path = f"{folder}/tracker.json"
        os.environ["LAZARET_DATA_DIR"] = f"{folder}/data"
        store.make(f"{folder}/data/images", "made", packages=[
            {"type": "deb", "name": name, "version": "1:50-1", "architecture": "amd64",
             "source": name, "source_version": "1:50-1"} for name in sorted(WANTED)],
            created_from={"kind": "recipe"})
        in_a_child(write, path, int(megabytes))
        print(f"{os.path.getsize(path) / 1e6:.0f} MB of tracker data")
        rows = (("lazaret image audit", [LAZARET, "image", "audit", "made", "--tracker", path]),
                ("python3 json.load", [sys.executable, "-c",
                                       f"import json; json.load(open({path!r}))"]))
        for name, argv in rows:
            runs = sorted(measure(argv) for _ in range(3))
            seconds, peak, status = runs[1][0], max(r[1] for r in runs), runs[1][2]
            print(f"{name:20} {seconds:6.2f} s  {peak / 1024:7.1f} MiB  status {status}")
            if argv[0] == LAZARET and (status not in (0, 1, 2) or peak > LIMIT_KB):
                sys.exit(f"audit: over {LIMIT_KB // 1024} MiB, or failed")


if __name__ == "__main__":
    main(*sys.argv[1:2])
