"""What a job finds inside: no network, no privileges, nothing writable but its own."""
import json
import os
import subprocess

from e2e import *
from live import recorded

PROBE = r"""
import json, os, socket, stat
def status():
    with open('/proc/self/status') as f:
        return dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)
def fails(do):
    try:
        do()
    except OSError as e:
        return e.strerror
    return 'worked'
def write(path):
    with open(path, 'w') as f:
        f.write('x')
def connect(family, address):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(3)
    s.connect(address)
s = status()
def read_some(path):
    with open(path, 'rb') as f:
        return len(f.read(64))
masked = {}
for p in ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/sched_debug', '/proc/kmsg']:
    try:
        masked[p] = read_some(p)
    except OSError as e:
        masked[p] = e.strerror
out = {
  'uid': os.getuid(), 'gid': os.getgid(), 'groups': os.getgroups(),
  'status': {k: s[k].strip() for k in ('CapEff', 'CapPrm', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp')},
  'interfaces': sorted(n for _, n in socket.if_nameindex()),
  'root': fails(lambda: write('/file')), 'etc': fails(lambda: write('/etc/file')), 'usr': fails(lambda: write('/usr/bin/x')),
  'work': fails(lambda: write('/work/file')), 'tmp': fails(lambda: write('/tmp/file')), 'shm': fails(lambda: write('/dev/shm/file')),
  'dev': {n: ('link' if os.path.islink('/dev/' + n) else 'node') for n in os.listdir('/dev')},
  'masked': masked,
  'sysrq': 'masked' if not os.path.exists('/proc/sysrq-trigger') or stat.S_ISCHR(os.stat('/proc/sysrq-trigger').st_mode) else fails(lambda: write('/proc/sysrq-trigger')), 'sysctl': fails(lambda: write('/proc/sys/kernel/hostname')),
  'internet': fails(lambda: connect(socket.AF_INET, ('1.1.1.1', 53))),
  'host': fails(lambda: connect(socket.AF_INET, ('10.0.2.2', 22))),
  'unshare': fails(lambda: os.unshare(0x10000000)) if hasattr(os, 'unshare') else None,
  'pids': len([p for p in os.listdir('/proc') if p.isdigit()]),
  'hostname': socket.gethostname(),
}
print(json.dumps(out))
"""


def _probe(*options):
    return json.loads(finished(run(["python3", "-c", PROBE], *options)))


def a_job_has_no_privileges_and_finds_only_its_own():
    p = _probe()
    equal(p["uid"], 1000)
    equal(p["groups"], [] if not p["groups"] else [1000])
    for cap in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
        equal(int(p["status"][cap], 16), 0, cap)
    equal(p["status"]["NoNewPrivs"], "1")
    equal(p["status"]["Seccomp"], "2")
    equal(p["interfaces"], ["lo"])
    for place in ("root", "etc", "usr"):
        check(p[place] in ("Read-only file system", "Permission denied"), f"{place}: {p[place]}")
    for place in ("work", "tmp", "shm"):
        equal(p[place], "worked", place)
    check(p["internet"] != "worked" and p["host"] != "worked", p)
    check(p["pids"] <= 3, f"sees {p['pids']} processes")
    for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/kmsg"):
        got = p["masked"][path]
        check(got == 0 or isinstance(got, str), f"{path} gives {got} bytes")
    for place in ("sysrq", "sysctl"):
        check(p[place] != "worked", place)


def the_devices_are_the_listed_ones():
    allowed = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"}
    # The links of every OCI runtime; core points to /proc/kcore, which is masked.
    links = {"fd", "stdin", "stdout", "stderr", "ptmx", "core"}
    dev = _probe()["dev"]
    nodes = {n for n, kind in dev.items() if kind == "node"}
    check(nodes <= allowed, f"unexpected in /dev: {nodes - allowed}")
    check(allowed - {"ptmx"} <= nodes, f"missing in /dev: {allowed - nodes}")
    check({n for n, kind in dev.items() if kind == "link"} <= links, dev)


def the_root_is_read_only_even_where_the_mode_allows():
    finished(sh("for f in / /usr /etc /bin /var /root /home; do "
                "if touch $f/x 2>/dev/null; then echo $f; exit 1; fi; done"))


def tmp_does_not_execute():
    equal(sh("cp /bin/true /tmp/t && /tmp/t").returncode, 126)


def calls_that_reach_for_the_kernel_are_refused():
    code = r"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
calls = {'unshare(user)': (272, 0x10000000), 'mount': (165, 0, 0, 0, 0, 0), 'ptrace': (101, 0, 0, 0, 0),
         'bpf': (321, 0, 0, 0), 'perf_event_open': (298, 0, 0, 0, 0, 0), 'keyctl': (250, 0, 0, 0, 0, 0),
         'io_uring_setup': (425, 1, 0), 'userfaultfd': (323, 0), 'kexec_load': (246, 0, 0, 0, 0),
         'init_module': (175, 0, 0, 0), 'reboot': (169, 0, 0, 0, 0), 'setns': (308, -1, 0),
         'clone(newuser)': (56, 0x10000000 | 17, 0, 0, 0, 0), 'open_by_handle_at': (304, -1, 0, 0),
         'process_vm_readv': (310, 1, 0, 0, 0, 0, 0)}
for name, args in calls.items():
    ctypes.set_errno(0)
    r = libc.syscall(*[ctypes.c_long(a) for a in args])
    print(name, r, ctypes.get_errno())
    if r == 0 and name.startswith('clone'):
        os._exit(0)
"""
    out = finished(run(["python3", "-c", code])).decode().splitlines()
    equal(len(out), 15)
    for line in out:
        name, result, errnum = line.rsplit(" ", 2)
        equal((result, errnum in ("1", "38")), ("-1", True), name)


ORDINARY_AND_NOT = r"""
import ctypes, multiprocessing, socket, subprocess, tempfile, threading
t = threading.Thread(target=print)
t.start()
t.join()
subprocess.run(['sh', '-c', 'ls -l / | sort; cp -a /etc/hostname /work/a; df; id'], stdout=subprocess.DEVNULL)
multiprocessing.Pool(2).map(abs, [1, -2])
socket.socketpair()
tempfile.TemporaryFile()
libc = ctypes.CDLL(None)
for number in (165, 321, 165, 435, 165):  # mount, bpf, and clone3, which is not for counting
    libc.syscall(number, 0, 0, 0, 0, 0)
"""


def what_was_refused_is_counted_and_named_and_nothing_else():
    r = run(["python3", "-c", ORDINARY_AND_NOT], "--json")
    equal(json.loads(finished(r))["guest_denials"], [
        {"kind": "seccomp", "call": "mount", "count": 3}, {"kind": "seccomp", "call": "bpf", "count": 1}])
    equal(r.stderr.decode().splitlines(), [
        f"lazaret: warning: the job {text} (as the guest says)"
        for text in ("is refused mount", "is refused bpf", "was refused 3 calls of mount, 1 of bpf")])


REFUSED_AND_WAITS = "import ctypes; ctypes.CDLL(None).syscall(165, 0, 0, 0, 0, 0); input()"
REFUSED = b"lazaret: warning: the job is refused mount (as the guest says)\n"


def _journal(place, name):
    with open(f"{DATA}/{place}/{name}/journal", encoding="utf-8") as f:
        return [line["what"] for line in map(json.loads, f) if line.get("event") == "denied"]


def a_refusal_is_told_and_journalled_while_the_job_runs():
    want = {"kind": "seccomp", "call": "mount", "count": 1}
    p = start(["python3", "-c", REFUSED_AND_WAITS], "-i", stdin=subprocess.PIPE)
    equal(p.stderr.readline(), REFUSED)
    equal(p.poll(), None, "it still runs:")
    live = [x for x in runs() if os.path.exists(f"{DATA}/runs/{x}/journal") and _journal("runs", x)]
    equal(_journal("runs", live[0]), [want])
    wait_for(lambda: recorded("denied", live[0])[1], "its line on the record")
    equal([d["rows"] for d in recorded("denied", live[0])[1]], [[{**want, "exec": 1}]])
    equal(recorded("exit", live[0])[1], [])
    p.communicate(b"\n", timeout=60)
    equal(p.returncode, 0)
    finished(lazaret("up", "--accel", "tcg", "denied"))
    try:
        p = subprocess.Popen([LAZARET, "exec", "-i", "denied", "--", "python3", "-c", REFUSED_AND_WAITS],
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        equal(p.stderr.readline(), REFUSED)
        equal(_journal("sandboxes", "denied"), [{**want, "exec": 1}])
        p.communicate(b"\n", timeout=60)
        equal(p.returncode, 0)
    finally:
        finished(lazaret("down", "denied"))
    # What an amnesic guest says is on no disk.
    finished(lazaret("up", "--accel", "tcg", "--amnesic", "denied"))
    try:
        r = lazaret("exec", "denied", "--", "python3", "-c", REFUSED_AND_WAITS)
        check(REFUSED in r.stderr, r.stderr)
        equal(_journal("sandboxes", "denied"), [])
    finally:
        finished(lazaret("down", "denied"))


EVERY_CALL = r"""
import ctypes, itertools, json, mmap, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
refused, conditional = json.loads(sys.argv[1])
bad = []
def call(*args):
    ctypes.set_errno(0)
    r = libc.syscall(*[ctypes.c_long(a) for a in args])
    return 0 if r >= 0 else ctypes.get_errno()
def died_of(do):
    pid = os.fork()
    if pid == 0:
        do()
        os._exit(0)
    return os.waitpid(pid, 0)[1] & 127
def native_32():
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(bytes.fromhex('b814000000cd80c3'))  # mov eax, getpid; int 0x80; ret
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
for number, name, want in refused:
    got = call(number, 0, 0, 0, 0, 0, 0)
    if got != want:
        bad.append(f'{name} ({number}): errno {got}')
for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
    if call(conditional['clone'], flag | 17, 0, 0, 0, 0) != 1:
        bad.append(f'clone {flag:#x}')
for persona in (8, 0x40000, 0x100000, 0x400000, 0x800000):
    if call(conditional['personality'], persona) != 1:
        bad.append(f'personality {persona:#x}')
for request in (0x5412, 0x541c, 0x541d, 0x5423, 0x100005412, -1 << 32 | 0x5412):  # TIOCSTI, LINUX, CONS, SETD
    if call(conditional['ioctl'], 0, request, 0) != 1:
        bad.append(f'ioctl {request:#x}')
if call(conditional['ioctl'], -1, 0x5401, 0) != 9:  # TCGETS, of no file
    bad.append('ioctl TCGETS')
made = {(f, t, p) for f, t, p in itertools.product(range(0, 48), (1, 2, 3, 4, 5, 6, 10), (0, 1, 6, 17, 132, 255, 262))
        if call(conditional['socket'], f, t, p) == 0}
allowed = {(f, t, p) for f in (2, 10) for t, p in ((1, 0), (1, 6), (2, 0), (2, 17))}
for f, t, p in made - allowed:
    if f != 1 and (f, p) != (16, 0):
        bad.append(f'socket {f}, {t}, {p}')
if not {(1, 1, 0), (2, 1, 0)} <= made:
    bad.append('no local or TCP socket can be made')
for what, do in (('x32', lambda: call(0x40000000 + 39)), ('i386', native_32)):
    if died_of(do) not in (31, 11):  # a kernel without i386 calls has no such gate: SIGSEGV
        bad.append(f'a call of {what} does not kill')
print(json.dumps(bad))
"""


def every_call_that_is_not_listed_is_refused():
    with open("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", encoding="utf-8") as f:
        known = {words[1].removeprefix("__NR_"): int(words[2])
                 for words in map(str.split, f) if words[:1] == ["#define"] and len(words) == 3}
    check(len(known) > 350, known)
    filter_ = json.loads(finished(lazaret("check", "--json", "--", "true")))["oci_config"]["linux"]["seccomp"]
    listed = {n for rule in filter_["syscalls"] for n in rule["names"]}
    check(listed <= set(known), listed - set(known))
    refused = [(number, name, 1) for name, number in known.items() if name not in listed]
    refused += [(number, "unknown", 1) for number in range(max(known.values()) + 1, 1024)]
    refused += [(known["clone3"], "clone3", 38)]
    conditional = {name: known[name] for name in ("clone", "ioctl", "personality", "socket")}
    equal(json.loads(finished(run(["python3", "-c", EVERY_CALL, json.dumps([refused, conditional])]))), [])


def a_fork_bomb_is_bounded():
    code = ("import os,sys,time\nn=0\n"
            "try:\n"
            "  while True:\n"
            "    if os.fork()==0:\n"
            "      time.sleep(60); os._exit(0)\n"
            "    n+=1\n"
            "except OSError as e: print(n, e.errno)\n")
    r = run(["python3", "-c", code], "--pids", "64")
    n, errnum = finished(r).split()
    equal(errnum, b"11")
    check(b"limit of 64 processes" in r.stderr, r.stderr)
    check(40 < int(n) <= 64, f"{n} processes")


def a_disk_filler_is_bounded():
    r = sh("head -c 100M /dev/zero > /work/fill; stat -c %s /work/fill; exit 0", "--disk", "32M")
    size = int(finished(r).split()[-1])
    check(size < 34 << 20, f"{size} bytes")
    check(b"No space left" in r.stderr, r.stderr)


def tmp_is_bounded_by_the_memory():
    r = sh("head -c 200M /dev/zero > /tmp/fill; exit 0", "--memory", "96M")
    check(b"No space left" in r.stderr or b"memory limit" in r.stderr, r.stderr)


def the_guests_own_files_are_out_of_reach():
    finished(sh("for f in /run/lazaret /init /modules /sys/fs/cgroup/lazaret/cgroup.procs "
                "/dev/vda /dev/vport1p1 /dev/vport0p1 /dev/virtio-ports; do "
                "if [ -e $f ]; then echo $f; exit 1; fi; done"))


def _status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def _holds_no_rights(pid, what):
    s = _status(pid)
    for cap in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        equal(int(s[cap], 16), 0, f"{what} {cap}")
    equal((s["NoNewPrivs"], s["Seccomp"]), ("1", "2"), what)
    for kind in ("pid", "mnt", "net", "ipc", "uts"):
        check(os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"),
              f"{what} shares our {kind} namespace")


def the_live_qemu_and_relay_hold_no_rights_and_nothing_of_ours():
    secret = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(secret, True)
    os.environ["LZ_SECRET"] = "do not inherit"
    p = start(["sh", "-c", "echo started; exec sleep 100"], close_fds=False)
    del os.environ["LZ_SECRET"]
    equal(p.stdout.readline(), b"started\n")
    qemu = qemu_of(p)
    with open(f"/proc/{qemu}/stat") as f:
        init = int(f.read().rpartition(")")[2].split()[1])
    with open(f"/proc/{init}/task/{init}/children") as f:
        keeper = next(int(c) for c in f.read().split() if int(c) != qemu)
    with open(f"/proc/{keeper}/task/{keeper}/children") as f:
        relay = int(f.read().split()[0])
    for pid, what in ((qemu, "QEMU"), (relay, "relay")):
        _holds_no_rights(pid, what)
        with open(f"/proc/{pid}/environ", "rb") as f:
            check(b"LZ_SECRET" not in f.read(), f"{what} has the caller's environment")
    for pid in (qemu, relay, keeper, init):
        open_files = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
        check("/etc/hostname" not in open_files, f"{pid} holds {open_files}")
    if os.geteuid() == 0:
        check(_status(qemu)["Uid"].split()[0] != "0", "QEMU runs as root")
        with open(f"/proc/{qemu}/mountinfo") as f:
            at = {line.split()[4] for line in f}
        check({"/run", "/dev"} <= at, at)
    p.terminate()
    equal(p.wait(60), 143)
    os.close(secret)


def q35_confines_as_well():
    p = _probe("--machine", "q35")
    equal((p["uid"], p["status"]["Seccomp"], p["interfaces"]), (1000, "2", ["lo"]))


if __name__ == "__main__":
    main()
