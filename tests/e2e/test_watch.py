"""The fence is read again and again: what breaks it stops the guest. And a QEMU that answers nothing.

A library of ours (breach.c) breaks it from within the keeper; what root can break from outside is too.
"""
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import time

import test_wrapper
from e2e import *
from live import begin, execute, family, recorded, state, up
from preload import Preload

SMALL = ("--memory", "64M")
NOTHING, ATTACH, LIE = range(3)
ONCE = 2
ENDLESS = "echo started; exec sleep 300"


class Breach(Preload):
    """What the library is to do, and when it did."""

    def __init__(self, folder):
        super().__init__(folder, "breach")

    def do(self, what):
        self.set(0, what)

    def hurry(self, on):
        """A deadline of 20 s, or of 60 s, is over after one."""
        self.set(1, on)

    def refuse(self):
        """From now on nobody can be stopped."""
        self.set(6, 1)

    def times(self):
        return struct.unpack_from("<QQ", self.map, 8)


def _is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rpartition(")")[2].split()[0] == "T"


def _told(stderr, *words):
    for word in words:
        check(word in stderr, f"'{word}' is not in {stderr!r}")


def a_device_more_in_the_live_domain_ends_the_run(folder):
    breach = Breach(folder)
    with Nothing():
        before = runs()
        p = subprocess.Popen([LAZARET, "run", "--keep-logs", "--accel", "tcg", *SMALL, "--", "sh", "-c", ENDLESS],
                             env=environment(**breach.env()), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        equal(p.stdout.readline(), b"started\n")
        breach.do(ATTACH)
        _, err = p.communicate(timeout=120)
        equal(p.returncode, 125, err)
        _told(err.decode(), "fence", "devices: 'controller")
        d = json.loads(finished(lazaret("show", next(r for r in runs() if r not in before))))
        equal((d["result"]["class"], d["result"]["status"]), ("fence", 125))
        finished(lazaret("gc", "--kept"))
    broken, stopped = breach.times()
    print(f"# from breach to stop, a run with a new device: {(stopped - broken) / 1e6:.1f} ms", flush=True)


def a_card_in_its_network_namespace_ends_the_run():
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nsenter"):
        raise Skip("only root can break it from outside")
    with Nothing():
        p = start(["sh", "-c", ENDLESS], *SMALL)
        equal(p.stdout.readline(), b"started\n")
        subprocess.run(["nsenter", "-t", str(qemu_of(p)), "-n", "ip", "link", "add", "breach", "type", "veth"],
                       check=True)
        began = time.monotonic()
        _, err = p.communicate(timeout=120)
        equal(p.returncode, 125)
        _told(err.decode(), "fence", "qemu-network")
    print(f"# from breach to end, a run with a card: {(time.monotonic() - began) * 1000:.0f} ms", flush=True)


def a_sandbox_whose_fence_breaks_is_held_until_it_holds_again(folder):
    breach = Breach(folder)
    with Nothing():
        finished(up("held", *SMALL, env=breach.env()))
        finished(execute("held", "--", "sh", "-c", "echo kept > /work/n"))
        finished(lazaret("snapshot", "held", "before"))
        qemu = family("held")["qemu"]
        began = time.monotonic_ns()
        breach.do(LIE)
        wait_for(lambda: state("held") == "paused", "the stop")
        check(_is_stopped(qemu), "it runs")
        print(f"# from breach to stop, a sandbox: {(breach.times()[1] - began) / 1e6:.1f} ms", flush=True)
        d = json.loads(finished(lazaret("show", "held")))
        _told(d["held"], "devices", "interface")
        _told(finished(lazaret("ls")).decode(), "held: the fence")
        equal([r["why"] for r in recorded("held", "held")[1]], [d["held"]])
        for args in (["exec", "held", "--", "true"], ["snapshot", "held"], ["stats", "held"],
                     ["resume", "held"], ["forget", "held", "before"]):
            one_line_error(lazaret(*args), 125, "is held", "devices")
        check(_is_stopped(qemu), "it runs")
        breach.do(NOTHING)
        finished(lazaret("resume", "held"))
        equal(finished(execute("held", "--", "cat", "/work/n")), b"kept\n")
        equal("held" in json.loads(finished(lazaret("show", "held"))), False)
        # Broken anew, it goes back to a mark, where the fence is read anew.
        breach.do(LIE)
        wait_for(lambda: _is_stopped(qemu), "the second stop")
        breach.do(NOTHING)
        finished(lazaret("revert", "held"))
        equal(finished(execute("held", "--", "cat", "/work/n")), b"kept\n")
        # And what is held is taken down like any other.
        breach.do(LIE)
        qemu = family("held")["qemu"]
        wait_for(lambda: _is_stopped(qemu), "the third stop")
        finished(lazaret("down", "held"))


def a_guest_that_cannot_be_stopped_is_destroyed(folder):
    breach = Breach(folder)
    with Nothing():
        finished(up("loose", *SMALL, env=breach.env()))
        p = begin("loose", "--", "sh", "-c", ENDLESS)
        equal(p.stdout.readline(), b"started\n")
        qemu = os.pidfd_open(family("loose")["qemu"])
        breach.refuse()
        breach.do(LIE)
        check(select.select([qemu], [], [], 120)[0], "QEMU lives on")
        os.close(qemu)
        _, err = p.communicate(timeout=120)
        equal(p.returncode, 125, err)
        _told(err.decode(), "fence", "devices")
        equal(breach.times()[1], 0, "it was stopped after all:")
        wait_for(lambda: state("loose") == "dead", "its death", 60)
        finished(lazaret("down", "loose"))


def a_run_whose_qemu_answers_nothing_ends_and_says_so():
    with Nothing():
        p = start(["sh", "-c", ENDLESS], *SMALL)
        equal(p.stdout.readline(), b"started\n")
        os.kill(qemu_of(p), signal.SIGSTOP)
        began = time.monotonic()
        _, err = p.communicate(timeout=120)
        equal(p.returncode, 125)
        _told(err.decode(), "QEMU was stopped by a signal")
    print(f"# from stop to end, a run: {time.monotonic() - began:.1f} s", flush=True)


def a_qemu_that_answers_nothing_from_its_start_is_killed_and_said(folder):
    finished(run(["true"], *SMALL))  # there is a saved guest: a QEMU that restores one loads a library of ours
    breach = Breach(folder)
    breach.hurry(ONCE)
    with Nothing():
        r = subprocess.run([test_wrapper._taken_over(folder, []), "run", "--json", "--accel", "tcg", *SMALL, "--", "true"],
                           env=environment(**breach.env()), stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=120, check=False)
    d = json.loads(finished(r))
    equal((d["warm"], d["notes"]), (False, ["no warm start, the guest boots: cannot start the virtual machine: "
                                            "QEMU did not answer within 60 s and was killed"]))


def _is_met():
    """Is the guest of the one run waited for?"""
    for run_id in runs():
        try:
            with open(f"{DATA}/runs/{run_id}/journal", encoding="ascii") as f:
                if '"step":"meet"' in f.read():
                    return True
        except FileNotFoundError:
            pass
    return False


def a_qemu_that_is_stopped_while_the_guest_boots_is_no_fault_of_the_guest():
    with Nothing():
        p = start(["true"], "--cold", *SMALL)
        wait_for(_is_met, "the wait for the guest")
        os.kill(qemu_of(p), signal.SIGSTOP)
        _, err = p.communicate(timeout=120)
        equal(p.returncode, 125, err)
        _told(err.decode(), "QEMU was stopped by a signal")


def _stopped(name):
    pid = family(name)["qemu"]
    os.kill(pid, signal.SIGSTOP)
    return time.monotonic()


# `stats` asks QEMU, and the keeper waits with it: there only the deadline of the question helps.
def whatever_is_asked_of_a_sandbox_whose_qemu_answers_nothing_is_answered(folder):
    breach = Breach(folder)
    asked = {"snapshot": ["snapshot", "dumb"], "revert": ["revert", "dumb"], "stats": ["stats", "dumb"],
             "down": ["down", "dumb"], "kill": ["kill", "dumb"], "gc": ["gc"]}
    with Nothing():
        for what, args in asked.items():
            finished(up("dumb", *SMALL, env=breach.env()))
            if what == "revert":
                finished(lazaret("snapshot", "dumb"))
            p = begin("dumb", "--", "sh", "-c", ENDLESS)
            equal(p.stdout.readline(), b"started\n")
            began = _stopped("dumb")
            breach.hurry(what == "stats")
            r = lazaret(*args, timeout=120)
            breach.hurry(False)
            took = time.monotonic() - began
            if what in ("down", "kill", "gc"):
                finished(r)
            else:  # going back ends a QEMU that was stopped, and begins with another
                check(r.returncode in ((0, 125) if what == "revert" else (125,)), f"{what}: {r}")
                if r.returncode:
                    one_line_error(r, 125, "QEMU")
            status = p.wait(120)
            check(status in (125, 130), f"the command that ran at {what}: {status}")
            p.communicate()
            print(f"# {what}: {took:.1f} s, {r.stderr.decode().strip()}", flush=True)
            if what == "revert" and r.returncode == 0:
                finished(execute("dumb", "--", "true"))
                finished(lazaret("down", "dumb"))
            elif what not in ("down", "kill"):
                wait_for(lambda: state("dumb") == "dead", "its death", 60)
                finished(lazaret("down", "dumb"))


if __name__ == "__main__":
    main()
