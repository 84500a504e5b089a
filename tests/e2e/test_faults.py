"""Faults: whatever call fails, the error is the host's and in a line, and nothing is left.

A library of ours (fault.c) has the Nth system call, allocation or libvirt call of lazaret's processes
fail; which, is said in faults.py. Of the programs that lazaret starts to read a guest: test_programs.py.
"""
import json
import os
import shutil
import subprocess

from e2e import *
from faults import *
from live import execute, state


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
    walk("run", fault, operation)


def a_snapshot_with_a_fault_says_so_and_breaks_nothing(folder):
    walk_sandbox(folder, "snapshot", ["snapshot", "frail"])


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
    walk_sandbox(folder, "revert", ["revert", "frail"], ready=lambda: finished(lazaret("snapshot", "frail")))


def a_fork_with_a_fault_says_so_and_breaks_neither(folder):
    walk_sandbox(folder, "fork", ["fork", "frail", "copy"], few=("call",))


def a_command_or_a_copy_with_a_fault_says_so_and_breaks_nothing(folder):
    def same():
        with open(f"{folder}/n", encoding="ascii") as f:
            equal(f.read(), "first\n")
    walk_sandbox(folder, "exec, cp", ["exec", "frail", "--", "cp", "/work/n", "/work/same"],
                  ["cp", "frail:/work/same", f"{folder}/n"], ["cp", f"{folder}/n", "frail:/work/n"],
                  done=same, few=("call",))


def up_and_down_with_a_fault_say_so_and_leave_nothing(folder):
    fault = Fault(folder)

    def operation():
        r = one_after_another(fault, ["up", "frail", "--accel", "tcg", *SMALL], ["down", "frail"])
        return r.returncode, r.stderr

    def after():
        if state("frail") is not None:
            finished(lazaret("down", "frail"))
    operation()  # the saved guest is there
    walk("up, down", fault, operation, after=after, few=("call",))


def a_run_with_a_pool_and_a_fault_says_so_and_leaves_nothing(folder):
    """The guest that it takes, and the one that is made ready behind it, have the fault too."""
    fault = Fault(folder)
    words = ["run", "--accel", "tcg", *SMALL, "--pool", "1", "--", "echo", "done"]

    def ready():
        return [r["state"] for r in json.loads(finished(lazaret("pool", "ls", "--json")))] == ["paused"]

    def prepare():
        finished(one_after_another(fault, words))
        wait_for(ready, "a guest that is ready")

    def operation():
        r = one_after_another(fault, words)
        if r.returncode == 0:
            equal(r.stdout, b"done\n", fault.what())
            wait_for(lambda: fault.get(HIT) or ready(), "a guest that is ready")
        return r.returncode, r.stderr

    def drained():
        """What a run has left in the background may begin with its guest only now."""
        finished(lazaret("pool", "rm"))
        return not processes()
    walk("run --pool", fault, operation, prepare, lambda: wait_for(drained, "the end of the pool"), few=("call",))


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
    walk("gc", fault, operation, lambda: shutil.copytree(f"{folder}/dead", f"{DATA}/runs/{dead}"),
          lambda: finished(lazaret("gc", "--kept")))


if __name__ == "__main__":
    main()
