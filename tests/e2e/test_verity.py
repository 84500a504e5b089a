"""The root is read through dm-verity: no job sees a byte that changed as if it were right."""
import hashlib
import json
import os
import struct
import subprocess
import threading

import store
from e2e import *

BLOCK = 4096


def _unsquashfs(root, *args):
    return subprocess.run(["unsquashfs", *args[:1], root, *args[1:]], capture_output=True,
                          check=True).stdout


def _big_file(root):
    """The largest file of the image: its path, its bytes, and where in the blob a part of it is.

    The place is the beginning of an inner block of the file: LZ4 keeps bytes that have not come up
    before in that block as they are. What lies around it belongs to the same file.
    """
    rows = [line.split() for line in _unsquashfs(root, "-lln").decode().splitlines()]
    path = max((r for r in rows if r and r[0].startswith("-")), key=lambda r: int(r[2]))[5]
    path = path.removeprefix("squashfs-root/")
    data = _unsquashfs(root, "-cat", path)
    with open(root, "rb") as f:
        blob = f.read()
    block_size = struct.unpack_from("<I", blob, 12)[0]
    for at in range(block_size, len(data) - block_size, block_size):
        key = data[at:at + 14]
        if len({key[i:i + 4] for i in range(11)}) == 11 and blob.count(key) == 1:
            return path, data, blob.index(key)
    raise AssertionError(f"no place in {path} is found again")


def _flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 1]))


def _copy(folder):
    """A data folder of its own; returns its images and the path of the root's blob."""
    os.chmod(folder, 0o700)
    images = f"{folder}/images"
    store.copy(f"{DATA}/images", images)
    return images, store.part(images, "root")


def _run(folder, script, status=0, options=("--cold",)):
    r = lazaret("run", "--accel", "tcg", "--json", *options, "--", "sh", "-c", script,
                env={"LAZARET_DATA_DIR": folder}, timeout=480)
    return json.loads(finished(r, status))


def _is_image(d, root):
    equal((d["class"], d["status"]), ("image", 125), d.get("error"))
    for word in ("image 'default'", "root", os.path.basename(root), "is damaged", "image build"):
        check(word in d["error"], f"'{word}' is not in {d['error']!r}")
    # What the guest did stays on record, behind what the host found.
    check(any("the guest" in note for note in d["notes"]), d["notes"])


def a_damaged_block_ends_the_run_that_reads_it_and_no_other(folder):
    """In guests that boot, and in those that begin with the saved one of the first run here."""
    _, root = _copy(folder)
    path, data, at = _big_file(root)
    script = f"echo before; cat /{path} | sha256sum; echo after"
    right = f"before\n{hashlib.sha256(data).hexdigest()}  -\nafter\n"
    equal(_run(folder, script, options=())["stdout"], right)
    _flip(root, at)
    for options in ((), ("--cold",)):
        with Nothing():
            d = _run(folder, script, 125, options)
        _is_image(d, root)
        check(d["stdout"] in ("", "before\n"), f"a result of damaged data: {d['stdout']!r}")
    # Nothing reads that block here. The host finds it, where it looks.
    equal(_run(folder, "echo unharmed", options=())["stdout"], "unharmed\n")
    one_line_error(lazaret("image", "verify", "default", env={"LAZARET_DATA_DIR": folder}), 125,
                   os.path.basename(root), "is damaged")
    _flip(root, at)
    equal(_run(folder, script)["stdout"], right)


def a_block_that_is_damaged_while_the_job_runs_ends_it(folder):
    _, root = _copy(folder)
    path, _, at = _big_file(root)
    with Nothing():
        p = subprocess.Popen([LAZARET, "run", "--accel", "tcg", "--cold", "-i", "--", "sh", "-c",
                              f"echo started; read x; cat /{path} | sha256sum; echo after"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment(LAZARET_DATA_DIR=folder))
        equal(p.stdout.readline(), b"started\n")
        _flip(root, at)
        out, err = p.communicate(b"go\n", timeout=240)
    equal((p.returncode, out), (125, b""), err)
    for word in (os.path.basename(root), "is damaged", "image build"):
        check(word in err.decode(), f"'{word}' is not in {err!r}")


def a_damaged_block_takes_a_sandbox_down_and_its_client_is_told_why(folder):
    _, root = _copy(folder)
    path, _, at = _big_file(root)
    env = {"LAZARET_DATA_DIR": folder}
    finished(lazaret("up", "box", "--accel", "tcg", "--cold", env=env, timeout=240))
    _flip(root, at)
    r = lazaret("exec", "box", "--json", "--", "sh", "-c", f"cat /{path} | sha256sum", env=env)
    d = json.loads(finished(r, 125))
    equal((d["class"], d["stdout"]), ("image", ""), d.get("error"))
    check(os.path.basename(root) in d["error"], d["error"])
    wait_for(lambda: not processes(), "the end of the sandbox", 10)


def a_damaged_superblock_or_hash_tree_boots_nothing(folder):
    images, root = _copy(folder)
    tree = store.manifest(images)["root"]["verity"]["hash_start"] * BLOCK
    # The superblock's count of inodes; the top of the tree, its used part and its unused end.
    for at in (4, tree + 5, tree + BLOCK - 1):
        _flip(root, at)
        with Nothing():
            d = _run(folder, "echo never", 125)
        _is_image(d, root)
        equal(d["stdout"], "", f"byte {at}")
        _flip(root, at)


def a_damaged_leaf_of_the_tree_ends_the_run_that_needs_it(folder):
    images, root = _copy(folder)
    path, _, at = _big_file(root)
    verity = store.manifest(images)["root"]["verity"]
    levels, n = [], verity["data_blocks"]
    while n > 1:
        n = -(-n // 128)
        levels.append(n)
    leaf = verity["hash_start"] + sum(levels[1:]) + at // BLOCK // 128
    _flip(root, leaf * BLOCK + at // BLOCK % 128 * 32)
    with Nothing():
        d = _run(folder, f"cat /{path} | sha256sum", 125)
    _is_image(d, root)
    equal(d["stdout"], "")


def another_root_hash_boots_nothing(folder):
    """The blob is what the manifest says, so this is not the image's damage; still nothing runs."""
    images, _ = _copy(folder)
    changed = store.manifest(images)
    digit = changed["root"]["verity"]["root_hash"][0]
    changed["root"]["verity"]["root_hash"] = (
        ("1" if digit == "0" else "0") + changed["root"]["verity"]["root_hash"][1:])
    store.put_manifest(images, changed)
    with Nothing():
        d = _run(folder, "echo never", 125)
    equal((d["class"], d["stdout"]), ("guest", ""), d.get("error"))
    one_line_error(lazaret("image", "verify", "default", env={"LAZARET_DATA_DIR": folder}), 125,
                   "image 'default'", "root hash", "image build")


def an_image_does_not_speak_to_the_agent(folder):
    images, _ = _copy(folder)
    changed = store.manifest(images)
    changed["cmdline"] += " lazaret.anything"
    store.put_manifest(images, changed)
    d = _run(folder, "id", 125)
    equal(d["class"], "image", d.get("error"))
    check("lazaret." in d["error"], d["error"])


def the_agent_refuses_a_root_without_its_root_hash():
    """Bare QEMU, since lazaret cannot be made to leave the argument out."""
    images = f"{DATA}/images"
    verity = store.manifest(images)["root"]["verity"]
    good = (f"lazaret.verity={verity['data_blocks']}:{verity['hash_start']}:{verity['salt']}:"
            f"{verity['root_hash']}")
    failed = "bring-up failed: kernel argument 'lazaret.verity="
    rows = {
        "": "bring-up failed: no kernel argument 'lazaret.verity=",
        good[:-1]: failed,
        f"{good} {good}": failed,
        good + ":ignore_corruption": failed,
        # The control: with the right argument it comes as far as this, and misses the host.
        good: "port 'lazaret.0'",
    }
    for words, said in rows.items():
        argv = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256",
                "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
                "-kernel", store.part(images, "kernel"), "-initrd", store.part(images, "initramfs"),
                "-append", f"{store.manifest(images)['cmdline']} {words}",
                "-drive", f"if=none,id=r,format=raw,readonly=on,file={store.part(images, 'root')}",
                "-device", "virtio-blk-pci,drive=r,serial=lz-root"]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
            deadline = threading.Timer(240, p.kill)
            deadline.start()
            line = next((x for x in p.stdout if b"lazaret-agent: " in x), b"")
            deadline.cancel()
            p.kill()
        check(f"lazaret-agent: {said}" in line.decode(), f"{words!r}: {line!r}")


if __name__ == "__main__":
    main()
