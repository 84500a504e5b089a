"""Guests that are ready before the run that takes one: what they are, for whom, and how they end."""
import json
import os
import signal
import subprocess
import time
import unittest.mock

from e2e import *
from live import family, state

TELL = ("cat /etc/machine-id /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | od -An -tx8 | tr -d ' '; "
        "date +%s.%N")


def _pool():
    return json.loads(finished(lazaret("pool", "ls", "--json")))


def _ready(n=1):
    """The names of the guests that are ready, once there are so many."""
    def look():
        rows = _pool()
        return len(rows) == n and all(r["state"] == "paused" for r in rows) and [r["id"] for r in rows]

    return wait_for(look, f"{n} guests that are ready")


def _drain():
    finished(lazaret("pool", "rm"))
    equal(_pool(), [])


def _run(script, n, *options, **kwargs):
    """The result of a run with --pool."""
    began = time.time()
    d = json.loads(finished(sh(script, "--pool", str(n), "--json", *options, **kwargs)))
    d["began"], d["ended"] = began, time.time()
    return d


class Pool(Nothing):
    """with Pool(): one guest is ready, and at the end nothing is left."""

    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        super().__enter__()
        r = run(["true"], "--pool", "1", *self.options)
        finished(r)
        check(b"no guest was ready" in r.stderr, f"said: {r.stderr}")
        self.name, = _ready()
        return self

    def __exit__(self, kind, value, trace):
        _drain()
        super().__exit__(kind, value, trace)


def a_run_takes_the_guest_that_is_ready_and_agrees_with_no_other():
    with Pool() as pool:
        results = [_run(TELL, 1)]
        waited, = _ready()
        _nobody_else_works_in(waited)
        results.append(_run(TELL, 0))
        check(results[0]["id"] == pool.name and results[1]["id"] == waited, f"{results}")
        check(pool.name not in sandboxes() and waited not in sandboxes(), "one was used twice")
    said = [r["stdout"].split() for r in results]
    for r, words in zip(results, said):
        equal((r["pooled"], r["warm"], r["notes"]), (True, True, []))
        check(r["began"] - 1 <= float(words[-1]) <= r["ended"] + 1,
              f"the guest's clock says {words[-1]}, the run was from {r['began']} to {r['ended']}")
        equal(sum(v for k, v in r["timing_us"].items() if k != "whole"), r["timing_us"]["whole"])
    for a, b in list(zip(*said))[:-1]:
        check(len(a) >= 32 and a != b, f"both say {a}")


def _nobody_else_works_in(name):
    theirs = "takes the command of one 'lazaret run --pool'"
    for args in (("exec", name, "--", "true"), ("exec", name, "-d", "--", "true"), ("snapshot", name),
                 ("fork", name, "other"), ("resume", name), ("cp", "/etc/hostname", f"{name}:/tmp/"),
                 ("run", "--fork-from", name, "--", "true")):
        one_line_error(lazaret(*args), 125, theirs)
    one_line_error(lazaret("up", "pool.mine", "--accel", "tcg"), 125, "is the pool's")
    equal(state(name), "paused")


def what_a_run_is_given_and_how_it_ends_is_as_without_a_pool(folder):
    with open(f"{folder}/key", "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write(b"known to one run only")
    with Pool() as pool:
        secret = ("--secret", f"key={folder}/key", "--env", "WHO=me")
        r = sh("cat; echo $WHO; cat /run/secrets/key; echo bad >&2; exit 7", "--pool", "1", "-i", *secret,
               input=b"typed\n")
        equal((r.returncode, r.stdout, r.stderr), (7, b"typed\nme\nknown to one run only", b"bad\n"))
        # Of a guest that was given to somebody else, the secret is given to the next.
        first, = _ready()
        slow = start(["sh", "-c", "echo started; sleep 300"], "--pool", "0")
        equal(slow.stdout.readline(), b"started\n")
        equal(state(first), "running")
        equal(_run("cat /run/secrets/key", 1, *secret)["stdout"], "known to one run only")
        slow.send_signal(signal.SIGTERM)
        slow.wait(60)
        equal(slow.returncode, 128 + signal.SIGTERM)
        check(len({pool.name, first, *_ready()}) == 3, "a name was used twice")
        one_line_error(run(["sleep", "300"], "--pool", "1", "--timeout", "2s"), 124, "deadline of 2.000 s")


def one_that_is_another_guest_is_not_taken(folder):
    policy = f"{folder}/policy.json"
    with open(policy, "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-policy", "version": 1, "max": {"memory": "400M"}}, f)
    with Pool("--memory", "96M", "--env", "TOKEN=of-one-run") as pool:
        for options in (("--memory", "97M"), ("--memory", "96M", "--pids", "50"), ("--memory", "96M", "--debug"),
                        ("--memory", "96M", "--policy", policy)):
            check("pooled" not in _run("true", 0, *options), f"taken with {options}")
        with unittest.mock.patch.dict(os.environ, SSL_CERT_FILE="/dev/null"):
            check("pooled" not in _run("true", 0, "--memory", "96M"), "taken with another trust store")
        equal(_ready(), [pool.name])
        for pid in family(pool.name).values():
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                check(b"of-one-run" not in f.read(), "what one run was told is to be seen while others run")
        check(_run("true", 0, "--memory", "96M", "--env", "A=b", "--timeout", "1m")["pooled"], "not taken")


def of_two_runs_that_want_one_guest_one_gets_it():
    with Pool():
        ps = [start(["echo", str(i)], "--pool", "0", "--json") for i in range(2)]
        results = [json.loads(p.communicate(timeout=240)[0]) for p in ps]
        equal([r["stdout"] for r in results], ["0\n", "1\n"])
        equal(sorted("pooled" in r for r in results), [False, True])


def one_that_nobody_takes_ends_and_one_that_was_killed_is_made_anew():
    with Pool("--pool-idle", "3s"):
        wait_for(lambda: not _pool(), "its end")
        finished(run(["true"], "--pool", "2"))
        names = _ready(2)
        for name, who in zip(names, ("qemu", "supervisor")):
            os.kill(family(name)[who], signal.SIGKILL)
            wait_for(lambda name=name: state(name) == "dead", f"the end of {name}")
        check("pooled" not in _run("true", 1), "a dead one was taken")
        check(not set(_ready()) & set(names), "a name was used twice")


def what_no_guest_can_be_ready_for_is_refused(folder):
    policy = f"{folder}/policy.json"
    with open(policy, "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-policy", "version": 1,
                   "alerts": [{"when": "silence", "for": "15m", "action": "log"}]}, f)
    with Nothing():
        for options, words in ((("--in", folder), "--in"), (("--out", f"{folder}/out"), "--out"),
                               (("--amnesic",), "--amnesic"), (("--cold",), "--cold"), (("--policy", policy), "alerts"),
                               (("--keep", "box"), "--keep"), (("--pool-idle", "25h"), "--pool-idle")):
            one_line_error(run(["true"], "--pool", "1", *options), 125, "--pool", words)
        one_line_error(run(["true"], "--pool", "17"), 125, "--pool", "16")
        one_line_error(run(["true"], "--pool-idle", "1m"), 125, "needs --pool")
        for command in (("up", "box"), ("check",)):
            one_line_error(lazaret(*command, "--pool", "1", "--accel", "tcg"), 125, "--pool")
        equal(_pool(), [])


if __name__ == "__main__":
    main()
