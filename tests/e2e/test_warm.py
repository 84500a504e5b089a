"""Warm starts: what a restored guest is, and what it is not."""
import hashlib
import json
import os
import re
import signal
import struct
import subprocess
import time

import store
from e2e import *


def _warm_dir(folder):
    return f"{folder}/warm"


def _saved(folder):
    try:
        return sorted(n for n in os.listdir(_warm_dir(folder)) if n != "tmp")
    except FileNotFoundError:
        return []


def _half_done(folder):
    return os.listdir(f"{_warm_dir(folder)}/tmp")


def _data(folder):
    """A data folder with the image and no saved guest."""
    os.mkdir(f"{folder}/data", 0o700)
    store.copy(f"{DATA}/images", f"{folder}/data/images")
    return f"{folder}/data"


def _env(data):
    return environment(LAZARET_DATA_DIR=data)


def _run(data, script, *options, **kwargs):
    """The result of a run as a dictionary; it must have ended with status 0."""
    began = time.time()
    r = subprocess.run(argv(["--json", *options], ["sh", "-c", script]), capture_output=True,
                       timeout=400, env=_env(data), check=False, stdin=subprocess.DEVNULL,
                       **kwargs)
    d = json.loads(finished(r))
    d["began"], d["ended"] = began, time.time()
    return d


TELL = ("uname -n; cat /etc/machine-id /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/uuid; "
        "head -c 16 /dev/urandom | od -An -tx8 | tr -d ' '; "
        "python3 -c 'import ssl, uuid; print(ssl.RAND_bytes(16).hex(), uuid.uuid4())'; "
        "date +%s.%N")


def later_runs_begin_with_what_the_first_one_saved_and_agree_on_nothing(folder):
    data = _data(folder)
    with Nothing():
        first = _run(data, TELL)
        equal(first["warm"], True)
        equal(len(_saved(data)), 1)
        equal(_half_done(data), [])
        results = [first, _run(data, TELL), _run(data, TELL)]
    equal(len(_saved(data)), 1)
    for r in results[1:]:
        equal(r["warm"], True)
        equal(r["notes"], [])
        check(r["boot_ms"] < first["boot_ms"] / 2, f"{r['boot_ms']} of {first['boot_ms']} ms")
    said = [r["stdout"].split() for r in results]
    for values in list(zip(*said))[:-1]:
        check(min(map(len, values)) >= 16, f"too short to differ by itself: {values}")
        equal(len(set(values)), len(values), f"different ones of {values}:")
    for r, words in zip(results, said):
        check(r["began"] - 1 <= float(words[-1]) <= r["ended"] + 1,
              f"the guest's clock says {words[-1]}, the run was from {r['began']} to {r['ended']}")


def a_warm_guest_has_this_runs_disks_and_user(folder):
    data = _data(folder)
    os.mkdir(f"{folder}/one")
    with open(f"{folder}/one/file", "w", encoding="ascii") as f:
        f.write("of this run\n")
    os.chmod(folder, 0o755)
    look = "cat /in/file 2>&1; df -k /work | tail -1; id -u; echo x > /work/y && cat /work/y"
    with_in = _run(data, look, "--in", f"{folder}/one", "--disk", "200M", "--user", "1234")
    without = _run(data, look, "--disk", "3G")
    equal(len(_saved(data)), 1)
    check("of this run" in with_in["stdout"] and "\n1234\n" in with_in["stdout"], with_in)
    check("No such file" in without["stdout"] and "\n1000\n" in without["stdout"], without)
    sizes = [int(re.search(r"(\d+) +\d+ +\d+ +\d+% /work", r["stdout"])[1])
             for r in (with_in, without)]
    check(sizes[0] < 200 << 10 and 2 << 20 < sizes[1] < 3 << 20, sizes)


def nothing_of_a_run_is_in_a_saved_guest(folder):
    data, marker = _data(folder), "lz-planted-" + os.urandom(8).hex()
    os.mkdir(f"{folder}/in")
    with open(f"{folder}/in/secret", "w", encoding="ascii") as f:
        f.write(marker)
    os.chmod(folder, 0o755)
    for _ in range(2):
        _run(data, f"cat /in/secret; echo {marker} > /work/f; echo {marker}", "--in",
             f"{folder}/in", "--env", f"SECRET={marker}")
    key, = _saved(data)
    for name in os.listdir(f"{_warm_dir(data)}/{key}"):
        with open(f"{_warm_dir(data)}/{key}/{name}", "rb") as f:
            check(marker.encode() not in f.read(), f"the marker is in '{name}'")


def _used(path, at):
    """What a sparse file has from `at` on."""
    with open(path, "rb") as f:
        size, parts = os.fstat(f.fileno()).st_size, []
        while at < size:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            parts.append(os.pread(f.fileno(), end - at, at))
            at = end
    return b"".join(parts)


def what_is_free_in_a_guest_is_not_saved(folder):
    data = _data(folder)
    _run(data, "true", "--memory", "64M")
    key, = _saved(data)
    with open(store.part(f"{data}/images", "kernel"), "rb") as f:
        kernel = f.read()
    if kernel.startswith(b"\x7fELF"):
        raise Skip("the kernel is not packed: its file is in use")
    pieces = [kernel[at:at + 64] for at in range(len(kernel) // 4, len(kernel), len(kernel) // 16)]
    saved = _used(f"{_warm_dir(data)}/{key}/ram", 16 << 20)  # below it is the last memory that is taken
    equal(sum(piece in saved for piece in pieces), 0, f"of {len(pieces)} pieces of the packed kernel:")


def a_changed_byte_is_refused_said_and_made_anew(folder):
    data = _data(folder)
    _run(data, "true")
    key, = _saved(data)
    for name in ("ram", "state", "meta.json"):
        path = f"{_warm_dir(data)}/{key}/{name}"
        os.chmod(path, 0o600)
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 0x80]))
        d = _run(data, "echo works")
        equal(d["stdout"], "works\n")
        equal(len(d["notes"]), 1)
        check(name in d["notes"][0] and "made anew" in d["notes"][0], d["notes"])
        equal(_saved(data), [key])
    equal(_run(data, "true")["notes"], [])


def a_saved_guest_that_does_not_come_back_is_replaced_by_a_boot(folder):
    data = _data(folder)
    _run(data, "true")
    key, = _saved(data)
    ram, meta = (f"{_warm_dir(data)}/{key}/{name}" for name in ("ram", "meta.json"))
    # What its owner may do: every digest is right, and yet there is no guest in it.
    with open(meta, encoding="ascii") as f:
        doc = json.load(f)
    size = doc["ram"]["size"]
    os.chmod(ram, 0o600)
    os.truncate(ram, 0)
    os.truncate(ram, size)
    os.chmod(ram, 0o444)
    doc["ram"]["used"] = 0
    doc["ram"]["sha256"] = hashlib.sha256(struct.pack("<Q", size)).hexdigest()
    os.chmod(meta, 0o600)
    with open(meta, "w", encoding="ascii") as f:
        json.dump(doc, f)
    with Nothing():
        d = _run(data, "echo works")
    equal((d["stdout"], d["warm"]), ("works\n", False))
    equal(len(d["notes"]), 1)
    check("is removed and the guest boots" in d["notes"][0], d["notes"])
    equal(_saved(data), [])
    equal((_run(data, "true")["warm"], _saved(data)), (True, [key]))


def another_shape_is_another_guest_and_cold_saves_none(folder):
    data = _data(folder)
    equal(_run(data, "true", "--cold")["warm"], False)
    equal(_saved(data), [])
    _run(data, "true")
    one = _saved(data)
    equal(_run(data, "true", "--cold")["warm"], False)
    equal(_saved(data), one)
    d = _run(data, "nproc; grep MemTotal /proc/meminfo", "--cpus", "2", "--memory", "300M")
    equal(d["warm"], True)
    equal(d["stdout"].split()[0], "2")
    equal(len(_saved(data)), 2)
    listed = json.loads(finished(lazaret("warm", "ls", "--json", env={"LAZARET_DATA_DIR": data})))
    equal(sorted(x["key"] for x in listed), _saved(data))
    finished(lazaret("warm", "rm", one[0][:12], env={"LAZARET_DATA_DIR": data}))
    check(one[0] not in _saved(data), "it is still there")
    finished(lazaret("warm", "prune", "--max-size", "0", env={"LAZARET_DATA_DIR": data}))
    equal(_saved(data), [])


def q35_starts_warm_too(folder):
    data = _data(folder)
    _run(data, "true", "--machine", "q35")
    one = _saved(data)
    d = _run(data, TELL, "--machine", "q35")
    equal((d["warm"], _saved(data)), (True, one))
    check(d["began"] - 1 <= float(d["stdout"].split()[-1]) <= d["ended"] + 1, d)


def the_live_qemu_cannot_write_the_saved_memory(folder):
    data = _data(folder)
    _run(data, "true")
    key, = _saved(data)
    inode = os.stat(f"{_warm_dir(data)}/{key}/ram").st_ino
    p = subprocess.Popen(argv([], ["sh", "-c", "echo up; exec sleep 100"]), env=_env(data),
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    equal(p.stdout.readline(), b"up\n")
    qemu = qemu_of(p)
    found = 0
    for fd in os.listdir(f"/proc/{qemu}/fd"):
        if os.stat(f"/proc/{qemu}/fd/{fd}").st_ino == inode:
            with open(f"/proc/{qemu}/fdinfo/{fd}", encoding="ascii") as f:
                flags = int(re.search(r"flags:\s*(\d+)", f.read())[1], 8)
            equal(flags & os.O_ACCMODE, os.O_RDONLY)
            found += 1
    check(found > 0, "QEMU does not have it open")
    with open(f"/proc/{qemu}/maps", encoding="ascii") as f:
        maps = [line.split() for line in f if f" {inode} " in line]
    check(maps and all(m[1][3] == "p" for m in maps), maps)
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGINT)
    p.wait(30)


def killed_while_it_saves_the_next_run_makes_it_anew(folder):
    data = _data(folder)
    with Nothing():
        p = subprocess.Popen(argv([], ["true"]), env=_env(data), stdin=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.isdir(f"{_warm_dir(data)}/tmp") and _half_done(data), "a save")
        p.kill()
        p.wait()
        equal(_saved(data), [])
        equal(len(_half_done(data)), 1)
        finished(lazaret("gc", env={"LAZARET_DATA_DIR": data}))
        d = _run(data, "echo works")
    equal((d["stdout"], d["warm"], d["notes"]), ("works\n", True, []))
    equal(_half_done(data), [])


def runs_side_by_side_save_one(folder):
    data = _data(folder)
    with Nothing():
        ps = [subprocess.Popen(argv(["--json"], ["echo", str(i)]), env=_env(data),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
              for i in range(3)]
        for i, p in enumerate(ps):
            d = json.loads(p.communicate(timeout=400)[0])
            equal((d["stdout"], d["notes"]), (f"{i}\n", []))
    equal(len(_saved(data)), 1)
    equal(_half_done(data), [])


if __name__ == "__main__":
    main()
