"""Faults: whatever call fails, the error is the host's and in a line, and nothing is left.

A library of ours (fault.c) has the Nth system call, allocation or libvirt call of lazaret's processes
fail. A few of them are tried; LAZARET_E2E_FAULTS=all tries every one, a number so many of each kind.
"""
import os
import shutil
import signal
import subprocess

from e2e import *
from live import execute, state
from preload import Preload

FAULTS = os.environ.get("LAZARET_E2E_FAULTS", "1")
SMALL = ("--memory", "64M")
CALL, ALLOCATION, LIBVIRT = 1, 2, 4
KINDS = {"call": CALL, "allocation": ALLOCATION, "libvirt": LIBVIRT}
ARMED, AT, WHICH, HIT, COUNTS, JUMP = 0, 1, 2, 3, 4, 7
WHAT, ONLY = 32, 160
BLAMES = ("the guest stopped", "the guest was not", "the guest broke", "the guest could not", "the guest did not")
ABORTED = -signal.SIGABRT  # of memory: that is said nowhere, and the others see it go


class Fault(Preload):
    """The counters that the library shares with us."""

    def __init__(self, folder):
        super().__init__(folder, "fault")

    def arm(self, kinds, at, only=b""):
        self.clear()
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


def _points(total, least=1):
    if FAULTS == "all":
        return range(1, total + 1)
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
    lines = [line for line in err.decode().splitlines() if "warning:" not in line]
    if kinds & ALLOCATION and lines[:1] == ["lazaret: out of memory"]:
        del lines[1:]  # and who waited for that process says that it died
    check(len(lines) == 1 and lines[0].startswith("lazaret: ") and lines[0].isprintable(), f"{what}: {err!r}")
    check(not any(blame in lines[0] for blame in BLAMES), f"{what} is no fault of the guest: {err!r}")
    if "-v" in os.environ.get("LAZARET_E2E_FLAGS", ""):
        print(f"# {what}: {lines[0][9:]}", flush=True)


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
    for word in KINDS if FAULTS == "all" else few:
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
                    if status:
                        _true_error(status, err, kinds, what)
                    after()
            except (AssertionError, subprocess.TimeoutExpired) as e:
                fault.disarm()
                wrong.append(f"{name}, {word} {at} of {total}, {fault.what()}: {e}")
                print(f"# WRONG: {wrong[-1]}", flush=True)
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


def _works_or_is_dead(name, what):
    """A sandbox after a fault: its command and its file are as they were, or it is said to be dead."""
    if state(name) in ("running", "starting"):
        r = execute(name, "--", "cat", "/work/n", timeout=120)
        if r.returncode != 0:  # it was about to die
            wait_for(lambda: state(name) in ("dead", None), f"its death: {what}", 60)
        else:
            equal(r.stdout, b"first\n", what)
    if state(name) is not None:
        finished(lazaret("down", name))


def _walk_sandbox(folder, words, ready=lambda: None):
    fault = Fault(folder)

    def prepare():
        if state("frail") is not None:
            finished(lazaret("down", "frail"))
        finished(lazaret("up", "frail", "--accel", "tcg", *SMALL, env=fault.env(), timeout=240))
        finished(execute("frail", "--", "sh", "-c", "echo first > /work/n; sync"))
        ready()

    def operation():
        r = lazaret(*words, env=fault.env(), timeout=240, stdin=subprocess.DEVNULL)
        return r.returncode, r.stderr
    _walk(words[0], fault, operation, prepare, lambda: _works_or_is_dead("frail", words),
          few=("call", "libvirt"))


def a_snapshot_with_a_fault_says_so_and_breaks_nothing(folder):
    _walk_sandbox(folder, ["snapshot", "frail"])


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
    _walk_sandbox(folder, ["revert", "frail"], lambda: finished(lazaret("snapshot", "frail")))


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
