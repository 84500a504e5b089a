"""soak: sandboxes and runs for some minutes, with random faults; what is left at the end is counted.

One long-lived sandbox goes through all of it: its keeper and relay are what could grow. Beside it
workers take turns, each with a run (plain, amnesic, through a gateway to a server of ours, or with a
guest of the pool), or with a sandbox that gets commands, marks, a fork, and goes. A process
of theirs, chosen at random, is killed or stopped in about every second turn. A turn may fail then, but
in a line, with a status of lazaret's own, and within its deadline.

As root it has a network namespace of its own, with the server on its loopback; else the gateway's
guest asks for nothing.
"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

import servers
from e2e import DATA, LAZARET, below, lazaret, processes, runs, sandboxes, sockets, start
from live import execute, family, up

SMALL = ("--memory", "64M")
TURN_S = 240      # in which every command has to end
GROWTH_KIB = 4096  # which the long-lived keeper and relay may have grown by


READY = "no guest was ready"  # of the pool: said, and no error
GATEWAY = os.path.normpath(os.path.join(os.path.dirname(LAZARET), "../gateway/lazaret-gateway"))
# Of a run: options, and what its job does; the gateway's are filled in by main().
ASKS = """
import socket
s = socket.create_connection(("127.0.0.1", 3128), 30)
s.sendall(b"CONNECT good.test:%d HTTP/1.1\\r\\n\\r\\n")
assert s.recv(4096).split()[1] == b"200"
s.sendall(b"asked")
assert s.recv(5) == b"asked"
"""
KINDS = {"run": (SMALL, ["sh", "-c", "echo out; sleep 0.3"]),
         "run --amnesic": ((*SMALL, "--amnesic"), ["sh", "-c", "echo out; sleep 0.3"]),
         "run --pool": ((*SMALL, "--pool", "2"), ["sh", "-c", "echo out; sleep 0.3"])}


def add_gateway(folder):
    """A kind of run that goes out, and what the programs that it starts have to know for that."""
    with open(f"{folder}/policy.json", "w", encoding="ascii") as f:
        json.dump({"format": "lazaret-policy", "version": 1, "network_ranges": ["127.0.0.0/8"]}, f)
    port, job = 80, ["true"]
    if servers.is_alone():
        port = servers.tcp(servers.echo)
        os.environ["LAZARET_DNS"] = servers.Names({"good.test": ["127.0.0.1"]}).at
        job = ["python3", "-S", "-c", ASKS % port]
    KINDS["run --allow"] = (("--memory", "96M", "--policy", f"{folder}/policy.json", "--allow",
                             f"tcp://good.test:{port}"), job)


def gateways():
    """Those of this build: they have no variable of ours."""
    n = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                n += f.read().split(b"\0")[0] == GATEWAY.encode()
        except OSError:
            pass  # it has ended
    return n


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def n_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def host():
    """What has to be the same at the end."""
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        mounts = sum(1 for line in f if DATA in line or "/run/lz" in line)
    shm = [n for n in os.listdir("/dev/shm") if "lazaret" in n or "lz" in n]
    return {"processes": len(processes()), "gateways": gateways(), "runs": runs(), "sandboxes": sandboxes(), "sockets": sockets(),
            "mounts": mounts, "shm": shm,
            "warm/tmp": len(os.listdir(f"{DATA}/warm/tmp")) if os.path.isdir(f"{DATA}/warm/tmp") else 0}


def memory_kib():
    with open("/proc/meminfo", encoding="ascii") as f:
        rows = {line.split(":")[0]: int(line.split()[1]) for line in f}
    return rows["Shmem"]


class Tally:
    def __init__(self):
        self.lock, self.counts, self.wrong = threading.Lock(), {}, []

    def add(self, *words):
        with self.lock:
            key = " ".join(words)
            self.counts[key] = self.counts.get(key, 0) + 1

    def fail(self, what):
        with self.lock:
            self.wrong.append(what)
            print(f"WRONG: {what}", flush=True)


def parts(pid):
    """Every process below one, by what it is."""
    found = {}
    for child, (parent, cmdline) in below(pid).items():
        name = os.path.basename(cmdline.split(" ")[0]).removeprefix("lazaret-")
        if "guest=lazaret-" in cmdline:
            name = "qemu"
        elif name == os.path.basename(LAZARET):
            name = "init" if parent == pid else "keeper"
        if name:  # what has ended has no command line
            found[name] = child
    return found


def supervisor(name):
    with open(f"{DATA}/sandboxes/{name}/run.json", encoding="utf-8") as f:
        return json.load(f)["pid"]


def hurt(choice, pid, tally, patient):
    """Kills or stops a process below `pid`, now or a little later. A stopped client or keeper is killed
    after that: nobody answers for it."""
    time.sleep(choice.random() * 2)
    them = {**parts(pid), "client": pid}
    name = choice.choice(sorted(them))
    stop = choice.random() < 0.3
    try:
        os.kill(them[name], signal.SIGSTOP if stop else signal.SIGKILL)
        if stop and name != "qemu":
            time.sleep(choice.random())
            os.kill(them[name], signal.SIGCONT if name == "relay" else signal.SIGKILL)
    except ProcessLookupError:
        return
    tally.add("fault:", patient, name, "stopped" if stop else "killed")


def judge(tally, what, status, err, hurt_it):
    """A status of the command's or of lazaret's own, and a line, unless it was killed itself."""
    tally.add("ended:", what, str(status))
    if status == 0:
        return
    lines = [line for line in err.decode(errors="replace").splitlines() if "warning:" not in line and READY not in line]
    if not hurt_it:
        tally.fail(f"{what} failed without a fault: {status} {lines}")
    elif status not in (125, 130, 137, 143, -signal.SIGKILL) or len(lines) > 1:
        tally.fail(f"{what}: {status} {lines}")


def one_run(choice, tally):
    kind = choice.choice(sorted(KINDS))
    options, job = KINDS[kind]
    p = start(job, *options)
    hurts = choice.random() < 0.5
    waiting = [name for name in sandboxes() if name.startswith("pool.")] if kind == "run --pool" else []
    if hurts:
        # A guest of the pool is below the process that made it ready, and is another run's next.
        hurt(choice, supervisor(choice.choice(waiting)) if waiting else p.pid, tally, kind)
    try:
        _, err = p.communicate(timeout=TURN_S)
    except subprocess.TimeoutExpired:
        p.kill()
        tally.fail("a run did not end")
        return
    judge(tally, kind, p.returncode, err, hurts or kind == "run --pool")


def fork_it(name, tally, hurts):
    """A fork that gets a command, and goes."""
    child = f"{name}-child"
    forked = lazaret("fork", name, child, timeout=TURN_S)
    if forked.returncode == 0:
        r = execute(child, "--", "true", timeout=TURN_S)
        judge(tally, "exec in a fork", r.returncode, r.stderr, hurts)
        r = lazaret("down", child, timeout=TURN_S)
        judge(tally, "down of a fork", r.returncode, r.stderr, hurts)
    return forked


def one_sandbox(choice, tally, name):
    hurts = choice.random() < 0.5
    hurter = None
    r = up(name, *SMALL)
    judge(tally, "up", r.returncode, r.stderr, False)
    if hurts and r.returncode == 0:
        hurter = threading.Thread(target=hurt, args=(choice, supervisor(name), tally, "sandbox"))
        hurter.start()
    for what in choice.sample(["exec", "exec", "snapshot", "stats", "revert", "pause", "ps", "fork"], 6):
        if what == "exec":
            r = execute(name, "--", "sh", "-c", "echo x >> /work/n; sleep 0.1", timeout=TURN_S)
        elif what == "revert":
            r = lazaret("snapshot", name, timeout=TURN_S)
            judge(tally, "snapshot", r.returncode, r.stderr, hurts)
            r = lazaret("revert", name, timeout=TURN_S)
        elif what == "pause":
            r = lazaret("pause", name, timeout=TURN_S)
            judge(tally, "pause", r.returncode, r.stderr, hurts)
            what, r = "resume", lazaret("resume", name, timeout=TURN_S)
        elif what == "fork":
            r = fork_it(name, tally, hurts)
        else:
            r = lazaret(what, name, timeout=TURN_S)
        judge(tally, what, r.returncode, r.stderr, hurts)
    if hurter:
        hurter.join()
    r = lazaret("down", name, timeout=TURN_S)
    judge(tally, "down", r.returncode, r.stderr, hurts)


def worker(number, seed, until, tally):
    choice, turn = random.Random(seed * 1000 + number), 0
    while time.monotonic() < until:
        turn += 1
        try:
            if choice.random() < 0.5:
                one_run(choice, tally)
            else:
                one_sandbox(choice, tally, f"soak-{number}-{turn}")
        except subprocess.TimeoutExpired as e:
            tally.fail(f"{e}")
        except (OSError, KeyError, ValueError):
            tally.add("gone while it was looked at")
        tally.add("turns")


def phase(name, workers, seed, seconds, tally):
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=worker, args=(n, seed, until, tally)) for n in range(workers)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        time.sleep(5)
        lazaret("gc", timeout=TURN_S)
    print(f"{name}: {workers} at once for {seconds:.0f} s", flush=True)


def settle(want):
    until = time.monotonic() + 30
    while host() != want and time.monotonic() < until:
        time.sleep(0.5)
        lazaret("gc", timeout=TURN_S)
    return host()


def main():
    with tempfile.TemporaryDirectory(prefix="lz-soak-") as folder:
        add_gateway(folder)
        soak()


def soak():
    seconds = float(sys.argv[1]) * 60
    seed = int(os.environ.get("SEED", random.randrange(1000)))
    many = int(os.environ.get("AT_ONCE", "20"))
    tally = Tally()
    print(f"seed {seed}", flush=True)
    lazaret("run", "--accel", "tcg", *SMALL, "--", "true", timeout=TURN_S)  # the saved guest is there
    lazaret("down", "soak-old", timeout=TURN_S)
    before, shmem = host(), memory_kib()
    r = up("soak-old", *SMALL)
    if r.returncode:
        sys.exit(r.stderr.decode())
    with_old = host()
    them = family("soak-old")
    them["relay"] = parts(them["supervisor"])["relay"]
    execute("soak-old", "--", "true", timeout=TURN_S)
    first = {n: (rss_kib(p), n_fds(p)) for n, p in them.items()}
    began = time.monotonic()
    phase("one after another", 1, seed, seconds / 3, tally)
    phase("many", many, seed + 1, seconds * 2 / 3, tally)
    r = lazaret("pool", "rm", timeout=TURN_S)
    judge(tally, "pool rm", r.returncode, r.stderr, False)
    after = settle(with_old)
    if after != with_old:
        tally.fail(f"left: {after}, want {with_old}")
    if execute("soak-old", "--", "echo", "works", timeout=TURN_S).stdout != b"works\n":
        tally.fail("the sandbox that lived through it does not work")
    last = {n: (rss_kib(p), n_fds(p)) for n, p in them.items()}
    for name in ("supervisor", "init", "keeper", "relay"):
        print(f"{name}: {first[name][0]} to {last[name][0]} KiB, {first[name][1]} to {last[name][1]} open files")
        if last[name][1] != first[name][1] or last[name][0] > first[name][0] + GROWTH_KIB:
            tally.fail(f"{name} grew: {first[name]}, {last[name]}")
    r = lazaret("down", "soak-old", timeout=TURN_S)
    if r.returncode:
        tally.fail(r.stderr.decode())
    after = settle(before)
    if after != before:
        tally.fail(f"left: {after}, want {before}")
    print(f"memory in tmpfs and shared: {shmem} to {memory_kib()} KiB")
    for key in sorted(tally.counts):
        print(f"{tally.counts[key]:6} {key}")
    print(f"{time.monotonic() - began:.0f} s, {len(tally.wrong)} wrong", flush=True)
    sys.exit(1 if tally.wrong else 0)


if __name__ == "__main__":
    main()
