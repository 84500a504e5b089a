"""--connect qemu:///session: a guest by a local libvirt daemon, which libvirt starts by itself."""
import json
import os
import signal
import time

from e2e import *

SESSION = ("--connect", "qemu:///session")


def _not_for_root():
    if os.geteuid() == 0:
        raise Skip("root has no session daemon")


def _guests():
    return {pid for pid, cmdline in processes().items() if "guest=lazaret-" in cmdline}


def _daemons(*names):
    """Those of this test's own home. Libvirt passes them few variables, and none of ours."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f, open(f"/proc/{pid}/environ", "rb") as g:
                program, variables = f.read().split(b"\0")[0].decode(errors="replace"), g.read().split(b"\0")
        except OSError:
            continue
        if os.path.basename(program) in names and f"HOME={os.environ['HOME']}".encode() in variables:
            found.append(int(pid))
    return found


def _end_daemons():
    for pid in _daemons("libvirtd", "virtlogd"):
        os.kill(pid, signal.SIGKILL)


def _takes_long():
    _not_for_root()
    if os.environ.get("LAZARET_E2E_FAULTS") not in ("all", "places"):
        raise Skip("with LAZARET_E2E_FAULTS=all: it takes long")


def a_session_daemon_runs_the_guest_too():
    _not_for_root()
    before = runs(), _guests()
    try:
        r = sh("cat; id -u; exit 4", "-i", *SESSION, input=b"through\n")
        equal(finished(r, 4), b"through\n1000\n")
        equal((runs(), _guests()), before)
    finally:
        _end_daemons()


def a_guest_in_the_daemon_whose_qemu_answers_nothing_is_ended():
    """After the 20 s that QEMU has for an answer."""
    _takes_long()
    before = runs(), _guests()
    try:
        p = start(["sh", "-c", "echo started; exec sleep 300"], *SESSION)
        equal(p.stdout.readline(), b"started\n")
        for pid in _guests() - before[1]:
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        _, err = p.communicate(timeout=120)
        equal(p.returncode, 125)
        check(b"QEMU did not answer" in err, err)
        print(f"# from stop to end: {time.monotonic() - began:.1f} s", flush=True)
        equal((runs(), _guests()), before)
    finally:
        _end_daemons()


def a_guest_in_the_daemon_that_is_stopped_at_its_start_is_ended():
    """After the 60 s that QEMU has to start, or the 20 s for an answer if it was that far."""
    _takes_long()
    before = runs(), _guests()
    try:
        p = start(["true"], *SESSION)
        wait_for(lambda: p.poll() is not None or [os.kill(pid, signal.SIGSTOP) for pid in _guests() - before[1]], "QEMU")
        began = time.monotonic()
        _, err = p.communicate(timeout=180)
        equal(p.returncode, 125)
        print(f"# from stop to end: {time.monotonic() - began:.1f} s: {err.decode()}", flush=True)
        check(b"QEMU did not answer" in err, err)
        equal((runs(), _guests()), before)
    finally:
        _end_daemons()


def a_daemon_that_is_stopped_is_given_up():
    """After the minute that a connection may take, and after 15 s where there is one."""
    _takes_long()
    before = runs(), _guests()
    try:
        p = start(["sh", "-c", "echo started; exec sleep 300"], *SESSION)
        if p.stdout.readline() != b"started\n":
            raise AssertionError(p.communicate(timeout=60)[1])
        daemons = _daemons("libvirtd")
        check(daemons, "there is no daemon")
        for pid in daemons:
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        _, err = p.communicate(timeout=120)
        print(f"# a run: {time.monotonic() - began:.1f} s: {err.decode()}", flush=True)
        equal(p.returncode, 125)
        began = time.monotonic()
        r = run(["true"], *SESSION)
        print(f"# a new one: {time.monotonic() - began:.1f} s: {r.stderr.decode()}", flush=True)
        one_line_error(r, 125, "cannot connect to libvirt: it did not answer within 60 s")
        for pid in daemons:
            os.kill(pid, signal.SIGCONT)
        finished(lazaret("gc"))
        equal((runs(), _guests()), before)
    finally:
        _end_daemons()


def after_a_killed_launcher_gc_leaves_no_guest_in_the_daemon():
    _not_for_root()
    before = runs(), _guests()
    try:
        p = start(["sh", "-c", "echo started; exec sleep 300"], *SESSION)
        equal(p.stdout.readline(), b"started\n")
        os.kill(p.pid, signal.SIGKILL)
        p.wait(30)
        rows = wait_for(lambda: [r for r in json.loads(finished(lazaret("ls", "--all", "--json")))
                                 if r["state"] == "dead"], "the run to be dead", 20)
        equal(len(rows), 1)
        finished(lazaret("gc"))
        time.sleep(0.2)
        equal((runs(), _guests()), before)
    finally:
        _end_daemons()


if __name__ == "__main__":
    main()
