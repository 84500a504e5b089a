"""store: what tests read and change in an image store behind lazaret's back (lazaret-image(5))."""
import hashlib
import json
import os
import re
import shutil

PARTS = ("kernel", "initramfs", "root")
with open(f"{os.path.dirname(__file__)}/../../guest-agent/shared/wire.h", encoding="utf-8") as header:
    PROTOCOL = int(re.search(r"#define WIRE_VERSION +([0-9]+)u", header.read()).group(1))


def _digest(images, name):
    with open(f"{images}/tags/{name}", encoding="ascii") as f:
        return f.read().strip().removeprefix("sha256:")


def _blob(images, sha256):
    return f"{images}/blobs/sha256/{sha256}"


def manifest_path(images, name="default"):
    return _blob(images, _digest(images, name))


def manifest(images, name="default"):
    with open(manifest_path(images, name), encoding="utf-8") as f:
        return json.load(f)


def part(images, which, name="default"):
    """The path of the kernel, the initramfs or the root."""
    return _blob(images, manifest(images, name)[which]["sha256"])


def copy(source, target, name="default"):
    """One image with its name into a new store whose files may be changed."""
    os.makedirs(f"{target}/blobs/sha256", 0o700)
    os.mkdir(f"{target}/tags", 0o700)
    shutil.copy(f"{source}/tags/{name}", f"{target}/tags/{name}")
    for path in (manifest_path(source, name), *(part(source, p, name) for p in PARTS)):
        shutil.copyfile(path, _blob(target, os.path.basename(path)))


def make(images, name, **changes):
    """A new store with an image that can be looked at, but has no parts; `changes` are keys of its
    manifest."""
    os.makedirs(f"{images}/blobs/sha256", 0o700)
    os.mkdir(f"{images}/tags", 0o700)
    digest = "0" * 64
    part = {"sha256": digest, "size": 12288}
    put_manifest(images, {
        "format": "lazaret-image", "version": 2, "architecture": "x86_64", "protocol": PROTOCOL,
        "cmdline": "quiet",
        "kernel": {**part, "flavour": "debian", "release": "6.12.117-1~deb12u1"},
        "initramfs": part,
        "root": {**part, "filesystem": "squashfs", "verity": {
            "root_hash": digest, "salt": digest, "data_blocks": 2, "hash_start": 2}},
        "config": {"entrypoint": [], "command": [], "env": [], "workdir": "/", "uid": 0, "gid": 0},
        "packages": [], "recipe": {}, "created_from": {"kind": "oci"}, **changes}, name)


def put(images, data):
    """A blob; returns its digest."""
    sha256 = hashlib.sha256(data).hexdigest()
    with open(_blob(images, sha256), "wb") as f:
        f.write(data)
    return sha256


def put_part(images, which, data, name="default", **changes):
    """Another image of that name, whose part is `data`; `changes` are keys of its manifest."""
    changed = manifest(images, name)
    changed[which].update(sha256=put(images, data), size=len(data))
    put_manifest(images, {**changed, **changes}, name)


def put_manifest(images, changed, name="default"):
    sha256 = put(images, json.dumps(changed).encode())
    with open(f"{images}/tags/{name}", "w", encoding="ascii") as f:
        f.write(f"sha256:{sha256}\n")


def archive(*entries):
    """A newc archive of (name, mode, content, rdev)."""
    def entry(name, mode, content=b"", rdev=(0, 0)):
        head = "070701" + "".join(f"{v:08x}" for v in (
            1, mode, 0, 0, 1, 0, len(content), 0, 0, *rdev, len(name) + 1, 0))
        raw = head.encode() + name.encode() + b"\0"
        raw += b"\0" * (-len(raw) % 4) + content
        return raw + b"\0" * (-len(raw) % 4)
    return b"".join(entry(*e) for e in (*entries, ("TRAILER!!!", 0)))


def initramfs(init):
    """One with /init, and /dev/console for its first words."""
    return archive(("dev", 0o040755), ("dev/console", 0o020600, b"", (5, 1)), ("init", 0o100755, init))


def kernel_record(images, flavour):
    """The record of a kernel of our own."""
    with open(f"{images}/kernels/{flavour}", encoding="ascii") as f:
        path = _blob(images, f.read().strip().removeprefix("sha256:"))
    with open(path, encoding="utf-8") as f:
        return json.load(f)
