#!/usr/bin/env python3
"""test_sealed: promises of sealed inputs and outputs: the host has them in memory only."""
import hashlib
import json
import os
import shutil
import stat
import subprocess

from e2e import DATA, Skip, check, equal, finished, lazaret, main, one_line_error, processes, sh, start
from live import recorded

IN, OUT = b"sealed-input-marker", b"sealed-output-marker"


def _files_on_disk(*folders):
    """Every file of the folders, and what we have open on the same devices without a name."""
    devices = {os.stat(folder).st_dev for folder in folders}
    for folder in folders:
        for where, _, names in os.walk(folder):
            yield from (os.path.join(where, name) for name in names)
    for pid in processes():
        try:
            fds = [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        for fd in fds:
            try:
                st = os.stat(fd)
            except OSError:
                continue
            if stat.S_ISREG(st.st_mode) and st.st_nlink == 0 and st.st_dev in devices:
                yield fd


def _where_are(markers, *folders):
    """{marker: [file, ...]} of those that are somewhere."""
    found, most = {}, max(map(len, markers))
    for path in _files_on_disk(*folders):
        try:
            with open(path, "rb") as f:
                tail = b""
                while block := f.read(1 << 20):
                    for marker in markers:
                        if marker in tail + block and path not in found.get(marker, []):
                            found.setdefault(marker, []).append(path)
                    tail = block[-most:]
        except OSError:
            pass  # a socket, or gone
    return found


def _key(folder, name="key"):
    """A key's file, and its public half."""
    r = lazaret("keygen", f"{folder}/{name}")
    return f"{folder}/{name}", finished(r).decode().strip()


def _seal(folder, public):
    """An archive with the input's marker, as a user would make it."""
    if not shutil.which("age"):
        raise Skip("age is not installed")
    os.makedirs(f"{folder}/in/sub")
    with open(f"{folder}/in/sub/data", "wb") as f:
        f.write(IN + b"\n")
    subprocess.run(["tar", "cf", f"{folder}/in.tar", "-C", f"{folder}/in", "."], check=True)
    subprocess.run(["age", "-r", public, "-o", f"{folder}/in.tar.age", f"{folder}/in.tar"], check=True)
    os.remove(f"{folder}/in.tar")
    os.remove(f"{folder}/in/sub/data")


# The markers are nowhere in the command, which the run's folder has. It ends when it is told to.
JOB = ("cat /in/sub/data > /out/input; cp /out/input /work; printf '%s-%s' sealed output-marker > /out/own; "
       "cp /out/own /work; sync; echo ready; read go")


def _held(folder, *options):
    p = start(["sh", "-c", JOB], "-i", "--out", f"{folder}/out", *options, stdin=subprocess.PIPE)
    equal(p.stdout.readline(), b"ready\n", p.poll() and p.stderr.read())
    return p


def what_is_sealed_is_never_on_a_disk_of_the_host(folder):
    mine, public = _key(folder)
    _seal(folder, public)
    p = _held(folder, "--in", f"{folder}/in.tar.age", "--in-identity", mine, "--out-recipient", public)
    equal(_where_are([IN, OUT], DATA, folder), {}, "while it runs:")
    p.communicate(b"go\n", timeout=120)
    equal(p.returncode, 0)
    equal(_where_are([IN, OUT], DATA, folder), {}, "afterwards:")
    equal(os.listdir(f"{folder}/out"), ["out.tar.age"])
    finished(lazaret("unseal", "--identity", mine, f"{folder}/out/out.tar.age", f"{folder}/mine"))
    with open(f"{folder}/mine/input", "rb") as f:
        equal(f.read(), IN + b"\n")
    with open(f"{folder}/mine/own", "rb") as f:
        equal(f.read(), OUT)
    # age and tar need nothing of ours.
    age = subprocess.run(["age", "-d", "-i", mine, f"{folder}/out/out.tar.age"], check=True, capture_output=True)
    tar = subprocess.run(["tar", "xO", "own"], input=age.stdout, check=True, capture_output=True)
    equal(tar.stdout, OUT)


def the_search_finds_what_is_not_sealed(folder):
    os.makedirs(f"{folder}/in/sub")
    with open(f"{folder}/in/sub/data", "wb") as f:
        f.write(IN + b"\n")
    p = _held(folder, "--in", f"{folder}/in")
    found = _where_are([IN, OUT], DATA)
    check(any("scratch" in path for path in found.get(OUT, [])), f"only in {found}")
    check(any("input" in path for path in found.get(IN, [])), f"only in {found}")
    p.communicate(b"go\n", timeout=120)
    equal(_where_are([OUT], folder), {OUT: [f"{folder}/out/own"]})


def a_sealed_output_says_how_much_and_not_what(folder):
    _, public = _key(folder)
    other, second = _key(folder, "other")
    r = sh("cd /out; echo x > name-of-a-file; mkdir d; ln -s / name-of-a-link", "--json", "--out",
           f"{folder}/out", "--out-recipient", public, "--out-recipient", second)
    d = json.loads(finished(r))
    equal(d["out"], {"files": 1, "folders": 1, "bytes": 2, "refused": 1, "sealed": "out.tar.age"})
    check(b"name-of" not in r.stdout + r.stderr, r.stdout + r.stderr)
    with open(f"{folder}/out/out.tar.age", "rb") as f:
        archive = f.read()
    equal([(o["taken"], o["bytes"], o["sha256"]) for o in recorded("output", d["id"])[1]],
          [("sealed", len(archive), hashlib.sha256(archive).hexdigest())])
    r = lazaret("unseal", "--json", "--identity", other, f"{folder}/out/out.tar.age", f"{folder}/mine")
    equal(json.loads(finished(r))["files"], 1)
    third, _ = _key(folder, "third")
    r = lazaret("unseal", "--identity", third, f"{folder}/out/out.tar.age", f"{folder}/theirs")
    one_line_error(r, 125, "not sealed to this identity")


def what_cannot_be_kept_off_the_disk_is_refused(folder):
    mine, public = _key(folder)
    for options, words in [
            (["--out-recipient", public], ["--out-recipient needs --out"]),
            (["--out", f"{folder}/o", "--out-recipient", public[:-1] + "b"], ["is not a public key"]),
            (["--out", f"{folder}/o", "--out-recipient", public, "--fork-from", "box"], ["--out-recipient: --fork-from says"]),
            (["--in-identity", mine], ["needs exactly one --in"]),
            (["--in", folder, "--in-identity", mine], ["is not a file"]),
            (["--in", folder, "--in-max", "5"], ["too large (raise it with --in-max)"])]:
        one_line_error(sh("true", *options), 125, *words)
    os.chmod(mine, 0o644)
    r = sh("true", "--in", mine, "--in-identity", mine)
    one_line_error(r, 126, "open to others")


if __name__ == "__main__":
    main()
