"""gateway: a scripted host end of egress's protocol (shared/net.h) for tests: it counts credit, knows
which frames may come when, and connects to what a test tells it to."""
import os
import socket
import struct
import threading

NAMES = ("HELLO READY OPEN OPENED REFUSED REQUEST RESPONSE DATA EOF CREDIT CLOSE HOLD HELD "
         "RESUME").split()
NUMBER = {name: i + 1 for i, name in enumerate(NAMES)}
WINDOW = 131072
TUNNEL, ORIGIN = 1, 2
RULE, PEER = 1, 10
WAIT = 20


class Stream:
    def __init__(self, kind, port, name):
        self.kind, self.port, self.name = kind, port, name
        self.credit = self.theirs = WINDOW  # what this end, and what the guest may send
        self.request = None  # (method, path, headers, length)
        self.body = b""  # what the guest sent, where nobody takes it
        self.eof = self.closed = self.guest_closed = False
        self.peer = None  # socket of a tunnel


class Gateway:
    """`answer(gateway, number, stream)` is called for each OPEN of a tunnel and each REQUEST."""

    def __init__(self, sock, answer):
        self.sock, self.answer = sock, answer
        self.streams, self.seen, self.wrong = {}, [], []
        self.turn = threading.Condition(threading.RLock())
        self.held = self.met = False
        self.nonce = b""
        threading.Thread(target=self.read, daemon=True).start()

    # ---- to the guest

    def say(self, name, stream=0, payload=b""):
        frame = struct.pack("<IHHII", 0x314E5A4C, NUMBER[name], 0, stream, len(payload)) + payload
        try:
            with self.turn:
                self.sock.sendall(frame)
        except OSError:  # the guest is gone: its end tells whether that was in order
            pass

    def hello(self):
        with self.turn:
            self.met, self.held, self.nonce = False, False, os.urandom(16)
            for s in self.streams.values():
                if s.peer:
                    s.peer.close()
            self.streams = {}
        self.say("HELLO", 0, struct.pack("<I", 1) + self.nonce)
        self.wait(lambda: self.met)

    def hold(self):
        self.say("HOLD")
        self.wait(lambda: self.held)

    def resume(self):
        with self.turn:
            self.held = False
        self.say("RESUME")

    def refuse(self, number, why=RULE, status=403, text=b'{"denied": true}'):
        with self.turn:
            self.say("REFUSED", number, struct.pack("<HH", why, status) + text)
            self.last_word(number)

    def respond(self, number, status, headers=(), length=2**64 - 1):
        raw = b"".join(struct.pack("<HH", len(k), len(v)) + k + v for k, v in headers)
        self.say("RESPONSE", number, struct.pack("<QHHI", length, status, len(headers), 0) + raw)

    def data(self, number, data):
        s = self.streams[number]
        while data:
            with self.turn:
                if not self.turn.wait_for(lambda: s.credit > 0 or s.guest_closed, WAIT):
                    self.wrong.append(f"no credit on {number}")
                n = min(s.credit, len(data), 65536)
                if s.closed or s.guest_closed or not n:
                    return
                s.credit -= n
                self.say("DATA", number, data[:n])
            data = data[n:]

    def finish(self, number, s):
        """EOF."""
        with self.turn:
            if not s.closed:
                self.say("EOF", number)

    def end(self, number, why=0):
        with self.turn:
            if number not in self.streams or self.streams[number].closed:
                return
            self.say("CLOSE", number, struct.pack("<I", why))
            self.last_word(number)

    def last_word(self, number):
        s = self.streams[number]
        s.closed = True
        if s.guest_closed:
            del self.streams[number]
        self.turn.notify_all()

    # ---- a tunnel to a real server

    def connect(self, number, address):
        s = self.streams[number]
        s.peer = socket.create_connection(address, timeout=WAIT)
        with self.turn:
            if s.closed:
                return
            self.say("OPENED", number)
        threading.Thread(target=self.copy, args=(number, s), daemon=True).start()

    def copy(self, number, s):
        try:
            while data := s.peer.recv(65536):
                self.data(number, data)
            self.finish(number, s)
        except OSError:
            pass

    def passes_on(self, number, s, data):
        """What a tunnel carries to its server; anything else is kept."""
        if s.peer:
            try:
                s.peer.sendall(data)
            except OSError:
                pass
        else:
            s.body += data
        with self.turn:
            if s.closed:
                return
            s.theirs += len(data)
            self.say("CREDIT", number, struct.pack("<I", len(data)))

    # ---- from the guest

    def read(self):
        buf = b""
        try:
            while got := self.sock.recv(262144):
                buf += got
                while len(buf) >= 16 and len(buf) - 16 >= struct.unpack_from("<I", buf, 12)[0]:
                    magic, kind, zero, stream, length = struct.unpack_from("<IHHII", buf)
                    assert (magic, zero) == (0x314E5A4C, 0)
                    self.take(NAMES[kind - 1], stream, buf[16:16 + length])
                    buf = buf[16 + length:]
        except OSError:
            pass
        except Exception as problem:  # the test thread must hear of it
            self.wrong.append(repr(problem))
            raise

    def take(self, name, number, p):
        with self.turn:
            self.seen.append(name)
            self.turn.notify_all()
            if self.held:
                self.wrong.append(f"{name} while held")
            if name == "READY":
                assert p == struct.pack("<I", 1) + self.nonce
                self.met = True
                return
            if not self.met:  # of before HELLO
                return
            if name == "HELD":
                self.held = True
                return
            if name == "OPEN":
                assert number not in self.streams, "number is taken"
                kind, execno, port, zero = struct.unpack_from("<HHHH", p)
                assert zero == 0 and 1 <= execno <= 16
                s = self.streams[number] = Stream(kind, port, p[8:].decode())
                s.execno = execno
            s = self.streams[number]
            assert not s.guest_closed
            if name == "REQUEST":
                length, m, path, n, zero = struct.unpack_from("<QHHHH", p)
                at, fields = 16 + m + path, []
                for _ in range(n):
                    k, v = struct.unpack_from("<HH", p, at)
                    fields.append((p[at + 4:at + 4 + k], p[at + 4 + k:at + 4 + k + v]))
                    at += 4 + k + v
                assert at == len(p)
                s.request = (p[16:16 + m].decode(), p[16 + m:16 + m + path].decode(), fields, length)
            elif name == "DATA":
                s.theirs -= len(p)
                assert s.theirs >= 0 and not s.eof, "more than its credit"
            elif name == "CREDIT":
                s.credit += struct.unpack("<I", p)[0]
                assert s.credit <= WINDOW
            elif name == "CLOSE":
                s.guest_closed = True
                if s.closed:
                    del self.streams[number]
            elif name == "EOF":
                s.eof = True
        if name in ("OPEN", "REQUEST"):
            if not s.closed and (s.kind == TUNNEL or s.request):
                self.answer(self, number, s)
        elif name == "DATA":
            self.passes_on(number, s, p)
        elif name == "EOF" and s.peer:
            s.peer.shutdown(socket.SHUT_WR)
        elif name == "CLOSE":
            if s.peer:
                s.peer.close()
            if number in self.streams:
                self.end(number)

    def wait(self, what):
        with self.turn:
            ok = self.turn.wait_for(what, WAIT)
        assert ok and not self.wrong, self.wrong or f"timed out; seen {self.seen[-20:]}"
