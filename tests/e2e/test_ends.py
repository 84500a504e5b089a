"""However a run ends, nothing of it is left."""
import fcntl
import json
import os
import signal
import struct
import time

from e2e import *


def _started(*options, command=("sh", "-c", "echo started; exec sleep 300")):
    p = start(list(command), *options)
    equal(p.stdout.readline(), b"started\n")
    return p


def success_and_failure_leave_nothing():
    with Nothing():
        finished(sh("exit 0"))
        finished(sh("exit 1"), 1)


def ctrl_c_reaches_the_job():
    with Nothing():
        p = _started(command=("sh", "-c", "trap 'echo caught; exit 5' INT; echo started; "
                                          "while :; do sleep 0.1; done"))
        p.send_signal(signal.SIGINT)
        equal(p.communicate(timeout=60)[0], b"caught\n")
        equal(p.returncode, 5)


def a_job_that_does_not_handle_it_is_ended_by_ctrl_c():
    with Nothing():
        p = _started()
        p.send_signal(signal.SIGINT)
        equal(p.wait(60), 130)


def a_second_ctrl_c_ends_the_run():
    with Nothing():
        p = _started(command=("sh", "-c", "trap '' INT TERM; echo started; while :; do sleep 1; done"))
        p.send_signal(signal.SIGINT)
        time.sleep(0.5)
        equal(p.poll(), None)
        p.send_signal(signal.SIGINT)
        equal(p.wait(30), 130)


def an_interrupted_run_says_so_where_its_logs_are_kept():
    before = runs()
    p = _started("--keep-logs", command=("sh", "-c", "trap '' INT TERM; echo started; sleep 300"))
    p.send_signal(signal.SIGINT)
    time.sleep(0.3)
    p.send_signal(signal.SIGTERM)
    equal(p.wait(30), 143)
    new = [x for x in runs() if x not in before]
    equal(len(new), 1)
    d = json.loads(finished(lazaret("show", new[0])))
    equal((d["state"], d["result"]["class"], d["result"]["status"]), ("kept", "interrupted", 143))
    finished(lazaret("gc", "--kept"))


def json_that_nobody_reads_can_be_interrupted():
    with Nothing():
        p = start(["head", "-c", "500000", "/dev/zero"], "--json")
        wait_for(runs, "the run's folder")
        wait_for(lambda: not runs(), "the end of the run")
        time.sleep(0.5)
        equal(p.poll(), None)
        p.terminate()
        equal(p.wait(10), -signal.SIGTERM)


def an_ignored_signal_stays_ignored():
    p = start(["sh", "-c", "echo started; sleep 3; echo done"],
              preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    equal(p.stdout.readline(), b"started\n")
    p.send_signal(signal.SIGHUP)
    equal(p.communicate(timeout=60)[0], b"done\n")
    equal(p.returncode, 0)


def ctrl_c_before_the_job_ends_the_run():
    with Nothing():
        p = start(["sleep", "300"])
        qemu_of(p)
        p.send_signal(signal.SIGTERM)
        equal(p.wait(30), 143)


def a_killed_qemu_is_told_at_once():
    with Nothing():
        p = _started()
        began = time.monotonic()
        os.kill(qemu_of(p), signal.SIGKILL)
        _, err = p.communicate(timeout=60)
        equal(p.returncode, 125)
        check(b"QEMU ended" in err, err)
        check(time.monotonic() - began < 5, "took too long")


def a_killed_launcher_takes_everything_with_it():
    before, others = runs(), set(processes())
    p = _started()
    pids = set(processes()) - others
    check(pids, "nothing runs")
    p.kill()
    p.wait(30)
    wait_for(lambda: not (set(processes()) & pids), "the processes to end", 10)
    left = [r for r in runs() if r not in before]
    equal(len(left), 1)
    rows = json.loads(finished(lazaret("ls", "--all", "--json")))
    equal([r["state"] for r in rows if r["id"] == left[0]], ["dead"])
    finished(lazaret("gc"))
    check(left[0] not in runs(), "gc left it")


def a_killed_keeper_leaves_nothing():
    with Nothing():
        p = _started()
        qemu = qemu_of(p)

        def parent(pid):
            with open(f"/proc/{pid}/stat") as f:
                return int(f.read().rpartition(")")[2].split()[1])
        init = parent(qemu)
        keeper = [int(c) for c in open(f"/proc/{init}/task/{init}/children").read().split()
                  if open(f"/proc/{c}/comm").read().strip() == "lazaret"]
        equal(len(keeper), 1)
        os.kill(keeper[0], signal.SIGKILL)
        _, err = p.communicate(timeout=60)
        equal(p.returncode, 125)
        check(b"keeper" in err, err)


def a_lock_that_is_not_given_back_is_said():
    import fcntl
    os.makedirs(f"{DATA}/runs", exist_ok=True)
    fd = os.open(f"{DATA}/runs", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    one_line_error(run(["true"]), 125, "another lazaret")
    one_line_error(lazaret("gc"), 125, "another lazaret")
    os.close(fd)


def gc_does_not_touch_a_run_that_lives():
    p = _started()
    alive = runs()
    finished(lazaret("gc"))
    equal(runs(), alive)
    rows = json.loads(finished(lazaret("ls", "--json")))
    equal([r["state"] for r in rows], ["running"] * len(rows))
    check(rows, "ls shows no run")
    names = os.listdir(f"{DATA}/live")
    check({r["id"] for r in rows if r["kind"] == "run"} <= set(names), names)
    p.terminate()
    p.wait(60)
    left = [name for name in names if name not in runs() and os.path.exists(f"{DATA}/live/{name}")]
    equal(left, [])


def keep_logs_keeps_logs_and_no_disks():
    before = runs()
    r = sh("echo hi", "--keep-logs")
    finished(r)
    new = [x for x in runs() if x not in before]
    equal(len(new), 1)
    files = set(os.listdir(f"{DATA}/runs/{new[0]}"))
    check({"journal", "domain.xml", "console.log", "plan.json", "result.json"} <= files, files)
    check(not any(f.endswith((".raw", ".spool", ".squashfs")) for f in files), files)
    d = json.loads(finished(lazaret("show", new[0][:20])))
    equal((d["state"], d["result"]["class"]), ("kept", "exited"))
    finished(lazaret("gc"))
    check(new[0] in runs(), "gc removed a kept run")
    finished(lazaret("gc", "--kept"))
    check(new[0] not in runs(), "gc --kept left it")


STEPS = ("parse", "begin", "turn", "image", "disks", "xml", "libvirt", "saved", "qemu", "hello", "record",
         "container", "job", "collect", "down")


def the_time_of_each_step_is_told_and_they_add_up_to_the_whole():
    began = time.monotonic()
    r = sh("sleep 0.3", "--json", "--timing", "--keep-logs")
    outside_us = (time.monotonic() - began) * 1e6
    d = json.loads(finished(r))
    timing = d["timing_us"]
    equal(list(timing), [*STEPS, "whole"])
    equal(sum(timing[s] for s in STEPS), timing["whole"])
    check(timing["whole"] <= outside_us, (timing, outside_us))
    check(timing["job"] >= 300000 and timing["job"] >= d["job_ms"] * 1000 - 1000, d)
    check(min(timing[s] for s in STEPS if s != "collect") > 0, timing)
    table = [line.split() for line in r.stderr.decode().splitlines() if line.endswith(" ms")]
    equal([row[0] for row in table], list(timing))
    equal([row[1] for row in table], [f"{us / 1000:.1f}" for us in timing.values()])
    kept = json.loads(finished(lazaret("show", d["id"])))["result"]["timing_us"]
    equal(kept, timing)
    finished(lazaret("gc", "--kept"))


def a_step_that_was_not_reached_took_no_time():
    d = json.loads(finished(run(["nosuch"], "--json"), 127))
    equal((d["timing_us"]["job"], d["timing_us"]["collect"]), (0, 0))
    for words in (("up", "x"), ("prove",), ("check",)):
        one_line_error(lazaret(*words, "--timing"), 125, "--timing")


def twenty_one_after_another():
    with Nothing():
        for i in range(20):
            equal(finished(sh(f"echo {i}")), f"{i}\n".encode())


class Others:
    """Guests that have begun, as many as there may be: since the last look(), or since `at`."""

    def __enter__(self):
        self.fd = os.open(f"{DATA}/cache/starts", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.lockf(self.fd, fcntl.LOCK_EX)
        self.since()
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def since(self, at=None):
        at = time.monotonic_ns() // 1000000 if at is None else at
        self.times = struct.pack("=Q", at) * (len(os.sched_getaffinity(0)) + 1)
        os.pwrite(self.fd, self.times, 0)

    def journal(self, before):
        """What the run that is new has noted so far."""
        self.since()
        new = [x for x in runs() if x not in before]
        try:
            with open(f"{DATA}/runs/{new[0]}/journal", encoding="utf-8") as f:
                return [(d.get("step"), d.get("state")) for d in map(json.loads, f)]
        except (IndexError, FileNotFoundError, json.JSONDecodeError):
            return []


def who_begins_waits_for_its_turn_but_not_for_those_who_take_long():
    with Nothing(), Others() as others:
        before = runs()
        p = start(["true"], "--json")
        wait_for(lambda: ("turn", "begin") in others.journal(before), "a run that waits")
        seen = time.monotonic()
        for _ in range(100):
            equal(others.journal(before)[-1], ("turn", "begin"))
        waited = time.monotonic() - seen
        fcntl.lockf(others.fd, fcntl.LOCK_UN)
        out, err = p.communicate(timeout=240)
        equal(p.returncode, 0, err)
        check(json.loads(out)["timing_us"]["turn"] >= waited * 1e6, (out, waited))
        fcntl.lockf(others.fd, fcntl.LOCK_EX)
        p = start(["true"])
        wait_for(lambda: ("turn", "begin") in others.journal(before), "another run that waits")
        p.send_signal(signal.SIGINT)
        equal(p.wait(60), 130)
        others.since(0)
        finished(run(["true"]))
        check(os.pread(others.fd, len(others.times), 0) != others.times, "it has waited for all of them")


def four_side_by_side():
    with Nothing():
        ps = [start(["sh", "-c", f"echo {i}"]) for i in range(4)]
        for i, p in enumerate(ps):
            out, err = p.communicate(timeout=240)
            equal((p.returncode, out), (0, f"{i}\n".encode()), err)


if __name__ == "__main__":
    main()
