"""e2e: the harness of the end-to-end tests: real guests through libvirt, no mocks.

Every test is a function whose name is the promise; main() runs those of a file and prints TAP.
LAZARET is the program, LAZARET_DATA_DIR holds the image 'default' (scripts/test makes it).
"""
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

LAZARET = os.environ.get("LAZARET", "lazaret")
DATA = os.environ["LAZARET_DATA_DIR"]
MARK = f"LAZARET_E2E_MARK={os.getpid()}"


class Skip(Exception):
    """The reason why a promise cannot be tried on this host."""


def environment(**more):
    env = dict(os.environ)
    key, value = MARK.split("=")
    env[key] = value
    env.update(more)
    return env


def argv(options, command):
    return [LAZARET, "run", "--accel", "tcg", *options, "--", *command]


def run(command, *options, timeout=240, **kwargs):
    """Runs a command in a guest to its end; stdout and stderr are bytes."""
    kwargs.setdefault("stdin", None if "input" in kwargs else subprocess.DEVNULL)
    if "input" in kwargs:
        del kwargs["stdin"]
    return subprocess.run(argv(options, command), capture_output=True, timeout=timeout,
                          env=environment(), check=False, **kwargs)


def start(command, *options, **kwargs):
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    kwargs.setdefault("stdout", subprocess.PIPE)
    kwargs.setdefault("stderr", subprocess.PIPE)
    return subprocess.Popen(argv(options, command), env=environment(), **kwargs)


def lazaret(*args, env=None, timeout=120, **kwargs):
    return subprocess.run([LAZARET, *args], capture_output=True, timeout=timeout,
                          env=environment(**(env or {})), check=False, **kwargs)


def sh(script, *options, **kwargs):
    return run(["sh", "-c", script], *options, **kwargs)


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what} got {got!r}, want {want!r}")


def check(truth, what):
    if not truth:
        raise AssertionError(what)


def finished(result, status=0):
    """The run ended with this status, or the test fails with what it said."""
    if result.returncode != status:
        raise AssertionError(f"status {result.returncode}, want {status}; "
                             f"stderr: {result.stderr.decode(errors='replace')[-1500:]}")
    return result.stdout


def one_line_error(result, status, *words):
    """Exactly one line on stderr, with these words in it, and this status."""
    text = result.stderr.decode()
    finished(result, status)
    lines = [line for line in text.splitlines() if line]
    equal(len(lines), 1, f"lines of {text!r}:")
    check(text.rstrip("\n").isprintable(), f"control characters in {text!r}")
    for word in words:
        check(word in text, f"'{word}' is not in {text!r}")


def _table():
    """Every process that we may look at: {pid: (parent, command line, is it marked as ours)}."""
    table = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                cmdline = f.read().replace(b"\0", b" ").decode(errors="replace")
            with open(f"/proc/{pid}/environ", "rb") as f:
                marked = MARK.encode() in f.read()
        except OSError:
            continue
        table[int(pid)] = (parent, cmdline, marked)
    return table


def processes():
    """Every process of ours, and every guest but those of somebody else's lazaret."""
    found, table = {}, _table()
    for pid, (up, cmdline, marked) in table.items():
        foreign = False
        if "guest=lazaret-" in cmdline and not marked:
            while up in table and not marked:
                foreign = foreign or "lazaret" in table[up][1].split(" ")[0]
                up, _, marked = table[up]
            marked = marked or not foreign
        if marked and pid != os.getpid():
            found[pid] = cmdline[:100]
    return found


def _listed(place):
    try:
        return sorted(os.listdir(f"{DATA}/{place}"))
    except FileNotFoundError:
        return []


def runs():
    return _listed("runs")


def sandboxes():
    return _listed("sandboxes")


def sockets():
    """Unix sockets with a path of ours, in this network namespace."""
    with open("/proc/net/unix") as f:
        return [line.split()[-1] for line in f if DATA in line or "/run/lz" in line]


class Nothing:
    """with Nothing(): what the body starts is gone afterwards: processes, folders, sockets."""

    def __enter__(self):
        self.before = (set(processes()), runs(), sockets(), sandboxes())
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            return
        deadline = time.monotonic() + 5
        while set(processes()) - self.before[0] and time.monotonic() < deadline:
            time.sleep(0.02)
        left = {p: c for p, c in processes().items() if p not in self.before[0]}
        equal(left, {}, "processes left:")
        equal(runs(), self.before[1], "run folders left:")
        equal(sockets(), self.before[2], "sockets left:")
        equal(sandboxes(), self.before[3], "sandbox folders left:")


def wait_for(probe, what, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = probe()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"timed out waiting for {what}")


def below(top):
    """Every process below this one: {pid: (parent, command line)}."""
    found, table = {}, _table()
    for pid, (up, cmdline, _) in table.items():
        at = up
        while at in table and at != top:
            at = table[at][0]
        if at == top:
            found[pid] = (up, cmdline)
    return found


def _one_below(popen, word):
    """(pid, parent) of the process below a running lazaret that has this in its command line."""
    return next(((pid, up) for pid, (up, cmdline) in below(popen.pid).items() if word in cmdline), None)


def qemu_of(popen):
    """The pid of the QEMU below a running lazaret."""
    return wait_for(lambda: _one_below(popen, "guest=lazaret-"), "QEMU")[0]


def relay_of(popen):
    """The pids of the relay below a running lazaret, and of the keeper."""
    return wait_for(lambda: _one_below(popen, "lazaret-relay "), "the relay")


def main():
    only = sys.argv[1:]
    module = sys.modules["__main__"]
    tests = [(n, f) for n, f in vars(module).items()
             if callable(f) and getattr(f, "__module__", "") == "__main__" and not n.startswith("_")
             and isinstance(f, type(main)) and (not only or n in only)]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests, 1):
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="lz-e2e-") as folder:
                test(folder) if test.__code__.co_argcount else test()
            verdict = f"ok {number} - {name}"
        except Skip as reason:
            verdict = f"ok {number} - {name} # SKIP {reason}"
        except Exception as e:  # pylint: disable=broad-except
            failed += 1
            verdict = f"not ok {number} - {name}"
            for pid in processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            for line in ("".join(traceback.format_exception(e))).splitlines():
                print(f"# {line}")
        print(f"{verdict}", flush=True)
        print(f"# {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(1 if failed else 0)


__all__ = [n for n in dir() if not n.startswith("_")]
