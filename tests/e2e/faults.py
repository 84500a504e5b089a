"""faults: what every walk of faults is made of (fault.c, test_faults.py): arm, fail at N, look what is left.

LAZARET_E2E_FAULTS=all has every call fail; "places" each place that a call is made from once; a number (1) so
many of the places, of each kind. LAZARET_E2E_FAULTS_ONLY="poll recv" tries these calls only,
LAZARET_E2E_FAULTS_FROM=N begins each walk at its Nth. scripts/faults is all of it.
"""
import contextlib
import glob
import os
import re
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
WHAT, ONLY, PLACES, STACK, DEPTH, PROGRAM, SIZE = 32, 160, 296, 297, 4, 1204, 65536
# Of a program's, when not all are tried: what it calls when it has given up its rights.
CONFINED = b"poll __poll_chk recv recvmsg send read pread64 write mkdirat openat64 renameat2 socket connect"
# Of a message whose subject is the guest; "the channel to the guest broke" is none.
BLAMES = re.compile(r"(^|: )(the guest (agent )?(stopped|was not|broke|could not|did not|does not)|"
                    r"the (earlier|later) disk has|it (stopped|broke))\b|the disks are damaged")
ABORTED = -signal.SIGABRT  # of memory: that is said nowhere, and the others see it go


class Fault(Preload):
    """The counters that the library shares with us; `program`: of lazaret's, whose calls count, not its own."""

    def __init__(self, folder, program=""):
        super().__init__(folder, "fault", SIZE)
        self.program = program
        self.clear()

    def clear(self):
        super().clear()
        self.map[PROGRAM:PROGRAM + len(self.program)] = self.program.encode()

    def arm(self, kinds, at, only=None):
        self.clear()
        if only is None:
            only = ONLY_THESE or (CONFINED if self.program and not EVERY else b"")
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
        path = glob.glob(f"{os.path.dirname(LAZARET)}/../*/{self.program}")[0] if self.program else LAZARET
        try:
            r = subprocess.run(["addr2line", "-sfpe", path, *at], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return " < ".join(at)
        return " < ".join(r.stdout.splitlines())


def points(total, least=1):
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


def walk(name, fault, operation, prepare=lambda: None, after=lambda: None, few=tuple(KINDS)):
    """operation() returns (status, stderr) and checks what a success is; `few` are the kinds of which some are
    tried when not all are."""
    walked, wrong = 0, []
    with Clean():
        prepare()
        fault.arm(0, 0)
        equal(operation()[0], 0, f"{name} without a fault:")
        totals = fault.disarm()
        after()
    check(ONLY_THESE or sum(totals.values()) > 0, f"{name}: nothing was counted")
    print(f"# {name}: {totals}", flush=True)
    for word in KINDS if EVERY else few:
        kinds = KINDS[word]
        total = totals[word]
        for at in points(total):
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


def one_after_another(fault, *commands):
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


def walk_sandbox(folder, name, *commands, ready=lambda: None, done=lambda: None, few=("call", "libvirt"),
                 program=""):
    """What is asked of one that has a file; `done` is what is so after a success."""
    fault = Fault(folder, program)

    def prepare():
        if state("frail") is not None:
            finished(lazaret("down", "frail"))
        finished(lazaret("up", "frail", "--accel", "tcg", *SMALL, env=fault.env(), timeout=240))
        finished(execute("frail", "--", "sh", "-c", "echo first > /work/n; sync"))
        ready()

    def operation():
        r = one_after_another(fault, *commands)
        if r.returncode == 0:
            done()
        return r.returncode, r.stderr
    walk(name, fault, operation, prepare, lambda: _works_or_is_dead(name, "frail", "copy"), few)
