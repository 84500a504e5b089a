"""Faults: whatever call fails, the error is the host's and in a line, and nothing is left.

A library of ours (fault.c) has the Nth system call, allocation or libvirt call of lazaret's processes
fail. LAZARET_E2E_FAULTS=all has every one of them fail; "places" each place that a call is made from
once; a number (1) so many of the places, of each kind. LAZARET_E2E_FAULTS_ONLY="poll recv" tries these
calls only, LAZARET_E2E_FAULTS_FROM=N begins each walk at its Nth. scripts/faults is all of it.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess

from e2e import *
from live import execute, state, works
from preload import Preload

FAULTS = os.environ.get("LAZARET_E2E_FAULTS", "1")
EVERY = FAULTS in ("all", "places")
ONLY_THESE = os.environ.get("LAZARET_E2E_FAULTS_ONLY", "").encode()
VERBOSE = "-v" in os.environ.get("LAZARET_E2E_FLAGS", "")
SMALL = ("--memory", "64M")
CALL, ALLOCATION, LIBVIRT = 1, 2, 4
KINDS = {"call": CALL, "allocation": ALLOCATION, "libvirt": LIBVIRT}
ARMED, AT, WHICH, HIT, COUNTS, JUMP = 0, 1, 2, 3, 4, 7
WHAT, ONLY, PLACES, STACK, DEPTH, SIZE = 32, 160, 296, 297, 4, 65536
# Of a message whose subject is the guest; "the channel to the guest broke" is none.
BLAMES = re.compile(r"(^|: )the guest (stopped|was not|broke|could not|did not)\b")
ABORTED = -signal.SIGABRT  # of memory: that is said nowhere, and the others see it go


class Fault(Preload):
    """The counters that the library shares with us."""

    def __init__(self, folder):
        super().__init__(folder, "fault", SIZE)

    def arm(self, kinds, at, only=ONLY_THESE):
        self.clear()
        self.set(PLACES, FAULTS != "all")
        self.map[ONLY:ONLY + len(only)] = only
        self.set(WHICH, kinds)
        self.set(AT, at)
        self.set(ARMED, 1)

    def disarm(self):
        """How many calls there were, of each kind."""
        self.set(ARMED, 0)
        return {word: self.get(COUNTS + kind // 2) for word, kind in KINDS.items()}

    def what(self):
        return self.text(WHAT)

    def where(self):
        """The functions that the call that failed was made from, the innermost first."""
        at = [hex(a - 1) for a in (self.get(STACK + i) for i in range(DEPTH)) if a]
        try:
            r = subprocess.run(["addr2line", "-sfpe", LAZARET, *at], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return " < ".join(at)
        return " < ".join(r.stdout.splitlines())


def _points(total, least=1):
    if EVERY:
        return range(int(os.environ.get("LAZARET_E2E_FAULTS_FROM", "1")), total + 1)
    n = min(max(int(FAULTS), least), total)
    return sorted({1 + (2 * i + 1) * total // (2 * n + 1) for i in range(n)})


def _mounts():
    """Of lazaret's: none of a run's is ever to be seen outside of its namespaces."""
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        return sorted(at for at in (line.split()[4] for line in f) if DATA in at or "/run/lz" in at)


class Clean(Nothing):
    """Nothing(), with what a removal that failed leaves to `gc`, and no mount."""

    def __enter__(self):
        self.mounts = _mounts()
        return super().__enter__()

    def __exit__(self, kind, value, trace):
        if not kind:
            wait_for(lambda: not set(processes()) - self.before[0], "the end of every process", 60)
            finished(lazaret("gc"))
            equal(_mounts(), self.mounts, "mounts left:")
        super().__exit__(kind, value, trace)


def _true_error(status, err, kinds, what):
    """What is said is one line, and it blames the host and not the guest."""
    if kinds & ALLOCATION and status == ABORTED:
        return
    check(status == 125, f"{what}: {status} {err!r}")
    lines = [line for line in err.decode().splitlines()
             if "warning:" not in line and "no guest was ready for this run: " not in line]
    if kinds & ALLOCATION and lines[:1] == ["lazaret: out of memory"]:
        del lines[1:]  # and who waited for that process says that it died
    check(len(lines) == 1 and lines[0].startswith("lazaret: ") and lines[0].isprintable(), f"{what}: {err!r}")
    check(not BLAMES.search(lines[0].removeprefix("lazaret: ")), f"{what} is no fault of the guest: {err!r}")


def _walk(name, fault, operation, prepare=lambda: None, after=lambda: None, few=tuple(KINDS)):
    """operation() returns (status, stderr) and checks what a success is; `few` are the kinds of which some are
    tried when not all are."""
    walked, wrong = 0, []
    with Clean():
        prepare()
        fault.arm(0, 0)
        equal(operation()[0], 0, f"{name} without a fault:")
        totals = fault.disarm()
        after()
    print(f"# {name}: {totals}", flush=True)
    for word in KINDS if EVERY else few:
        kinds = KINDS[word]
        total = totals[word]
        for at in _points(total):
            walked += 1
            try:
                with Clean():
                    prepare()
                    fault.arm(kinds, at)
                    status, err = operation()
                    fault.disarm()
                    what = f"{name}, {word} {at} of {total}: {fault.what()}"
                    if VERBOSE:
                        print(f"# {what} in {fault.where()}: {status} {err.decode()}", flush=True)
                    if status:
                        _true_error(status, err, kinds, what)
                    after()
            except (AssertionError, subprocess.TimeoutExpired) as e:
                fault.disarm()
                wrong.append(f"{name}, {word} {at} of {total}, {fault.what()} in {fault.where()}: {e}")
                print(f"# WRONG: {wrong[-1]}", flush=True)
                with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                    after()  # what is left is not the next one's
    print(f"# {name}: {walked} faults walked", flush=True)
    equal(wrong, [], name)


def a_run_with_a_fault_says_so_and_leaves_nothing(folder):
    fault = Fault(folder)
    os.mkdir(f"{folder}/in")
    with open(f"{folder}/in/a", "w", encoding="ascii") as f:
        f.write("given")

    def operation():
        shutil.rmtree(f"{folder}/out", ignore_errors=True)
        os.mkdir(f"{folder}/out")
        r = lazaret("run", "--accel", "tcg", *SMALL, "--in", f"{folder}/in", "--out", f"{folder}/out", "--",
                    "sh", "-c", "cat /in/a; echo made > /out/b", env=fault.env(), timeout=240,
                    stdin=subprocess.DEVNULL)
        if r.returncode == 0:
            equal(r.stdout, b"given", fault.what())
            equal(os.listdir(f"{folder}/out"), ["b"], fault.what())
        return r.returncode, r.stderr
    operation()  # the saved guest is there
    _walk("run", fault, operation)


def _let_go(*names):
    """A sandbox whose fence could not be read is held until somebody resumes it, and what works in it waits."""
    for name in names:
        if state(name) == "paused":
            finished(lazaret("resume", name))


def _works_or_is_dead(what, *names):
    """A sandbox after a fault: its command and its file are as they were, or it is said to be dead."""
    _let_go(*names)
    for name in names:
        if state(name) in ("running", "starting"):
            works(name, what, timeout=120)
        if state(name) is not None:
            finished(lazaret("down", name))


def _one_after_another(fault, *commands):
    """What the first that fails says, or the last. Nothing waits for what is typed."""
    for words in commands:
        p = subprocess.Popen([LAZARET, *words], env=environment(**fault.env()), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(24):
            try:
                out, err = p.communicate(timeout=10)
                break
            except subprocess.TimeoutExpired:
                _let_go("frail", "copy")
        else:
            p.kill()
            p.communicate()
            raise AssertionError(f"{words} did not end")
        if p.returncode:
            break
    return subprocess.CompletedProcess(words, p.returncode, out, err)


def _walk_sandbox(folder, name, *commands, ready=lambda: None, done=lambda: None, few=("call", "libvirt")):
    """What is asked of one that has a file; `done` is what is so after a success."""
    fault = Fault(folder)

    def prepare():
        if state("frail") is not None:
            finished(lazaret("down", "frail"))
        finished(lazaret("up", "frail", "--accel", "tcg", *SMALL, env=fault.env(), timeout=240))
        finished(execute("frail", "--", "sh", "-c", "echo first > /work/n; sync"))
        ready()

    def operation():
        r = _one_after_another(fault, *commands)
        if r.returncode == 0:
            done()
        return r.returncode, r.stderr
    _walk(name, fault, operation, prepare, lambda: _works_or_is_dead(name, "frail", "copy"), few)


def a_snapshot_with_a_fault_says_so_and_breaks_nothing(folder):
    _walk_sandbox(folder, "snapshot", ["snapshot", "frail"])


def a_guest_whose_pause_or_save_fails_goes_on(folder):
    """A save that went on would stop the guest again, after it was let go."""
    fault = Fault(folder)
    with Clean():
        finished(lazaret("up", "frail", "--accel", "tcg", *SMALL, env=fault.env(), timeout=240))
        for call, words in ((b"virDomainSuspend", "cannot pause"), (b"query-migrate", "cannot save the guest's state")):
            fault.arm(LIBVIRT, 1, call)
            one_line_error(lazaret("snapshot", "frail", timeout=240), 125, words)
            fault.disarm()
            finished(execute("frail", "--", "sleep", "0.5", timeout=60))
        finished(lazaret("snapshot", "frail"))
        finished(lazaret("down", "frail"))


def a_revert_with_a_fault_says_so_and_breaks_nothing(folder):
    _walk_sandbox(folder, "revert", ["revert", "frail"], ready=lambda: finished(lazaret("snapshot", "frail")))


def a_fork_with_a_fault_says_so_and_breaks_neither(folder):
    _walk_sandbox(folder, "fork", ["fork", "frail", "copy"], few=("call",))


def a_command_or_a_copy_with_a_fault_says_so_and_breaks_nothing(folder):
    def same():
        with open(f"{folder}/n", encoding="ascii") as f:
            equal(f.read(), "first\n")
    _walk_sandbox(folder, "exec, cp", ["exec", "frail", "--", "cp", "/work/n", "/work/same"],
                  ["cp", "frail:/work/same", f"{folder}/n"], ["cp", f"{folder}/n", "frail:/work/n"],
                  done=same, few=("call",))


def up_and_down_with_a_fault_say_so_and_leave_nothing(folder):
    fault = Fault(folder)

    def operation():
        r = _one_after_another(fault, ["up", "frail", "--accel", "tcg", *SMALL], ["down", "frail"])
        return r.returncode, r.stderr

    def after():
        if state("frail") is not None:
            finished(lazaret("down", "frail"))
    operation()  # the saved guest is there
    _walk("up, down", fault, operation, after=after, few=("call",))


def a_run_with_a_pool_and_a_fault_says_so_and_leaves_nothing(folder):
    """The guest that it takes, and the one that is made ready behind it, have the fault too."""
    fault = Fault(folder)
    words = ["run", "--accel", "tcg", *SMALL, "--pool", "1", "--", "echo", "done"]

    def ready():
        return [r["state"] for r in json.loads(finished(lazaret("pool", "ls", "--json")))] == ["paused"]

    def prepare():
        finished(_one_after_another(fault, words))
        wait_for(ready, "a guest that is ready")

    def operation():
        r = _one_after_another(fault, words)
        if r.returncode == 0:
            equal(r.stdout, b"done\n", fault.what())
            wait_for(lambda: fault.get(HIT) or ready(), "a guest that is ready")
        return r.returncode, r.stderr

    def drained():
        """What a run has left in the background may begin with its guest only now."""
        finished(lazaret("pool", "rm"))
        return not processes()
    _walk("run --pool", fault, operation, prepare, lambda: wait_for(drained, "the end of the pool"), few=("call",))


def gc_with_a_fault_says_so_and_the_next_one_finishes(folder):
    fault = Fault(folder)
    before = runs()
    p = start(["sh", "-c", "echo started; exec sleep 300"], *SMALL, "--keep-logs")
    equal(p.stdout.readline(), b"started\n")
    p.kill()
    p.communicate()
    dead = [r for r in runs() if r not in before][0]
    wait_for(lambda: not set(processes()), "the end of the run", 60)
    shutil.copytree(f"{DATA}/runs/{dead}", f"{folder}/dead", ignore=lambda d, names: [
        n for n in names if not os.path.isfile(f"{d}/{n}") and not os.path.isdir(f"{d}/{n}")])
    finished(lazaret("gc", "--kept"))

    def operation():
        r = lazaret("gc", env=fault.env())
        if r.returncode == 0:
            check(dead in runs(), f"what was to be kept is gone: {fault.what()}")
        return r.returncode, r.stderr
    _walk("gc", fault, operation, lambda: shutil.copytree(f"{folder}/dead", f"{DATA}/runs/{dead}"),
          lambda: finished(lazaret("gc", "--kept")))


if __name__ == "__main__":
    main()
