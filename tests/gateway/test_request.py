"""Requests to clear-side origins through a real gateway: the secret goes out and never comes back."""
import os
import socket
import struct
import threading

from rig import *
import servers

LO = ["127.0.0.0/8", "::1/128"]
KEY = "sk-test-0123456789abcdef"
names = certs = None
ports = {}
seen = []  # heads of requests, as the server got them


def read_head(s):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = s.recv(1)
        if not more:
            return None
        head += more
    return head.decode("latin-1")


def serve(s):
    """One request after another: what the path says is done."""
    while True:
        head = read_head(s)
        if head is None:
            return
        seen.append(head)
        method, path, _ = head.split("\r\n")[0].split(" ")
        fields = {}
        for line in head.split("\r\n")[1:]:
            if line:
                n, v = line.split(": ", 1) if ": " in line else (line.rstrip(":"), "")
                fields[n.lower()] = v
        body = read_body(s, fields)
        path = path.split("?")[0]
        if path == "/v1/echo":
            reply(s, b"you sent " + fields.get("authorization", "").encode() + b"; " + body,
                  ("X-Echo: " + fields.get("authorization", ""), "Set-Cookie: a=b"), method == "HEAD")
        elif path == "/v1/pieces":  # the secret over many chunks, which end within it
            text = f"a {KEY} b {KEY[:-1]} c {KEY[:5]}{KEY} d".encode()
            s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in range(0, len(text), 7):
                s.sendall(b"%x\r\n%s\r\n" % (len(text[i:i + 7]), text[i:i + 7]))
            s.sendall(b"0\r\n\r\n")
        elif path == "/v1/events":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n")
            for i in range(3):
                line = b"data: %d\n\n" % i
                s.sendall(b"%x\r\n%s\r\n" % (len(line), line))
                step.acquire(timeout=WAIT)  # pylint: disable=consider-using-with
            s.sendall(b"0\r\n\r\n")
        elif path == "/v1/moved":
            s.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
        elif path == "/v1/colon":
            s.sendall(b"HTTP/1.1 404 no: none\r\nContent-Length: 0\r\n\r\n")
        elif path == "/v1/long":
            reply(s, b"", ("X-Long: " + "y" * 1000,))
        elif path == "/v1/packed":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz")
        elif path == "/v1/half":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            step.acquire(timeout=WAIT)  # pylint: disable=consider-using-with
            return
        elif path == "/v1/large":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"z" * 3000000)
        else:
            reply(s, f"{method} {path} {len(body)}".encode())


step = threading.Semaphore(0)


def read_body(s, fields):
    body = b""
    if fields.get("transfer-encoding") == "chunked":
        while True:
            size = b""
            while not size.endswith(b"\r\n"):
                size += s.recv(1)
            n = int(size, 16)
            chunk = b""
            while len(chunk) < n + 2:
                chunk += s.recv(n + 2 - len(chunk))
            body += chunk[:-2]
            if n == 0:
                return body
    want = int(fields.get("content-length", 0))
    while len(body) < want:
        more = s.recv(65536)
        if not more:
            break
        body += more
    return body


def reply(s, body, headers=(), head=False):
    s.sendall("\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]).encode()
              + (b"" if head else body))


def setup():
    global names, certs
    certs = servers.Certificates()
    names = servers.Names({"api.test": ["127.0.0.1"], "plain.test": ["127.0.0.1"],
                           "wrong.test": ["127.0.0.1"], "inside.test": ["10.0.0.1"]})
    ports["api"] = servers.tcp(serve, context=certs.server("api.test"))
    ports["plain"] = servers.tcp(serve)


def origin(**more):
    return {"to": f"https://api.test:{ports['api']}/v1", "name": "api", "secret": "KEY",
            "header": "Authorization: Bearer {}", **more}


def gateway(*rules, ranges=LO, secrets=(("KEY", KEY.encode() + b"\n"),), **more):
    return Gateway(rules or (origin(),), ranges, secrets,
                   env={"LAZARET_DNS": names.at, "SSL_CERT_FILE": certs.ca}, **more)


def finish(g, stream, why="done"):
    kind, _, p = g.frame(stream)
    equal((kind, WHY[struct.unpack("<I", p)[0]] if kind == CLOSE else p), (CLOSE, why))
    g.send(CLOSE, stream, bytes(4))


def whole(g, stream, method, path, headers=(), body=b"", known=True):
    """Status, headers, body."""
    g.request(stream, "api", method, path, headers, len(body) if known else UNKNOWN)
    if body:
        g.send(DATA, stream, body)
    g.send(EOF, stream)
    status, fields, _ = g.response(stream)
    got, why = g.rest(stream)
    equal(why, "eof")
    finish(g, stream)
    return status, fields, got


def the_secret_goes_out_and_is_covered_when_it_comes_back():
    with gateway() as g:
        status, fields, body = whole(g, 1, "GET", "/v1/echo", (("accept", "*/*"),))
        equal(status, 200)
        check(f"Authorization: Bearer {KEY}\r\n" in seen[-1], seen[-1])
        stars = "*" * len(KEY)
        equal(body, f"you sent Bearer {stars}; ".encode())
        equal(fields["x-echo"], f"Bearer {stars}")
        check("content-length" not in fields and "connection" not in fields, fields)
        equal({g.any_event().type for _ in range(2)}, {TRY, CLOSED})


def a_secret_in_pieces_is_covered():
    with gateway() as g:
        _, _, body = whole(g, 1, "GET", "/v1/pieces")
        stars = "*" * len(KEY)
        equal(body, f"a {stars} b {KEY[:-1]} c {KEY[:5]}{stars} d".encode())


def what_the_guest_says_of_that_header_is_dropped():
    with gateway() as g:
        whole(g, 1, "GET", "/v1/echo", (("authorization", "Bearer mine"), ("range", "bytes=0-3"),
                                        ("accept-encoding", "gzip"), ("x-mine", "yes"), ("empty", "")))
        check("mine\r\n" not in seen[-1] and "gzip" not in seen[-1] and "bytes=0-3" not in seen[-1],
              seen[-1])
        check("x-mine: yes\r\n" in seen[-1] and "empty:\r\n" in seen[-1], seen[-1])
        equal(seen[-1].lower().count("authorization:"), 1)
        check(f"Host: api.test:{ports['api']}\r\n" in seen[-1], seen[-1])
        check("User-Agent" not in seen[-1], seen[-1])


def bodies_go_up_whole_and_in_pieces():
    with gateway() as g:
        equal(whole(g, 1, "POST", "/v1/x?q=1", body=b"b" * 5000)[2], b"POST /v1/x 5000")
        check("Content-Length: 5000\r\n" in seen[-1] and " /v1/x?q=1 " in seen[-1], seen[-1])
        equal(whole(g, 2, "PUT", "/v1/x", body=b"b" * 60000, known=False)[2], b"PUT /v1/x 60000")
        equal(whole(g, 3, "POST", "/v1/x")[2], b"POST /v1/x 0")
        equal(whole(g, 4, "DELETE", "/v1/x")[2], b"DELETE /v1/x 0")
        equal(whole(g, 5, "HEAD", "/v1/echo")[2], b"")


def a_large_answer_waits_for_credit():
    with gateway() as g:
        equal(len(whole(g, 1, "GET", "/v1/large")[2]), 3000000)


def events_come_as_they_are_sent():
    with gateway() as g:
        g.request(1, "api", "GET", "/v1/events")
        g.send(EOF, 1)
        equal(g.response(1)[1]["content-type"], "text/event-stream")
        for i in range(3):
            equal(g.data(1, 9), b"data: %d\n\n" % i)
            step.release()
        equal(g.rest(1), (b"", "eof"))


def only_what_the_rule_says_is_asked():
    with gateway(origin(methods=["GET"])) as g:
        n = len(seen)
        for i, (name, method, path) in enumerate((("api", "POST", "/v1/x"), ("api", "GET", "/v2/x"),
                                                  ("api", "GET", "/v10"), ("other", "GET", "/v1/x"),
                                                  ("api", "GET", "/v1/%2e%2e%2fv2"))):
            g.request(i + 1, name, method, path)
            g.is_refused(i + 1, "rule")
        g.refused(100, "api.test", ports["api"], "rule")  # an origin opens no tunnel
        equal(len(seen), n)


def a_redirect_is_passed_on_not_followed():
    with gateway() as g:
        status, fields, _ = whole(g, 1, "GET", "/v1/moved")
        equal((status, fields["location"]), (302, "http://127.0.0.1:1/"))


def what_could_hide_the_secret_is_cut_off():
    with gateway() as g:
        g.request(1, "api", "GET", "/v1/packed")
        g.is_refused(1, "peer")


def an_answer_that_breaks_off_is_no_whole_one():
    with gateway() as g:
        g.request(1, "api", "GET", "/v1/half")
        g.send(EOF, 1)
        g.response(1)
        step.release()
        equal(g.rest(1), (b"half", "peer"))


def a_certificate_that_does_not_fit_is_refused():
    n = len(seen)
    with gateway(origin(to=f"https://wrong.test:{ports['api']}/v1")) as g:
        g.request(1, "api", "GET", "/v1/x")
        g.is_refused(1, "tls")
    g = Gateway([origin()], LO, [("KEY", KEY.encode())], env={"LAZARET_DNS": names.at,
                                                              "SSL_CERT_FILE": "/dev/null"})
    with g:
        g.request(1, "api", "GET", "/v1/x")
        g.is_refused(1, "tls")
    equal(len(seen), n)


def an_origin_does_not_lead_inside():
    with gateway(origin(to="https://inside.test/v1")) as g:
        g.request(1, "api", "GET", "/v1/x")
        g.is_refused(1, "address")


def an_origin_in_the_clear_without_a_secret_works():
    rule = {"to": f"http://plain.test:{ports['plain']}", "name": "api"}
    with gateway(rule, secrets=()) as g:
        equal(whole(g, 1, "GET", "/any", (("accept-encoding", "gzip"),))[2], b"GET /any 0")
        check("gzip" in seen[-1], seen[-1])


def a_secret_that_is_no_header_is_refused_when_it_is_used():
    n = len(seen)
    with gateway(secrets=(("KEY", KEY.encode()),)) as g:
        for i, bad in enumerate((b"a\nb", b"", b"x" * 5000)):
            g.secret("KEY", bad)
            g.request(i + 1, "api", "GET", "/v1/x")
            text, ev = g.is_refused(i + 1, "request")
            check("cannot go into a header" in text["reason"], text)
            equal(ev.secret, 2)
        equal(len(seen), n)
        for i in range(40):  # the same name has the same place
            g.secret("KEY", b"new-%d" % i)
        whole(g, 10, "GET", "/v1/echo")
        check("Authorization: Bearer new-39\r\n" in seen[-1], seen[-1])
        g.rules([origin()], LO)
        g.secret("KEY", b"newest")
        whole(g, 11, "GET", "/v1/echo")
        check("Authorization: Bearer newest\r\n" in seen[-1], seen[-1])
    with gateway(secrets=(), meet=False) as g:
        check("no secret 'KEY'" in g.event(LOST).text)


def a_secret_that_comes_late_holds_up_who_needs_it_only():
    plain = {"to": f"http://plain.test:{ports['plain']}", "name": "open"}
    with gateway(origin(), plain) as g:
        r, w = os.pipe()
        os.write(w, b"sk-la")
        g.command(SECRET, b"KEY", fd=r)
        os.close(r)
        for i in (1, 2, 3):
            g.request(i, "api", "POST", "/v1/x", body=5)
            g.send(DATA, i, b"hello")
            g.send(EOF, i)
        g.send(CLOSE, 3, bytes(4))  # the guest waits no more
        equal(g.frame(3)[0], CLOSE)
        g.request(4, "open", "GET", "/any")
        g.send(EOF, 4)
        equal(g.response(4)[0], 200)
        equal(g.frames, [], "it waits:")
        n = len(seen)
        os.write(w, b"ter")
        os.close(w)
        for i in (1, 2):
            equal(g.response(i)[0], 200)
            equal(g.rest(i)[0], b"POST /v1/x 5")
        equal(len(seen), n + 2)
        for head in seen[n:]:
            check("Authorization: Bearer sk-later\r\n" in head, head)


def who_waits_for_a_secret_is_told_that_it_is_none():
    plain = {"to": f"http://plain.test:{ports['plain']}", "name": "open"}
    with gateway(origin(), plain) as g:
        r, w = os.pipe()
        g.command(SECRET, b"KEY", fd=r)
        os.close(r)
        n = len(seen)
        g.request(1, "api", "GET", "/v1/echo")
        os.write(w, b"two\nlines")
        os.close(w)
        text, ev = g.is_refused(1, "request")
        check("cannot go into a header" in text["reason"], text)
        equal(ev.secret, 2)
        r, w = os.pipe()
        g.command(SECRET, b"KEY", fd=r)
        os.close(r)
        g.request(2, "api", "GET", "/v1/echo")
        g.request(3, "open", "GET", "/any")  # its answer says that 2 waits
        g.send(EOF, 3)
        equal(g.response(3)[0], 200)
        g.rest(3)
        finish(g, 3)
        equal([g.any_event().type for _ in range(2)], [TRY, CLOSED])
        g.rules([plain], LO)
        equal(g.is_refused(2, "gone")[1].secret, 0)
        os.close(w)
        equal(len(seen), n + 1)


def a_secret_is_forgotten_with_its_last_rule():
    with gateway(meet=False) as g:
        for i in range(200):
            name = f"K{i}"
            g.secret(name, b"v%d" % i)
            g.rules([origin(secret=name), origin(name="two", secret=name)], LO)
        g.rules([origin(secret="K199")], LO)
        g.meet()
        whole(g, 1, "GET", "/v1/echo")
        check("Authorization: Bearer v199\r\n" in seen[-1], seen[-1])
        equal([g.any_event().type for _ in range(2)], [TRY, CLOSED])
        g.rules([], LO)
        g.rules([origin(secret="K199")], LO)  # its value is not there any more
        check("no secret 'K199'" in g.event(LOST).text)


def heads_count_against_the_budget():
    with gateway(origin(bytes=1000)) as g:
        n = len(seen)
        g.request(1, "api", "GET", "/v1/" + "x" * 1000)
        g.is_refused(1, "budget")
        equal(len(seen), n)
    with gateway(origin(bytes=1000)) as g:
        g.request(1, "api", "GET", "/v1/long")
        g.send(EOF, 1)
        g.is_refused(1, "budget")


def an_origin_may_be_an_ipv6_address():
    port = servers.tcp(serve, "::1")
    with gateway({"to": f"http://[::1]:{port}", "name": "api"}, secrets=()) as g:
        equal(whole(g, 1, "GET", "/any")[2], b"GET /any 0")
    with gateway({"to": f"http://127.0.0.1:{ports['plain']}", "name": "api"}, secrets=()) as g:
        equal(whole(g, 1, "GET", "/any")[2], b"GET /any 0")


def a_connection_is_used_again():
    names.answers["again.test"] = ["127.0.0.1"]
    came = []

    def count(s):
        came.append(s)
        serve(s)

    port = servers.tcp(count)
    with gateway({"to": f"http://again.test:{port}", "name": "api"}, secrets=()) as g:
        for i in (1, 2, 3):
            equal(whole(g, i, "GET", "/any")[2], b"GET /any 0")
        equal((len(came), names.asked.count("again.test")), (1, 2))  # of each family
        came[0].shutdown(socket.SHUT_RDWR)  # and where the server has closed it, another one
        equal(whole(g, 4, "POST", "/any", body=b"b")[2], b"POST /any 1")
        equal(len(came), 2)


def an_address_that_is_silent_does_not_hold_up():
    names.answers["slow.test"] = ["127.7.7.1", "127.7.7.2", "127.0.0.1"]
    rule = {"to": f"http://slow.test:{ports['plain']}", "name": "api"}
    with servers.Silent(ports["plain"], "127.7.7.1", "127.7.7.2"), gateway(rule, secrets=()) as g:
        equal(whole(g, 1, "GET", "/any")[2], b"GET /any 0")
        check(g.event(TRY).allowed)
        equal(g.event(CLOSED).address, "127.0.0.1")


def a_reason_may_have_a_colon():
    with gateway() as g:
        status, fields, _ = whole(g, 1, "GET", "/v1/colon")
        equal((status, fields), (404, {}))


def a_body_of_another_length_is_refused():
    with gateway() as g:
        g.request(1, "api", "POST", "/v1/x", body=3)
        g.send(DATA, 1, b"four")
        g.is_refused(1, "request")
        g.request(2, "api", "POST", "/v1/x", body=30)
        g.send(DATA, 2, b"four")
        g.send(EOF, 2)
        g.is_refused(2, "request")


def many_requests_at_once_have_a_limit():
    with gateway() as g:
        for i in range(1, 66):
            g.request(i, "api", "GET", "/v1/events")
        kinds = {i: g.frame(i)[0] for i in range(1, 66)}
        equal((list(kinds.values()).count(RESPONSE), kinds[65]), (64, REFUSED))
        for _ in range(64 * 3):
            step.release()


TESTS = [the_secret_goes_out_and_is_covered_when_it_comes_back, a_secret_in_pieces_is_covered,
         what_the_guest_says_of_that_header_is_dropped, bodies_go_up_whole_and_in_pieces,
         a_large_answer_waits_for_credit, events_come_as_they_are_sent, only_what_the_rule_says_is_asked,
         a_redirect_is_passed_on_not_followed, what_could_hide_the_secret_is_cut_off,
         an_answer_that_breaks_off_is_no_whole_one, a_certificate_that_does_not_fit_is_refused,
         an_origin_does_not_lead_inside, an_origin_in_the_clear_without_a_secret_works,
         a_secret_that_is_no_header_is_refused_when_it_is_used,
         a_secret_that_comes_late_holds_up_who_needs_it_only,
         who_waits_for_a_secret_is_told_that_it_is_none, a_secret_is_forgotten_with_its_last_rule, heads_count_against_the_budget,
         an_origin_may_be_an_ipv6_address, a_connection_is_used_again,
         an_address_that_is_silent_does_not_hold_up, a_reason_may_have_a_colon, a_body_of_another_length_is_refused,
         many_requests_at_once_have_a_limit]

if __name__ == "__main__":
    run(TESTS, setup, lambda: certs.remove())
