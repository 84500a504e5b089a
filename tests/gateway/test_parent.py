"""Through the host's own proxy: what is allowed is asked of it, and nothing else, and nothing is looked up."""
import base64
import os
import threading

from rig import *
import servers

LOGIN = "user:pass word"
names = certs = parent = None
ports = {}


def setup():
    global names, certs, parent
    certs = servers.Certificates()
    names = servers.Names({"proxy.test": ["127.0.0.1"], "near.test": ["127.0.0.1"]})
    parent = servers.Parent()
    ports["echo"] = servers.tcp(servers.echo)
    ports["api"] = servers.tcp(answer, context=certs.server("api.test"))


def answer(s):
    """Says the last header of each request."""
    head = b""
    while more := s.recv(1):
        head += more
        if head.endswith(b"\r\n\r\n"):
            came.append(head.decode())
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            head = b""


came = []


def gateway(*urls, login=None, ranges=(), at=None, direct=(), secrets=()):
    rules = [{"to": u} if isinstance(u, str) else u for u in urls]
    env = {"LAZARET_DNS": names.at, "SSL_CERT_FILE": certs.ca}
    if login:
        env["LAZARET_PROXY_LOGIN"] = login
    return Gateway(rules, ranges, secrets, env=env,
                   proxy={"at": at or parent.at, "direct": list(direct)})


def a_tunnel_is_asked_of_the_proxy_and_nothing_is_looked_up():
    asked = len(names.asked)
    to = f"far.test:{ports['echo']}"
    with gateway(f"tcp://{to}") as g:
        g.tunnel(1, "far.test", ports["echo"])
        g.send(DATA, 1, b"hello")
        equal(g.data(1, 5), b"hello")
        equal(parent.heads[-1], f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")
        g.send(EOF, 1)
        equal(g.rest(1), (b"", "eof"))
        equal(g.closed(1).address, "127.0.0.1")
        n = len(parent.heads)
        g.refused(2, "far.test", 1, "rule")
        g.refused(3, "other.test", ports["echo"], "rule")
        equal((len(parent.heads), len(names.asked)), (n, asked))


def the_proxy_may_be_a_name_and_want_a_login():
    asked = len(names.asked)
    with gateway(f"tcp://far.test:{ports['echo']}", login=LOGIN, at=f"proxy.test:{parent.port}") as g:
        g.tunnel(1, "far.test", ports["echo"])
        check(f"\r\nProxy-Authorization: Basic {base64.b64encode(LOGIN.encode()).decode()}\r\n"
              in parent.heads[-1], parent.heads[-1])
        equal(set(names.asked[asked:]), {"proxy.test"})
        try:
            with open(f"/proc/{g.process.pid}/environ", "rb") as f:
                check(b"pass word" not in f.read(), "the login is in its environment")
        except PermissionError:  # it cannot even be looked at
            check(not os.environ.get("GATEWAY_ROOT"))


def what_comes_behind_the_answer_is_the_servers():
    def early(s):
        s.sendall(b"HTTP/1.0 200\r\n\r\nfirst words")
        s.recv(1)

    def slowly(s):
        for c in b"HTTP/1.1 201 x\r\nA: b\r\n\r\nfirst words":
            s.sendall(bytes([c]))
        s.recv(1)

    for say in (early, slowly):
        parent.answers["early.test"] = say
        with gateway("tcp://early.test:25") as g:
            g.tunnel(1, "early.test", 25)
            equal(g.data(1, 11), b"first words")


def an_address_that_is_private_is_not_asked_for():
    n = len(parent.heads)
    bad = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "localhost", "a.localhost"]
    with gateway(*(f"tcp://[{b}]:80" if ":" in b else f"tcp://{b}:80" for b in bad)) as g:
        for i, b in enumerate(bad):
            g.refused(i + 1, b, 80, "address")
        equal(len(parent.heads), n)
    with gateway(f"tcp://127.0.0.1:{ports['echo']}", ranges=["127.0.0.0/8"]) as g:
        g.tunnel(1, "127.0.0.1", ports["echo"])
        equal(len(parent.heads), n + 1)


def what_no_proxy_names_is_reached_directly_and_judged():
    n = len(parent.heads)
    to = f"tcp://near.test:{ports['echo']}"
    with gateway(to, direct=["near.test"], ranges=["127.0.0.0/8"]) as g:
        g.tunnel(1, "near.test", ports["echo"])
    with gateway(to, f"tcp://127.0.0.1:{ports['echo']}", direct=["test", "127.0.0.0/8"]) as g:
        g.refused(1, "near.test", ports["echo"], "address")
        g.refused(2, "127.0.0.1", ports["echo"], "address")
    equal(len(parent.heads), n)


def a_no_of_the_proxy_is_passed_on():
    for status in (407, 403, 502):
        parent.answers["no.test"] = lambda s, n=status: s.sendall(b"HTTP/1.1 %d no\r\n\r\nsecret page" % n)
        with gateway("https://no.test", {"to": "https://no.test", "name": "api"}) as g:
            text, ev = g.refused(1, "no.test", 443, "connect")
            equal(ev.proxy, status)
            check(f"status {status}" in text["reason"], text)
            g.request(2, "api", "GET", "/")
            equal(g.is_refused(2, "connect")[1].proxy, status)
    with gateway("https://no.test", at="127.0.0.1:1") as g:
        text, ev = g.refused(1, "no.test", 443, "connect")
        equal(ev.proxy, 1)
        check("proxy cannot be reached" in text["reason"], text)
    with gateway("https://no.test", at="none.test:1") as g:
        equal(g.refused(1, "no.test", 443, "connect")[1].proxy, 1)


def what_is_no_answer_is_refused():
    for said in (b"", b"HTTP/1.1 200 OK\r\nhalf", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n",
                 b"HTTP/2 200 OK\r\n\r\n", b"HTTP/1.1 2000\r\n\r\n", b"HTTP/1.1 099 x\r\n\r\n",
                 b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 2000 + b"\r\n"):
        parent.answers["odd.test"] = lambda s, b=said: s.sendall(b)
        with gateway("https://odd.test") as g:
            equal(g.refused(1, "odd.test", 443, "connect")[1].proxy, 1)


def a_try_that_hangs_in_it_does_not_slow_others():
    hold = threading.Event()
    parent.answers["hang.test"] = lambda s: hold.wait(WAIT)
    with gateway("https://hang.test", f"tcp://far.test:{ports['echo']}") as g:
        for i in range(100):
            g.open(100 + i, "hang.test", 443)
        g.open(1, "far.test", ports["echo"])
        equal(g.frame()[:2], (OPENED, 1))
        g.send(DATA, 1, b"quick")
        equal(g.data(1, 5), b"quick")
    hold.set()


def by_the_proxy_too_tls_names_its_host():
    with gateway("https://tls.test") as g:
        sent = []
        parent.answers["tls.test"] = lambda s: (s.sendall(b"HTTP/1.1 200 OK\r\n\r\n"),
                                                sent.append(s.recv(10)))
        g.tunnel(1, "tls.test", 443)
        g.send(DATA, 1, b"GET / HTTP/1.1\r\n\r\n")
        equal(g.closed(1, "tls").up, 0)
    check(not any(sent), "a byte went to the server")


def a_secret_goes_to_the_server_and_not_to_the_proxy():
    rule = {"to": f"https://api.test:{ports['api']}", "name": "api", "secret": "KEY",
            "header": "X-Key: {}"}
    n = len(parent.heads)
    with gateway(rule, secrets=[("KEY", b"abc-123")], login=LOGIN) as g:
        for i in (1, 2):
            g.request(i, "api", "GET", "/")
            g.send(EOF, i)
            equal(g.response(i)[0], 200)
            equal(g.rest(i), (b"ok", "eof"))
            check("X-Key: abc-123\r\n" in came[-1] and "Proxy" not in came[-1], came[-1])
        equal(len(parent.heads), n + 1)  # its connection is used again
        check("abc-123" not in parent.heads[-1], parent.heads[-1])
    wrong = servers.tcp(answer, context=certs.server("wrong.test"))
    with gateway({**rule, "to": f"https://api.test:{wrong}"}, secrets=[("KEY", b"abc-123")]) as g:
        n = len(came)
        g.request(1, "api", "GET", "/")
        g.is_refused(1, "tls")
        equal(len(came), n)


TESTS = [a_tunnel_is_asked_of_the_proxy_and_nothing_is_looked_up, the_proxy_may_be_a_name_and_want_a_login,
         what_comes_behind_the_answer_is_the_servers, an_address_that_is_private_is_not_asked_for,
         what_no_proxy_names_is_reached_directly_and_judged, a_no_of_the_proxy_is_passed_on,
         what_is_no_answer_is_refused, a_try_that_hangs_in_it_does_not_slow_others,
         by_the_proxy_too_tls_names_its_host, a_secret_goes_to_the_server_and_not_to_the_proxy]

if __name__ == "__main__":
    run(TESTS, setup, lambda: certs.remove())
