#!/usr/bin/env python3
"""test_debug: promises of --debug and of a shell: what is not confined is marked wherever it is told."""
import json
import os

from e2e import DATA, check, equal, finished, lazaret, main, one_line_error, run

TRACE = "import ctypes; print(ctypes.CDLL(None).ptrace(0, 0, 0, 0))"  # PTRACE_TRACEME
MARK = "debug, not confined"


def _marked(r):
    lines = r.stderr.decode().splitlines()
    check(lines and all(line.startswith(f"lazaret: {MARK}: ") for line in lines), f"lines: {lines}")


def _files(folder):
    for name in ("run.json", "plan.json", "result.json"):
        with open(f"{folder}/{name}", encoding="utf-8") as f:
            equal(json.load(f).get("debug"), True, f"{name}:")
    with open(f"{folder}/journal", encoding="utf-8") as f:
        check(all(json.loads(line)["debug"] for line in f), "a line of the journal is not marked")


def _recorded(record):
    lines = [json.loads(line) for line in finished(lazaret("record", "show", "--json", record)).splitlines()]
    equal([d["type"] for d in lines if d.get("debug") is not True], [])
    check({"begin", "file", "exec", "destroyed"} <= {d["type"] for d in lines}, lines)
    for args in (("record", "ls"), ("events",)):
        told = [line for line in finished(lazaret(*args)).decode().splitlines() if record in line]
        check(told and all(MARK in line for line in told), told)
    check(MARK in finished(lazaret("report", record)).decode().lower(), "the page does not say so")


def a_debug_run_may_trace_and_is_marked_everywhere():
    r = run(["python3", "-c", TRACE], "--debug", "--json", "--keep-logs")
    d = json.loads(finished(r))
    equal((d["stdout"], d["debug"]), ("0\n", True))
    _marked(r)
    _files(f"{DATA}/runs/{d['id']}")
    rows = json.loads(finished(lazaret("ls", "--all", "--json")))
    equal([row.get("debug") for row in rows if row["id"] == d["id"]], [True])
    listed = finished(lazaret("ls", "--all")).decode().splitlines()
    check(any(d["id"] in line and MARK in line for line in listed), listed)
    _recorded(d["id"])
    finished(lazaret("gc", "--kept"))
    r = run(["python3", "-c", TRACE], "--json")
    d = json.loads(finished(r))
    equal((d["stdout"], d.get("debug")), ("-1\n", None))
    check(b"refused 1 call of ptrace" in r.stderr and MARK.encode() not in r.stderr, r.stderr)


def a_debug_sandbox_marks_its_commands_and_has_a_shell():
    box = f"debug-{os.getpid()}"
    r = lazaret("up", box, "--accel", "tcg", "--debug")
    finished(r)
    _marked(r)
    try:
        r = lazaret("exec", box, "--json", "--", "python3", "-c", TRACE)
        d = json.loads(finished(r))
        equal((d["stdout"], d["debug"]), ("0\n", True))
        _marked(r)
        r = lazaret("exec", box, "--shell", input=b"echo $((6 * 7)); exit 3\n")
        equal((r.returncode, r.stdout), (3, b"42\n"))
        r = lazaret("exec", box, "--shell", "--", "true")
        equal(r.returncode, 125)
    finally:
        finished(lazaret("down", box))


TRACED = r"""
import os, subprocess, threading
secret = open('/run/secrets/KEY').read()
threading.Thread(target=os.getcwd).start()
subprocess.run(['true'], env={'TOKEN': secret})
os.write(1, secret.encode())
try:
    os.open('/no\nne', 0)
except OSError:
    os.kill(os.getpid(), 9)
"""


def with_trace_the_console_tells_each_system_call(folder):
    with open(f"{folder}/key", "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write("do not tell")
    r = run(["python3", "-c", TRACED], "--debug", "--trace", "--keep-logs", "--json", "--secret", f"KEY={folder}/key")
    d = json.loads(finished(r, 128 + 9))
    equal((d["class"], d["stdout"]), ("signaled", "do not tell"))
    with open(f"{DATA}/runs/{d['id']}/console.log", encoding="utf-8") as f:
        log = f.read()
    lines = [line.partition("exec 1: ")[2] for line in log.splitlines() if "lazaret-agent: exec 1: " in line]
    calls = [line.split(" ", 1)[1] for line in lines]
    check('openat(0xffffff9c, "/no%0ane", 0x80000, 0x0) = -ENOENT' in calls, calls[-5:])
    check(any(c.startswith("execve(") and '/true", ' in c and c.endswith(" = 0") for c in calls), "the child's calls are not there")
    check(any(c.startswith("getcwd(") for c in calls), "the thread's calls are not there")
    check(any(c.startswith("write(0x1, ") and c.endswith(" = 11") for c in calls), "no write")
    check(len({line.split()[0] for line in lines}) >= 3, "one process only")
    check("do not tell" not in log, "what was read is there")
    finished(lazaret("gc", "--kept"))
    one_line_error(lazaret("run", "--trace", "--keep-logs", "--", "true"), 125, "--trace needs --debug")
    one_line_error(lazaret("run", "--trace", "--debug", "--", "true"), 125, "--keep-logs")


if __name__ == "__main__":
    main()
