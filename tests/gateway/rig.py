"""rig: a real lazaret-gateway, with the test as its keeper and as its guest, and real servers, all in
a network namespace of the test's own."""
import array
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
import traceback

import servers

GATEWAY = os.environ["GATEWAY"]
WAIT = int(os.environ.get("GATEWAY_WAIT", "60"))  # seconds for what must come

# record.h and gateway.h
COMMAND = struct.Struct("=2I65s16s3x")
EVENT = struct.Struct("=9I256s48s4x3Q160s")
SECRET, RULES, PORT, HOLD, RESUME = 1, 2, 3, 4, 5
READY, HELD, TRY, CLOSED, TAMPERED, LOST = 1, 2, 3, 4, 5, 6

# shared/net.h
MAGIC = 0x314e5a4c
HELLO, N_READY, OPEN, OPENED, REFUSED, REQUEST, RESPONSE, DATA, EOF, CREDIT, CLOSE, N_HOLD, N_HELD, \
    N_RESUME = range(1, 15)
TUNNEL, ORIGIN = 1, 2
WINDOW = 131072
PAYLOAD = 65536
UNKNOWN = 2**64 - 1
WHY = ("done rule address name connect timeout tls budget limit request peer gone").split()


def check(ok, text="does not hold"):
    if not ok:
        raise AssertionError(text)


def equal(got, want, text=""):
    if got != want:
        raise AssertionError(f"{text}: got {got!r}, not {want!r}")


class Event:
    def __init__(self, raw):
        f = EVENT.unpack(raw)
        self.type, self.exec, self.allowed, self.why, self.rule, self.port, self.guest, self.proxy, \
            self.secret = f[:9]
        self.host, self.address = (t.split(b"\0")[0].decode() for t in f[9:11])
        self.up, self.down, self.ms = f[11:14]
        self.text = f[14].split(b"\0")[0].decode()
        self.why = WHY[self.why]


class Gateway:
    """The keeper's end, and the guest's port."""

    def __init__(self, rules=(), ranges=(), secrets=(), env=None, meet=True, proxy=None):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control = ours
        self.port = None
        self.proxy = proxy
        self.frames = []

        def child():
            os.dup2(theirs.fileno(), 3)

        self.process = subprocess.Popen([GATEWAY], preexec_fn=child, pass_fds=(3,), cwd="/",
                                        stdin=subprocess.DEVNULL, env=env or {})
        theirs.close()
        for name, value in secrets:
            self.secret(name, value)
        self.rules(rules, ranges)
        if meet:
            self.meet()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.control.close()
        self.process.wait(WAIT)
        if self.port:
            self.port.close()

    def command(self, kind, name=b"", nonce=b"", fd=None):
        raw = COMMAND.pack(kind, 7, name, nonce)
        fds = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        self.control.sendmsg([raw], fds)

    def secret(self, name, value):
        r, w = os.pipe()
        os.write(w, value)
        os.close(w)
        self.command(SECRET, name.encode(), fd=r)
        os.close(r)

    def rules(self, rules, ranges=()):
        fd = os.memfd_create("rules")
        told = {"network": [dict(r) for r in rules], "network_ranges": list(ranges)}
        if self.proxy:
            told["egress_proxy"] = {"direct": [], "from": "https_proxy", **self.proxy}
        os.write(fd, json.dumps(told).encode())
        self.command(RULES, fd=fd)
        os.close(fd)

    def greet(self):
        ours, theirs = socket.socketpair()
        ours.settimeout(WAIT)
        if self.port:
            self.port.close()
        self.port = ours
        self.frames = []
        self.buffer = b""
        self.command(PORT, nonce=os.urandom(16), fd=theirs.fileno())
        theirs.close()
        kind, stream, payload = self.frame()
        equal((kind, stream), (HELLO, 0))
        return payload

    def meet(self):
        self.send(N_READY, 0, self.greet())
        self.event(READY)

    # ---- events

    def any_event(self, wait=WAIT):
        check(select.select([self.control], [], [], wait)[0], "no event")
        return Event(self.control.recv(4096))

    def event(self, kind):
        ev = self.any_event()
        equal(ev.type, kind, f"event ({ev.text})")
        return ev

    # ---- frames

    def send(self, kind, stream, payload=b""):
        self.port.sendall(struct.pack("<IHHII", MAGIC, kind, 0, stream, len(payload)) + payload)

    def read_frame(self, wait=WAIT):
        until = time.monotonic() + wait
        while True:
            if len(self.buffer) >= 16:
                _, kind, _, stream, n = struct.unpack("<IHHII", self.buffer[:16])
                if len(self.buffer) >= 16 + n:
                    payload = self.buffer[16:16 + n]
                    self.buffer = self.buffer[16 + n:]
                    return kind, stream, payload
            left = until - time.monotonic()
            check(left > 0 and select.select([self.port], [], [], left)[0], "no frame")
            more = self.port.recv(1 << 20)
            check(more, "the port was closed")
            self.buffer += more

    def frame(self, stream=None, but=(CREDIT,)):
        """The next frame, of that stream if it is given; those of others wait."""
        for i, f in enumerate(self.frames):
            if stream is None or f[1] == stream:
                return self.frames.pop(i)
        while True:
            f = self.read_frame()
            if f[0] in but:
                continue
            if stream is None or f[1] == stream:
                return f
            self.frames.append(f)

    # ---- what a guest does

    def open(self, stream, host, port, kind=TUNNEL, exec_=1):
        self.send(OPEN, stream, struct.pack("<HHHH", kind, exec_, port, 0) + host.encode())

    def tunnel(self, stream, host, port):
        self.open(stream, host, port)
        kind, _, payload = self.frame(stream)
        equal(kind, OPENED, payload)
        ev = self.event(TRY)
        equal((ev.allowed, ev.host, ev.port), (1, host, port))

    def refused(self, stream, host, port, why, kind=TUNNEL):
        """Its JSON and the event."""
        self.open(stream, host, port, kind)
        return self.is_refused(stream, why)

    def is_refused(self, stream, why):
        kind, _, payload = self.frame(stream)
        equal(kind, REFUSED, payload)
        code, status = struct.unpack("<HH", payload[:4])
        equal(WHY[code], why)
        text = json.loads(payload[4:])
        check(text["denied"] is True and 400 <= status < 600, text)
        self.send(CLOSE, stream, bytes(4))
        ev = self.any_event()
        while ev.type == TRY and ev.allowed:
            ev = self.any_event()
        equal(ev.why, why, "event")
        return text, ev

    def data(self, stream, n):
        """That many bytes of a stream, with credit given back."""
        got = b""
        while len(got) < n:
            kind, _, payload = self.frame(stream)
            equal(kind, DATA, f"after {len(got)} of {n} bytes: {payload[:40]}")
            got += payload
            self.send(CREDIT, stream, struct.pack("<I", len(payload)))
        equal(len(got), n)
        return got

    def rest(self, stream):
        """All bytes up to EOF or CLOSE, and why it ended."""
        got = b""
        while True:
            kind, _, payload = self.frame(stream)
            if kind == DATA:
                got += payload
                self.send(CREDIT, stream, struct.pack("<I", len(payload)))
            elif kind == EOF:
                return got, "eof"
            else:
                equal(kind, CLOSE)
                return got, WHY[struct.unpack("<I", payload)[0]]

    def closed(self, stream, why="done"):
        kind, _, payload = self.frame(stream)
        equal((kind, WHY[struct.unpack("<I", payload)[0]] if kind == CLOSE else payload),
              (CLOSE, why))
        self.send(CLOSE, stream, bytes(4))
        ev = self.event(CLOSED)
        equal(ev.why, why)
        return ev

    def request(self, stream, origin, method, path, headers=(), body=0):
        self.open(stream, origin, 0, ORIGIN)
        raw = b"".join(struct.pack("<HH", len(n), len(v)) + n.encode() + v.encode()
                       for n, v in headers)
        self.send(REQUEST, stream, struct.pack("<QHHHH", body, len(method), len(path), len(headers), 0)
                  + method.encode() + path.encode() + raw)

    def response(self, stream):
        kind, _, p = self.frame(stream)
        equal(kind, RESPONSE, p)
        body, status, count, _ = struct.unpack("<QHHI", p[:16])
        at, headers = 16, {}
        for _ in range(count):
            n, v = struct.unpack("<HH", p[at:at + 4])
            headers[p[at + 4:at + 4 + n].decode()] = p[at + 4 + n:at + 4 + n + v].decode("latin-1")
            at += 4 + n + v
        equal(at, len(p))
        return status, headers, body


def is_skipped(test):
    """As suite_is_skipped() of tests/unit/suite.h."""
    path = os.environ.get("LZ_SKIPPED")
    if not path:
        return False
    with open(path, encoding="utf-8") as f:
        found = any(line.split()[:1] == [test] for line in f)
    if found:
        print(f"# skipped: {test}")
    return found


def run(tests, setup, teardown):
    """TAP; in a network namespace with lo up, and as root of a user namespace unless root: GATEWAY_ROOT
    says that it is."""
    if not os.environ.get("GATEWAY_NS"):
        root = os.geteuid() == 0
        os.environ.update(GATEWAY_NS="1", GATEWAY_ROOT="1" if root else "")
        os.execvp("unshare", ["unshare", "-n" if root else "-rn", sys.executable, *sys.argv])
    servers.loopback_up()
    setup()
    wanted = sys.argv[1:]
    chosen = [t for t in tests if (not wanted or t.__name__ in wanted) and not is_skipped(t.__name__)]
    print(f"1..{len(chosen)}")
    failed = 0
    for i, test in enumerate(chosen, 1):
        try:
            test()
            print(f"ok {i} - {test.__name__}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {i} - {test.__name__}")
            print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    teardown()
    sys.stdout.flush()
    os._exit(1 if failed else 0)
