"""live: sandboxes as the tests have them: up, their commands, and the processes that they are."""
import json
import os
import subprocess

from e2e import *


def up(name, *options, **kwargs):
    return lazaret("up", name, "--accel", "tcg", *options, timeout=240, **kwargs)


def execute(name, *words, **kwargs):
    """A command in it, to its end."""
    kwargs.setdefault("stdin", None if "input" in kwargs else subprocess.DEVNULL)
    if "input" in kwargs:
        del kwargs["stdin"]
    return lazaret("exec", name, *words, **kwargs)


def begin(name, *words, **kwargs):
    for stream in ("stdin", "stdout", "stderr"):
        kwargs.setdefault(stream, subprocess.DEVNULL if stream == "stdin" else subprocess.PIPE)
    return subprocess.Popen([LAZARET, "exec", name, *words], env=environment(), **kwargs)


def started(name, script="echo started; exec sleep 300", *options, **kwargs):
    p = begin(name, *options, "--", "sh", "-c", script, **kwargs)
    equal(p.stdout.readline(), b"started\n")
    return p


def jobs(name):
    return json.loads(finished(lazaret("ps", name, "--json")))


def recorded(kind, id_):
    """The lines of a type in the record of a run, or of the last life of a sandbox."""
    names = sorted(n for n in os.listdir(f"{DATA}/records") if n == f"{id_}.jsonl" or n.startswith(f"{id_}."))
    with open(f"{DATA}/records/{names[-1]}", encoding="utf-8") as f:
        return names[-1].removesuffix(".jsonl"), [r for r in map(json.loads, f) if r["type"] == kind]


def state(name):
    rows = json.loads(finished(lazaret("ls", "--json")))
    return next((r["state"] for r in rows if r["id"] == name), None)


def works(name, what, timeout):
    """After `what`: its command and its file are as they were, and True; or it was about to die, and is dead soon."""
    r = execute(name, "--", "cat", "/work/n", timeout=timeout)
    if r.returncode == 0:
        equal(r.stdout, b"first\n", what)
        return True
    wait_for(lambda: state(name) in ("dead", None), f"the death of '{name}': {what}", 60)
    return False


def supervisor(name):
    with open(f"{DATA}/sandboxes/{name}/run.json", encoding="utf-8") as f:
        return json.load(f)["pid"]


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(c) for c in f.read().split()]


def family(name):
    """Supervisor, init, keeper and QEMU of a sandbox."""
    top = supervisor(name)
    init = _children(top)[0]
    found = {"supervisor": top, "init": init}
    for child in _children(init):
        with open(f"/proc/{child}/comm", encoding="ascii") as f:
            comm = f.read().strip()
        found["keeper" if comm == "lazaret" else "qemu"] = child
    return found


__all__ = [n for n in dir() if not n.startswith("_")]
