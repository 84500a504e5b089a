"""egress: what one stream through the gateway carries beside the raw channel, 200 at once, what a
destination that is dead costs the others, and how soon a refusal comes. In a network namespace of its own, as root; the servers are on
its loopback.

One process in the guest sends the same zeroes in the same pieces by each way, in interleaved rounds;
absolute figures mean little where QEMU emulates and the machine is shared, their ratio does.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", d) for d in ("e2e", "gateway")]
import servers

LAZARET, BOX, SIZE = os.environ.get("LAZARET", "lazaret"), "bench-egress", 32 << 20

WAY = r"""
import os, socket, struct, sys, threading, time
def reach(name, port):
    s = socket.create_connection(("127.0.0.1", 3128))
    s.sendall(b"\5\1\0"); s.recv(2)
    s.sendall(b"\5\1\0\3" + bytes([len(name)]) + name.encode() + struct.pack(">H", port))
    return s, s.recv(10)[1]
piece = bytes(65536)
def send(port, size):
    s, code = reach("good.test", port)
    assert code == 0, code
    for _ in range(size // len(piece)):
        s.sendall(piece)
    s.shutdown(socket.SHUT_WR)
    return s.recv(9)  # it has all of it
def parallel(n, f):
    done = []
    t = [threading.Thread(target=lambda: done.append(f())) for _ in range(n)]
    for x in t: x.start()
    for x in t: x.join()
    return len(done)
"""


def lazaret(*args, **kwargs):
    r = subprocess.run([LAZARET, *args], capture_output=True, check=False, stdin=subprocess.DEVNULL, **kwargs)
    if r.returncode:
        sys.exit(f"{args}: {r.stderr.decode()[-600:]}")
    return r.stdout


def inside(script):
    """What the guest says how long it took, in seconds."""
    return float(lazaret("exec", BOX, "--", "python3", "-c", WAY + script))


def sink(s):
    while s.recv(262144):
        pass
    s.sendall(b"done")


def raw():
    """The same process writes to its stdout; its last byte is out when the pipe has taken it."""
    r = subprocess.run([LAZARET, "exec", BOX, "--", "python3", "-c", WAY + f"""
t = time.monotonic()
for _ in range({SIZE} // len(piece)): os.write(1, piece)
sys.stderr.write("took %f" % (time.monotonic() - t))"""], capture_output=True, check=True, stdin=subprocess.DEVNULL)
    assert len(r.stdout) == SIZE
    return float(r.stderr.rpartition(b"took ")[2])


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    port = servers.tcp(sink)
    names = servers.Names({"good.test": ["127.0.0.1"], "dead.test": "silence"})
    os.environ["LAZARET_DNS"] = names.at
    with tempfile.NamedTemporaryFile("w", suffix=".json") as policy:
        json.dump({"format": "lazaret-policy", "version": 1, "network_ranges": ["127.0.0.0/8"]}, policy)
        policy.flush()
        lazaret("up", BOX, "--accel", "tcg", "--memory", "128M", "--policy", policy.name, "--allow",
                f"tcp://good.test:{port}", "--allow", "tcp://dead.test:80")
    try:
        one, direct, beside = [], [], []
        for _ in range(rounds):
            direct.append(SIZE / raw())
            one.append(SIZE / inside(f"t = time.monotonic(); send({port}, {SIZE}); print(time.monotonic() - t)"))
        many = inside(f"""
t = time.monotonic(); n = parallel(200, lambda: send({port}, 65536)); assert n == 200, n
print(time.monotonic() - t)""")
        for dead in (0, 50):
            beside.append(inside(f"""
for _ in range({dead}): threading.Thread(target=lambda: reach("dead.test", 80), daemon=True).start()
time.sleep(1)
t = time.monotonic()
for _ in range(20): send({port}, 65536)
print(time.monotonic() - t); sys.stdout.flush(); os._exit(0)"""))
        refused = [inside("""
for _ in range(5):  # the first one loads what Python looks names up with
    t = time.monotonic(); _, code = reach("evil.test", 80); assert code == 2, code
print(time.monotonic() - t)""") for _ in range(rounds)]
    finally:
        lazaret("down", BOX)
    mib = 1 << 20
    print(f"raw channel  {statistics.median(direct) / mib:7.1f} MiB/s   {[round(x / mib, 1) for x in direct]}")
    print(f"one stream   {statistics.median(one) / mib:7.1f} MiB/s   {[round(x / mib, 1) for x in one]}")
    print(f"ratio        {statistics.median(one) / statistics.median(direct):7.2f}")
    print(f"200 streams of 64 KiB at once  {many:.2f} s")
    print(f"20 short ones, one by one      {beside[0]:.2f} s; beside 50 to a dead destination {beside[1]:.2f} s")
    print(f"a refusal    {statistics.median(refused) * 1000:7.1f} ms      {[round(x * 1000, 1) for x in refused]}")


servers.alone()
main()
