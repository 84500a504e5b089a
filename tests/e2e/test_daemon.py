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


def _end_daemons():
    for pid, cmdline in processes().items():
        if cmdline.split(" ")[0].endswith(("libvirtd", "virtlogd")):
            os.kill(pid, signal.SIGKILL)


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
    _not_for_root()
    if os.environ.get("LAZARET_E2E_FAULTS") != "all":
        raise Skip("with LAZARET_E2E_FAULTS=all: it takes long")
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
