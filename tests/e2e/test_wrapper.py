"""What a QEMU that was taken over finds around it: lazaret-qemu, behind which it runs."""
import errno
import json
import os
import shutil
import signal
import socket
import subprocess

from e2e import *
import e2e

BUILD = os.path.normpath(os.path.join(os.path.dirname(LAZARET), "../.."))
PROGRAMS = ["vmm/cli/lazaret", "vmm/channel/lazaret-relay", "vmm/channel/lazaret-unpack",
            "vmm/wrap/lazaret-qemu", "guest-agent/agent/lazaret-agent"]
PRELOAD = "vmm/hv/liblazaret-preload.so"
TAKEN_OVER = "tests/e2e/libtaken-over.so"
KEEPER = 2  # in the pid namespace of a run; 1 is init
DATA_INSIDE = "/run/lz/data"
# Refused before anything else is looked at, whatever their arguments are: each row of wrap_calls.c that
# no word of taken_over.c tries.
CALLS = {
    # other processes
    "process_vm_writev": 311, "process_madvise": 440, "process_mrelease": 448, "kcmp": 312,
    "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424, "tkill": 200, "tgkill": 234,
    "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297,
    # programs, and files that Landlock does not see
    "execveat": 322, "memfd_secret": 447, "fchmod": 91, "fchmodat": 268, "chown": 92, "fchown": 93,
    "lchown": 94, "fchownat": 260, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190,
    "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199, "utime": 132, "utimes": 235,
    "futimesat": 261, "utimensat": 280, "name_to_handle_at": 303, "open_by_handle_at": 304,
    "fanotify_init": 300, "inotify_init": 253, "inotify_init1": 294, "inotify_add_watch": 254,
    # what could be shared
    "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240, "add_key": 248, "request_key": 249,
    "keyctl": 250,
    # mounts and namespaces
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442, "setns": 308,
    # the kernel's larger doors
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_enter": 426,
    "io_uring_register": 427, "modify_ldt": 154, "personality": 135,
    # the host's business
    "quotactl": 179, "acct": 163, "swapon": 167, "swapoff": 168, "reboot": 169, "syslog": 103,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246,
    "kexec_file_load": 320, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159,
    "clock_adjtime": 305, "iopl": 172, "ioperm": 173,
    # of a guest's QEMU
    "socketpair": 53, "bind": 49, "vfork": 58,
}
# As if the kernel had none of them.
NEWER = {"clone3": 435, "fchmodat2": 452, "setxattrat": 463, "file_setattr": 469, "what comes": 490}
REFUSED = {str(errno.EPERM), str(errno.EACCES)}


def _write_library(path, tries):
    shutil.copy(f"{BUILD}/{TAKEN_OVER}", path)
    with open(path, "ab") as f:
        f.write(("\n#try\n" + "\n".join(tries) + "\n").encode())
    os.chmod(path, 0o755)


def _parse(text):
    lines = [line[5:] for line in text.splitlines() if line.startswith("try: ")]
    check(lines and lines[-1] == "end", f"the report is not whole: {text[-2000:]!r}")
    return dict(line.rsplit(" ", 1) for line in lines[:-1])


def _unconfined(folder, tries):
    """What the same attempts give without anything around them."""
    library = f"{folder}/control.so"
    _write_library(library, tries)
    r = subprocess.run(["/usr/bin/true"], env={"LD_PRELOAD": library}, capture_output=True, text=True,
                       timeout=60, check=False)
    return _parse(r.stderr)


def _log_of(qemu):
    """What QEMU wrote to stderr: libvirt's log, in the mount namespace of the run."""
    place = f"/proc/{qemu}/root/run/lz/root/log/qemu"
    text = ""
    for name in os.listdir(place):
        with open(f"{place}/{name}", encoding="utf-8", errors="replace") as f:
            text += f.read()
    return text if "\ntry: end\n" in text else None


def _copy_programs(top):
    for program in (*PROGRAMS, PRELOAD):
        os.makedirs(os.path.dirname(f"{top}/{program}"), exist_ok=True)
        shutil.copy(f"{BUILD}/{program}", f"{top}/{program}")


def _taken_over(folder, tries):
    """A lazaret whose QEMU makes these attempts when it begins, and then does nothing more."""
    top = f"{folder}/built"
    _copy_programs(top)
    _write_library(f"{top}/{PRELOAD}", tries)
    return f"{top}/vmm/cli/lazaret"


def _in_qemu(folder, tries):
    """The attempts in the QEMU of a run that begins with a saved guest."""
    p = subprocess.Popen([_taken_over(folder, tries), *argv([], ["true"])[1:]], env=e2e.environment(),
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        qemu = qemu_of(p)
        return _parse(wait_for(lambda: _log_of(qemu), "the report of QEMU"))
    finally:
        p.send_signal(signal.SIGTERM)
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=60)


def _blob():
    folder, _, names = next(x for x in os.walk(f"{DATA}/images") if x[2] and "blob" in x[0])
    return os.path.join(folder, names[0])[len(DATA):]


def a_qemu_that_was_taken_over_reaches_nothing_but_its_own_files(folder):
    finished(run(["true"]))  # there is a saved guest now, and libvirt knows QEMU
    home = f"{folder}/home"
    os.mkdir(home)
    os.chmod(folder, 0o755)
    for name in ("read", "write", "chmod", "truncate", "remove"):
        with open(f"{home}/{name}", "w", encoding="utf-8") as f:
            f.write("mine")
        os.chmod(f"{home}/{name}", 0o666)
    os.chmod(home, 0o777)
    other = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    other.bind(f"{home}/socket")
    other.listen()
    files = [f"read {home}/read", f"list {home}", f"write {home}/write", f"make {home}/new",
             f"chmod {home}/chmod", f"truncate {home}/truncate", f"remove {home}/remove",
             f"connect {home}/socket", "execute /usr/bin/true", "fork", "memfd", "inet",
             "read /etc/passwd", "list /", "list /etc"]
    victim = subprocess.Popen(["sleep", "600"])
    others = ["trace", "peek", "signal"]
    free = _unconfined(folder, files + [f"{word} {victim.pid}" for word in others])
    victim.kill()
    victim.wait()
    equal({k: v for k, v in free.items() if v != "done"}, {}, "without the wrapper:")
    for name in ("new", "truncate"):
        if os.path.exists(f"{home}/{name}"):
            os.unlink(f"{home}/{name}")
    for name in ("remove", "truncate"):
        with open(f"{home}/{name}", "w", encoding="utf-8") as f:
            f.write("mine")
        os.chmod(f"{home}/{name}", 0o666)

    inside = [f"list {DATA_INSIDE}", f"list {DATA_INSIDE}/runs", f"read {DATA_INSIDE}{_blob()}",
              f"write {DATA_INSIDE}{_blob()}", "write /run/lz/vm/root", "write /run/lz/vm/kernel",
              "write /run/lz/vm/preload.so", "write /run/lz/vm/ram", "make /run/lz/vm/new",
              "make /run/lz/root/lib/qemu/new", "remove /run/lz/vm/channel",
              "connect /run/lz/vm/channel", "execute /run/lz/lazaret-qemu", "list /proc",
              f"read /proc/{KEEPER}/status", f"write /proc/{KEEPER}/mem", "userns", "uring", "core", f"own {KEEPER}",
              f"own_socket {KEEPER}"]
    inside += [f"{word} {KEEPER}" for word in others]
    inside += [f"call {nr}" for nr in (*CALLS.values(), *NEWER.values())]
    allowed = ["read /run/lz/vm/root", "read /run/lz/vm/ram", "write /run/lz/vm/scratch.raw"]
    got = _in_qemu(folder, files + inside + allowed)
    other.close()
    equal({k: got.get(k) for k in allowed}, dict.fromkeys(allowed, "done"))
    newer = {f"call {nr}": str(errno.ENOSYS) for nr in NEWER.values()}
    equal({k: got.pop(k) for k in newer}, newer)
    equal({k: v for k, v in got.items() if k not in allowed
           and v not in REFUSED | ({str(errno.EROFS)} if "write /run/lz/vm/" in k else set())}, {},
          "not refused:")
    equal(len(got) + len(newer), len(files) + len(inside) + len(allowed), "attempts")
    equal(sorted(os.listdir(home)), ["chmod", "read", "remove", "socket", "truncate", "write"])
    with open(f"{home}/truncate", encoding="utf-8") as f:
        equal(f.read(), "mine")


def a_qemu_without_landlock_is_named(folder):
    unlocked = os.environ.get("LAZARET_E2E_UNLOCKED", f"{BUILD}/tests/e2e/unlocked-qemu")
    if not os.path.exists(unlocked):
        raise Skip("the wrapper that leaves it out is not built")
    if next(x for x in json.loads(lazaret("doctor", "--json").stdout) if x["check"] == "layer-landlock")["state"] != "good":
        raise Skip("this kernel has none")
    os.chmod(folder, 0o755)
    _copy_programs(f"{folder}/built")
    shutil.copy(unlocked, f"{folder}/built/vmm/wrap/lazaret-qemu")
    r = subprocess.run([f"{folder}/built/vmm/cli/lazaret", "prove", "--json", "--accel", "tcg", "--memory", "64M", "--disk",
                        "32M"], env=e2e.environment(), capture_output=True, timeout=240, check=False)
    rows = json.loads(finished(r, 1))["rows"]
    equal([(x["name"], x["seen"]) for x in rows if x["verdict"] == "broken"],
          [("qemu-landlock", "it opens '/etc/passwd'")])


def the_live_qemu_has_the_limits_of_the_wrapper():
    p = start(["sh", "-c", "echo started; exec sleep 100"])
    try:
        equal(p.stdout.readline(), b"started\n")
        qemu = qemu_of(p)
        with open(f"/proc/{qemu}/limits", encoding="utf-8") as f:
            limits = {line[:26].strip(): line[26:].split()[:2] for line in f}
        check(limits["Max core file size"][1] in ("0", "1"), limits)
        equal(limits["Max open files"], ["256", "256"])
        equal(limits["Max locked memory"], ["0", "0"])
        with open(f"/proc/{qemu}/status", encoding="utf-8") as f:
            filters = [line.split()[1] for line in f if line.startswith("Seccomp_filters")]
        check(int(filters[0]) > 1, f"{filters}: ours and QEMU's own")
        equal(os.readlink(f"/proc/{qemu}/exe"), "/usr/bin/qemu-system-x86_64")
        with open(f"/proc/{qemu}/cmdline", "rb") as f:
            words = f.read().split(b"\0")
        equal(words[words.index(b"-sandbox") + 1],
              b"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
    finally:
        p.terminate()
        p.communicate(timeout=60)


def doctor_says_each_layer_and_program():
    rows = {r["check"]: r for r in json.loads(lazaret("doctor", "--json").stdout)}
    for name in ("look", "wrapper", "preload", "qemu-img"):
        equal(rows[name]["state"], "good", name)
    layers = {k for k in rows if k.startswith("layer-")}
    equal(layers, {"layer-" + n for n in ("user", "namespaces", "landlock", "calls", "rlimits",
                                          "cgroup", "label", "apparmor")})
    equal(rows["layer-user"]["state"], "good" if os.geteuid() == 0 else "warning")
    equal(rows["layer-cgroup"]["state"], "warning")


if __name__ == "__main__":
    main()
