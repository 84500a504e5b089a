"""cold: `lazaret run --cold -- true` beside bare QEMU that boots the same kernel, initramfs and disks and
speaks the same protocol up to the same point: the job's exit.

Interleaved pairs in one run; medians and spread. Absolute times mean little on a shared machine.
"""
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import store

LAZARET = os.environ["LAZARET"]
DATA = os.environ["LAZARET_DATA_DIR"]
MAGIC, HEADER = 0x315A414C, struct.Struct("<IHHII")
HELLO, READY, EXEC, CONFIG, STARTED, EXIT = 1, 2, 5, 6, 7, 15


def frame(kind, stream, payload=b""):
    return HEADER.pack(MAGIC, kind, 0, stream, len(payload)) + payload


class Peer:
    """The host's end of the protocol, as far as `true` needs it."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError("the guest is gone")
            data += more
        return data

    def until(self, kind):
        while True:
            magic, got, _, _, length = HEADER.unpack(self.exactly(HEADER.size))
            payload = self.exactly(length)
            if magic != MAGIC:
                raise ValueError("not a frame")
            if got == kind:
                return payload

    def hello(self):
        self.sock.sendall(frame(HELLO, 0, struct.pack(
            "<II16sQ64sIII", store.PROTOCOL, 0, os.urandom(16), time.time_ns(), os.urandom(64),
            1000, 1000, 0)))
        self.until(READY)

    def run(self, config):
        self.sock.sendall(frame(EXEC, 8, struct.pack("<IHHI", 0, 0, 0, len(config)))
                          + b"".join(frame(CONFIG, 8, config[i:i + 65536])
                                     for i in range(0, len(config), 65536)))
        self.until(STARTED)
        self.until(EXIT)


def preview(*options):
    out = subprocess.run([LAZARET, "check", "--accel", "tcg", *options, "--json", "--", "true"],
                         capture_output=True, check=True).stdout
    return json.loads(out)


def bare(plan, cmdline, config):
    """Seconds: to the CPU's start, to READY, to the job's exit, to the end."""
    parts = {name: store.part(f"{DATA}/images", name) for name in store.PARTS}
    with tempfile.TemporaryDirectory(prefix="lz-bench-") as folder:
        began = time.monotonic()
        for name in store.PARTS:  # as the manager does at each run
            subprocess.run(["sha256sum", parts[name]], stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-m", "0",
                        f"{folder}/scratch", str(plan["disk_bytes"] // 1024) + "k"], check=True,
                       stdout=subprocess.DEVNULL)
        prepared = time.monotonic()
        disks = []
        for i, (path, serial, ro) in enumerate(((parts["root"], "lz-root", "on"),
                                                (f"{folder}/scratch", "lz-scratch", "off"))):
            disks += ["-drive", f"if=none,id=d{i},format=raw,file={path},readonly={ro},cache.direct=off,"
                      f"cache.no-flush=on", "-device", f"virtio-blk-device,drive=d{i},serial={serial}"]
        qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "microvm", "-accel", "tcg", "-cpu", "max", "-nodefaults",
             "-no-user-config", "-display", "none", "-no-reboot", "-S",
             "-m", f"{plan['guest_bytes'] >> 20}M", "-smp", str(plan["cpus"]),
             "-kernel", parts["kernel"], "-initrd", parts["initramfs"], "-append", cmdline,
             *disks, "-object", "rng-random,id=rng,filename=/dev/urandom",
             "-device", "virtio-rng-device,rng=rng",
             "-device", "virtio-serial-device", "-chardev",
             f"socket,id=c,path={folder}/channel,server=on,wait=off",
             "-device", "virtserialport,chardev=c,name=lazaret.0",
             "-serial", f"file:{folder}/console",
             "-qmp", f"unix:{folder}/qmp,server=on,wait=off",
             "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"])
        try:
            while not os.path.exists(f"{folder}/qmp"):
                time.sleep(0.001)
            qmp = socket.socket(socket.AF_UNIX)
            while True:
                try:
                    qmp.connect(f"{folder}/qmp")
                    break
                except ConnectionRefusedError:
                    time.sleep(0.001)
            peer = Peer(f"{folder}/channel")
            lines = qmp.makefile("rw")
            lines.readline()
            for command in ("qmp_capabilities", "cont"):
                lines.write(json.dumps({"execute": command}))
                lines.flush()
                while "return" not in lines.readline():
                    pass
            running = time.monotonic()
            peer.hello()
            ready = time.monotonic()
            peer.run(config)
            ended = time.monotonic()
        finally:
            qemu.kill()
            qemu.wait()
        done = time.monotonic()
    return {"prepare": prepared - began, "start": running - prepared, "boot": ready - running,
            "job": ended - ready, "down": done - ended, "whole": done - began}


def managed(*options):
    """The same of `lazaret run`, by its journal."""
    began = time.monotonic()
    r = subprocess.run([LAZARET, "run", "--accel", "tcg", "--keep-logs", *options, "--", "true"],
                       capture_output=True, check=False)
    whole = time.monotonic() - began
    if r.returncode:
        sys.exit(r.stderr.decode())
    run = max(os.listdir(f"{DATA}/runs"))
    at = {}
    with open(f"{DATA}/runs/{run}/journal", encoding="utf-8") as f:
        for line in f:
            d = json.loads(line)
            moment = time.strptime(d["t"][:19], "%Y-%m-%dT%H:%M:%S")
            at[d["step"], d["state"]] = time.mktime(moment) + float(d["t"][19:-1])
    shutil.rmtree(f"{DATA}/runs/{run}")
    took = {s: at[s, "done"] - at[s, "begin"] for s in ("image", "scratch", "up", "meet", "work")}
    return {"prepare": took["image"] + took["scratch"], "start": took["up"], "boot": took["meet"],
            "job": took["work"], "down": at["image", "undone"] - at["work", "done"], "whole": whole}


def memory():
    """PSS in KiB of each of our processes while a job sleeps."""
    p = subprocess.Popen([LAZARET, "run", "--accel", "tcg", "--cold", "--", "sh", "-c", "echo up; exec sleep 60"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.readline()
    rows, parents, names = {}, {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                parents[int(pid)] = int(f.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                names[int(pid)] = f.read().strip()
        except OSError:
            continue
    duties = ["launcher", "init", "keeper"]

    def walk(pid, depth):
        name = names[pid]
        if name == "lazaret":
            name = duties[depth]
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
            rows[name] = next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        for child in [c for c, up in parents.items() if up == pid]:
            walk(child, depth + 1)
    walk(p.pid, 0)
    p.terminate()
    p.wait()
    return rows


def main():
    pairs = int(sys.argv[1])
    d = preview()
    xml = d["domain_xml"]
    cmdline = xml[xml.index("<cmdline>") + 9:xml.index("</cmdline>")]
    config = json.dumps(d["oci_config"]).encode()
    managed("--cold")  # the capability cache, and the page cache for both
    bare(d["plan"], cmdline, config)
    rows = {"lazaret": [], "bare QEMU": []}
    for i in range(pairs):
        rows["lazaret"].append(managed("--cold"))
        rows["bare QEMU"].append(bare(d["plan"], cmdline, config))
        print(f"pair {i + 1} of {pairs}", file=sys.stderr)
    print("Software emulation, microvm; milliseconds, median [min..max]; the ratio is of medians.\n")
    print("| step | lazaret | bare QEMU | ratio |\n|---|---|---|---|")
    for step in ("prepare", "start", "boot", "job", "down", "whole"):
        cells, medians = [], []
        for who in ("lazaret", "bare QEMU"):
            ms = [r[step] * 1000 for r in rows[who]]
            medians.append(statistics.median(ms))
            cells.append(f"{medians[-1]:.0f} [{min(ms):.0f}..{max(ms):.0f}]")
        ratio = f"{medians[0] / medians[1]:.2f}" if medians[1] >= 1 else "-"
        print(f"| {step} | {cells[0]} | {cells[1]} | {ratio} |")
    print("\nprepare: digests of the image and the scratch disk. start: to the guest's first instruction;"
          "\nthe difference is libvirt's and the manager's share.\n")
    print("| process | PSS KiB |\n|---|---|")
    for name, kib in memory().items():
        print(f"| {name} | {kib} |")


if __name__ == "__main__":
    main()
