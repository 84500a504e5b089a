"""cold: bare QEMU that boots the kernel, initramfs and disks of a run and speaks the same protocol up to
the same point: the job's exit. Used by start.py.
"""
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

import store

LAZARET = os.environ["LAZARET"]
DATA = os.environ["LAZARET_DATA_DIR"]
WIRE = f"{os.path.dirname(os.path.abspath(__file__))}/../../guest-agent/shared/wire.h"
MAGIC, HEADER = 0x315A414C, struct.Struct("<IHHII")
HELLO, READY, EXEC, CONFIG, STARTED, UNSTARTED, EXIT = 1, 2, 5, 6, 7, 8, 15
HELLO_LAYOUT = struct.Struct("<II16sQ64sIII")
EXEC_LAYOUT = struct.Struct("<IHHIIII")


def check_layouts():
    """What is packed here is as long as wire.h says, or nothing is measured."""
    with open(WIRE, encoding="utf-8") as header:
        defined = dict(re.findall(r"^#define (WIRE_\w+) +(.+)$", header.read(), re.M))

    def number(words):
        return sum(int(w[:-1]) if w[0].isdigit() else number(defined[w])
                   for w in words.partition("/*")[0].strip(" ()").split(" + "))
    for name, here in (("WIRE_HEADER_SIZE", HEADER), ("WIRE_HELLO_SIZE", HELLO_LAYOUT),
                       ("WIRE_EXEC_SIZE", EXEC_LAYOUT)):
        there = number(defined[name])
        if here.size != there:
            sys.exit(f"{__file__}: {name} is {there} in wire.h, but {here.size} here")


check_layouts()


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
            if got == UNSTARTED:
                sys.exit(f"a bare guest did not start its job: {payload[4:].decode(errors='replace')}")

    def hello(self):
        self.sock.sendall(frame(HELLO, 0, HELLO_LAYOUT.pack(
            store.PROTOCOL, 0, os.urandom(16), time.time_ns(), os.urandom(64), 1000, 1000, 0)))
        self.until(READY)

    def ask(self, config):
        self.sock.sendall(frame(EXEC, 8, EXEC_LAYOUT.pack(0, 0, 0, len(config), 0, 0, 0))
                          + b"".join(frame(CONFIG, 8, config[i:i + 65536])
                                     for i in range(0, len(config), 65536)))

    def run(self, config):
        self.ask(config)
        self.until(STARTED)
        self.until(EXIT)

    def refused(self, config):
        """Why a job did not start."""
        self.ask(config)
        return self.until(UNSTARTED)[4:].decode()


def preview(*options):
    """Of `true`; nobody loads its AppArmor profile into a bare guest, which does without."""
    out = subprocess.run([LAZARET, "check", "--accel", "tcg", *options, "--json", "--", "true"],
                         capture_output=True, check=True).stdout
    d = json.loads(out)
    d["oci_config"]["process"].pop("apparmorProfile", None)
    return d


def start(plan, cmdline, folder, scratch=None, initramfs=None, more=()):
    """Bare QEMU with the parts of the default image, stopped; its sockets are in `folder`."""
    parts = {name: store.part(f"{DATA}/images", name) for name in store.PARTS}
    disks = []
    for i, (path, serial, ro) in enumerate(((parts["root"], "lz-root", "on"),
                                            (scratch or make_scratch(plan, folder), "lz-scratch", "off"))):
        disks += ["-drive", f"if=none,id=d{i},format=raw,file={path},readonly={ro},cache.direct=off,"
                  f"cache.no-flush=on", "-device", f"virtio-blk-device,drive=d{i},serial={serial}"]
    return subprocess.Popen(
        ["qemu-system-x86_64", "-M", "microvm", "-accel", "tcg", "-cpu", "max,erms=off", "-nodefaults",
         "-no-user-config", "-display", "none", "-no-reboot", "-S",
         "-m", f"{plan['guest_bytes'] >> 20}M", "-smp", str(plan["cpus"]),
         "-kernel", parts["kernel"], "-initrd", initramfs or parts["initramfs"], "-append", cmdline,
         *disks, "-object", "rng-random,id=rng,filename=/dev/urandom",
         "-device", "virtio-rng-device,rng=rng",
         "-device", "virtio-serial-device", "-chardev",
         f"socket,id=c,path={folder}/channel,server=on,wait=off",
         "-device", "virtserialport,chardev=c,name=lazaret.0", *more,
         "-serial", f"file:{folder}/console",
         "-qmp", f"unix:{folder}/qmp,server=on,wait=off",
         "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"])


def go(folder):
    """Connects to what start() began, and lets it run."""
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
    return peer


def make_scratch(plan, folder):
    path = f"{folder}/scratch"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-m", "0", path,
                    str(plan["disk_bytes"] // 1024) + "k"], check=True, stdout=subprocess.DEVNULL)
    return path


def bare(plan, cmdline, config):
    """Seconds: to the CPU's start, to READY, to the job's exit, to the end."""
    with tempfile.TemporaryDirectory(prefix="lz-bench-") as folder:
        began = time.monotonic()
        for name in ("kernel", "initramfs"):  # as the manager does at each run
            with open(store.part(f"{DATA}/images", name), "rb") as f:
                hashlib.file_digest(f, "sha256")
        scratch = make_scratch(plan, folder)
        prepared = time.monotonic()
        qemu = start(plan, cmdline, folder, scratch)
        try:
            peer = go(folder)
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
