#!/usr/bin/env python3
"""corpus: writes the hand-made seeds into tests/fuzz/corpus; what fuzzing found lies beside them."""
import gzip
import hashlib
import json
import os
import re
import struct

from seeds import put

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = ("HELLO READY FAILED LOG EXEC CONFIG STARTED UNSTARTED DATA EOF CREDIT CLOSE SIGNAL RESIZE "
         "EXIT COLLECT COLLECTED PARKED SYNC SYNCED RESUME DENIED SECRET USAGE USED SEEN").split()
TYPE = {name: i + 1 for i, name in enumerate(NAMES)}
CONTROL, STDIN, STDOUT, STDERR, TREE = range(5)
FILE, DIR, SKIPPED, END = 1, 2, 3, 4


def version_of(name, path):
    with open(f"{HERE}/../../{path}", encoding="utf-8") as header:
        return int(re.search(rf"#define {name} +([0-9]+)u", header.read()).group(1))


VERSION = version_of("WIRE_VERSION", "guest-agent/shared/wire.h")
TALK_VERSION = version_of("TALK_VERSION", "vmm/run/talk.h")


def frame(name, execno=0, kind=CONTROL, payload=b""):
    return struct.pack("<IHHII", 0x315A414C, TYPE[name], 0, execno << 3 | kind, len(payload)) + payload


def filled(front, back=b""):
    """101 bytes: fuzz_session reads as many at once if the first byte says 1."""
    return front + frame("LOG", payload=b"x" * (101 - 16 - len(front) - len(back))) + back


def entry(kind, name=b"", content=b"", mode=0o644, why=0, size=None):
    size = len(content) if size is None else size
    return struct.pack("<BBHHHQ", kind, why, mode, len(name), 0, size) + name + content


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tar_file(name, data, size=None):
    """As `lazaret image export` writes it."""
    def header(checksum):
        number = (b"%07o\0" * 3 + b"%011o\0" * 2) % (0o444, 0, 0, size or len(data), 0)
        return (name.encode().ljust(100, b"\0") + number + checksum + b"0" + bytes(100)
                + b"ustar\x0000" + bytes(64) + bytes(16) + bytes(167))
    total = sum(header(b" " * 8))
    return header(b"%06o\0 " % total) + data + bytes(-len(data) % 512)


def archive(image, signatures=(), end=bytes(1024)):
    text = json.dumps(image).encode()
    index = {"format": "lazaret-archive", "version": 1, "manifest": f"sha256:{sha256(text)}",
             "signatures": [k for k, _ in signatures]}
    blobs = b"".join(tar_file(f"blobs/sha256/{sha256(d)}", d) for d in (text, kernel, initramfs, root))
    return (tar_file("lazaret-archive", json.dumps(index).encode()) + blobs
            + b"".join(tar_file(f"signatures/{k}.json", t) for k, t in signatures) + end)


def signature(digest, key, hex_digits="0" * 128):
    return json.dumps({"format": "lazaret-signature", "version": 1, "manifest": f"sha256:{digest}",
                       "key": key, "signature": hex_digits}).encode()


kernel, initramfs, root = b"kernel", b"initramfs", bytes(3 * 4096)
manifest = {
    "format": "lazaret-image", "version": 2, "architecture": "x86_64", "protocol": 1,
    "cmdline": "quiet",
    "kernel": {"sha256": sha256(kernel), "size": len(kernel), "flavour": "debian", "release": "6"},
    "initramfs": {"sha256": sha256(initramfs), "size": len(initramfs)},
    "root": {"sha256": sha256(root), "size": len(root), "filesystem": "squashfs",
             "verity": {"root_hash": "a" * 64, "salt": "b" * 64, "data_blocks": 2, "hash_start": 2}},
    "config": {"entrypoint": ["/bin/sh"], "command": ["-c", "id"], "env": ["A=b"],
               "workdir": "/work", "uid": 1000, "gid": 1000},
    "packages": [{"type": "deb", "name": "dash", "version": "1:2-3", "architecture": "amd64",
                  "source": "dash", "source_version": "1:2-3"},
                 {"type": "os", "name": "debian", "version": "12"}],
    "recipe": {"x": [1]}, "created_from": {"kind": "recipe"},
}
HEX = "0123456789abcdef" * 4
ready = struct.pack("<I16sQI", VERSION, bytes(16), 42, 0)
kept = struct.pack("<I16sQI", VERSION, bytes(16), 42, 4)
exit_ = struct.pack("<IIIQQI", 0, 7, 0, 5, 9, 3)
hello = struct.pack("<II16sQ64sIII", VERSION, 2, bytes(16), 1, bytes(64), 1000, 1000, 5)


def denied(kind, detail, count):
    return struct.pack("<IIQ", kind, detail, count)


def seen(kind, detail=0, size=0, path=b""):
    return struct.pack("<IIQ", kind, detail, size) + path


meet = frame("READY", payload=ready)
synced = frame("SYNCED", payload=struct.pack("<I", 0))
run = meet + frame("STARTED", 1)
tracker = b'{"glibc":{"CVE-1":{"releases":{"bookworm":{%b},"sid":{}}}},"xorg":%b}'
seeds = {
    "frame": {
        "meet": run,
        "every-type": b"".join(frame(n, 1) for n in NAMES),
        "bad-magic": b"LAZ2" + frame("LOG")[4:],
        "longest": frame("DATA", 1, STDOUT, bytes(65536)),
        "too-long": frame("DATA", 1, STDOUT, bytes(65536))[:12] + struct.pack("<I", 65537),
    },
    "message": {
        "ready": b"\0" + ready,
        "unstarted": b"\1" + struct.pack("<I", 1) + b"not there",
        "exit": b"\2" + exit_,
        "credit": b"\3" + struct.pack("<I", 65536),
        "collected": b"\4" + struct.pack("<I", 1),
        "synced": b"\x0a" + struct.pack("<I", 1),
        "denied": b"\x0b" + denied(1, 165, 3),
        "denied-kind": b"\x0b" + denied(10, 0, 1),
        "denied-file": b"\x0b" + denied(9, 258, 1) + b"/work/\xff",
        "hello": b"\5" + hello,
        "seen": b"\x0e" + seen(1, 0, 5, b"/work/a"),
        "seen-canary": b"\x0e" + seen(6, 16),
        "exec": b"\6" + struct.pack("<IHHIIII", 11, 24, 80, 700, 2, 1, 5),
        "secret": b"\x0c" + struct.pack("<III64s", 1, 1000, 1000, b"KEY") + b"value",
        "signal": b"\7" + struct.pack("<I", 15),
        "resize": b"\x08" + struct.pack("<HH", 24, 80),
        "collect": b"\x09" + struct.pack("<Q", 1 << 30),
    },
    "session": {
        "meet": b"\x3f" + meet + frame("LOG", payload=b"up"),
        "parked": b"\xff" + frame("PARKED", payload=ready) + frame("PARKED", payload=ready),
        "failed": b"\1" + frame("FAILED", payload=b"no root disk"),
        "run": b"\x7f" + run + frame("DATA", 1, STDOUT, b"out") + frame("DATA", 1, STDERR, b"err")
        + frame("CREDIT", 1, STDIN, struct.pack("<I", 1)) + frame("EXIT", 1, payload=exit_),
        "terminal": b"\x7f" + meet + frame("STARTED", 2) + frame("DATA", 2, STDOUT, b"$ ")
        + frame("EXIT", 2, payload=exit_),
        "no-start": b"\x42" + meet + frame("UNSTARTED", 1, payload=struct.pack("<I", 1) + b"gone"),
        "denied": b"\x7f" + run + frame("DENIED", 1, payload=denied(1, 101, 1))
        + frame("DENIED", 1, payload=denied(1, 165, 3)) + frame("DENIED", 1, payload=denied(6, 0, 9))
        + frame("DENIED", 1, payload=denied(9, 513, 2) + b"/work/\x1b[2J")
        + frame("EXIT", 1, payload=exit_),
        "denied-twice": b"\x7f" + run + frame("DENIED", 1, payload=denied(1, 101, 1)) * 2,
        "seen": b"\x7f" + run + frame("SEEN", 1, payload=seen(6)) + frame("SEEN", 1, payload=seen(5))
        + frame("SEEN", 1, payload=seen(1, 0, 5, b"/work/\xff")) + frame("SEEN", 1, payload=seen(4, 0, 9))
        + frame("EXIT", 1, payload=exit_),
        "seen-twice": b"\x7f" + run + frame("SEEN", 1, payload=seen(6)) * 2,
        "window": b"\x3f" + run + frame("DATA", 1, STDOUT, bytes(65536)) * 5,
        # 101 bytes at once: the host asks for a sync when it has read the first of them.
        "secret-back": b"\x7f" + meet + frame("SECRET", 1, payload=struct.pack("<III64s", 0, 1, 1, b"KEY")),
        "early": b"\x7f" + meet + frame("STARTED", 4),
        "synced": b"\x41" + filled(meet) + filled(b"", synced) + frame("LOG", payload=b"again"),
        "held": b"\x41" + filled(meet) + synced + frame("LOG", payload=b"silence"),
        "adopted": b"\x7f" + frame("READY", payload=kept) + frame("DATA", 3, STDOUT, b"on")
        + frame("EXIT", 3, payload=exit_),
        "tree": b"\x7f" + meet + frame("DATA", 0, TREE, entry(FILE, b"a", b"x") + entry(END))
        + frame("COLLECTED", 0, TREE, struct.pack("<I", 0)),
    },
    "tree": {
        "plain": entry(DIR, b"a", mode=0o755) + entry(FILE, b"a/b") + entry(END),
        "skipped": entry(SKIPPED, b"link", why=1) + entry(END),
        "utf8": entry(FILE, "caf\u00e9/\u20ac/\U0001f600".encode()),
        "dots": entry(FILE, b"../a") + entry(FILE, b"a/../b") + entry(FILE, b"."),
        "deep": entry(DIR, b"/".join([b"d"] * 33)),
    },
    "quote": {
        "plain": b'say "hi"\\\n\0',
        "utf8": "caf\u00e9 \u20ac \U0001f600".encode(),
        "cut": b"\xf0\x9f\x98",
        "not-utf8": b"\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80",
    },
    "unpack": {
        "plain": entry(DIR, b"a", mode=0o755) + entry(FILE, b"a/b", b"text") + entry(END),
        "skipped": entry(SKIPPED, b"link", why=1) + entry(END),
        "escape": entry(FILE, b"../a", b"evil") + entry(FILE, b"/a", b"evil") + entry(END),
        "twice": entry(FILE, b"a", b"1") + entry(FILE, b"a", b"2") + entry(DIR, b"a") + entry(END),
        "below-file": entry(FILE, b"a", b"1") + entry(FILE, b"a/b", b"2") + entry(END),
        "early": entry(FILE, b"a/b", b"1") + entry(DIR, b"a") + entry(END),
        "cut": entry(FILE, b"a", b"1234", size=100),
        "over": entry(FILE, b"a", size=10001),
        "behind": entry(END) + b"x",
    },
    "copy": {
        "plain": entry(DIR, b"a", mode=0o755) + entry(FILE, b"a/b", b"text") + entry(END),
        "skipped": entry(DIR, b"a") + entry(SKIPPED, b"a/link", why=1) + entry(END),
        "escape": entry(DIR, b"a") + entry(FILE, b"a/../b", b"evil") + entry(FILE, b"/a") + entry(END),
        "twice": entry(DIR, b"a") + entry(FILE, b"a/b", b"1") + entry(DIR, b"a/b") + entry(END),
        "long": entry(DIR, b"a") + entry(FILE, b"a/" + b"n" * 255, b"1") + entry(END),
        "tops": entry(DIR, b"a") + entry(FILE, b"b", b"2") + entry(END),
        "over": entry(FILE, b"a", size=10001),
        "behind": entry(FILE, b"a", b"1") + entry(END) + b"x",
    },
    "inventory": {
        "dpkg": b"\0Package: libc6\nStatus: install ok installed\nArchitecture: amd64\n"
        b"Source: glibc (2.36-9)\nVersion: 2.36-9+b1\nDescription: x\n more\n .\n\n"
        b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1:2~rc1\n",
        "dpkg-hostile": b"\0Package: a\nPackage: b\n\n: \n\nSource: (\nPackage: \x1b\nVersion: -\n",
        "python": b"\1Metadata-Version: 2.1\nName: pip\r\nVersion: 1!23.0.1+x\n\nName: no\n",
        "npm": b'\2{"name":"@scope/name","version":"1.0.0-rc.1","dependencies":{"a":"^1"}}',
        "npm-hostile": b'\2{"name":"a\\u0000","version":[[[[[[[[[[[[[[[[[[',
        "os": b"\3PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID='12'\nVERSION_CODENAME=bookworm\n",
    },
    "manifest": {
        "plain": json.dumps(manifest).encode(),
        "bare": json.dumps({**manifest, "packages": [], "config": {
            **manifest["config"], "entrypoint": [], "command": [], "env": []}}).encode(),
        "wrong": json.dumps({**manifest, "kernel": manifest["root"]}).encode(),
        "cut": json.dumps(manifest).encode()[:400],
    },
    "signature": {
        "plain": signature(HEX, HEX),
        "other": signature("0" * 64, HEX),
        "short": signature(HEX, HEX, "0" * 127),
    },
    "archive": {
        "plain": archive(manifest),
        "signed": archive(manifest, [(HEX, signature(sha256(json.dumps(manifest).encode()), HEX))]),
        "wrong-signature": archive(manifest, [(HEX, b"{}")]),
        "more": archive(manifest, end=bytes(1025)),
        "cut": archive(manifest)[:4000],
        "huge": tar_file("lazaret-archive", b"{}", 1 << 32),
    },
    "tracker": {
        "plain": tracker % (b'"status":"open","urgency":"low"', b"{}"),
        "fixed": tracker % (b'"status":"resolved","fixed_version":"1:2~rc1-3"', b'{"C":{}}'),
        "undetermined": tracker % (b'"status":"undetermined","nodsa":"a \\" } ]"', b'{"C":{"a":[]}}'),
        "wrong": tracker % (b'"status":1', b"[]"),
        "twice": b'{"a":{},"a":{}}',
        "deep": b'{"a":{"C":' + b'[{"a":' * 10,
        "cut": b'{"a":{"C":{"releases":{"bookworm":{"status":"op',
    },
}



def tar(*entries):
    """Entries are (type, path, content or target, mode...); without checksums, which the target
    makes right, and without an end."""
    out = b""
    for kind, path, body, *more in entries:
        content = body if kind in (b"0", b"x", b"L", b"K", b"g") else b""
        link = b"" if content or kind == b"0" else body
        head = path.ljust(100, b"\0") + b"%07o\0" % (more[0] if more else 0o644)
        head += b"0001750\0" * 2 + b"%011o\0" % len(content) + b"14000000000\0" + b" " * 8 + kind
        head += link.ljust(100, b"\0") + b"ustar\00000"
        out += head.ljust(512, b"\0") + content + bytes(-len(content) % 512)
    return out


def pax(**records):
    """An extended header; __ in a key is a dot."""
    out = b""
    for key, value in records.items():
        rest = b" " + key.replace("__", ".").encode() + b"=" + value + b"\n"
        size = len(rest) + 1
        size += len(str(size + 1)) - 1
        out += str(size).encode() + rest
    return b"x", b"p", out


def layers(lower, *upper):
    first = tar(*lower)
    return bytes([len(first) // 512]) + first + tar(*upper)


F, LINK, HARD, FOLDER = b"0", b"2", b"1", b"5"
base = [(FOLDER, b"a/", b"", 0o755), (F, b"a/b", b"text"), (LINK, b"l", b"a/b"), (HARD, b"h", b"a/b")]
seeds["layer"] = {
    "plain": layers(base, (F, b"a/b", b"newer"), (F, b"./c//d", b"x", 0o6755)),
    "whiteouts": layers(base, (F, b"a/.wh.b", b""), (F, b".wh.l", b""), (F, b"a/c", b"")),
    "opaque": layers(base, (F, b"a/.wh..wh..opq", b""), (F, b"a/x/y", b"")),
    "types": layers(base, (F, b"a", b"file"), (FOLDER, b"l", b""), (LINK, b"h", b"../h")),
    "below-link": layers(base, (F, b"l/x", b"")),
    "dots": layers([(F, b"a/../../b", b"")]),
    "pax": layers([pax(path="caf\u00e9/\u20ac/long".encode(), SCHILY__xattr__user__a=b"b", mtime=b"-1.5",
                       size=b"2", uid=b"7"), (F, b"x", b"ab")]),
    "gnu": layers([(b"L", b"././@LongLink", b"n" * 120 + b"\0"), (F, b"short", b"x"),
                   (b"K", b"././@LongLink", b"t" * 120 + b"\0"), (LINK, b"k", b"")]),
    "devices": layers([(b"3", b"null", b"")]),
    "sparse": layers([pax(GNU__sparse__major=b"1"), (F, b"s", b"x")]),
    "global": layers([(b"g", b"g", b"14 comment=ab\n"), (F, b"a", b"x")]),
    "hard-into-itself": layers(base, (HARD, b"a", b"a/b")),
}

OCI = b'"mediaType":"application/vnd.oci.image.'
index = b'{"manifests":[{' + OCI + b'manifest.v1+json","digest":"sha256:$m","size":$M}]}'
manifest = (b'{"schemaVersion":2,"config":{' + OCI + b'config.v1+json","digest":"sha256:$c","size":$C},'
            b'"layers":[{' + OCI + b'layer.v1.tar+gzip","digest":"sha256:$l","size":$L}]}')
config = (b'{"os":"linux","architecture":"amd64","config":{"User":"web:staff","Env":["A=b"],'
          b'"Entrypoint":["/x"],"WorkingDir":"/l/d"},"rootfs":{"diff_ids":["sha256:$d"]}}')
docker = b'[{"Config":"blobs/sha256/$c","RepoTags":["a:b"],"Layers":["blobs/sha256/$l"]}]'


def checked(data):
    """A whole tar of small entries, for targets that make no checksums."""
    out = b""
    while data:
        size = int(data[124:135], 8)
        out += data[:148] + b"%06o\0 " % sum(data[:512]) + data[156:512]
        data = data[512:]
        step = size + -size % 512
        out, data = out + data[:step], data[step:]
    return out + bytes(1024)


layer = checked(tar((F, b"etc/passwd", b"web:x:7:8::/:\n"), (F, b"etc/group", b"staff:x:9:\n"),
                    (LINK, b"l", b"/m"), (F, b"b", b"x")))
ZSTD = bytes.fromhex("28b52ffd") + b"\x00\x58" + b"\x19\x00\x00" + b"abc"  # one raw block
seeds["bundle"] = {
    "oci": b"\xff".join((index, manifest, config, gzip.compress(layer, mtime=0))),
    "oci-plain": b"\xff".join((index, manifest, config, layer)),
    "docker": b"\xff".join((docker, b"", config, layer)),
    "zstd": b"\xff".join((docker, b"", config, ZSTD)),
    "cut": b"\xff".join((docker, b"", config, gzip.compress(layer, mtime=0)[:60])),
    "index-in-index": b"\xff".join((index.replace(b"manifest.v1", b"index.v1"), index, config, layer)),
    "platforms": b"\xff".join((index.replace(b'"size"', b'"platform":{"os":"linux","architecture":'
                                             b'"arm64"},"size"'), manifest, config, layer)),
    "nulls": b"\xff".join((docker, b"", b'{"os":"linux","architecture":"amd64","config":null,'
                           b'"rootfs":{"diff_ids":["sha256:$d"]}}', layer)),
    "terminal": b'[{"Config":"\\u001b[2J","Layers":[]}]',
}


def record(kind, path, link=b"", xattrs=b"", size=0, offset=512, mode=0o644):
    """images/tar_apart.c: an entry as it goes through the pipe."""
    return struct.pack("<6I7Q", 1, kind, mode, len(path), len(link), len(xattrs), 0, 0, 9, size, offset,
                       0, 0) + path + link + xattrs


FINISH = struct.pack("<6I7Q", *[0] * 13)
seeds["apart"] = {
    "plain": record(0, b"a", size=7) + record(1, b"d") + record(2, b"l", b"a") + FINISH
    + bytes(4 + 1024),
    "error": record(0, b"a") + FINISH + struct.pack("<I", 3) + b"entry at byte \x1b".ljust(1024, b"\0"),
    "xattrs": record(0, b"a", xattrs=b"25 SCHILY.xattr.user.a=b\n"),
    "beyond": record(0, b"a", size=4096, offset=1),
    "link": record(0, b"a", b"l") + record(2, b"a"),
    "kind": record(6, b"a"),
}

# Made by age 1.1.1, to the identity in fuzz_seal.c and to another; and to a key of SSH.
AGE = (
    b'age-encryption.org/v1\n'
    b'-> X25519 lR9gWGE+0YuLtetMlsi3Ec9u55PzNNrSKDWcnBWThUQ\n'
    b'BUTktekF5CjzCO7VOaAX/X9FWb28RAyR2/vJc4J7Bwo\n'
    b'-> X25519 oiir009JQlnTOSgR7DTI0tzmGeTDXS0jBvWey4ZjEhA\n'
    b'hnAZ3gDs0KqsARieXXxkiSiGJtsIbkZziiTT9ktt9Mo\n'
    b'--- JDueBH3NId3hpC9yQikq5y1oldFJsqE4jaAEkVgOyAo\n'
    + bytes.fromhex('a0c23efb329756209b26d19e6cdcc19b9fe80d199ff304416d5901caa84e53923afb40abbe94592343a0dac42a'))
AGE_SSH = (
    b'age-encryption.org/v1\n'
    b'-> ssh-ed25519 Aj1GnA yOT9QeCH/a8XAfcbi+QBvqLTLoN/+svEs1VFV4nbzx8\n'
    b'ogNc77gd1N1BF60j0XjK7/LQeIGxrlpSTKYboIepVeE\n'
    b'-> X25519 FD9nzHG+ks+8R6m5RHpbr5uq3ZWJ1xO5DFcv+eJGNBM\n'
    b'6IaJa09ouxXbfbmLFnzhD6Lcm9BWgEm3vBACf7rjC/Q\n'
    b'--- UFC5x1vPHGZTFLbNM0zEa2WYlPXotVbQ7Y3jx8zwI6w\n'
    + bytes(40))
seeds["seal"] = {
    "age": AGE,
    "other-types": AGE_SSH,
    "crlf": AGE.replace(b"\n", b"\r\n"),
    "padded": AGE.replace(b"\n---", b"=\n---"),
    "no-stanza": b"age-encryption.org/v1\n" + AGE[AGE.index(b"---"):],
    "two-lines": AGE.replace(b"\n-> ", b"\n" + b"A" * 64 + b"\n-> "),
    "armored": b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n",
    "cut": AGE[:-1],
}

FOLDER, LINK, HARD, PIPE = b"5", b"2", b"1", b"6"
seeds["sealed_tar"] = {
    "plain": tar((FOLDER, b"./", b""), (FOLDER, b"./a/", b""), (b"0", b"./a/f", b"content")),
    "links": tar((b"0", b"f", b"x"), (LINK, b"l", b"/etc/passwd"), (HARD, b"h", b"f"), (PIPE, b"p", b"")),
    "names": tar((b"0", b"../up", b""), (b"0", b"/abs", b""), (b"0", b"./", b"x"), (FOLDER, b".", b""),
                 (FOLDER, b"a//", b"")),
    "long": tar(pax(path=b"n" * 2000), (b"0", b"n", b"")),
    "nameless": tar((b"0", b".", b"x"), (LINK, b"./", b"f")),
    "cut": tar((b"0", b"f", b"x" * 600))[:700],
    "empty": b"",
}


def asked(**keys):
    return json.dumps({"format": "lazaret-manifest", "version": 1, **keys}, indent=1).encode()


def allowed(**keys):
    return b"\0" + json.dumps({"format": "lazaret-policy", "version": 1, **keys}, indent=1).encode()


everything = asked(image="default", command=["a", "b"], env=["A=1"], workdir="/w", user="7:8", inputs=["/i"],
                   output="/o", output_max="1M", memory="64M", cpus=2, disk="20M", tmp=4096, pids=9,
                   timeout="1.5m", cpu_time=5, address_space="1G", file_size=65536, open_files=128,
                   writable=True, machine="q35", accel="tcg", after="keep")
seeds["plan"] = {
    "everything": everything + allowed(max={"memory": "32M", "timeout": 1, "tmp": "4K"}, on_excess="trim"),
    "refused": everything + allowed(max={"cpus": 1}, on_excess={"cpus": "refuse"}),
    "default": asked(command=["a"]) + allowed(max={"timeout": "1h", "memory": "33M"}),
    "roots": everything + allowed(input_roots=["/"], output_roots=["/o"], writable=True),
    "images": everything + allowed(images=["sha256:" + "0" * 64]),
    "sealed": asked(command=["a"], inputs=["/i"], input_max="1M", input_identity="/k", output="/o",
                    output_recipients=["age1aee3gyy2tntz4tku6wmduev9dnh9kmyjqppg32udh98pqqnz4evqrznfg3"],
                    read=["/in"], write=["/out"], exec=["/usr/bin"], amnesic=True, debug=True)
    + allowed(allow_debug=True, require_amnesic=True, required_layers=["calls"], max={"input_max": 1}, on_excess="trim"),
    "network": asked(command=["a"], network=["https://a.org", "https://b.org,bytes=2M", {
        "to": "https://a.org/v1", "name": "api", "methods": ["GET", "PUT"], "rate": "1M"}])
    + allowed(network=["https://*,bytes=1M,streams=2", "https://a.org/v1,methods=GET"],
              network_ranges=["10.0.0.0/8"], on_excess={"network": "trim"}),
    "network-refused": asked(command=["a"], network=["tcp://a.org:22"]) + allowed(network=["https://a.org"]),
    "secrets": asked(command=["a"], secrets=["A"], secret_env=["B"], idle_time="1m", job_cpu_time=9)
    + allowed(secrets=["A"], max={"idle_time": 5}, on_excess="trim"),
    "secret-refused": asked(command=["a"], secret_env=["B"]) + allowed(secrets=["A"]),
    "secret-of-a-rule": asked(command=["a"], secrets=["B"], network=[
        {"to": "https://a.org/v1", "name": "api", "secret": "B", "header": "A: {}"}]) + allowed(secrets=["A"]),
    "debug-refused": asked(command=["a"], debug=True) + allowed(allow_debug=False),
    "writable-refused": asked(command=["a"], writable=True) + allowed(writable=False),
    "not-amnesic": asked(command=["a"]) + allowed(require_amnesic=True),
    "layers-refused": asked(command=["a"]) + allowed(required_layers=["calls"]),
    "input-refused": asked(command=["a"], inputs=["/i/a", "/ia"]) + allowed(input_roots=["/i"]),
    "output-refused": asked(command=["a"], output="/o") + allowed(output_roots=[]),
    "twice": asked(pids=4)[:-1] + b',"pids":5}',
    "nested": b"[" * 40 + b"{" * 40,
    "escaped": asked(pids=4).replace(b"pids", b"p\\u0069ds"),
    "cut": asked(command=["a"])[:-3],
}

api = {"to": "https://api.example.org/v1/", "name": "api", "methods": ["GET", "POST"], "bytes": "1G",
       "rate": 4096, "streams": 4, "secret": "KEY", "header": "X-Key: {}"}
seeds["net_rule"] = {
    "text": b"https://api.example.org:8443",
    "wild": b"http://*.example.org,bytes=1M,rate=2K,streams=3",
    "any": b"tcp://*:22",
    "six": b"tcp://[2001:DB8:0::1]:443",
    "clear": b"https://a.org/v1/,name=api,methods=GET+POST,secret=KEY,header=X-Key: a, {}, b",
    "list": json.dumps(["https://a.org", api, {"to": "tcp://10.0.0.1:22"}]).encode(),
    "policy": json.dumps(["https://*", {"to": "https://a.org/v1", "methods": ["GET"]}]).encode(),
    "twice": json.dumps([api, api]).encode(),
    "wrong": json.dumps([{**api, "to": "http://a.org"}]).encode(),
    "numeric": b"https://0x7f.1",
    "range": b"10.0.0.0/8",
    "range-six": b"fd00::/8",
}

KEY = "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9"


def chain(*lines):
    """Each with its number and the hash of the one before."""
    prev, out = "0" * 64, b""
    for seq, line in enumerate(lines):
        line = {"seq": seq, "time": "2026-11-27T14:22:15.123456789Z", **line, "prev": prev}
        sig = {"sig": line.pop("sig")} if "sig" in line else {}
        text = json.dumps({**line, **sig}, separators=(",", ":")).encode()
        prev, out = sha256(text), out + text + b"\n"
    return out


def head(text, line, **keys):
    return {"format": "lazaret-head", "version": 1, "record": "a", "line": line,
            "hash": sha256(text.split(b"\n")[line]), "state": "open", "key": KEY, "sig": "0" * 128, **keys}


record = chain({"by": "host", "type": "begin", "format": "lazaret-record", "version": 1, "id": "a"},
               {"by": "guest", "type": "words", "text": "\\x1b[2J"},
               {"by": "host", "type": "end"}, {"by": "host", "type": "destroyed"})
seeds["record"] = {
    "whole": record + b"\0" + chain(head(record, 0), head(record, 3, state="closed")),
    "other-key": record + b"\0" + chain(head(record, 3, state="closed", key="0" * 64)),
    "other-record": record + b"\0" + chain(head(record, 3, record="b"), head(record, 3, state="removed")),
    "proof": record + b"\0" + chain(head(record, 0), head(record, 3)).split(b"\n", 1)[1] + b" ",
    "no-ledger": record,
    "cut": record[:-20],
    "swapped": b"\n".join(record.split(b"\n")[i] for i in (1, 0, 2, 3)) + b"\n",
    "control": record.replace(b"words", b"wor\x1bds"),
    "numbers": chain({"by": "host", "type": "begin"}).replace(b'"seq":0', b'"seq":-0.1e99'),
    "empty": b"",
    "newlines": b"\n\n\0\n\n",
}

PEM = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
parts = {"record.jsonl": record, "heads.jsonl": chain(head(record, 3)), "key.pub": PEM}
seeds["evidence"] = {
    "whole": b"".join(tar_file(n, d) for n, d in parts.items()) + bytes(1024),
    "beside": b"".join(tar_file(n, d) for n, d in {**parts, "domain.xml": b"<x/>"}.items()) + bytes(1024),
    "twice": b"".join(tar_file(n, d) for n, d in parts.items()) * 2 + bytes(1024),
    "no-key": tar_file("record.jsonl", record) + bytes(1024),
    "huge": tar_file("record.jsonl", record, size=1 << 32),
    "cut": tar_file("record.jsonl", record)[:700],
    "empty": b"",
}

seeds["message"]["used"] = b"\x0d" + struct.pack("<4Q", 1 << 29, 1 << 28, 1 << 30, 1 << 29) + bytes(512)
seeds["message"]["used-too-much"] = b"\x0d" + struct.pack("<Q", (1 << 60) + 1) + bytes(536)


def request(what, fds=0, busy=0, flags=0, serial=0, signo=0, rows=0, cols=0, counts=(0, 0, 0, 0), timeout=0,
            room=0, name=b"", words=()):
    """struct talk_request as x86_64 lays it out, and the strings of its command."""
    return (bytes([fds << 1 | busy]) + struct.pack("<5I2H4IQQ65s7x", TALK_VERSION, what, flags, serial, signo, rows,
                                                   cols, *counts, timeout, room, name)
            + b"".join(word + b"\0" for word in words))


seeds["talk"] = {
    "exec": request(1, 3, counts=(2, 1, 0, 0), words=(b"/w", b"7:8", b"a", b"b", b"K=v")),
    "exec-terminal": request(1, 3, flags=3, rows=24, cols=80, counts=(1, 0, 0, 0), words=(b"", b"", b"sh")),
    "exec-secrets": request(1, 5, counts=(1, 0, 1, 1), words=(b"", b"", b"a", b"KEY", b"TOKEN")),
    "exec-detached": request(1, 1, flags=4, timeout=1000, room=1 << 20, counts=(1, 0, 0, 0), words=(b"", b"", b"a")),
    "exec-marked": request(1, 3, flags=24, name=b"before", counts=(1, 0, 0, 0), words=(b"", b"", b"a")),
    "exec-too-few-words": request(1, 3, counts=(9, 0, 0, 0), words=(b"", b"", b"a")),
    "exec-without-end": request(1, 3, counts=(1, 0, 0, 0), words=(b"", b"", b"a"))[:-1],
    "signal": request(2, busy=1, signo=15),
    "resize": request(3, busy=1, rows=1, cols=1),
    "kill": request(5, serial=3, signo=9),
    "snapshot": request(11, name=b"first"),
    "bad-name": request(11, name=b"../first"),
    "name-with-tail": request(11, name=b"a\0b"),
    "every-what": b"".join(request(what) for what in range(1, 22)),  # and one that is none
    "fds-unasked": request(4, 9),
}
run_json = {"format": "lazaret-run", "version": 1, "id": "a", "kind": "run", "started": "2026-01-01T00:00:00.000Z",
            "pid": 1, "image": "default", "command": ["sh", "-c", "\u001b[2J"], "connect": "embedded",
            "keep": True, "amnesic": False, "debug": True}
line = b'{"t":"2026-01-01T00:00:00.000Z","step":"up","state":"creating"}\n'
seeds["folder"] = {
    "plain": b"\0".join((json.dumps(run_json).encode(), b"{}", line, b'{"class":"exited","status":0}')),
    "cut": json.dumps(run_json).encode()[:60],
    "wrong": b'{"started":7,"image":[],"command":{"a":1},"connect":null,"amnesic":"no"}\0[]\0\xff\0{}',
    "command-of-numbers": b'{"command":[1,null,["x"],"y"]}',
    "deep": b'{"a":' * 60,
}
seeds["console"] = {
    "boot": b"[    0.000000] Linux version 6\r\n\x1b[1;31mpanic\x1b[0m\r\n",
    "returns": b"a\r\rb\r\n\n\r",
    "title": b"\x1b]0;owned\x07\x9b2J\x00\x7f\\",
}

put(seeds)
