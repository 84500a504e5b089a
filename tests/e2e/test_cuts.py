"""Power cuts: whoever is killed at whatever step of snapshot, revert, fork and warm save, nothing breaks.

A library of ours counts the steps of lazaret's processes (cut.c) and stops at one. A few of the steps
are tried; LAZARET_E2E_CUTS=all tries every one, a number so many of each operation, and FROM-TO, or
FROM- to the last, a part of a walk that takes hours; LAZARET_E2E_CUTS_WHO is who of the three is killed.
"""
import json
import os
import signal
import subprocess

import store
from e2e import *
from live import execute, family, state, works
from preload import Preload

CUTS = os.environ.get("LAZARET_E2E_CUTS", "2")
SMALL = ("--memory", "64M")
WHO = os.environ.get("LAZARET_E2E_CUTS_WHO", "itself qemu client").split()
END_ITSELF, HOLD = 1, 2
ARMED, COUNT, AT, HOW, HIT, GO = range(6)
TRIGGER, WHAT = 24, 88


class Cut(Preload):
    """The counter that the library shares with us."""

    def __init__(self, folder):
        super().__init__(folder, "cut")

    def environment(self, **more):
        return environment(**self.env(), **more)

    def arm(self, at, how, trigger=b""):
        self.clear()
        self.set(AT, at)
        self.set(HOW, how)
        self.map[TRIGGER:TRIGGER + len(trigger)] = trigger
        self.set(ARMED, not trigger)

    def what(self):
        return self.text(WHAT)

    def disarm(self):
        """How many steps there were."""
        self.set(ARMED, 0)
        self.map[TRIGGER] = 0
        self.set(GO, 1)
        return self.get(COUNT)


def _ask(cut, args, at, who, qemus=lambda _: [], trigger=b"", data=None):
    """Runs lazaret with these arguments, and kills `who` at the step. Returns how it ended."""
    env = {} if data is None else {"LAZARET_DATA_DIR": data}
    cut.arm(at, END_ITSELF if who == "itself" else HOLD, trigger)
    p = subprocess.Popen([LAZARET, *args], env=cut.environment(**env), stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if at and who != "itself":
        wait_for(lambda: cut.get(HIT) or p.poll() is not None, f"step {at} of {args}")
        for pid in [p.pid] if who == "client" else qemus(p.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        cut.set(GO, 1)
    out, err = p.communicate(timeout=240)
    return p.returncode, out, err


def _points(total, of):
    """The steps to try; how far a long walk has come is said."""
    first, dash, last = ("1-" if CUTS == "all" else CUTS).partition("-")
    if not dash:
        n = min(int(CUTS), total)
        yield from sorted({1 + i * (total - 1) // max(n - 1, 1) for i in range(n)})
        return
    for at in range(int(first), min(int(last or total), total) + 1):
        yield at
        if at % 10 == 0 or at == total:
            print(f"# {of} at step {at} of {total}: done", flush=True)


def _qemus(*names):
    """Of these sandboxes, those that there are."""
    found = []
    for name in names:
        try:
            if "qemu" in (them := family(name)):
                found.append(them["qemu"])
        except (OSError, IndexError, KeyError, ValueError):
            pass  # it has gone, or is not there yet
    return found


def _told(status, err, what):
    """It was done, or it was said in a line that it was not; before it, that a mark stays behind."""
    lines = [l for l in err.splitlines() if not l.startswith(b"lazaret: warning: the mark ")]
    check(status == 0 or (status == 125 and len(lines) == 1), f"{what}: {status} {err!r}")


def _end(what, *names):
    """What became of them: each works, or is dead and said to be, and goes without a trace."""
    for name in names:
        if state(name) in ("running", "starting") and works(name, what, timeout=240):
            finished(lazaret("marks", name))
            finished(lazaret("down", name))
    finished(lazaret("ls"))
    for name in names:
        if name in sandboxes():
            equal(state(name), "dead", what)
            finished(lazaret("show", name))
    finished(lazaret("gc"))


def _prepare(cut, verb):
    cut.arm(0, HOLD)
    cut.disarm()
    p = subprocess.run([LAZARET, "up", "dies", "--accel", "tcg", *SMALL], env=cut.environment(),
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=240, check=False)
    finished(p)
    equal(p.stderr, b"", "what up said, and so the saved guest:")
    finished(execute("dies", "--", "sh", "-c", "echo first > /work/n; sync"))
    if verb == "revert":
        finished(lazaret("snapshot", "dies"))


def _walk(folder, verb, words):
    cut = Cut(folder)
    names = ("dies", "copy") if verb == "fork" else ("dies",)
    with Nothing():
        _prepare(cut, verb)
        equal(_ask(cut, words, 0, "itself")[0], 0, f"{verb} without a cut:")
        total = cut.disarm()
        _end(verb, *names)
    print(f"# {verb}: {total} steps", flush=True)
    walked = 0
    for who in WHO:
        for at in _points(total, f"{verb}, {who}"):
            walked += 1
            with Nothing():
                _prepare(cut, verb)
                status, _, err = _ask(cut, words, at, who, lambda _: _qemus(*names))
                what = f"{verb}, {who} killed at step {at} of {total}: {cut.what()}"
                cut.disarm()
                if who != "client" and status not in (137, -signal.SIGKILL):
                    _told(status, err, what)
                _end(what, *names)
    print(f"# {verb}: {walked} cuts walked", flush=True)


def a_snapshot_that_is_cut_off_at_a_step_breaks_nothing(folder):
    _walk(folder, "snapshot", ["snapshot", "dies"])


def a_revert_that_is_cut_off_at_a_step_breaks_nothing(folder):
    _walk(folder, "revert", ["revert", "dies"])


def a_fork_that_is_cut_off_at_a_step_breaks_nothing(folder):
    _walk(folder, "fork", ["fork", "dies", "copy"])


def _qemus_below(top):
    return [pid for pid, (_, cmdline) in below(top).items() if "guest=lazaret-" in cmdline]


def a_warm_save_that_is_cut_off_at_a_step_leaves_a_whole_one_or_none(folder):
    cut, data = Cut(folder), f"{folder}/data"
    words = ["run", "--accel", "tcg", *SMALL, "--", "echo", "works"]

    def saved():
        try:
            return os.listdir(f"{data}/warm")
        except FileNotFoundError:
            return []

    def fresh():
        finished(lazaret("warm", "prune", "--max-size", "0", env={"LAZARET_DATA_DIR": data}))

    os.mkdir(data, 0o700)
    store.copy(f"{DATA}/images", f"{data}/images")
    status, out, err = _ask(cut, words, 0, "itself", trigger=b"warm", data=data)
    equal((status, out), (0, b"works\n"), err)
    total = cut.disarm()
    print(f"# warm save: {total} steps", flush=True)
    walked = 0
    for who in WHO:
        for at in _points(total, f"warm save, {who}"):
            walked += 1
            fresh()
            with Nothing():
                _ask(cut, words, at, who, _qemus_below, b"warm", data)
                what = f"{who} killed at step {at} of {total}: {cut.what()}"
                cut.disarm()
                finished(lazaret("gc", env={"LAZARET_DATA_DIR": data}))
                check(len([n for n in saved() if n != "tmp"]) <= 1, what)
                for _ in range(2):  # the next run makes it, if it is not there; the one after begins with it
                    r = lazaret(*words[:3], "--json", *words[3:], env={"LAZARET_DATA_DIR": data}, timeout=240)
                    d = json.loads(finished(r))
                    equal((d["stdout"], d["notes"]), ("works\n", []), what)
                check(d["warm"], what)
                equal(os.listdir(f"{data}/warm/tmp"), [], what)
    print(f"# warm save: {walked} cuts walked", flush=True)


if __name__ == "__main__":
    main()
