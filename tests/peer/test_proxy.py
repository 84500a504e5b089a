"""Promises of what a job finds on its loopback: the real net process and the agent's sockets for it
(wayout.c), with real clients on one side and a scripted gateway on the other. Runs itself in a
network namespace of its own, where ports 53 and 80 are free."""
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

import gateway
from gateway import Gateway

WAIT = 20
PROXY = ("127.0.0.1", 3128)
VARIABLES = {"http_proxy": "http://127.0.0.1:3128", "https_proxy": "http://127.0.0.1:3128"}
DENIED = b'{"denied": true, "destination": "evil.example:443", "how_to_allow": "x"}'
CURL = shutil.which("curl")


def equal(got, want, what=""):
    assert got == want, f"{what} got {got!r}, want {want!r}"


class Server(http.server.BaseHTTPRequestHandler):
    """What a tunnel leads to: says what it was asked."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        out = json.dumps({"method": self.command, "path": self.path, "length": len(body),
                          "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_POST = do_PUT = do_GET

    def log_message(self, *_):
        pass


class Rig:
    def __init__(self, answer=None):
        ours, theirs = socket.socketpair()
        self.wayout = subprocess.Popen([os.environ["LZ_WAYOUT"], str(theirs.fileno())], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, pass_fds=[theirs.fileno()])
        theirs.close()
        self.port = ours
        self.gateway = Gateway(ours, answer or allow)
        self.gateway.hello()

    def agent(self, word, execno=1):
        self.wayout.stdin.write(f"{word} {execno}\n".encode())
        self.wayout.stdin.flush()
        equal(self.wayout.stdout.readline(), b"ok\n")

    def __enter__(self):
        self.agent("serve")
        return self

    def __exit__(self, kind, *_):
        try:
            if not kind:
                assert not self.gateway.wrong, self.gateway.wrong
                self.wayout.stdin.close()
                equal(self.wayout.wait(WAIT), 0, "end of the net process")
        finally:
            self.wayout.kill()
            self.wayout.wait()
            self.port.close()


def server():
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s


SERVER = None


def allow(g, n, s):
    """good.example is the test's server; api answers by itself; the rest is refused."""
    if s.kind == gateway.TUNNEL and s.name in ("good.example", "::1", "192.0.2.1"):
        g.connect(n, SERVER.server_address)
    elif s.kind == gateway.ORIGIN and s.name == "api":
        threading.Thread(target=origin, args=(g, n, s), daemon=True).start()
    else:
        g.refuse(n, text=DENIED)


def origin(g, n, s):
    method, path, headers, length = s.request
    g.wait(lambda: s.guest_closed or s.eof and length in (len(s.body), 2**64 - 1))
    if s.guest_closed:
        return
    if path == "/events":
        g.respond(n, 200, [(b"content-type", b"text/event-stream")])
        g.data(n, b"data: 1\n\n")
        return  # the test goes on
    text = json.dumps({"method": method, "path": path, "length": len(s.body), "exec": s.execno,
                       "headers": {k.decode(): v.decode() for k, v in headers}}).encode()
    g.respond(n, 200, [(b"content-type", b"application/json")], len(text) if path != "/chunks" else 2**64 - 1)
    if method != "HEAD":
        g.data(n, text)
    g.finish(n, s)
    g.end(n)


def curl(*args, proxy=True, data=None):
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | (VARIABLES if proxy else {})
    return subprocess.run([CURL, "-qsS", "--max-time", "15", *args], env=env, input=data, capture_output=True)


def ask(text, to=PROXY):
    """Says `text` and returns all that is answered until the end."""
    with socket.create_connection(to, timeout=WAIT) as s:
        s.sendall(text)
        return b"".join(iter(lambda: s.recv(65536), b""))


def take(s, n):
    got = b""
    while len(got) < n and (more := s.recv(n - len(got))):
        got += more
    return got


def opener():
    return urllib.request.build_opener(urllib.request.ProxyHandler({"http": VARIABLES["http_proxy"]}))


# ---- promises


def an_absolute_address_goes_through_a_tunnel_in_origin_form():
    with Rig():
        with opener().open("http://good.example/a/b?c=d", timeout=WAIT) as r:
            got = json.load(r)
        equal((got["path"], got["headers"]["host"], got["headers"]["connection"]), ("/a/b?c=d", "good.example", "close"))
        with opener().open("http://good.example:8080", data=b"x" * 300000, timeout=WAIT) as r:
            got = json.load(r)
        equal((got["path"], got["headers"]["host"], got["length"]), ("/", "good.example:8080", 300000))
        c = http.client.HTTPConnection(*PROXY, timeout=WAIT)
        c.request("POST", "http://good.example/", body=iter([b"a" * 70000, b"b"]), encode_chunked=True,
                  headers={"Transfer-Encoding": "chunked", "Proxy-Authorization": "x", "TE": "trailers"})
        got = json.load(c.getresponse())
        equal(got["length"], 70001)
        assert "proxy-authorization" not in got["headers"] and "te" not in got["headers"], got


def a_tunnel_carries_bytes_both_ways_and_half_closes():
    with Rig() as rig:
        for first in (b"CONNECT good.example:443 HTTP/1.1\r\nHost: good.example:443\r\n\r\n", b"\5\1\0"):
            with socket.create_connection(PROXY, timeout=WAIT) as s:
                request = b"GET /through HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                if first[0] == 5:
                    s.sendall(first)
                    equal(s.recv(2), b"\5\0")
                    s.sendall(b"\5\1\0\3\x0cgood.example\1\xbb" + request)
                    equal(take(s, 10), b"\5\0\0\1" + bytes(6))
                else:
                    s.sendall(first + request)  # at once
                s.shutdown(socket.SHUT_WR)
                got = b"".join(iter(lambda: s.recv(65536), b""))
                assert b'"path": "/through"' in got, got
        rig.gateway.wait(lambda: not rig.gateway.streams)


def addresses_are_named_as_such():
    with Rig() as rig:
        for text in (b"\5\1\0\4" + socket.inet_pton(socket.AF_INET6, "::1"), b"\5\1\0\1" + socket.inet_aton("192.0.2.1")):
            with socket.create_connection(PROXY, timeout=WAIT) as s:
                s.sendall(b"\5\1\0" + text + struct.pack(">H", 80))
                equal(take(s, 12)[:4], b"\5\0\5\0")
        assert b" 200 " in ask(b"CONNECT [::1]:443 HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n")
        equal(rig.gateway.seen.count("OPEN"), 3)


def a_refusal_is_an_answer_at_once():
    with Rig():
        began = time.monotonic()
        got = ask(b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n")
        took = time.monotonic() - began
        head, body = got.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 403 Forbidden (lazaret: evil.example:443: no rule allows it)\r\n"), head
        equal(body, DENIED)
        assert b"Content-Type: application/json" in head
        try:
            opener().open("http://evil.example/", timeout=WAIT)
            assert False
        except urllib.error.HTTPError as problem:
            equal((problem.code, json.load(problem)["denied"]), (403, True))
        got = ask(b"\5\1\0\5\1\0\3\x0cevil.example\1\xbb")
        equal(got, b"\5\0\5\2\0\1" + bytes(6))
        # A large upload gets its answer, too, and not a connection that broke off.
        got = ask(b"POST http://evil.example/ HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 200000)
        assert got.startswith(b"HTTP/1.1 403 "), got[:80]
        print(f"# refused within {took * 1000:.1f} ms")


def an_origin_is_asked_by_request():
    with Rig() as rig:
        for to, target in ((PROXY, b"http://api.lazaret/v1?x=1"), (("127.0.0.1", 80), b"/v1?x=1")):
            got = ask(b"POST " + target + b" HTTP/1.1\r\nHost: API.lazaret:80\r\nX-Thing: a  \r\nConnection: keep-alive\r\n"
                      b"Content-Length: 5\r\n\r\nhello", to)
            head, body = got.split(b"\r\n\r\n", 1)
            got = json.loads(body)
            equal(got, {"method": "POST", "path": "/v1?x=1", "length": 5, "exec": 1, "headers": {"x-thing": "a"}})
            assert b"content-length: %d\r\n" % len(body) in head, head
        c = http.client.HTTPConnection("api.lazaret", timeout=WAIT) if RESOLVES else http.client.HTTPConnection("127.0.0.1")
        c.request("PUT", "/chunks", body=iter([b"a" * 200000, b"b"]), encode_chunked=True,
                  headers={"Transfer-Encoding": "chunked", "Host": "api.lazaret"})
        equal(json.load(c.getresponse())["length"], 200001)
        got = ask(b"HEAD / HTTP/1.1\r\nHost: api.lazaret\r\n\r\n", ("127.0.0.1", 80))
        assert got.endswith(b"\r\n\r\n") and b"content-length: " in got, got
        got = ask(b"GET /chunks HTTP/1.0\r\nHost: api.lazaret\r\n\r\n", ("127.0.0.1", 80))
        assert b"chunked" not in got and got.endswith(b"}"), got
        # Through a tunnel to it, which ends in the guest.
        for front in (b"CONNECT api.lazaret:80 HTTP/1.1\r\n\r\n", b"\5\1\0\5\1\0\3\x0bapi.lazaret\0\x50"):
            got = ask(front + b"GET /in HTTP/1.1\r\nHost: api.lazaret\r\n\r\n")
            assert b'"path": "/in"' in got, got
        equal(ask(b"GET / HTTP/1.1\r\nHost: other.lazaret\r\n\r\n", ("127.0.0.1", 80))[:13], b"HTTP/1.1 403 ")
        rig.gateway.wait(lambda: not rig.gateway.streams)


def events_arrive_while_the_stream_is_open():
    with Rig() as rig:
        g = rig.gateway
        with socket.create_connection(("127.0.0.1", 80), timeout=WAIT) as s:
            s.sendall(b"GET /events HTTP/1.1\r\nHost: api.lazaret\r\n\r\n")
            got = b""
            for want in (b"data: 1\n\n", b"data: 2\n\n"):
                while want not in got:
                    got += s.recv(65536)
                if want == b"data: 1\n\n":
                    g.data(next(iter(g.streams)), b"data: 2\n\n")
            assert b"transfer-encoding: chunked" in got and b"9\r\ndata: 2" in got, got
        # The one who hangs up is missed.
        g.wait(lambda: not g.streams)


def what_is_no_request_is_refused_in_words():
    rows = (
        (b"GET / HTTP/1.1\r\nHost: good.example\r\n\r\n", 403),
        (b"GET https://good.example/ HTTP/1.1\r\n\r\n", 400),
        (b"GET http://a@good.example/ HTTP/1.1\r\n\r\n", 400),
        (b"GET http://127.1/ HTTP/1.1\r\n\r\n", 400),
        (b"GET http://good.example/ HTTP/1.1\nHost: x\r\n\r\n", 400),
        (b"GET http://good.example/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
        (b"GET http://good.example/ HTTP/1.1\r\nA : b\r\n\r\n", 400),
        (b"GET http://good.example/ HTTP/2.0\r\n\r\n", 400),
        (b"get http://good.example/ HTTP/1.1\r\n\r\n", 400),
        (b"POST http://good.example/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (b"POST http://good.example/ HTTP/1.1\r\nContent-Length: +1\r\n\r\nx", 400),
        (b"POST http://good.example/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST http://good.example/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET http://api.lazaret/../x HTTP/1.1\r\n\r\n", 400),
        (b"GET http://api.lazaret:81/ HTTP/1.1\r\n\r\n", 403),
        (b"CONNECT api.lazaret:443 HTTP/1.1\r\n\r\n", 403),
        (b"CONNECT good.example HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT good.example:0 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT good.example:65536 HTTP/1.1\r\n\r\n", 400),
        (b"GET http://good.example/ HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET http://good.example/" + b"a" * 60000, 431),
    )
    with Rig() as rig:
        for text, status in rows:
            got = ask(text)
            assert got.startswith(b"HTTP/1.1 %d " % status), (text[:80], got[:200])
            json.loads(got.split(b"\r\n\r\n", 1)[1])
        equal(ask(b"POST http://api.lazaret/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")[:13], b"HTTP/1.1 400 ")
        equal(ask(b"\5\1\2"), b"\5\xff")
        equal(ask(b"\5\1\0\5\2\0\1" + bytes(6)), b"\5\0\5\7\0\1" + bytes(6))
        equal(ask(b"\5\1\0\5\1\0\3\x05127.1\0\x50"), b"\5\0\5\4\0\1" + bytes(6))
        equal(rig.gateway.seen.count("OPEN"), 1)


def query(name, kind=1, edns=False):
    text = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".") if x) + b"\0"
    extra = b"\0\0\x29\x04\xd0\0\0\0\0\0\0" if edns else b""
    return struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, int(edns)) + text + struct.pack(">HH", kind, 1) + extra


def every_name_has_an_answer_at_once():
    def udp(text):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(WAIT)
            s.sendto(text, ("127.0.0.1", 53))
            return s.recv(600)

    def tcp(text):
        got = ask(struct.pack(">H", len(text)) + text, ("127.0.0.1", 53))
        equal(struct.unpack_from(">H", got)[0], len(got) - 2)
        return got[2:]

    with Rig():
        for by in (udp, tcp):
            for name, kind, rcode, answers in (("api.lazaret", 1, 0, 1), ("API.Lazaret", 1, 0, 1), ("api.lazaret", 28, 0, 0),
                                               ("localhost", 1, 0, 1), ("example.org", 1, 3, 0),
                                               ("notlazaret", 1, 3, 0), ("x.lazaret.example", 1, 3, 0)):
                got = by(query(name, kind))
                flags, _, n = struct.unpack_from(">HHH", got, 2)
                equal((flags & 0x8000, flags & 15, n), (0x8000, rcode, answers), name)
                if answers:
                    equal(got[-4:], bytes([127, 0, 0, 1]))
            assert by(query("example.org", edns=True)).endswith(b"\0\x0f\0\2\0\x12")
        equal(struct.unpack_from(">H", udp(query("a")[:12]), 2)[0] & 15, 1)  # no question: FORMERR


def a_slow_client_and_a_slow_host_stop_nobody_else():
    def slow(g, n, s):
        if s.name == "slow.example":
            g.say("OPENED", n)  # it takes in nothing and sends without an end
            threading.Thread(target=lambda: g.data(n, bytes(4 << 20)), daemon=True).start()
        elif s.name != "dead.example":  # which has no answer
            allow(g, n, s)

    with Rig(slow) as rig:
        stuck = []
        for name in [b"slow.example"] * 20 + [b"dead.example"] * 20:
            s = socket.create_connection(PROXY, timeout=WAIT)
            s.sendall(b"CONNECT %s:443 HTTP/1.1\r\n\r\n" % name)
            stuck.append(s)
        for _ in range(5):
            with opener().open("http://good.example/", timeout=WAIT) as r:
                json.load(r)
        for s in stuck:
            s.close()
        for n in [n for n, s in rig.gateway.streams.items() if s.name == "dead.example"]:
            rig.gateway.refuse(n, 5, 504)
        rig.gateway.wait(lambda: not rig.gateway.streams)


def two_hundred_streams_at_once():
    size = 100_000

    def many(g, n, s):
        def work():
            g.say("OPENED", n)
            g.wait(lambda: s.eof)
            g.data(n, s.body)
            g.finish(n, s)
            g.end(n)
        threading.Thread(target=work, daemon=True).start()

    def client(i, results):
        results[i] = ask_and_end(b"CONNECT a%d.example:443 HTTP/1.1\r\n\r\n" % i, bytes([i]) * size)

    with Rig(many) as rig:
        results = [None] * 200
        threads = [threading.Thread(target=client, args=(i, results)) for i in range(200)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for i, got in enumerate(results):
            assert got is not None and got.split(b"\r\n\r\n", 1)[1] == bytes([i]) * size, i
        rig.gateway.wait(lambda: not rig.gateway.streams)


def ask_and_end(head, body):
    with socket.create_connection(PROXY, timeout=60) as s:
        s.sendall(head)
        got = s.recv(65536)
        s.sendall(body)
        s.shutdown(socket.SHUT_WR)
        return got + b"".join(iter(lambda: s.recv(65536), b""))


def held_it_is_silent_and_then_goes_on():
    with Rig() as rig:
        g = rig.gateway
        with socket.create_connection(PROXY, timeout=WAIT) as s:
            s.sendall(b"CONNECT good.example:443 HTTP/1.1\r\n\r\n")
            assert b" 200 " in s.recv(65536)
            g.hold()
            s.sendall(b"GET /held HTTP/1.0\r\n\r\n")
            late = socket.create_connection(PROXY, timeout=WAIT)
            late.sendall(b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n")
            time.sleep(0.3)  # the promise is that nothing comes
            assert not g.wrong, g.wrong
            g.resume()
            assert b'"path": "/held"' in b"".join(iter(lambda: s.recv(65536), b""))
            assert b" 403 " in late.recv(65536)
            late.close()


def another_gateway_begins_anew():
    with Rig() as rig:
        g = rig.gateway
        old = socket.create_connection(PROXY, timeout=WAIT)
        old.sendall(b"CONNECT good.example:443 HTTP/1.1\r\n\r\n")
        assert b" 200 " in old.recv(65536)
        g.hold()
        g.hello()
        try:
            equal(old.recv(1), b"")
        except ConnectionResetError:
            pass
        assert b" 403 " in ask(b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n")
        g.wait(lambda: not g.streams)


def a_job_that_is_over_has_no_way_out():
    with Rig() as rig:
        with socket.create_connection(PROXY, timeout=WAIT) as s:
            s.sendall(b"CONNECT good.example:443 HTTP/1.1\r\n\r\n")
            assert b" 200 " in s.recv(65536)
            rig.agent("forget")
            try:
                equal(s.recv(1), b"")
            except ConnectionResetError:
                pass
        rig.gateway.wait(lambda: not rig.gateway.streams)
        try:
            socket.create_connection(PROXY, timeout=WAIT)
            assert False
        except ConnectionRefusedError:
            pass
        rig.agent("serve", 3)
        assert b'"exec": 3' in ask(b"GET http://api.lazaret/ HTTP/1.1\r\n\r\n")


def curl_works_through_it_unchanged():
    if not CURL:
        return "no curl here"
    with Rig() as rig:
        r = curl("http://good.example/x")
        equal(json.loads(r.stdout)["path"], "/x", r.stderr)
        r = curl("--socks5-hostname", "127.0.0.1:3128", "http://good.example/y", proxy=False)
        equal(json.loads(r.stdout)["path"], "/y", r.stderr)
        r = curl("-p", "http://good.example/z", "-T", "-", data=b"z" * 500000)
        equal(json.loads(r.stdout)["length"], 500000, r.stderr)
        r = curl("https://evil.example/")
        assert r.returncode == 56 and b"403" in r.stderr, r
        if RESOLVES:
            for proxy in (True, False):
                r = curl("http://api.lazaret/v1", "-d", "@-", proxy=proxy, data=b"x" * 2000000)
                equal(json.loads(r.stdout)["length"], 2000000, r.stderr)
        r = curl("http://127.0.0.1/", "-H", "Host: api.lazaret", "-H", "Expect: 100-continue", "-d", "abc", proxy=False)
        equal(json.loads(r.stdout)["length"], 3, r.stderr)
        rig.gateway.wait(lambda: not rig.gateway.streams)


# ---- the script


def in_a_namespace():
    os.environ["LZ_INSIDE"] = "1"
    user = [] if os.geteuid() == 0 else ["-r"]
    probe = subprocess.run(["unshare", *user, "-nm", "true"], capture_output=True)
    if probe.returncode != 0:
        print("1..0 # SKIP no network namespace here")
        return
    os.execvp("unshare", ["unshare", *user, "-nm", sys.executable, *sys.argv])


def own_resolver():
    """Names are asked for where the job's are; False: this machine does not let us."""
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("nameserver 127.0.0.1\n")
        f.flush()
        return subprocess.run(["mount", "--bind", f.name, "/etc/resolv.conf"], capture_output=True).returncode == 0


def tests_of(names):
    return [f for name, f in globals().items()
            if getattr(f, "__module__", "") == "__main__" and re.fullmatch(r"[a-z]+(_[a-z]+){3,}", name)
            and (not names or name in names)]


def main():
    global SERVER, RESOLVES
    if "LZ_INSIDE" not in os.environ:
        return in_a_namespace()
    # The agent's side brings the loopback up; the server needs it before.
    with Rig():
        pass
    RESOLVES = own_resolver()
    SERVER = server()
    tests = tests_of(sys.argv[1:])
    print(f"1..{len(tests)}", flush=True)
    for i, f in enumerate(tests):
        began = time.monotonic()
        try:
            skipped = f()
            print(f"ok {i + 1} - {f.__name__}" + (f" # SKIP {skipped}" if skipped else ""))
        except Exception as problem:
            print(f"not ok {i + 1} - {f.__name__}\n# {type(problem).__name__}: {problem}")
            traceback.print_exc()
        print(f"# {time.monotonic() - began:.2f} s", flush=True)


if __name__ == "__main__":
    main()
