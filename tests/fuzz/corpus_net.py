#!/usr/bin/env python3
"""corpus_net: writes the hand-made seeds of fuzz_net, talks of both ends in one stream, of fuzz_gateway,
what a guest says, of fuzz_http, what a job says to its proxy, and of fuzz_sni, how TLS begins,
and of fuzz_parent, what a proxy of the host's answers, and how one is named."""
import struct

from seeds import put

NAMES = ("HELLO READY OPEN OPENED REFUSED REQUEST RESPONSE DATA EOF CREDIT CLOSE HOLD HELD "
         "RESUME").split()
TUNNEL, ORIGIN = 1, 2


def frame(name, stream=0, payload=b""):
    return struct.pack("<IHHII", 0x314E5A4C, NAMES.index(name) + 1, 0, stream, len(payload)) + payload


def u32(n):
    return struct.pack("<I", n)


def start(stream, kind, name, port=0):
    return frame("OPEN", stream, struct.pack("<HHHH", kind, 1, port, 0) + name)


def headers(*fields):
    return b"".join(struct.pack("<HH", len(n), len(v)) + n + v for n, v in fields)


def request(stream, method, path, *fields, body=0):
    head = struct.pack("<QHHHH", body, len(method), len(path), len(fields), 0)
    return frame("REQUEST", stream, head + method + path + headers(*fields))


def response(stream, status, *fields, body=0):
    return frame("RESPONSE", stream, struct.pack("<QHHI", body, status, len(fields), 0) + headers(*fields))


def client_hello(*names):
    ext = b"".join(struct.pack(">HHHBH", 0, len(n) + 5, len(n) + 3, 0, len(n)) + n for n in names)
    body = (b"\3\3" + bytes(32) + b"\2xy" + b"\0\2\x13\1" + b"\1\0" + struct.pack(">H", len(ext)) + ext)
    shake = b"\1\0" + struct.pack(">H", len(body)) + body
    return b"\x16\3\1" + struct.pack(">H", len(shake)) + shake


hello = struct.pack("<I16s", 1, b"nonce")
meet = frame("HELLO", 0, hello) + frame("READY", 0, hello)
tunnel = meet + start(1, TUNNEL, b"example.org", 443) + frame("OPENED", 1)
ask = meet + start(2, ORIGIN, b"api") + request(2, b"POST", b"/v1?a=b", (b"accept", b"*/*"), body=3)
over = frame("CLOSE", 1, u32(0)) * 2
seeds = {
    "every-type": b"".join(frame(n) + frame(n, 1) for n in NAMES),
    "tunnel": tunnel + frame("DATA", 1, b"out") + frame("CREDIT", 1, u32(3)) + frame("EOF", 1) * 2 + over
    + start(1, TUNNEL, b"::1", 1),
    "refused": meet + start(9, TUNNEL, b"10.0.0.1", 80) + frame("REFUSED", 9, struct.pack("<HH", 1, 403) + b"{}")
    + frame("CLOSE", 9, u32(1)),
    "crossed": meet + start(1, TUNNEL, b"a", 1) + frame("CLOSE", 1, u32(10)) + frame("OPENED", 1)
    + frame("DATA", 1, b"late") + frame("CLOSE", 1, u32(10)),
    "ask": ask + frame("DATA", 2, b"abc") + frame("EOF", 2) + frame("CREDIT", 2, u32(3))
    + response(2, 200, (b"content-type", b"text/event-stream"), body=2**64 - 1) + frame("DATA", 2, b"data: 1\n\n"),
    "ask-lies": meet + start(2, ORIGIN, b"api") + request(2, b"GET", b"/../x", (b"content-length", b"1")),
    "window": tunnel + frame("DATA", 1, bytes(65536)) * 5,
    "hold": tunnel + frame("HOLD") + frame("DATA", 1, b"x") + frame("HELD") + frame("RESUME") + frame("DATA", 1, b"y"),
    "again": tunnel + meet + start(1, TUNNEL, b"b", 2),
    "bad-magic": frame("HELLO", 0, hello).replace(b"LZN1", b"LAZ1"),
    "too-long": frame("DATA", 1, bytes(65537)),
}

question = b"\3api\7lazaret\0" + struct.pack(">HH", 1, 1)
http = {
    "get": b"hGET /v1?a=b HTTP/1.1\r\nHost: api.lazaret\r\nAccept: */*\r\nX-A:\t b \r\n\r\n",
    "absolute": b"hPOST http://example.org:8080/x HTTP/1.0\r\nContent-Length: 3\r\nTE: x\r\n\r\nabc",
    "connect": b"hCONNECT [2001:db8::1]:443 HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
    "chunks": b"hPUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
    "twice": b"hGET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "folded": b"hGET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "body": b"b4;x=y\r\nabcd\r\n00A\r\n0123456789\r\n0\r\nA: b\r\n\r\nrest",
    "body-lies": b"bffffffffffffffff\r\nx",
    "dns": b"d" + struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + question,
    "dns-edns": b"d" + struct.pack(">HHHHHH", 7, 0x120, 1, 0, 0, 1) + question.replace(b"lazaret", b"example")
    + b"\0\0\x29\x04\xd0" + bytes(6),
    "dns-loop": b"d" + struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + b"\xc0\x0c" + bytes(4),
}

met = frame("READY", 0, struct.pack("<I", 1) + bytes(16))


def asked(stream, method, path, body=0):
    return start(stream, ORIGIN, b"api") + request(stream, method, path, (b"a", b"b"), body=body)


gateway = {
    "refused": b"\x7f" + met + start(1, TUNNEL, b"evil.org", 443) + frame("CLOSE", 1, bytes(4)),
    "silent": b"\x7f" + met + start(1, TUNNEL, b"x.a.org", 443) + start(2, TUNNEL, b"x.a.org", 443),
    "connect": b"\0" + met + b"".join(start(i, TUNNEL, b"127.0.0.1", 1) for i in range(1, 6)),
    "request": b"\x7f" + met + asked(1, b"GET", b"/v1/x") + frame("EOF", 1),
    "body": b"\x7f" + met + asked(1, b"POST", b"/v1/x", 3) + frame("DATA", 1, b"four"),
    "method": b"\x7f" + met + asked(1, b"PUT", b"/v1/x"),
    "held": b"\xff" + met + frame("HELD") + start(1, TUNNEL, b"evil.org", 443),
    "no-stream": b"\x7f" + met + frame("DATA", 9, b"x"),
    "twice": b"\x7f" + met + start(1, TUNNEL, b"x.a.org", 443) * 2,
    "early": b"\x7f" + start(1, TUNNEL, b"x.a.org", 443),
}

sni = {
    "name": client_hello(b"a.example.org"),
    "none": client_hello(),
    "twice": client_hello(b"a.org", b"b.org"),
    "records": b"\x16\3\1\0\1\1" * 3 + client_hello(b"a.org")[3:],
    "part": client_hello(b"a.example.org")[:50],
    "no-tls": b"GET / HTTP/1.1\r\n\r\n",
}

parent = {
    "yes": b"HTTP/1.1 200 Connection established\r\nA: b\r\n\r\nSSH-2.0",
    "no": b"HTTP/1.0 407 no\nProxy-Authenticate: Basic\n\nbody",
    "no-http": b"SSH-2.0-x\r\n\r\n",
    "part": b"HTTP/1.1 20",
    "url": b"http://user:p%40ss@Proxy.example.org:3128/\n.corp,10.0.0.0/8 *.a.org,::1,b.org:80",
    "address": b"[fd00::1]:8080\n*",
}

put({"net": seeds, "gateway": gateway, "http": http, "sni": sni, "parent": parent})
