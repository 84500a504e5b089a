"""Programs: whatever call fails inside of one that lazaret starts to read a guest, the error is the host's
and in a line, and nothing is left. As test_faults.py does it of lazaret's own processes (faults.py)."""
import json
import os
import shutil
import signal
import subprocess

from e2e import *
from faults import *
from live import execute, up

import servers

JOB = "cat; cat /in/a; cat /run/secrets/KEY; mkdir /out/d; echo made > /out/d/b; echo said >&2; ln -s b /out/l"


def _give(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
        f.write(text)


def _runs_with(folder, program, *options):
    """What a run with inputs, outputs, a secret and every stream says; after a success it is all there."""
    fault = Fault(folder, program)
    os.makedirs(f"{folder}/in", exist_ok=True)
    _give(f"{folder}/in/a", "given,")
    _give(f"{folder}/typed", "typed,")
    _give(f"{folder}/key", "kept")

    def operation():
        shutil.rmtree(f"{folder}/out", ignore_errors=True)
        os.mkdir(f"{folder}/out")
        with open(f"{folder}/typed", "rb") as typed:
            r = lazaret("run", "-i", "--accel", "tcg", *SMALL, "--in", f"{folder}/in", "--out", f"{folder}/out",
                        "--secret", f"KEY={folder}/key", *options, "--", "sh", "-c", JOB,
                        env=fault.env(), timeout=100, stdin=typed)
        left = sorted(os.path.relpath(os.path.join(at, name), f"{folder}/out")
                      for at, folders, files in os.walk(f"{folder}/out") for name in folders + files)
        if r.returncode == 0:
            said = json.loads(r.stdout)["stdout"] if "--json" in options else r.stdout.decode()
            equal(said, "typed,given,kept", fault.what())
            equal(left, ["out.tar.age"] if "--out-recipient" in options else ["d", "d/b"], fault.what())
        check(not [name for name in left if ".lazaret" in name], f"{fault.what()}: {left}")
        check("--json" in options or r.returncode or b"said\n" in r.stderr, f"{fault.what()}: {r.stderr}")
        return r.returncode, r.stderr.replace(b"said\n", b"")
    return fault, operation


def a_fault_in_the_relay_is_said_and_leaves_nothing(folder):
    fault, operation = _runs_with(folder, "lazaret-relay")
    operation()  # the saved guest is there
    walk("relay", fault, operation, few=("call",))
    if EVERY:
        walk("relay of a guest that boots", *_runs_with(folder, "lazaret-relay", "--cold"))


def a_sandbox_whose_relay_has_a_fault_works_or_is_dead(folder):
    walk_sandbox(folder, "relay of a sandbox", ["snapshot", "frail"], ["revert", "frail"],
                 few=("call",), program="lazaret-relay")


def a_fault_in_what_unpacks_is_said_and_leaves_nothing(folder):
    public = finished(lazaret("keygen", f"{folder}/mine")).decode().strip()
    for name, *options in (("unpack", "--json"), ("unpack, sealed", "--out-recipient", public)):
        walk(name, *_runs_with(folder, "lazaret-unpack", *options), few=("call",))


def a_fault_in_what_compares_is_said_and_leaves_nothing(folder):
    fault = Fault(folder, "lazaret-look")

    def operation():
        shutil.rmtree(f"{folder}/out", ignore_errors=True)
        r = lazaret("diff", "frail", "--out", f"{folder}/out", env=fault.env(), timeout=100)
        if r.returncode == 0:
            equal(r.stdout, b"A /work/new\n", fault.what())
            with open(f"{folder}/out/work/new", encoding="ascii") as f:
                equal(f.read(), "second\n", fault.what())
        return r.returncode, r.stderr
    with Clean():
        finished(up("frail", *SMALL))
        finished(lazaret("snapshot", "frail"))
        finished(execute("frail", "--", "sh", "-c", "echo second > /work/new; sync"))
        try:
            walk("look", fault, operation, few=("call",))
        finally:
            finished(lazaret("down", "frail"))


ASK = """
import socket
s = socket.create_connection(("127.0.0.1", 3128), 30)
s.sendall(b"CONNECT good.test:%d HTTP/1.1\\r\\n\\r\\n")
try:
    if s.recv(999).split()[1] == b"200":
        s.sendall(b"hello"); s.shutdown(1); print(s.recv(9).decode(), end="")
except OSError:
    print("broken off", end="")
"""


def _needs_a_network():
    if not servers.is_alone():
        raise Skip("needs root, for a network namespace of its own")


def a_fault_in_the_gateway_is_said_and_leaves_nothing(folder):
    _needs_a_network()
    fault = Fault(folder, "lazaret-gateway")
    port = servers.tcp(servers.echo)
    names = servers.Names({"good.test": ["127.0.0.1"]})
    _give(f"{folder}/policy", json.dumps({"format": "lazaret-policy", "version": 1, "network_ranges": ["127.0.0.0/8"]}))

    def operation():
        """A job that got no answer is told why."""
        r = lazaret("run", "--accel", "tcg", "--memory", "96M", "--policy", f"{folder}/policy",
                    "--allow", f"tcp://good.test:{port}", "--", "python3", "-S", "-c", ASK % port,
                    env=fault.env() | {"LAZARET_DNS": names.at}, timeout=100, stdin=subprocess.DEVNULL)
        if r.returncode == 0 and r.stdout not in (b"hello", b"broken off"):
            equal(r.stdout, b"", fault.what())
            check(b"egress refused: good.test" in r.stderr and b"took too long" not in r.stderr,
                  f"{fault.what()}: {r.stderr}")
        return r.returncode, r.stderr
    walk("gateway", fault, operation, few=("call",))


def a_guest_that_boots_in_a_saved_ones_place_has_a_fence_of_its_own(folder):
    """The saved one is let go because its gateway is silent; the fence around it was read by then."""
    _needs_a_network()
    if not EVERY:
        raise Skip("takes a minute: only where every fault is tried")
    _give(f"{folder}/policy", json.dumps({"format": "lazaret-policy", "version": 1, "network": ["tcp://a.test:1"]}))
    words = ("--memory", "96M", "--policy", f"{folder}/policy", "--allow", "tcp://a.test:1")
    with Clean():
        finished(run(["true"], *words))  # the saved guest is there
        p = start(["sh", "-c", "sleep 3; echo done"], *words)
        gateway = wait_for(lambda: [pid for pid, (_, line) in below(p.pid).items() if "lazaret-gateway" in line],
                           "the gateway")[0]
        os.kill(gateway, signal.SIGSTOP)
        try:
            saved = qemu_of(p)
            wait_for(lambda: p.poll() is not None or qemu_of(p) != saved, "the guest that boots")
        finally:
            os.kill(gateway, signal.SIGCONT)
        out, err = p.communicate(timeout=120)
        equal((p.returncode, out), (0, b"done\n"), err)
        check(b"the saved guest is of no use" in err, err)


if __name__ == "__main__":
    servers.alone()
    main()
