"""inside: an exec, and the bytes of stdout and `cp`, beside what the guest can do alone: crun with nothing
around it, and the bare virtio-serial port with a pipe on each side.

    inside.py ROUNDS FOLDER    writes inside.json into FOLDER, a table in Markdown to stdout

The guest alone is one that bare QEMU boots with the image's own kernel, agent and root; guest.c is in
crun's place there and takes orders on a port of its own. Rounds are interleaved.
"""
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import cold
import forks
import report
import store
from cold import DATA, LAZARET
from forks import lazaret, timed

GUEST = os.environ["BENCH_GUEST"]
BOX = "bench-inside"
STREAM = 64 << 20  # guest.c has it too
FEW = 8 << 20      # what is taken off a copy, so that the start of one is not in its rate
TRIPS = 200
PIECE = 65536
# As guest.c: pieces of 64 KiB that are zeros already. What a job does to have its output is its own.
WRITES = f"import os\nb = bytes({PIECE})\nfor _ in range({STREAM // PIECE}): os.write(1, b)"


def image_with(program, folder):
    """An initramfs of the default image with this in crun's place, and the real crun in that."""
    crun = extract_crun(folder)
    with open(store.part(f"{DATA}/images", "initramfs"), "rb") as f:
        whole = f.read()
    with open(program, "rb") as f:
        inner = f.read() + crun + len(crun).to_bytes(8, "little")
    path = f"{folder}/initramfs"
    with open(path, "wb") as f:
        f.write(whole + bytes(-len(whole) % 4) + store.archive(("usr/bin/crun", 0o100755, inner)))
    return path


def extract_crun(folder):
    """crun of the default image: of the last archive in its initramfs that has one."""
    with open(store.part(f"{DATA}/images", "initramfs"), "rb") as f:
        data = f.read()
    at, found = 0, None
    while at < len(data):
        if data[at:at + 6] != b"070701":
            at += 4
            continue
        field = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        size, length = field[6], field[11]
        name = data[at + 110:at + 110 + length - 1].decode()
        start = at + 110 + length + -(110 + length) % 4
        if name == "usr/bin/crun":
            found = data[start:start + size]
        at = start + size + -size % 4
    if not found:
        sys.exit("the default image's initramfs has no crun")
    with open(f"{folder}/crun", "wb", opener=lambda p, f: os.open(p, f, 0o700)) as f:
        f.write(found)
    return found


class Alone:
    """The guest with guest.c in it."""

    def __init__(self, folder):
        d = cold.preview(*forks.SMALL[2:])
        xml, plan, config = d["domain_xml"], d["plan"], d["oci_config"]
        config["process"]["args"] = ["true"]
        config["process"]["terminal"] = False
        port = f"{folder}/bench"
        self.qemu = cold.start(plan, xml[xml.index("<cmdline>") + 9:xml.index("</cmdline>")], folder,
                               initramfs=image_with(GUEST, folder),
                               more=["-chardev", f"socket,id=b,path={port},server=on,wait=off",
                                     "-device", "virtserialport,chardev=b,name=bench.0"])
        try:
            self.peer = cold.go(folder)
            self.peer.hello()
            why = self.peer.refused(json.dumps(config).encode())
            if "goes on" not in why:
                sys.exit(f"the guest: {why}")
            self.port = socket.socket(socket.AF_UNIX)
            self.port.connect(port)
        except BaseException:
            self.end()
            raise

    def container(self, order):
        """Seconds of a container of crun's: "c", with its removal; "e", until its first process has ended."""
        self.port.sendall(order)
        line = self.port.makefile("r").readline()
        if not line.strip().isdigit():
            sys.exit(f"the guest: {line!r}")
        return int(line) / 1e6

    def stream(self):
        """Bytes a second out of the port, through a pipe."""
        ours, theirs = os.pipe()
        self.port.sendall(b"s")
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            left = STREAM
            while left > 0:
                piece = self.port.recv(min(PIECE, left))
                if not piece:  # the guest is gone
                    os._exit(1)
                left -= os.write(theirs, piece)
            os._exit(0)
        os.close(theirs)
        n = drain(ours)
        took = time.monotonic() - began
        os.waitpid(pid, 0)
        assert n == STREAM, n
        return n / took

    def end(self):
        self.qemu.kill()
        self.qemu.wait()


def drain(fd):
    n = 0
    while piece := os.read(fd, PIECE):
        n += len(piece)
    os.close(fd)
    return n


def stdout():
    """Bytes a second of a job's output, from its first to its last."""
    with subprocess.Popen([LAZARET, "exec", BOX, "--", "python3", "-c", WRITES],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
        n = len(os.read(p.stdout.fileno(), 1))
        began = time.monotonic()
        n += drain(os.dup(p.stdout.fileno()))
        took = time.monotonic() - began
    assert n == STREAM, n
    return n / took


def copies(folder):
    """Bytes a second of `cp` out of the guest: what the larger file takes longer."""
    took = [timed("cp", f"{BOX}:/work/{name}", f"{folder}/{name}") for name in ("large", "few")]
    for name in ("large", "few"):
        os.unlink(f"{folder}/{name}")
    return (STREAM - FEW) / (took[0] - took[1])


@contextlib.contextmanager
def echo():
    """A job that sends each byte back: seconds of one there and back."""
    with subprocess.Popen([LAZARET, "exec", "-i", BOX, "--", "cat"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, bufsize=0) as p:
        def trips():
            began = time.monotonic()
            for _ in range(TRIPS):
                p.stdin.write(b"x")
                p.stdout.read(1)
            return (time.monotonic() - began) / TRIPS
        trips()
        yield trips
        p.stdin.close()


def measure(rounds, folder):
    rows = {name: [] for name in ("exec", "whole", "entry", "trip", "raw", "stdout", "cp")}
    lazaret("up", BOX, *forks.SMALL, "--disk", "512M")
    alone = None
    try:
        lazaret("exec", BOX, "--", "sh", "-c", f"head -c {STREAM} /dev/zero >/work/large;"
                f" head -c {FEW} /dev/zero >/work/few")
        alone = Alone(folder)
        with echo() as trips:
            for i in range(rounds + 1):
                # The kernel clears up behind a container for a while: not two of one guest at a stretch.
                took = {"exec": timed("exec", BOX, "--", "true"), "entry": alone.container(b"e"), "trip": trips(),
                        "stdout": stdout(), "whole": alone.container(b"c"), "cp": copies(folder),
                        "raw": alone.stream()}
                if i > 0:  # the first is for the page cache
                    for name, value in took.items():
                        rows[name].append(value)
    finally:
        if alone:
            alone.end()
        lazaret("down", BOX)
    return rows


def main():
    rounds, folder = int(sys.argv[1]), sys.argv[2]
    before = report.machine("tcg")
    with tempfile.TemporaryDirectory(prefix="lz-bench-") as scratch:
        rows = measure(rounds, scratch)
    expected = [e + t for e, t in zip(rows["entry"], rows["trip"])]
    targets = [report.target("exec / (crun alone in the guest + one round trip)", rows["exec"], expected, at_most=1.3),
               report.target("stdout / raw port, bytes a second", rows["stdout"], rows["raw"], at_least=0.9),
               report.target("cp / raw port, bytes a second", rows["cp"], rows["raw"], at_least=0.9)]
    report.write_part(folder, "inside", before, rounds, targets, rows)
    print(report.table(["inside a running guest", "median [min..max]"], [
        ["`exec`, ms", report.cell(report.spread(rows["exec"]))],
        ["crun alone in the guest, until `true` has ended, ms", report.cell(report.spread(rows["entry"]))],
        ["crun alone in the guest, with its removal, ms", report.cell(report.spread(rows["whole"]))],
        ["a byte to a job and back, ms", report.cell(report.spread(rows["trip"]))],
        *([what, report.rates(rows[name])] for what, name in (
            ("raw port through a pipe on each side, MiB/s", "raw"), ("stdout of a job, MiB/s", "stdout"),
            ("`cp` of a file, MiB/s", "cp")))]))


if __name__ == "__main__":
    main()
