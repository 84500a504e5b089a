"""Named sandboxes: they stay, take commands, and go without a trace; no client harms another."""
import array
import atexit
import fcntl
import hashlib
import json
import os
import pty
import select
import re
import signal
import socket
import struct
import subprocess
import termios
import time

from e2e import *
from live import begin as _start, execute as _exec, family as _family, jobs, started as _started
from live import state as _state, supervisor as _supervisor, up as _up

BOX = "box"  # the one that most of these tests share
# enum talk_what
(EXEC, SIGNAL, RESIZE, LIST, KILL, PAUSE, RESUME, DOWN, STATS, WAIT, SNAPSHOT, REVERT, FORGET,
 MARKS, FORK) = range(1, 16)
with open(f"{os.path.dirname(__file__)}/../../vmm/run/talk.h", encoding="utf-8") as header:
    VERSION = int(re.search(r"#define TALK_VERSION +([0-9]+)u", header.read()).group(1))
REQUEST = "<IIIIIHHIIIIQQ65s7x"  # struct talk_request
SIZE = struct.calcsize(REQUEST)
SEALS = 0x1 | 0x2 | 0x4 | 0x8


def _box():
    if _state(BOX) == "dead":
        finished(lazaret("down", BOX))
    if BOX not in sandboxes():
        finished(_up(BOX, "--cold"))  # with a console
        atexit.register(lambda: BOX in sandboxes() and lazaret("down", BOX))
    return BOX


def _jobs():
    return jobs(BOX)


def _no_jobs():
    wait_for(lambda: not _jobs(), "the commands to end")


# ---- life ------------------------------------------------------------------------------------


def a_sandbox_takes_commands_and_goes_without_a_trace():
    with Nothing():
        r = _up("first", "--json")
        d = json.loads(finished(r))
        equal((d["name"], d["state"]), ("first", "running"))
        check(d["boot_ms"] > 0, d)
        equal(_state("first"), "running")
        finished(_exec("first", "--", "sh", "-c", "echo here > /work/file"))
        equal(finished(_exec("first", "--", "cat", "/work/file")), b"here\n")
        d = json.loads(finished(lazaret("show", "first")))
        equal((d["kind"], d["state"], d["plan"]["command"]), ("sandbox", "running", []))
        one_line_error(_up("first"), 125, "first", "already", "running")
        equal(finished(lazaret("down", "first")), b"")
        one_line_error(_exec("first", "--", "true"), 125, "there is no sandbox 'first'")
        one_line_error(lazaret("down", "first"), 125, "there is no sandbox 'first'")


def up_holds_nothing_of_its_caller():
    with Nothing():
        r, w = os.pipe()
        p = subprocess.Popen([LAZARET, "up", "quiet", "--accel", "tcg"], env=environment(),
                             stdin=subprocess.DEVNULL, stdout=w, stderr=w, pass_fds=(w,))
        os.close(w)
        equal(os.read(r, 1), b"", "what up said, or kept open:")
        equal(p.wait(60), 0)
        equal(os.readlink(f"/proc/{_supervisor('quiet')}/cwd"), "/")
        finished(lazaret("down", "quiet"))


def a_name_is_checked_before_anything_is_made():
    with Nothing():
        for name in ("", ".", "..", "a/b", ".x", "-x", "a b", "a" * 32, "\u00e4", "a\nb", "x;y"):
            for command in ("up", "down", "exec"):
                r = lazaret(command, "--", name) if name.startswith("-") else lazaret(command, name)
                finished(r, 125)
                equal(len(r.stderr.splitlines()), 1, f"{command} {name!r}: {r.stderr!r}")
        one_line_error(lazaret("up", "a", "b"), 125, "unexpected argument 'b'")
        one_line_error(lazaret("up"), 125, "which name")


def what_is_not_a_sandboxs_is_refused_by_up():
    with Nothing():
        for option in (["-t"], ["-i"], ["--timeout", "5"], ["--out", "x"], ["--entrypoint", "x"]):
            one_line_error(lazaret("up", "never", *option), 125, option[0], " for 'lazaret")


def one_that_cannot_come_up_leaves_nothing():
    with Nothing():
        one_line_error(lazaret("up", "bad", "--accel", "tcg", "--image", "nosuch"), 125, "nosuch")
        one_line_error(lazaret("up", "bad", "--accel", "tcg", "--in", "/nonexistent"), 125,
                       "/nonexistent")


def of_two_with_one_name_one_comes_up():
    with Nothing():
        ps = [subprocess.Popen([LAZARET, "up", "twin", "--accel", "tcg"], env=environment(),
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
              for _ in range(2)]
        said = [p.communicate(timeout=240)[1] for p in ps]
        equal(sorted(p.returncode for p in ps), [0, 125], said)
        check(any(b"already" in s for s in said), said)
        finished(lazaret("down", "twin"))


def an_interrupted_up_leaves_nothing():
    for signo in (signal.SIGINT, signal.SIGKILL):
        with Nothing():
            p = subprocess.Popen([LAZARET, "up", "early", "--accel", "tcg"], env=environment(),
                                 stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            wait_for(lambda: _state("early") == "starting", "the start")
            one_line_error(_exec("early", "--", "true"), 125, "not up yet")
            p.send_signal(signo)
            p.communicate(timeout=60)
            equal(p.returncode, 130 if signo == signal.SIGINT else -signo)
            wait_for(lambda: "early" not in sandboxes(), "its folder to go", 20)


def a_signal_to_the_supervisor_takes_it_down():
    with Nothing():
        finished(_up("told"))
        job = _started("told")
        os.kill(_supervisor("told"), signal.SIGTERM)
        _, err = job.communicate(timeout=60)
        equal(job.returncode, 130)
        check(b"taken down" in err, err)
        wait_for(lambda: "told" not in sandboxes(), "its folder to go", 20)


def whatever_is_killed_leaves_a_dead_sandbox_that_gc_removes():
    for who in ("keeper", "supervisor", "init", "qemu"):
        with Nothing():
            others = set(processes())
            finished(_up("dies"))
            job = _started("dies")
            ours = set(processes()) - others - {job.pid}
            os.kill(_family("dies")[who], signal.SIGKILL)
            _, err = job.communicate(timeout=60)
            equal(job.returncode, 125, f"{who}: {err}")
            equal(len(err.splitlines()), 1, f"{who}: {err!r}")
            wait_for(lambda: _state("dies") == "dead", f"its death ({who})", 20)
            wait_for(lambda: not ours & set(processes()), f"its processes to end ({who})", 20)
            one_line_error(_exec("dies", "--", "true"), 125, "is dead")
            one_line_error(_up("dies"), 125, "dead", "lazaret down")
            if who == "supervisor":
                finished(lazaret("down", "dies"))
            else:
                d = json.loads(finished(lazaret("show", "dies")))
                equal(d["result"]["class"], "host", who)
                left = os.listdir(f"{DATA}/sandboxes/dies")
                check(not any(f.endswith((".raw", ".qcow2")) or f == "marks" for f in left), left)
                finished(lazaret("gc"))


def gc_and_a_second_down_do_not_touch_one_that_lives():
    box = _box()
    finished(lazaret("gc"))
    equal(finished(_exec(box, "--", "echo", "alive")), b"alive\n")


def kill_ends_one_whose_keeper_hangs():
    with Nothing():
        finished(_up("hangs"))
        os.kill(_family("hangs")["keeper"], signal.SIGSTOP)
        began = time.monotonic()
        finished(lazaret("kill", "hangs"))
        check(time.monotonic() - began < 10, "took too long")


# ---- commands --------------------------------------------------------------------------------


def streams_and_statuses_are_the_commands_own():
    box = _box()
    with Nothing():
        r = _exec(box, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
        equal((finished(r, 7), r.stderr), (b"out\n", b"err\n"))
        equal(_exec(box, "--", "sh", "-c", "kill -9 $$").returncode, 137)
        one_line_error(_exec(box, "--", "no-such"), 127, "no-such", "not in the image")
        one_line_error(_exec(box, "--", "/etc/passwd"), 126, "cannot be executed")
        data = os.urandom(4 << 20)
        out = finished(_exec(box, "-i", "--", "cat", input=data))
        equal(hashlib.sha256(out).digest(), hashlib.sha256(data).digest())
        equal(finished(_exec(box, "--", "cat", stdin=None, input=b"not for it")), b"")


def a_command_gets_its_own_user_folder_and_variables():
    box = _box()
    script = "echo $A $B $(id -u) $(id -g) $(pwd)"
    r = _exec(box, "--env", "A=1", "--env", "B", "--user", "7:8", "--workdir", "/tmp", "--", "sh",
              "-c", script, env={"B": "2"})
    equal(finished(r), b"1 2 7 8 /tmp\n")
    equal(finished(_exec(box, "sh", "-c", script)), b"1000 1000 /work\n")
    one_line_error(_exec(box, "--user", "0", "--", "id"), 126, "root")
    one_line_error(_exec(box, "--workdir", "x", "--", "id"), 125, "--workdir")
    one_line_error(_exec(box, "--env", "=x", "--", "id"), 125, "--env")
    one_line_error(_exec(box), 125, "no command")


def json_tells_how_it_ended():
    box = _box()
    r = _exec(box, "--json", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    d = json.loads(finished(r, 3))
    equal((d["id"], d["class"], d["status"], d["stdout"], d["stderr"]),
          (box, "exited", 3, "out\n", "err\n"))
    d = json.loads(finished(_exec(box, "--json", "--timeout", "1", "--", "sleep", "60"), 124))
    equal((d["class"], d["status"]), ("timeout", 124))


def each_command_is_alone_in_its_namespaces():
    box = _box()
    other = _started(box, "echo mine > /tmp/mine; echo started; exec sleep 300")
    seen = finished(_exec(box, "--", "sh", "-c",
                          "ls /tmp; cat /proc/[0-9]*/cmdline | tr '\\0' ' '")).decode()
    check("mine" not in seen and "sleep" not in seen, seen)
    other.terminate()
    other.communicate(timeout=60)


def twelve_at_once_and_no_more_than_sixteen():
    box = _box()
    with Nothing():
        ps = [_start(box, "-i", "--", "sh", "-c", f"cat; echo {i}", stdin=subprocess.PIPE)
              for i in range(12)]
        wait_for(lambda: len(_jobs()) == 12, "twelve commands", 60)
        for i, p in enumerate(ps):
            out, err = p.communicate(b"in\n", timeout=240)
            equal((p.returncode, out), (0, f"in\n{i}\n".encode()), err)
        _no_jobs()
        ps = [_start(box, "--", "sleep", "300") for _ in range(16)]
        wait_for(lambda: len(_jobs()) == 16, "sixteen commands", 60)
        one_line_error(_exec(box, "--", "true"), 125, "16 commands")
        for p in ps:
            p.kill()
        for p in ps:
            p.communicate(timeout=60)
        _no_jobs()
        equal(finished(_exec(box, "--", "echo", "again")), b"again\n")


def t_gives_a_terminal_with_the_windows_size():
    box = _box()
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 37, 101, 0, 0))
    before = termios.tcgetattr(slave)
    p = _start(box, "-i", "-t", "--", "sh", "-c",
               "tty; stty size; read x; echo got-$x; stty size; exit 3", stdin=slave, stdout=slave,
               stderr=slave)
    seen = b""

    def until(word):
        nonlocal seen
        end = time.monotonic() + 120
        while word not in seen and time.monotonic() < end:
            if select.select([master], [], [], 1)[0]:
                seen += os.read(master, 4096)
        check(word in seen, f"{word!r} not in {seen!r}")

    until(b"37 101")
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    p.send_signal(signal.SIGWINCH)  # this terminal is not ours, so the kernel sends none
    time.sleep(0.5)
    os.write(master, b"word\r")
    until(b"got-word")
    until(b"20 60")
    equal(p.wait(60), 3)
    equal(termios.tcgetattr(slave), before, "terminal settings:")


def the_first_signal_is_the_commands_and_the_second_ends_it():
    box = _box()
    with Nothing():
        p = _started(box, "trap 'echo caught; exit 5' INT; echo started; while :; do sleep 0.1; done")
        p.send_signal(signal.SIGINT)
        equal(p.communicate(timeout=60)[0], b"caught\n")
        equal(p.returncode, 5)
        p = _started(box, "trap '' INT TERM; echo started; while :; do sleep 1; done")
        p.send_signal(signal.SIGINT)
        time.sleep(0.5)
        equal(p.poll(), None)
        p.send_signal(signal.SIGTERM)
        _, err = p.communicate(timeout=30)
        equal(p.returncode, 143)
        check(b"killed" in err, err)
        _no_jobs()


def a_deadline_ends_a_command_and_no_other():
    box = _box()
    other = _started(box)
    p = _started(box, "echo started; exec sleep 300", "--timeout", "2")
    began = time.monotonic()
    _, err = p.communicate(timeout=60)
    equal(p.returncode, 124)
    check(b"deadline" in err, err)
    check(1 < time.monotonic() - began < 10, "not at its deadline")
    equal(other.poll(), None)
    other.terminate()
    equal(other.wait(60), 143)


def commands_are_listed_and_signalled_by_number():
    box = _box()
    p = _started(box, "trap 'exit 9' USR1; echo started; while :; do sleep 0.1; done")
    q = _started(box)
    rows = _jobs()
    equal([r["state"] for r in rows], ["running", "running"])
    number = next(r["exec"] for r in rows if "USR1" in r["command"])
    check(f"{number} " in finished(lazaret("ps", box)).decode(), "not in the table")
    finished(lazaret("kill", box, str(number), "USR1"))
    equal(p.wait(60), 9)
    one_line_error(lazaret("kill", box, str(number)), 125, f"no command {number}")
    one_line_error(lazaret("kill", box, "0"), 125, "command number")
    one_line_error(lazaret("kill", box, "99999"), 125, "no command 99999")
    one_line_error(lazaret("kill", box, "1", "NOSUCH"), 125, "NOSUCH")
    finished(lazaret("kill", box, str(_jobs()[0]["exec"])))
    equal(q.wait(60), 137)
    _no_jobs()


def while_paused_nothing_runs_and_deadlines_stand_still():
    box = _box()
    p = _started(box, "echo started; sleep 2; echo over", "--timeout", "6")
    finished(lazaret("pause", box))
    equal(_state(box), "paused")
    one_line_error(_exec(box, "--", "true"), 125, "paused", f"lazaret resume {box}")
    one_line_error(lazaret("pause", box), 125, "paused already")
    time.sleep(7)
    equal(p.poll(), None)
    finished(lazaret("resume", box))
    one_line_error(lazaret("resume", box), 125, "not paused")
    equal(_state(box), "running")
    out, err = p.communicate(timeout=60)
    equal((p.returncode, out), (0, b"over\n"), err)


def stats_are_the_hosts_count():
    box = _box()
    before = json.loads(finished(lazaret("stats", box, "--json")))
    equal(before["memory_bytes"], (512 + 192) << 20)
    finished(_exec(box, "--", "python3", "-c", "sum(range(1000000))"))
    finished(_exec(box, "--", "sh", "-c", "head -c 20000000 /dev/urandom > /work/big; sync"))
    after = json.loads(finished(lazaret("stats", box, "--json")))
    check(after["cpu_ns"] > before["cpu_ns"] > 0, (before, after))
    check(after["resident_bytes"] > 32 << 20, after)
    grown = [a["physical_bytes"] - b["physical_bytes"]
             for a, b in zip(after["disks"], before["disks"])]
    check(max(grown) >= 20000000, grown)
    check(b"resident" in finished(lazaret("stats", box)), "no table")


def the_console_is_shown_as_text():
    with open(f"{DATA}/sandboxes/{_box()}/console.log", "rb") as f:
        log = f.read()
    check(log and all(b == 0x0a or 0x20 <= b < 0x7f for b in log), log[:200])
    equal(finished(lazaret("console", BOX)), log)


# ---- detached --------------------------------------------------------------------------------


def a_detached_command_goes_on_and_is_attached_to():
    box = _box()
    with Nothing():
        script = "echo out; echo err >&2; while [ ! -e /work/go ]; do sleep 0.1; done; echo end; exit 6"
        n = finished(_exec(box, "-d", "--", "sh", "-c", script)).decode().strip()
        equal([(str(r["exec"]), r["detached"]) for r in _jobs()], [(n, True)])

        def wrote():
            return lazaret("logs", box, n).stdout == b"out\n"
        wait_for(wrote, "its output")
        equal(lazaret("logs", box, n).stderr, b"err\n")
        ps = [subprocess.Popen([LAZARET, "attach", box, n], env=environment(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE) for _ in range(3)]
        for p in ps:
            equal(p.stdout.readline(), b"out\n")
        ps[0].send_signal(signal.SIGINT)
        _, err = ps[0].communicate(timeout=30)
        equal(ps[0].returncode, 130)
        check(b"goes on" in err, err)
        ps[1].kill()
        ps[1].communicate(timeout=30)
        finished(_exec(box, "--", "touch", "/work/go"))
        out, err = ps[2].communicate(timeout=60)
        equal((ps[2].returncode, out, err), (6, b"end\n", b"err\n"))
        r = lazaret("attach", box, n)
        equal((finished(r, 6), r.stderr), (b"out\nend\n", b"err\n"))
        r = lazaret("logs", "--follow", box, n)
        equal((finished(r), r.stderr), (b"out\nend\n", b"err\n"))
        _no_jobs()
        finished(_exec(box, "--", "rm", "/work/go"))


def a_detached_command_is_checked_limited_and_killed():
    box = _box()
    before = [f for f in os.listdir(f"{DATA}/sandboxes/{box}") if f.startswith("exec-")]
    one_line_error(_exec(box, "-d", "--", "no-such"), 127, "no-such")
    one_line_error(_exec(box, "-d", "-i", "--", "cat"), 125, "--detach")
    one_line_error(_exec(box, "-d"), 125, "no command")
    equal([f for f in os.listdir(f"{DATA}/sandboxes/{box}") if f.startswith("exec-")], before)
    n = json.loads(finished(_exec(box, "-d", "--json", "--timeout", "1", "--", "sleep", "60")))["exec"]
    r = lazaret("attach", box, str(n))
    finished(r, 124)
    check(b"deadline" in r.stderr, r.stderr)
    n = finished(_exec(box, "-d", "--", "sleep", "300")).decode().strip()
    finished(lazaret("kill", box, n))
    equal(lazaret("attach", box, n).returncode, 137)
    one_line_error(lazaret("attach", box, "99999"), 125, "99999")
    one_line_error(lazaret("logs", box, "x"), 125, "command number")
    p = _started(box)
    n = str(_jobs()[0]["exec"])
    one_line_error(lazaret("attach", box, n), 125, "detached command")
    p.kill()
    p.communicate(timeout=30)
    _no_jobs()


def what_a_detached_command_writes_is_capped():
    box = _box()
    n = finished(_exec(box, "-d", "--", "head", "-c", "20000000", "/dev/zero")).decode().strip()
    equal(lazaret("attach", box, n).returncode, 0)
    equal(os.path.getsize(f"{DATA}/sandboxes/{box}/exec-{n}.stdout"), 16 << 20)


# ---- copies ----------------------------------------------------------------------------------


def _fill(folder):
    os.makedirs(f"{folder}/tree/sub/empty")
    data = os.urandom(3 << 20)
    for name, content, mode in (("run.sh", b"#!/bin/sh\n", 0o755), ("sub/big", data, 0o644),
                                ("sub/none", b"", 0o600)):
        with open(f"{folder}/tree/{name}", "wb") as f:
            f.write(content)
        os.chmod(f"{folder}/tree/{name}", mode)
    return f"{folder}/tree"


def _seen(top):
    found = {}
    for at, folders, files in os.walk(top):
        for name in folders:
            found[os.path.relpath(f"{at}/{name}", top)] = "folder"
        for name in files:
            with open(f"{at}/{name}", "rb") as f:
                found[os.path.relpath(f"{at}/{name}", top)] = (
                    hashlib.sha256(f.read()).hexdigest(), os.stat(f"{at}/{name}").st_mode & 0o777)
    return found


def files_and_folders_go_in_and_come_out(folder):
    box, tree = _box(), _fill(folder)
    before = sorted(os.listdir(DATA))
    with Nothing():
        finished(lazaret("cp", tree, f"{box}:/work"))
        finished(lazaret("cp", tree, f"{box}:/work/other/"))
        finished(_exec(box, "--", "test", "-x", "/work/tree/run.sh"))
        finished(lazaret("cp", f"{box}:/work/tree", f"{folder}/new"))
        equal(_seen(f"{folder}/new"), _seen(tree))
        os.mkdir(f"{folder}/there")
        finished(lazaret("cp", f"{box}:/work/other/", f"{folder}/there"))
        equal(_seen(f"{folder}/there/other"), _seen(tree))
        finished(_exec(box, "--", "sh", "-c", "echo second > /work/one"))
        with open(f"{folder}/one", "w", encoding="ascii") as f:
            f.write("first")
        finished(lazaret("cp", "box:/work/../work/one", "one", cwd=folder))
        with open(f"{folder}/one", "rb") as f:
            equal(f.read(), b"second\n")
        finished(lazaret("cp", f"{folder}/one", f"{box}:/work/tree/run.sh"))
        equal(finished(_exec(box, "--", "cat", "/work/tree/run.sh")), b"second\n")
    equal(sorted(os.listdir(DATA)), before, "spools left:")
    equal(sorted(os.listdir(folder)), ["new", "one", "there", "tree"])


def what_is_not_copied_is_said(folder):
    box, tree = _box(), _fill(folder)
    os.symlink("/etc/passwd", f"{tree}/link")
    os.mkfifo(f"{tree}/pipe")
    r = lazaret("cp", tree, f"{box}:/work/odd")
    finished(r)
    check(b"not copied: 2 entries" in r.stderr, r.stderr)
    finished(_exec(box, "--", "sh", "-c", "cd /work/odd; ln -s /etc/passwd link; mkfifo pipe; "
                                          "mkdir -m 0 shut"))
    r = lazaret("cp", f"{box}:/work/odd", f"{folder}/odd")
    finished(r)
    for name in (b"odd/link", b"odd/pipe", b"odd/shut"):
        check(b"not copied: '" + name in r.stderr, r.stderr)
    check(not os.path.lexists(f"{folder}/odd/link"), "a link came out")
    rows = [
        (("cp", f"{box}:/work/none", f"{folder}/x"), 125, "no such file"),
        (("cp", f"{box}:/", f"{folder}/x"), 126, "may not"),
        (("cp", "--max", "1M", f"{box}:/work/odd", f"{folder}/x"), 121, "--max"),
        (("cp", f"{tree}/run.sh", f"{box}:/etc/x"), 126, "may not"),
        (("cp", f"{tree}/run.sh", f"{box}:/no/such/folder"), 125, "no such"),
        (("cp", f"{tree}/link2", f"{box}:/work"), 125, "link2"),
        (("cp", f"{tree}/pipe", f"{box}:/work"), 125, "not a file or folder"),
        (("cp", f"{box}:/work/odd", f"{folder}/no/x"), 125, "cannot write"),
        (("cp", f"{box}:/work/odd", f"{folder}/odd/run.sh/x"), 125, "cannot write"),
        (("cp", "a", "b"), 125, "NAME:PATH"), (("cp", "a:b", "c:d"), 125, "NAME:PATH"),
        (("cp", "a"), 125, "two paths"), (("cp", f"{box}:", "x"), 125, "empty"),
        (("cp", "nosuch:/work", "x"), 125, "no sandbox"),
    ]
    for words, status, said in rows:
        one_line_error(lazaret(*words), status, said)
    r = lazaret("cp", f"{box}:/work/odd/pipe", f"{folder}/x")
    finished(r, 126)
    check(b"neither a file nor a folder" in r.stderr, r.stderr)
    finished(_exec(box, "--", "mkdir", "-p", "/work/odd2"))
    one_line_error(lazaret("cp", f"{box}:/work/odd2", f"{folder}/odd/run.sh"), 125, "cannot make")
    equal(sorted(os.listdir(folder)), ["odd", "tree"])


# ---- clients that harm nobody but themselves --------------------------------------------------


def a_killed_client_ends_its_command_and_no_other():
    box = _box()
    with Nothing():
        other = _started(box, "echo started; cat; echo end", "-i", stdin=subprocess.PIPE)
        p = _started(box)
        p.kill()
        p.wait(30)
        wait_for(lambda: len(_jobs()) == 1, "its command to end", 30)
        # A client that is gone, and output that nobody reads but that nobody gives up either.
        r, w = os.pipe()
        p = _start(box, "--", "yes", stdout=w, stderr=subprocess.DEVNULL)
        os.close(w)
        wait_for(lambda: select.select([r], [], [], 0)[0], "its output")
        time.sleep(1)
        p.kill()
        p.wait(30)
        wait_for(lambda: len(_jobs()) == 1, "its command to end", 30)
        os.close(r)
        out, err = other.communicate(b"still here\n", timeout=60)
        equal((other.returncode, out), (0, b"still here\nend\n"), err)


def a_client_that_stops_stops_only_its_own_command():
    box = _box()
    with Nothing():
        p = _start(box, "--", "yes")
        equal(p.stdout.readline(), b"y\n")
        p.send_signal(signal.SIGSTOP)
        for i in range(3):
            equal(finished(_exec(box, "--", "echo", str(i))), f"{i}\n".encode())
        p.kill()
        p.communicate(timeout=30)
        _no_jobs()


def _connect(name=BOX):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fd = os.open(f"{DATA}/sandboxes/{name}", os.O_RDONLY)
    s.connect(f"/proc/self/fd/{fd}/socket")
    os.close(fd)
    s.settimeout(20)
    return s


def _request(what, version=VERSION, flags=0, number=0, signo=0, rows=0, cols=0, args=0, env=0, ms=0,
             most=0, name=b"", secrets=0, secret_env=0):
    return struct.pack(REQUEST, version, what, flags, number, signo, rows, cols, args, env,
                       secrets, secret_env, ms, most, name)


def _send(s, data, fds=()):
    more = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    s.sendmsg([data], more)


def _is_dropped(s):
    try:
        return s.recv(65536) == b""
    except ConnectionResetError:
        return True


def _command(*words, seals=SEALS, raw=None):
    fd = os.memfd_create("command", os.MFD_ALLOW_SEALING)
    os.write(fd, raw if raw is not None else b"".join(w.encode() + b"\0" for w in ("", "", *words)))
    fcntl.fcntl(fd, 1033, seals)  # F_ADD_SEALS
    return fd


def a_client_that_breaks_a_rule_is_dropped():
    box = _box()
    keeper = _family(box)["keeper"]
    null = os.open("/dev/null", os.O_RDWR)
    good = _command("true")
    before = len(os.listdir(f"/proc/{keeper}/fd"))
    exec_ = _request(EXEC, args=1)
    rows = [
        (b"", ()), (b"x", ()), (b"\0" * (SIZE - 1), ()), (b"\0" * SIZE, ()),
        (b"\xff" * SIZE, ()), (b"\0" * 60000, ()),
        (_request(LIST, version=1), ()), (_request(0), ()), (_request(18), ()), (_request(999), ()),
        (_request(SNAPSHOT, name=b"x" * 65), ()), (_request(REVERT, name=b"a\0b"), ()),
        (_request(FORGET, name=b"../x"), ()), (_request(SNAPSHOT, flags=8), ()),
        (_request(MARKS, name=b"a"), ()), (_request(LIST, name=b"a"), ()),
        (_request(LIST, flags=1), ()), (_request(LIST, ms=1), ()), (_request(LIST), (null,)),
        (_request(KILL, number=0, signo=9), ()), (_request(WAIT), ()), (_request(WAIT, number=1, signo=1), ()),
        (_request(KILL, number=1, signo=0), ()), (_request(KILL, number=1, signo=65), ()),
        (_request(SIGNAL, signo=9), ()), (_request(RESIZE, rows=1, cols=1), ()),
        (exec_, ()), (exec_, (good,)), (exec_, (good, null)), (exec_, (good,) + (null,) * 3),
        (exec_, (null,) * 8), (exec_, (null,) * 100),
        (_request(EXEC, args=1, flags=64), (good, null, null)),
        (_request(EXEC, args=1, flags=16), (good, null, null)),
        (_request(EXEC, args=1, flags=56), (good, null, null)),
        (_request(EXEC, args=1, flags=4), (good, null, null)),
        (_request(EXEC, args=1, flags=5), (good,)), (_request(EXEC, args=1, flags=6), (good,)),
        (_request(EXEC, args=1 << 31), (good, null, null)),
        (_request(EXEC, args=1, secrets=1), (good, null, null)), (_request(LIST, secrets=1), ()),
        (_request(EXEC, args=1, secrets=33), (good, null, null)), (_request(LIST, secret_env=1), ()),
    ]
    for data, fds in rows:
        s = _connect()
        _send(s, data, fds)
        check(_is_dropped(s), f"not dropped: {data[:48]!r}, {len(fds)} fds")
        s.close()
    equal(len(os.listdir(f"/proc/{keeper}/fd")), before, "fds of the keeper:")
    equal(finished(_exec(box, "--", "echo", "alive")), b"alive\n")


def a_client_that_lies_about_its_command_is_told():
    _box()
    null = os.open("/dev/null", os.O_RDWR)
    r, _ = os.pipe()
    rows = [
        (null, 1), (r, 1), (_command("true", seals=0), 1), (_command("true", seals=0x2), 1),
        (_command(raw=b""), 1), (_command(raw=b"\0"), 1), (_command(raw=b"\0\0true"), 1),
        (_command("true"), 2), (_command("true"), 0), (_command("true", "x"), 1),
        (_command(raw=b"\0\0" + b"x" * (2 << 20) + b"\0"), 1),
    ]
    for fd, count in rows:
        s = _connect()
        _send(s, _request(EXEC, args=count), (fd, null, null))
        answer = s.recv(65536)
        equal(struct.unpack_from("<II", answer), (VERSION, 1), "not an answer:")
        check(b"command" in answer, "not told")
        check(_is_dropped(s), "not dropped")
    equal(_jobs(), [])


def a_client_that_changes_its_mind_ends_its_job():
    _box()
    null = os.open("/dev/null", os.O_RDWR)
    s = _connect()
    _send(s, _request(EXEC, args=2), (_command("sleep", "300"), null, null))
    equal(struct.unpack_from("<II", s.recv(65536)), (VERSION, 2), "not STARTED:")
    _send(s, _request(DOWN))
    check(_is_dropped(s), "not dropped")
    _no_jobs()


def a_client_that_reads_no_answers_keeps_nothing_from_its_end():
    _box()
    null = os.open("/dev/null", os.O_RDWR)
    s = _connect()
    _send(s, _request(EXEC, args=2), (_command("sleep", "1"), null, null))
    _no_jobs()
    s.close()


def a_hundred_clients_that_say_nothing_keep_nobody_out():
    box = _box()
    keeper = _family(box)["keeper"]
    before = len(os.listdir(f"/proc/{keeper}/fd"))
    silent = []
    for _ in range(100):
        silent.append(_connect())
    began = time.monotonic()
    equal(finished(_exec(box, "--", "echo", "in")), b"in\n")
    check(len(os.listdir(f"/proc/{keeper}/fd")) <= before + 40, "too many are held")
    for s in silent:
        check(_is_dropped(s), "not dropped")
    check(time.monotonic() - began < 60, "held too long")
    wait_for(lambda: len(os.listdir(f"/proc/{keeper}/fd")) == before, "the fds to be closed", 10)


def another_user_gets_nothing():
    if os.geteuid() != 0:
        raise Skip("only root can be somebody else")
    _box()
    code = ("import os,socket,sys\n"
            "s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)\n"
            "os.chdir(sys.argv[1])\n"  # past folders of the host that would stop them already
            "os.setgid(65534); os.setuid(65534)\n"
            "try: s.connect('socket')\n"
            "except OSError as e: print(type(e).__name__); sys.exit()\n"
            "try: print(s.recv(10))\n"
            "except OSError as e: print(type(e).__name__)\n")
    path = f"{DATA}/sandboxes/{BOX}/socket"

    def outcome():
        return subprocess.run(["/usr/bin/python3", "-c", code, os.path.dirname(path)], capture_output=True,
                              check=True, timeout=60).stdout
    equal(os.stat(path).st_mode & 0o777, 0o600)
    equal(outcome(), b"PermissionError\n")
    try:  # even where the modes would let them
        os.chmod(os.path.dirname(path), 0o711)
        os.chmod(path, 0o666)
        equal(outcome(), b"b''\n")
    finally:
        os.chmod(path, 0o600)
        os.chmod(os.path.dirname(path), 0o700)
    equal(finished(_exec(BOX, "--", "echo", "alive")), b"alive\n")


if __name__ == "__main__":
    main()
