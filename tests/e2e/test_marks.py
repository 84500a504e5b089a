"""Marks: what a sandbox was, memory and disk together, and going back to it, however that ends."""
import atexit
import json
import os
import signal
import subprocess
import time

from e2e import *
from live import *

BOX = "marked"  # the one that most of these tests share
SMALL = ("--memory", "64M")
# How many marks one sandbox is given; 50 take minutes where QEMU emulates.
MANY = int(os.environ.get("LAZARET_E2E_MARKS", "9"))


def _box():
    if state(BOX) == "dead":
        finished(lazaret("down", BOX))
    if BOX not in sandboxes():
        finished(up(BOX, *SMALL))
        atexit.register(lambda: BOX in sandboxes() and lazaret("down", BOX))
    for m in _marks()["marks"]:
        finished(lazaret("forget", BOX, m["mark"]))
    return BOX


def _marks(name=BOX):
    return json.loads(finished(lazaret("marks", name, "--json")))


def _tree(name=BOX):
    """{mark: its parent}, and the mark that the sandbox goes on from ("": none)."""
    rows = _marks(name)["marks"]
    here = [m["mark"] for m in rows if m["here"]]
    check(len(here) <= 1, rows)
    return {m["mark"]: m["parent"] for m in rows}, here[0] if here else ""


def _files(name):
    try:
        return os.listdir(f"{DATA}/sandboxes/{name}/marks")
    except FileNotFoundError:
        return []


def _snapshot(*words, name=BOX):
    return finished(lazaret("snapshot", name, *words)).decode().rstrip("\n")


def _revert(*words, name=BOX):
    return finished(lazaret("revert", name, *words)).decode().rstrip("\n")


def _write(text, path="/work/file", name=BOX):
    finished(execute(name, "--", "sh", "-c", f"echo {text} > {path}"))


def _read(path="/work/file", name=BOX):
    return finished(execute(name, "--", "cat", path)).decode().rstrip("\n")


def _exists(path, name=BOX):
    return execute(name, "--", "test", "-e", path).returncode == 0


def _idle(name=BOX):
    wait_for(lambda: not jobs(name), "the commands to end", 60)


# A process with a nonce in its memory and one in a tmpfs, which it changes and tells as it is asked.
HOLDER = """
mine=old; echo old > /dev/shm/nonce; echo held
while :; do
    if [ -e /work/new ]; then mine=$(cat /work/new); echo $mine > /dev/shm/nonce; rm /work/new; fi
    if [ -e /work/ask ]; then
        rm /work/ask; echo $mine $(cat /dev/shm/nonce) > /work/part; mv /work/part /work/told
    fi
    sleep 0.05
done
"""


def _ask_holder(text=""):
    """Gives it another nonce, if there is one, and returns what it has."""
    script = "[ -z '$0' ] || echo $0 > /work/new; while [ -e /work/new ]; do sleep 0.1; done; " \
             "touch /work/ask; while [ ! -e /work/told ]; do sleep 0.1; done; " \
             "cat /work/told /work/file; rm /work/told"
    words = execute(BOX, "--timeout", "30", "--", "sh", "-c", script.replace("$0", text))
    return finished(words).decode().split()


# ---- there and back --------------------------------------------------------------------------


def memory_and_disk_are_back_together():
    box = _box()
    _write("old")
    number = finished(execute(box, "-d", "--", "sh", "-c", HOLDER)).decode().strip()
    wait_for(lambda: b"held" in lazaret("logs", box, number).stdout, "the process")
    equal(_ask_holder(), ["old"] * 3)
    _snapshot("both")
    _write("changed")
    equal(_ask_holder("changed"), ["changed"] * 3)
    equal(_revert("both"), "both")
    equal(_ask_holder(), ["old"] * 3)
    finished(lazaret("kill", box, number))
    _idle()


def what_ran_at_the_mark_runs_on_and_is_attached_to():
    box = _box()
    script = "echo out; echo err >&2; while [ ! -e /work/go ]; do sleep 0.1; done; echo end; exit 6"
    number = finished(execute(box, "-d", "--", "sh", "-c", script)).decode().strip()
    wait_for(lambda: lazaret("logs", box, number).stdout == b"out\n", "its output")
    _snapshot("running")
    for _ in range(2):
        finished(execute(box, "--", "touch", "/work/go"))
        r = lazaret("attach", box, number)
        equal((finished(r, 6), r.stderr), (b"out\nend\n", b"err\n"))
        _revert("running")
        equal([(str(j["exec"]), j["state"]) for j in jobs(box)], [(number, "running")])
        # What it wrote since is of a time that has not been.
        equal(lazaret("logs", box, number).stdout, b"out\n")
        equal(_exists("/work/go"), False)
    finished(lazaret("kill", box, number))
    equal(lazaret("attach", box, number).returncode, 137)
    _idle()


def clients_are_told_of_the_end_of_what_ran_since_and_leave_what_ran_at_the_mark():
    box = _box()
    at = started(box)
    _snapshot("then")
    since = started(box)
    number = finished(execute(box, "-d", "--", "sh", "-c", "echo out; exec sleep 300")).decode()
    number = number.strip()
    wait_for(lambda: lazaret("logs", box, number).stdout == b"out\n", "its output")
    follower = subprocess.Popen([LAZARET, "attach", box, number], env=environment(),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
    equal(follower.stdout.readline(), b"out\n")
    _revert("then")
    for p in (at, since, follower):
        _, err = p.communicate(timeout=30)
        equal((p.returncode, len(err.splitlines())), (130, 1), err)
        check(b"went back to mark 'then'" in err, err)
    equal([j["command"] for j in jobs(box)], ["sh -c echo started; exec sleep 300"])
    # Numbers are not used again, and what it wrote is still there to be read.
    r = lazaret("attach", box, number)
    equal((r.returncode, r.stdout), (130, b"out\n"), r.stderr)
    other = finished(execute(box, "-d", "--", "true")).decode().strip()
    check(int(other) > int(number), (other, number))
    finished(lazaret("kill", box, str(min(j["exec"] for j in jobs(box)))))
    _idle()


RANDOMS = """
import os, ssl, time
print(time.time(), os.urandom(16).hex(), os.getrandom(16).hex(), ssl.RAND_bytes(16).hex(),
      open("/proc/sys/kernel/random/uuid").read(), open("/etc/machine-id").read())
"""


def two_reverts_to_one_mark_agree_on_no_random_and_the_clock_is_right():
    box = _box()
    _snapshot("dice")
    seen = set()
    for _ in range(2):
        time.sleep(1.5)
        _revert("dice")
        before = time.time()
        lines = finished(execute(box, "--", "python3", "-c", RANDOMS)).decode().split()
        after = time.time()
        equal(len(lines), 6)
        clock = float(lines.pop(0))
        check(before - 1 <= clock <= after + 1, (before, clock, after))
        check(not seen & set(lines), f"{lines} again: {seen}")
        seen |= set(lines)
    # In-guest timers go on: neither at once nor late by what has passed outside.
    began = time.monotonic()
    finished(execute(box, "--timeout", "1", "--", "sleep", "60"), 124)
    check(1 <= time.monotonic() - began < 10, "a second took something else")


# ---- the tree --------------------------------------------------------------------------------


def marks_form_a_tree_and_what_is_forgotten_leaves_it_whole():
    box = _box()
    for text in ("a", "b"):
        _write(text)
        equal(_snapshot(text), text)
    equal(_tree(), ({"a": "", "b": "a"}, "b"))
    equal(_revert("a"), "a")
    equal(_tree(), ({"a": "", "b": "a"}, "a"))
    _write("c")
    _snapshot("c")
    equal(_tree(), ({"a": "", "b": "a", "c": "a"}, "c"))
    table = finished(lazaret("marks", box)).decode()
    check("* c " in table and "* a" not in table and "of memory in all" in table, table)
    equal(finished(lazaret("forget", box, "a")), b"")
    equal(_tree(), ({"b": "", "c": ""}, "c"))
    for text in ("c", "b"):
        _revert(text)
        equal(_read(), text)
    equal(_revert(), "c")  # without a name: the newest
    equal(len(_files(box)), 2)
    for text in ("b", "c"):
        finished(lazaret("forget", box, text))
    d = _marks()
    equal((d["marks"], d["marks_bytes"]), ([], 0))
    equal(_files(box), [])


def names_are_checked_and_never_taken_twice():
    box = _box()
    one_line_error(lazaret("revert", box), 125, "there is no mark", "lazaret snapshot")
    equal(_snapshot("x" * 64), "x" * 64)
    r = lazaret("snapshot", box, "--json", "a.b_c-1")
    d = json.loads(finished(r))
    equal((d["mark"], d["parent"], d["here"]), ("a.b_c-1", "x" * 64, True))
    check(d["bytes"] > 1 << 20, d)
    equal(d["bytes"], _marks()["marks"][1]["bytes"])
    one_line_error(lazaret("snapshot", box, "a.b_c-1"), 125, "'a.b_c-1' already", "lazaret forget")
    for bad in ("x" * 65, ".", "..", "a/b", "../x", "a b", "\u00e4", "a\nb", "a;b"):
        for verb in ("snapshot", "revert", "forget"):
            one_line_error(lazaret(verb, box, bad), 125, "no name for a mark")
    for verb in ("revert", "forget"):
        one_line_error(lazaret(verb, box, "none"), 125, "no mark 'none'", "lazaret marks")
        one_line_error(lazaret(verb, "nosuch", "a"), 125, "no sandbox 'nosuch'")
    one_line_error(lazaret("forget", box), 125, "which mark")
    one_line_error(lazaret("marks", box, "x"), 125, "unexpected argument 'x'")
    one_line_error(lazaret("snapshot"), 125, "which sandbox")
    equal(len(_marks()["marks"]), 2)


def options_that_do_not_go_together_are_refused():
    with Nothing():
        rows = [
            (("run", "--after", "keep", "true"), "--keep"),
            (("run", "--keep", "k", "--out", "x", "true"), "--keep"),
            (("run", "--keep", "a/b", "true"), "a/b"),
            (("run", "--keep", "k", "--after", "x", "true"), "revert, keep or discard"),
            (("run", "--mark-each-exec", "true"), "lazaret up"),
            (("up", "k", "--keep", "l"), "lazaret run"), (("up", "k", "--after", "keep"), "lazaret run"),
            (("up", "k", "--fork-from", "l"), "lazaret run"), (("check", "--keep", "k", "true"), "lazaret run"),
            (("check", "--fork-from", "k", "true"), "lazaret run"),
            (("up", "k", "--max-marks", "0"), "--max-marks"),
            (("up", "k", "--max-marks", "129"), "--max-marks"),
            (("up", "k", "--max-marks", "x"), "--max-marks"),
            (("exec", "k", "--after", "never", "--", "true"), "revert, keep or discard"),
        ]
        for words, said in rows:
            one_line_error(lazaret(*words), 125, said)


def a_mark_before_each_exec_undoes_any_step_and_the_oldest_goes():
    with Nothing():
        finished(up("steps", *SMALL, "--mark-each-exec", "--max-marks", "3"))
        for n in range(1, 5):
            _write(str(n), name="steps")
        equal(_tree("steps"), ({"before-2": "", "before-3": "before-2", "before-4": "before-3"},
                               "before-4"))
        equal(len(_files("steps")), 3)
        _revert("before-3", name="steps")
        equal(_read(name="steps"), "2")  # which made a mark, before-5
        one_line_error(lazaret("revert", "steps", "before-2"), 125, "no mark 'before-2'")
        equal(_tree("steps"), ({"before-3": "", "before-4": "before-3", "before-5": "before-3"},
                               "before-5"))
        finished(lazaret("down", "steps"))


def a_mark_of_a_paused_sandbox_is_refused_and_going_back_lets_it_run():
    box = _box()
    _write("before")
    _snapshot("awake")
    _write("after")
    finished(lazaret("pause", box))
    one_line_error(lazaret("snapshot", box), 125, "paused", f"lazaret resume {box}")
    equal(state(box), "paused")
    equal(_revert("awake"), "awake")
    equal(state(box), "running")
    equal(_read(), "before")


def a_full_disk_can_be_marked_and_is_as_full_again():
    box = _box()
    finished(execute(box, "--", "sh", "-c", "head -c 3000000 /dev/urandom > /work/big"))
    want = finished(execute(box, "--", "sha256sum", "/work/big"))
    _snapshot("data")
    # All of it is written anew, and what was kept is kept apart from it.
    finished(execute(box, "--", "sh", "-c", "head -c 3000000 /dev/zero > /work/big; sync; "
                                            "rm /work/big; sync"))
    check(_marks()["disk_bytes"] > 3000000, _marks())
    _revert("data")
    equal(finished(execute(box, "--", "sha256sum", "/work/big")), want)
    finished(execute(box, "--", "rm", "/work/big"))


def of_many_marks_each_can_be_gone_back_to():
    with Nothing():
        finished(up("many", *SMALL, "--max-marks", str(max(MANY, 8))))
        sums, grown = {}, []
        script = "head -c 1000000 /dev/urandom > /work/{}; cat /work/* | sha256sum"
        began = time.monotonic()
        for n in range(1, MANY + 1):
            sums[n] = finished(execute("many", "--", "sh", "-c", script.format(n)))
            _snapshot(f"m{n}", name="many")
            d = _marks("many")
            grown.append((d["marks_bytes"], d["disk_bytes"]))
        took = time.monotonic() - began
        for n in (7, MANY) if MANY > 9 else (7,):
            _revert(f"m{n}", name="many")
            equal(finished(execute("many", "--", "sh", "-c", "cat /work/* | sha256sum")), sums[n])
        mib = [(m >> 20, disk >> 20) for m, disk in grown]
        print(f"# {MANY} marks in {took:.0f} s; MiB of memory and disk: first {mib[0]}, "
              f"last {mib[-1]}")
        # Each mark costs its memory, and of the disk what was written since the one before.
        check(grown[-1][0] < MANY * (300 << 20), grown)
        check(grown[-1][1] - grown[0][1] < MANY * (3 << 20), grown)
        finished(lazaret("down", "many"))


# ---- the run's own mark ----------------------------------------------------------------------


def exec_with_revert_after_ends_reverted_however_it_ends():
    box = _box()
    _write("before")
    change = "echo changed > /work/file; "
    rows = [
        (("--revert-after",), "exit 0", 0), (("--after", "revert"), "kill -9 $$", 137),
        (("--revert-after", "--timeout", "1"), "exec sleep 60", 124),
    ]
    for options, end, status in rows:
        finished(execute(box, *options, "--", "sh", "-c", change + end), status)
        equal(_read(), "before", end)
    finished(execute(box, "--revert-after", "--", "no-such"), 127)
    d = json.loads(finished(execute(box, "--revert-after", "--json", "--", "sh", "-c",
                                    change + "echo out; exit 4"), 4))
    equal((d["class"], d["status"], d["stdout"]), ("exited", 4, "out\n"))
    equal(_read(), "before")
    number = finished(execute(box, "-d", "--revert-after", "--", "sh", "-c",
                              change + "echo out; sleep 1; exit 5")).decode().strip()
    r = lazaret("attach", box, number)
    equal((finished(r, 5), r.stdout), (b"out\n", b"out\n"))
    equal(_read(), "before")


def the_mark_of_revert_after_is_held_meanwhile_and_gone_when_it_is_back():
    with Nothing():
        finished(up("held", *SMALL, "--max-marks", "1"))
        _write("before", name="held")
        p = started("held", "echo changed > /work/file; echo started; read line", "--revert-after", "-i",
                    stdin=subprocess.PIPE)
        held = _marks("held")["marks"][0]["mark"]
        check(held.startswith("before-"), held)
        one_line_error(lazaret("forget", "held", held), 125, held)
        for mark in ("a", "b"):
            _snapshot(mark, name="held")
        equal(_tree("held"), ({held: "", "b": held}, "b"))
        p.communicate(b"\n", timeout=120)
        equal(p.returncode, 0)
        equal(_read(name="held"), "before")
        equal(_tree("held"), ({"b": ""}, ""))
        equal(len(_files("held")), 1)
        # One that somebody else goes back from is released.
        p = started("held", "echo started; read line", "--revert-after", "-i", stdin=subprocess.PIPE)
        held = _marks("held")["marks"][-1]["mark"]
        _revert("b", name="held")
        p.communicate(timeout=120)
        finished(lazaret("forget", "held", held))
        finished(lazaret("down", "held"))


def a_command_that_is_interrupted_or_whose_client_dies_is_reverted_too():
    box = _box()
    _write("before")
    for trap, signals, status in (("", [signal.SIGINT], 130), ("trap '' INT;", [signal.SIGINT] * 2, 130),
                                  ("", [signal.SIGKILL], -9)):
        script = trap + "echo changed > /work/file; echo started; while :; do sleep 0.1; done"
        p = started(box, script, "--revert-after")
        for signo in signals:
            p.send_signal(signo)
            time.sleep(0.5)
        p.communicate(timeout=60)
        equal(p.returncode, status, trap)
        _idle()
        equal(_read(), "before", signals)


def keep_is_what_exec_does_unless_it_is_told_otherwise():
    box = _box()
    for options in (("--after", "keep"), ("--mark",)):
        before = len(_marks()["marks"])
        finished(execute(box, *options, "--", "sh", "-c", f"echo {options[0]} >> /work/kept"))
        equal(len(_marks()["marks"]) - before, int("--mark" in options), options)
    equal(_read("/work/kept"), "--after\n--mark")
    check(_tree()[1].startswith("before-"), _tree())
    _revert()
    equal(_read("/work/kept"), "--after")


def a_run_that_keeps_leaves_its_sandbox_as_it_was_asked_to():
    change = ("--", "sh", "-c", "echo changed > /work/file; echo out; exit 3")

    def kept(name, *options):
        r = lazaret("run", "--accel", "tcg", *SMALL, "--keep", name, *options, *change, timeout=240)
        equal(finished(r, 3), b"out\n")
    with Nothing():
        kept("keeps", "--after", "keep")
        equal(_read(name="keeps"), "changed")
        _revert(name="keeps")  # to the run's own mark
        equal(_exists("/work/file", "keeps"), False)
        finished(execute("keeps", "--after", "discard", "--", "sh", "-c", "exit 6"), 6)
        wait_for(lambda: "keeps" not in sandboxes(), "its folder to go", 20)
    with Nothing():
        kept("reverts")
        equal(_exists("/work/file", "reverts"), False)
        r = lazaret("run", "--accel", "tcg", "--keep", "reverts", *change)
        one_line_error(r, 125, "reverts", "already")
        p = started("reverts", "echo started; exec sleep 300", "--after", "discard")
        p.kill()
        p.communicate(timeout=30)
        wait_for(lambda: "reverts" not in sandboxes(), "its folder to go", 20)
    with Nothing():
        kept("discards", "--after", "discard")
        wait_for(lambda: "discards" not in sandboxes(), "its folder to go", 20)


# ---- what is damaged, and who is killed ------------------------------------------------------


def a_state_that_is_not_the_one_that_was_saved_is_refused_and_the_sandbox_goes_on():
    box = _box()
    _snapshot("one")
    _snapshot("two")
    _write("now")
    one, two = (f"{DATA}/sandboxes/{box}/marks/{n}"
                for n in sorted(_files(box), key=int))
    job = started(box)
    with open(one, "rb") as f:
        whole = f.read()
    with open(two, "rb") as f:
        other = f.read()

    def put(data):
        with open(one, "wb") as f:
            f.write(data)

    def flip(at):
        return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]
    for data in (flip(0), flip(len(whole) // 2), flip(len(whole) - 1), whole[:-1], whole + b"\0",
                 b"", other):
        put(data)
        one_line_error(lazaret("revert", box, "one"), 125, "mark 'one' is not the one that was saved")
    os.rename(one, f"{one}.away")
    one_line_error(lazaret("revert", box, "one"), 125, "the state of mark 'one' is gone")
    os.symlink(f"{one}.away", one)
    one_line_error(lazaret("revert", box, "one"), 125, "the state of mark 'one'")
    os.remove(one)
    os.rename(f"{one}.away", one)
    # Nothing has happened to it: not even to what runs.
    equal((job.poll(), _read(), _tree()[1]), (None, "now", "two"))
    job.kill()
    job.communicate(timeout=30)
    _idle()
    put(whole)
    equal(_revert("one"), "one")
    equal(_exists("/work/file") and _read() == "now", False)


def _at(step, name, qemu, old):
    """Is the sandbox at this step of a snapshot, or of going back? `old`: the files of its marks."""
    if step == "gone":
        return not os.path.isdir(f"/proc/{qemu}")
    if step == "another":
        return not os.path.isdir(f"/proc/{qemu}") and family(name).get("qemu")
    new = set(_files(name)) - set(old)
    if step == "held":
        return new
    return any(os.path.getsize(f"{DATA}/sandboxes/{name}/marks/{f}") for f in new)  # "saving"


def _strike(name, verb, step, who):
    """Starts a snapshot or going back, and kills somebody once it is at a step."""
    victims, old = family(name), _files(name)
    client = subprocess.Popen([LAZARET, verb, name], env=environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not _at(step, name, victims["qemu"], old):
        check(time.monotonic() < deadline, f"{verb} never came to '{step}'")
    victim = client.pid if who == "client" else victims[who]
    if who == "qemu" and step == "another":
        victim = family(name)["qemu"]
    os.kill(victim, signal.SIGKILL)
    out, err = client.communicate(timeout=60)
    return client.returncode, out, err


def whoever_is_killed_at_a_step_the_store_stays_whole_and_gc_removes_the_rest():
    rows = [("snapshot", "held", "keeper"), ("snapshot", "saving", "keeper"),
            ("snapshot", "saving", "qemu"), ("revert", "gone", "keeper"),
            ("revert", "another", "keeper"), ("revert", "another", "qemu")]
    for verb, step, who in rows:
        what = f"{who} killed while '{step}' in {verb}"
        with Nothing():
            finished(up("dies", *SMALL))
            if verb == "revert":
                _snapshot(name="dies")
            status, out, err = _strike("dies", verb, step, who)
            equal((status, out, len(err.splitlines())), (125, b"", 1), f"{what}: {err!r}")
            wait_for(lambda: state("dies") == "dead", f"its death: {what}", 20)
            one_line_error(lazaret("revert", "dies"), 125, "is dead")
            d = json.loads(finished(lazaret("show", "dies")))
            equal(d["result"]["class"], "host", what)
            left = os.listdir(f"{DATA}/sandboxes/dies")
            check(not any(f.endswith((".raw", ".qcow2")) or f == "marks" for f in left),
                  f"{what}: {left}")
            finished(lazaret("gc"))


def a_supervisor_killed_while_a_mark_is_made_leaves_what_gc_and_down_remove():
    for words in (("gc",), ("down", "dies")):
        with Nothing():
            finished(up("dies", *SMALL))
            equal(_strike("dies", "snapshot", "saving", "supervisor")[0], 125)
            wait_for(lambda: state("dies") == "dead", "its death", 20)
            check(_files("dies"), "nothing was left to remove")
            finished(lazaret(*words))


def a_killed_client_leaves_the_mark_made_and_the_sandbox_back():
    box = _box()
    _write("before")
    for step in ("held", "saving"):
        status, _, _ = _strike(box, "snapshot", step, "client")
        equal(status, -signal.SIGKILL)
    equal(len(_marks()["marks"]), 2)
    _write("after")
    status, _, _ = _strike(box, "revert", "gone", "client")
    equal(status, -signal.SIGKILL)
    equal(_read(), "before")


if __name__ == "__main__":
    main()
