#!/usr/bin/env python3
"""test_debug: promises of --debug and of a shell: what is not confined is marked wherever it is told."""
import json
import os

from e2e import DATA, check, equal, finished, lazaret, main, run

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


if __name__ == "__main__":
    main()
