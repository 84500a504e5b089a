#!/usr/bin/env python3
"""corpus_look: writes the seeds of fuzz_look: small file systems by mke2fs and debugfs, in pieces."""
import os
import struct
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ENV = {"PATH": "/sbin:/usr/sbin:/bin:/usr/bin", "E2FSPROGS_FAKE_TIME": "1000000000"}
UUID = "00000000-0000-4000-8000-000000000001"
PLACES = "mkdir upper\nmkdir work\nmkdir out\n"
PLAIN = PLACES + """mkdir work/d
write one work/d/a
write big work/d/b
symlink work/link /etc/passwd
symlink work/long /%s
cd work
mknod pipe p
cd ../upper
mknod gone c 0 0
mkdir etc
write one etc/conf
ea_set etc trusted.overlay.opaque y
ea_set etc/conf trusted.overlay.origin x
""" % ("x" * 100)
CHANGED = PLAIN + """rm work/d/a
cd /work/d
write two a
symlink new ../..
write two f
cd /upper
mknod etc2 c 0 0
rm gone
"""
LIES = PLAIN + "ln work work/d/loop\nclri work/d/b\ncd work\nmknod a/b p\nln d d/d\n"
EXTENTS = PLACES + """write big work/a
write big work/b
write big work/c
mkdir work/d
sif work/a block[4] 0x8000
sif work/b block[5] 0xfffff
sif work/c size 0x7fffffffffff
sif work/d block[1] 0x00010004
"""


def disk(commands, features="^has_journal,^metadata_csum"):
    """What mke2fs and debugfs make, as pieces of what is not zero."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in {"one": b"one\n", "two": b"two\n", "big": b"x" + bytes(8999) + b"y"}.items():
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        path = os.path.join(folder, "disk")
        with open(path, "wb") as f:
            f.truncate(1 << 20)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-N", "32", "-U", UUID,
                        "-O", features, "-E", f"hash_seed={UUID},lazy_itable_init=0", path],
                       check=True, env=ENV)
        subprocess.run(["debugfs", "-w", "-f", "-", path], check=True, env=ENV, cwd=folder,
                       input=commands.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path, "rb") as f:
            data = f.read()
    pieces, size = b"", 64
    for at in range(0, len(data), size):
        piece = data[at:at + size].rstrip(b"\0")
        if piece.strip(b"\xff"):  # bitmaps are not read
            pieces += struct.pack("<IH", at, len(piece)) + piece
    return pieces


NEXT = struct.pack("<IH", 0xffffffff, 0)
plain, changed = disk(PLAIN), disk(CHANGED)
seeds = {
    "empty": b"\0" + disk(""),
    "one": b"\0" + plain,
    "two": b"\1" + changed + NEXT + plain,
    "checksums": b"\1" + disk(CHANGED, "^has_journal") + NEXT + disk(PLAIN, "^has_journal"),
    "lies": b"\1" + disk(LIES) + NEXT + plain,
    "extents": b"\1" + disk(EXTENTS) + NEXT + disk(EXTENTS.replace("sif work/c", "sif out")),
}
folder = os.path.join(HERE, "corpus", "look")
os.makedirs(folder, exist_ok=True)
for name, data in seeds.items():
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)
