"""What a host runs out of, and what happens to it meanwhile: disk, files, time, signals, and other managers."""
import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import tarfile
import threading

from e2e import *
from test_cuts import HIT, HOLD, GO, Cut
from faults import EVERY, JUMP, Clean, Fault, points

SMALL = ("--memory", "64M")


def _some(every, few):
    return every if EVERY else few


def _true(r, what, *words):
    """It was done, or it is said in a line of the host's own that it was not, and why."""
    if r.returncode == 0:
        return
    lines = [line for line in r.stderr.decode().splitlines() if "warning:" not in line]
    check(r.returncode == 125 and len(lines) == 1, f"{what}: {r.returncode} {r.stderr!r}")
    check(any(w in lines[0] for w in words), f"{what}: {lines[0]}")


class _Small:
    """A data folder on a file system of so many KiB in memory, with the images of ours."""

    def __init__(self, folder, kib):
        self.path, self.kib = f"{folder}/data", kib

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skip("only root can mount a small file system")
        os.mkdir(self.path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.kib}k,mode=700", "lazaret-e2e", self.path],
                       check=True)
        try:
            os.mkdir(f"{self.path}/images")
            subprocess.run(["mount", "--bind", f"{DATA}/images", f"{self.path}/images"], check=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", f"{self.path}/images"], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["umount", "-l", self.path], check=True)
        os.rmdir(self.path)

    def lazaret(self, *args, **kwargs):
        return lazaret(*args, env={"LAZARET_DATA_DIR": self.path}, timeout=240, stdin=subprocess.DEVNULL, **kwargs)

    def left(self):
        return [f"{place}/{name}" for place in ("runs", "sandboxes") if os.path.isdir(f"{self.path}/{place}")
                for name in os.listdir(f"{self.path}/{place}")]


FULL = ("No space left", "no space for", "is there space left", "a disk of the guest failed")


def a_full_disk_is_said_and_nothing_is_left_at_any_size(folder):
    sizes = _some([4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536],
                  [64])
    for kib in sizes:
        with Nothing(), _Small(folder, kib) as data:
            r = data.lazaret("run", "--accel", "tcg", "--cold", *SMALL, "--", "dd", "if=/dev/urandom",
                             "of=/work/f", "bs=1M", "count=24", "conv=fsync", "status=none")
            print(f"# {kib} KiB: {r.returncode} {r.stderr.decode().strip()[-150:]}", flush=True)
            _true(r, f"{kib} KiB", *FULL)
            if kib <= 16384:
                equal(r.returncode, 125, f"{kib} KiB")
            finished(data.lazaret("gc"))
            equal(data.left(), [], f"{kib} KiB")


def a_sandbox_whose_disk_gets_full_ends_and_says_so(folder):
    with Nothing(), _Small(folder, 49152) as data:
        finished(data.lazaret("up", "full", "--accel", "tcg", "--cold", *SMALL))
        r = data.lazaret("snapshot", "full")
        _true(r, "snapshot", *FULL)
        r = data.lazaret("exec", "full", "--", "dd", "if=/dev/urandom", "of=/work/f", "bs=1M", "count=64",
                         "conv=fsync", "status=none")
        _true(r, "exec", *FULL)
        equal(r.returncode, 125, r.stderr)
        finished(data.lazaret("down", "full"))
        equal(data.left(), [])


def a_data_folder_that_is_read_only_is_said(folder):
    with Nothing(), _Small(folder, 4096) as data:
        subprocess.run(["mount", "-o", "remount,ro", data.path], check=True)
        for args in (["run", "--accel", "tcg", "--", "true"], ["up", "box", "--accel", "tcg"], ["gc"]):
            r = data.lazaret(*args)
            equal(r.returncode, 125, args)
            _true(r, args, "Read-only file system")
        equal(json.loads(finished(data.lazaret("ls", "--json"))), [])


def few_files_are_said_and_nothing_is_left_at_any_number():
    for n in _some(range(4, 130), [6, 127]):
        with Clean():
            r = run(["true"], *SMALL, preexec_fn=lambda n=n: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n)))
            print(f"# {n} files: {r.returncode} {r.stderr.decode().strip()[-150:]}", flush=True)
            equal(r.returncode, 125 if n < 128 else 0, f"{n} files")
            _true(r, f"{n} files", "too many open files", "Too many open files", "cannot open", "Bad file descriptor", "error while loading")


def deadlines_do_not_go_by_the_wall_clock(folder):
    """It jumps by ten years, forth and back at every other look."""
    fault = Fault(folder)
    with Nothing():
        fault.set(JUMP, 10 * 365 * 86400)
        r = lazaret("run", "--json", "--accel", "tcg", *SMALL, "--timeout", "60", "--", "sleep", "1",
                    env=fault.env(), timeout=240, stdin=subprocess.DEVNULL)
        d = json.loads(finished(r))
        equal(d["class"], "exited")
        check(d["boot_ms"] < 240000 and 900 <= d["job_ms"] < 60000, d)
        r = lazaret("run", "--accel", "tcg", *SMALL, "--timeout", "1", "--", "sleep", "100",
                    env=fault.env(), timeout=240, stdin=subprocess.DEVNULL)
        finished(r, 124)


def a_signal_at_any_step_of_a_run_ends_it_without_a_trace(folder):
    cut = Cut(folder)
    words = [LAZARET, "run", "--accel", "tcg", *SMALL, "--", "sleep", "0.1"]

    def go(at, signo):
        cut.arm(at, HOLD)
        p = subprocess.Popen(words, env=cut.environment(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if at:
            wait_for(lambda: cut.get(HIT) or p.poll() is not None, f"step {at}")
            p.send_signal(signo)
            cut.set(GO, 1)
        _, err = p.communicate(timeout=240)
        return p.returncode, err
    equal(go(0, 0)[0], 0)
    total = cut.disarm()
    for i, at in enumerate(points(total, 2)):
        for signo in _some([signal.SIGINT, signal.SIGTERM], [signal.SIGINT if i % 2 else signal.SIGTERM]):
            with Clean():
                status, err = go(at, signo)
                what = f"step {at} of {total}, {cut.what()}, signal {signo}: {status} {err!r}"
                # Before its handlers are there it is the kernel that ends it; at the last steps it is done.
                check(status in (0, 128 + signo, -signo), what)
                lines = [l for l in err.splitlines() if b"its record is not whole" not in l]
                check(len(lines) <= 1, what)
    print(f"# {total} steps", flush=True)


def _recipe(folder):
    with open(f"{folder}/built.json", "w", encoding="ascii") as f:
        json.dump({"format": "lazaret-recipe", "version": 1, "variant": "extract", "packages": ["busybox-static"]}, f)
    return f"{folder}/built.json"


def _docker_archive(folder):
    """What 'docker save' would write of an image with one file."""
    def packed(files):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return out.getvalue()
    layer = packed({"file": b"of a layer"})
    config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/file"]},
              "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}}
    with open(f"{folder}/came.tar", "wb") as f:
        f.write(packed({"layer.tar": layer, "config.json": json.dumps(config).encode(), "manifest.json": json.dumps(
            [{"Config": "config.json", "RepoTags": ["came:1"], "Layers": ["layer.tar"]}]).encode()}))
    return f"docker-archive:{folder}/came.tar"


def managers_of_one_store_do_not_disturb_each_other(folder):
    """Runs, beside others that build, import, tag, remove, prune and sweep. Who removes images may have to wait
    for who makes some, and the other way round, and is told so."""
    wrong, done, over = [], {}, threading.Event()

    def loop(*commands):
        while not over.is_set():
            for args in commands:
                r = lazaret(*args, timeout=600)
                waits = args[0] == "image" and b"another lazaret works in the image store" in r.stderr
                what = " ".join(args[:2]) + (" waits" if waits else "")
                done[what] = done.get(what, 0) + 1
                if r.returncode and not waits:
                    wrong.append((args, r.returncode, r.stderr))

    def take_turns(name):
        for i in range(_some(10, 1)):
            r = run(["echo", name], *SMALL)
            if (r.returncode, r.stdout) != (0, name.encode() + b"\n"):
                wrong.append((name, i, r.returncode, r.stderr))
    with Nothing():
        others = [threading.Thread(target=loop, args=a) for a in (
            [["image", "tag", "default", "other"], ["image", "rm", "other"], ["image", "prune"]],
            [["image", "build", _recipe(folder), "--tag", "built"], ["image", "inspect", "built"]],
            [["image", "import", _docker_archive(folder), "-t", "came"], ["image", "inspect", "came"]],
            [["gc"], ["ls", "--all"], ["warm", "ls"]], [["warm", "prune", "--max-size", "0"]])]
        mine = [threading.Thread(target=take_turns, args=(n,)) for n in ("one", "two")]
        for t in others + mine:
            t.start()
        for t in mine:
            t.join()
        over.set()
        for t in others:
            t.join()
        finished(lazaret("image", "rm", "built"))
        finished(lazaret("image", "rm", "came"))
    print(f"# {done}", flush=True)
    equal(wrong[:3], [])


if __name__ == "__main__":
    main()
