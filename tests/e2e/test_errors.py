"""What can go wrong before a guest runs: one line, a way out, the right status."""
import json
import os
import resource
import signal
import subprocess
import time

import store
from e2e import *


def _store(folder, change=None):
    """A data folder of its own with a copy of the image that `change` may damage."""
    os.chmod(folder, 0o700)
    store.copy(f"{DATA}/images", f"{folder}/images")
    if change:
        change(f"{folder}/images")
    return {"LAZARET_DATA_DIR": folder}


def _run_in(folder, change, *words):
    env = _store(folder, change)
    one_line_error(lazaret("run", "--accel", "tcg", "--", "true", env=env), 125, *words)
    left = os.listdir(f"{folder}/runs") if os.path.exists(f"{folder}/runs") else []
    equal(left, [], "run folders left:")


def no_image_says_how_to_build_one(folder):
    os.chmod(folder, 0o700)
    one_line_error(lazaret("run", "--accel", "tcg", "--", "true", env={"LAZARET_DATA_DIR": folder}),
                   125, "default", "lazaret image build")


def a_missing_blob_is_named(folder):
    gone = os.path.basename(store.part(f"{DATA}/images", "initramfs"))
    _run_in(folder, lambda images: os.remove(store.part(images, "initramfs")), "initramfs", gone,
            "image build")


def one_flipped_byte_is_named(folder):
    def flip(images):
        with open(store.part(images, "kernel"), "r+b") as f:
            f.seek(100000)
            byte = f.read(1)
            f.seek(100000)
            f.write(bytes([byte[0] ^ 1]))
    _run_in(folder, flip, "kernel", os.path.basename(store.part(f"{DATA}/images", "kernel")),
            "image build")


def a_truncated_blob_is_named(folder):
    def cut(images):
        path = store.part(images, "kernel")
        os.truncate(path, os.path.getsize(path) - 1)
    _run_in(folder, cut, "kernel", os.path.basename(store.part(f"{DATA}/images", "kernel")))


def a_damaged_manifest_is_named(folder):
    def damage(images):
        with open(store.manifest_path(images), "w") as f:
            f.write("{")
    _run_in(folder, damage, os.path.basename(store.manifest_path(f"{DATA}/images")), "damaged")


def an_agent_that_speaks_another_version_is_refused_before_boot(folder):
    def change(images):
        store.put_manifest(images, {**store.manifest(images), "protocol": 99})
    _run_in(folder, change, "protocol")


def the_command_line_is_checked():
    rows = [
        (["run", "--nope", "--", "true"], "unknown option '--nope'"),
        (["run", "-x", "--", "true"], "unknown option '-x'"),
        (["run", "--memory"], "needs a value"),
        (["run", "--memory", "1", "--", "true"], "--memory"),
        (["run", "--accel", "hvf", "--", "true"], "--accel"),
        (["run", "--accel", "tcg"], "no command"),
        (["run", "--connect", "qemu+ssh://x/system", "--", "true"], "--connect"),
        (["run", "--connect", "qemu:///system", "--", "true"], "--connect"),
        (["run", "--json", "-t", "--", "true"], "exclude"),
        (["run", "--out", "", "--", "true"], "--out"),
        (["run", "--out", "/no/such\x1b[31m\nfolder/x", "--", "true"], "--out"),
        (["run", "--in", "/no/such/folder", "--", "true"], "--in"),
        (["nope"], "no command 'nope'"),
        (["ls", "--nope"], "unknown option"),
        (["show"], "which run"),
        (["show", "nope"], "none"),
        (["image", "nope"], "nope"),
        (["image"], "image --help"),
        (["image", "ls", "x"], "image ls: unexpected argument 'x'"),
        (["image", "ls", "--nope"], "image ls --help"),
        (["image", "ls", "--json=yes"], "takes no value"),
        (["image", "build", "--tag"], "needs a value"),
        (["image", "rm"], "image rm: an argument is missing"),
        (["image", "tag", "x", "y", "z"], "unexpected argument 'z'"),
        (["image", "sign", "--key", "/nowhere", "default"], "/nowhere"),
        (["image", "verify", "--trusted", "/nowhere"], "--trusted: cannot open '/nowhere'"),
        (["image", "build", "--tag=../x"], "not a name"),
        (["image", "build", "--kernel", "own"], "there is no kernel 'own'"),
        (["image", "kernel"], "image kernel: build, ls or rm?"),
        (["image", "kernel", "build", "--flavour", "x"], "no flavour 'x' (airgap or net)"),
        (["image", "kernel", "build", "--jobs", "0x"], "--jobs"),
        (["image", "kernel", "rm"], "image kernel rm: which flavour?"),
        (["image", "kernel", "rm", "nope"], "there is no kernel 'nope'"),
        (["run", "--image", "sha256:x", "--", "true"], "--image"),
        (["run", "--image", "../x", "--", "true"], "--image"),
    ]
    for args, word in rows:
        one_line_error(lazaret(*args), 125, word)


def root_inside_is_refused_with_126():
    one_line_error(run(["true"], "--user", "0"), 126, "--user")


def an_output_folder_that_is_not_empty_is_refused(folder):
    with open(f"{folder}/x", "w"):
        pass
    with Nothing():
        one_line_error(run(["true"], "--out", folder), 125, "not empty")


def an_unreadable_or_strange_input_is_refused(folder):
    os.mkdir(f"{folder}/in")
    os.mkfifo(f"{folder}/in/fifo")
    with Nothing():
        one_line_error(run(["true"], "--in", f"{folder}/in"), 125, "fifo")


def a_guest_that_panics_ends_the_run_at_once_as_guest(folder):
    def no_init(images):
        store.put_part(images, "initramfs", b"\0" * 512)
    env = _store(folder, no_init)
    with Nothing():
        began = time.monotonic()
        r = lazaret("run", "--accel", "tcg", "--json", "--keep-logs", "--", "true", env=env)
        d = json.loads(finished(r, 125))
        equal(d["class"], "guest", d.get("error"))
        check(time.monotonic() - began < 60, "not at once")
        with open(f"{folder}/runs/{d['id']}/console.log") as f:
            check("Kernel panic" in f.read(), "no panic on the console")


def no_space_on_the_host_is_said(folder):
    if os.geteuid() != 0:
        raise Skip("mounting a small file system needs root")
    os.mkdir(f"{folder}/small")
    image = sum(os.path.getsize(store.part(f"{DATA}/images", p)) for p in store.PARTS)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={image + (128 << 10)},mode=700", "lz",
                    f"{folder}/small"], check=True)
    try:
        _store(f"{folder}/small")
        one_line_error(lazaret("run", "--accel", "tcg", "--", "true",
                               env={"LAZARET_DATA_DIR": f"{folder}/small"}), 125, "space")
        equal(os.listdir(f"{folder}/small/runs"), [])
    finally:
        subprocess.run(["umount", f"{folder}/small"], check=True)


def a_host_without_libvirts_driver_says_what_to_install():
    if os.geteuid() != 0:
        raise Skip("hiding the driver needs root")
    folder = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver"
    hidden = f'mount -t tmpfs lz {folder} && exec "$@"'
    with Nothing():
        r = subprocess.run(["unshare", "--mount", "sh", "-c", hidden, "sh", *argv([], ["true"])],
                           capture_output=True, env=environment(), timeout=120, check=False)
        one_line_error(r, 125, "libvirt-daemon-driver-qemu")


def a_careless_parent_does_no_harm():
    def closed():
        for fd in range(3):
            os.close(fd)
    careless = {
        "umask": lambda: os.umask(0o077),
        "SIGCHLD ignored": lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
        "few fds": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)),
    }
    for what, do in careless.items():
        equal(finished(run(["echo", "ok"], preexec_fn=do)), b"ok\n", what)
    before = runs()
    equal(run(["echo", "lost"], preexec_fn=closed).returncode, 0)
    equal(runs(), before)


def help_and_version_go_to_stdout():
    for args in (["--help"], ["run", "--help"], ["check", "--help"], ["image", "--help"],
                 ["image", "ls", "--help"], ["help", "gc"], ["--version"]):
        r = lazaret(*args)
        check(finished(r) and not r.stderr, args)


def check_prints_plan_and_xml_and_changes_nothing():
    before = runs()
    r = lazaret("check", "--accel", "tcg", "--memory", "64M", "--", "true")
    text = finished(r).decode()
    for word in ('64 MiB', "<domain", "lz-scratch", '"noNewPrivileges"'):
        check(word in text, word)
    d = json.loads(finished(lazaret("check", "--accel", "tcg", "--json", "--", "true")))
    equal(sorted(d), ["domain_xml", "layers", "oci_config", "plan"])
    check(d["domain_xml"].strip().startswith("<"), d["domain_xml"][:40])
    equal(runs(), before)


def doctor_finds_this_host_fit():
    rows = json.loads(finished(lazaret("doctor", "--json")))
    equal([r for r in rows if r["state"] == "bad"], [])


def the_fallback_to_software_emulation_is_loud_once():
    r = lazaret("run", "--", "true", timeout=240)
    finished(r)
    rows = json.loads(finished(lazaret("doctor", "--json")))
    slow = [x for x in rows if x["check"] == "accelerator"][0]["state"] != "good"
    equal(r.stderr.decode().count("software emulation"), 1 if slow else 0)


if __name__ == "__main__":
    main()
