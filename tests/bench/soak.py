"""soak: sandboxes and runs for some minutes, with random faults; what is left at the end is counted.

One long-lived sandbox goes through all of it: its keeper and relay are what could grow. Beside it
workers take turns, each with a run, or with a sandbox that gets commands, marks, and goes. A process
of theirs, chosen at random, is killed or stopped in about every second turn. A turn may fail then, but
in a line, with a status of lazaret's own, and within its deadline.
"""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

from e2e import DATA, LAZARET, below, lazaret, processes, runs, sandboxes, sockets, start
from live import execute, family, up

SMALL = ("--memory", "64M")
TURN_S = 240      # in which every command has to end
GROWTH_KIB = 4096  # which the long-lived keeper and relay may have grown by


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
    return {"processes": len(processes()), "runs": runs(), "sandboxes": sandboxes(), "sockets": sockets(),
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
    lines = [line for line in err.decode(errors="replace").splitlines() if "warning:" not in line]
    if not hurt_it:
        tally.fail(f"{what} failed without a fault: {status} {lines}")
    elif status not in (125, 130, 137, 143, -signal.SIGKILL) or len(lines) > 1:
        tally.fail(f"{what}: {status} {lines}")


def one_run(choice, tally):
    p = start(["sh", "-c", "echo out; sleep 0.3"], *SMALL)
    hurts = choice.random() < 0.5
    if hurts:
        hurt(choice, p.pid, tally, "run")
    try:
        _, err = p.communicate(timeout=TURN_S)
    except subprocess.TimeoutExpired:
        p.kill()
        tally.fail("a run did not end")
        return
    judge(tally, "run", p.returncode, err, hurts)


def supervisor(name):
    with open(f"{DATA}/sandboxes/{name}/run.json", encoding="utf-8") as f:
        return json.load(f)["pid"]


def one_sandbox(choice, tally, name):
    hurts = choice.random() < 0.5
    hurter = None
    r = up(name, *SMALL)
    judge(tally, "up", r.returncode, r.stderr, False)
    if hurts and r.returncode == 0:
        hurter = threading.Thread(target=hurt, args=(choice, supervisor(name), tally, "sandbox"))
        hurter.start()
    for what in choice.sample(["exec", "exec", "snapshot", "stats", "revert", "pause", "ps"], 5):
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
