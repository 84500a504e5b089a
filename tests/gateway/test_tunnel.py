"""Raw connections through a real gateway: what is allowed works, what is not is refused at once."""
import os
import socket
import ssl
import struct
import threading
import time

from rig import *
import servers

LO = ["127.0.0.0/8", "::1/128"]
names = certs = None
ports = {}


def setup():
    global names, certs
    certs = servers.Certificates()
    names = servers.Names({"echo.test": ["127.0.0.1"], "tls.test": ["127.0.0.1"],
                           "six.test": ["::1"],
                           "dead.test": ["127.9.9.9", "127.0.0.1"], "silent.test": "silence"})
    ports["echo"] = servers.tcp(servers.echo)
    ports["six"] = servers.tcp(servers.echo, "::1")
    ports["tls"] = servers.tcp(servers.echo, context=certs.server("tls.test"))


def gateway(*urls, ranges=LO, **more):
    rules = [{"to": u} if isinstance(u, str) else u for u in urls]
    return Gateway(rules, ranges, env={"LAZARET_DNS": names.at, "SSL_CERT_FILE": certs.ca}, **more)


def echo_url(host="echo.test", port="echo", **more):
    return {"to": f"tcp://{host}:{ports[port]}", **more}


def bytes_go_both_ways_and_half_closes():
    with gateway(echo_url()) as g:
        g.tunnel(1, "echo.test", ports["echo"])
        g.send(DATA, 1, b"x" * 1000)
        equal(g.data(1, 1000), b"x" * 1000)
        g.send(DATA, 1, b"last")
        g.send(EOF, 1)
        equal(g.rest(1), (b"last", "eof"))
        ev = g.closed(1)
        equal((ev.up, ev.down, ev.address, ev.rule), (1004, 1004, "127.0.0.1", 1))


def a_large_upload_waits_for_credit():
    total, sent, got = 3 << 20, 0, 0
    with gateway(echo_url()) as g:
        g.tunnel(1, "echo.test", ports["echo"])
        credit = WINDOW
        block = os.urandom(PAYLOAD)
        while got < total:
            while sent < total and credit >= PAYLOAD:
                g.send(DATA, 1, block)
                sent += PAYLOAD
                credit -= PAYLOAD
            kind, _, p = g.frame(1, but=())
            if kind == CREDIT:
                credit += struct.unpack("<I", p)[0]
            else:
                equal(kind, DATA)
                equal(p, (block + block)[got % PAYLOAD:got % PAYLOAD + len(p)])
                got += len(p)
                g.send(CREDIT, 1, struct.pack("<I", len(p)))
        g.send(CLOSE, 1, bytes(4))


def ipv6_and_addresses_work():
    with gateway(echo_url("six.test", "six"), echo_url("127.0.0.1"),
                 {"to": f"tcp://[::1]:{ports['six']}"}) as g:
        for i, (host, port) in enumerate((("six.test", "six"), ("127.0.0.1", "echo"), ("::1", "six"))):
            g.tunnel(i + 1, host, ports[port])
            g.send(DATA, i + 1, b"hello")
            equal(g.data(i + 1, 5), b"hello")


def what_no_rule_names_is_refused_and_not_looked_up():
    with gateway(echo_url(), "https://*.below.test") as g:
        for i, (host, port) in enumerate((("evil.test", 443), ("echo.test", 80), ("below.test", 443),
                                          ("127.0.0.1", ports["echo"]), ("echo.test.evil.test", 443))):
            began = time.monotonic()
            text, ev = g.refused(i + 1, host, port, "rule")
            check(time.monotonic() - began < WAIT)
            equal((ev.allowed, ev.host, ev.port, ev.rule), (0, host, port, 0))
            equal((text["destination"], text["rule"]), (f"{host}:{port}", None))
        equal(text["how_to_allow"], "--allow https://echo.test.evil.test")
        for i, (port, to) in enumerate(((443, "https://[2001:db8::1]"), (80, "http://[2001:db8::1]"),
                                        (25, "tcp://[2001:db8::1]:25"))):
            text, _ = g.refused(i + 20, "2001:db8::1", port, "rule")
            equal((text["destination"], text["how_to_allow"]), (f"[2001:db8::1]:{port}", f"--allow {to}"))
        check(not [n for n in names.asked if n.endswith("evil.test")], "a name was looked up")


def names_that_lead_to_private_addresses_are_refused():
    bad = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "172.16.0.1", "100.64.0.1",
           "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1",
           "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::"]
    for i, a in enumerate(bad):
        names.answers[f"n{i}.rebind.test"] = [a]
    with gateway(f"tcp://*.rebind.test:{ports['echo']}", ranges=[]) as g:
        for i, a in enumerate(bad):
            text, _ = g.refused(i + 1, f"n{i}.rebind.test", ports["echo"], "address")
            check("network_ranges" in text["how_to_allow"], a)
        # What is in bounds is still not the way to what is not.
        names.answers["mixed.rebind.test"] = ["127.0.0.1", "10.0.0.1"]
        g.refused(100, "mixed.rebind.test", ports["echo"], "address")


def a_name_that_changes_is_judged_each_time():
    turns = []

    def rebind(kind):
        turns.append(kind)
        return ["127.0.0.1"] if len(turns) <= 2 else ["127.0.1.1"]

    names.answers["turn.test"] = rebind
    with gateway(echo_url("turn.test"), ranges=["127.0.0.0/24"]) as g:
        g.tunnel(1, "turn.test", ports["echo"])
        g.refused(2, "turn.test", ports["echo"], "address")


def a_host_is_not_its_own_way_in():
    """An address of this host that looks public."""
    import fcntl
    with socket.socket() as s:
        fcntl.ioctl(s, 0x8916, struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0,
                                           socket.inet_aton("8.7.6.5")))
    public = servers.tcp(servers.echo, "8.7.6.5")
    with gateway(f"tcp://8.7.6.5:{public}") as g:
        g.refused(1, "8.7.6.5", public, "address")


def a_name_that_is_not_there_is_said():
    with gateway("https://none.test") as g:
        g.refused(1, "none.test", 443, "name")


def a_name_whose_answer_is_cut_is_asked_for_again_over_tcp():
    """c-ares does it, with calls of its own that have to be on the gateway's list."""
    names.answers["cut.test"] = ["127.0.0.1"]
    names.cut.add("cut.test")
    with gateway(echo_url("cut.test")) as g:
        g.tunnel(1, "cut.test", ports["echo"])
    equal(names.asked.count("cut.test"), 4, "questions, of two kinds of addresses:")


def the_next_address_is_taken():
    with gateway(echo_url("dead.test")) as g:
        g.tunnel(1, "dead.test", ports["echo"])


def no_more_than_eight_addresses_of_a_name_are_tried():
    for dead in (7, 8):
        names.answers[f"dead{dead}.test"] = [f"127.9.9.{n}" for n in range(1, dead + 1)] + ["127.0.0.1"]
        with gateway(echo_url(f"dead{dead}.test")) as g:
            if dead < 8:
                g.tunnel(1, f"dead{dead}.test", ports["echo"])
            else:
                g.refused(1, f"dead{dead}.test", ports["echo"], "connect")


def an_address_that_is_silent_does_not_hold_up():
    """Two of them before one that answers: each would be dialled longer than a try may last."""
    names.answers["slow.test"] = ["127.7.7.1", "127.7.7.2", "127.0.0.1"]
    with servers.Silent(ports["echo"], "127.7.7.1", "127.7.7.2"), gateway(echo_url("slow.test")) as g:
        g.tunnel(1, "slow.test", ports["echo"])
        g.send(DATA, 1, b"x")
        g.data(1, 1)
        g.send(EOF, 1)
        g.rest(1)
        equal(g.closed(1).address, "127.0.0.1")


def nobody_listens_is_said():
    with gateway("tcp://127.0.0.1:1") as g:
        g.refused(1, "127.0.0.1", 1, "connect")


def a_dead_destination_does_not_slow_others():
    """100 that wait for a name server that is silent, and one that does not."""
    with gateway("https://silent.test", echo_url()) as g:
        for i in range(100):
            g.open(100 + i, "silent.test", 443)
        g.open(1, "echo.test", ports["echo"])
        equal(g.frame()[:2], (OPENED, 1))
        g.send(DATA, 1, b"quick")
        equal(g.data(1, 5), b"quick")


def two_hundred_at_once_work():
    with gateway(echo_url()) as g:
        for i in range(1, 201):
            g.open(i, "echo.test", ports["echo"])
        for i in range(1, 201):
            equal(g.frame(i)[0], OPENED)
            g.send(DATA, i, struct.pack("<I", i) * 1000)
        for i in range(1, 201):
            equal(g.data(i, 4000), struct.pack("<I", i) * 1000)
            g.send(EOF, i)
        for i in range(1, 201):
            equal(g.frame(i)[0], EOF)
            equal(g.frame(i)[0], CLOSE)


def hello_of(name):
    """The first bytes of a TLS client."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    t = c.wrap_bio(into, out, server_hostname=name)
    try:
        t.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def tls_passes_untouched():
    with gateway({"to": f"https://tls.test:{ports['tls']}"}) as g:
        g.tunnel(1, "tls.test", ports["tls"])
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        t = certs.client().wrap_bio(into, out, server_hostname="tls.test")

        def until(step):
            while True:
                try:
                    got = step()
                    wanted = False
                except ssl.SSLWantReadError:
                    wanted = True
                more = out.read()
                for i in range(0, len(more), 100):  # the ClientHello in pieces
                    g.send(DATA, 1, more[i:i + 100])
                if not wanted:
                    return got
                kind, _, p = g.frame(1)
                equal(kind, DATA)
                into.write(p)

        until(t.do_handshake)
        t.write(b"secret words")
        equal(until(lambda: t.read(100)), b"secret words")


def tls_for_another_name_is_cut_off():
    sent = []
    spy = servers.tcp(lambda s: sent.append(s.recv(10)))
    for first in (hello_of("evil.test"), hello_of(None), b"GET / HTTP/1.1\r\n\r\n",
                  b"\x16\x03\x01\x40\x01" + bytes(20)):
        with gateway(f"https://tls.test:{spy}") as g:
            g.tunnel(1, "tls.test", spy)
            g.send(DATA, 1, first)
            equal(g.closed(1, "tls").up, 0)
    with gateway(f"https://tls.test:{spy}") as g:  # half of one, and no more
        g.tunnel(1, "tls.test", spy)
        g.send(DATA, 1, hello_of("tls.test")[:50])
        g.send(EOF, 1)
        g.closed(1, "tls")
    check(not any(sent), "a byte went to the server")


def an_address_needs_no_name_in_tls():
    with gateway(f"https://127.0.0.1:{ports['tls']}") as g:
        g.tunnel(1, "127.0.0.1", ports["tls"])
        g.send(DATA, 1, hello_of(None))
        equal(g.frame(1)[0], DATA)
        g.tunnel(2, "127.0.0.1", ports["tls"])
        g.send(DATA, 2, hello_of("tls.test"))
        g.closed(2, "tls")


def a_budget_of_bytes_ends_it():
    with gateway(echo_url(bytes=10000)) as g:
        g.tunnel(1, "echo.test", ports["echo"])
        g.send(DATA, 1, b"x" * 20000)
        _, why = g.rest(1)
        equal(why, "budget")
        g.send(CLOSE, 1, bytes(4))
        ev = g.event(CLOSED)
        equal(ev.up + ev.down, 10000)
        g.refused(2, "echo.test", ports["echo"], "budget")
        g.rules([echo_url(bytes=10000), {"to": "https://new.test"}], LO)
        g.refused(3, "echo.test", ports["echo"], "budget")  # what is used stays used


def a_budget_is_of_all_streams_together():
    got = [0]

    def count(s):
        while more := s.recv(65536):
            got[0] += len(more)
        done.release()

    done = threading.Semaphore(0)
    port = servers.tcp(count)
    with gateway({"to": f"tcp://echo.test:{port}", "bytes": 10000}) as g:
        for i in range(1, 5):
            g.tunnel(i, "echo.test", port)
        for i in range(1, 5):
            g.send(DATA, i, b"x" * 9000)
        for i in range(1, 5):
            equal(g.rest(i), (b"", "budget"))
        equal(sum(g.event(CLOSED).up for _ in range(4)), 10000)
    for _ in range(4):
        check(done.acquire(timeout=WAIT))
    equal(got[0], 10000)


def questions_for_names_have_a_limit():
    with gateway("https://silent.test") as g:
        for _ in range(5000):
            g.open(1, "silent.test", 443)
            g.send(CLOSE, 1, bytes(4))
            kind, _, p = g.frame(1)
            ev = g.event(TRY)
            if kind == REFUSED:
                break
            equal((kind, g.event(CLOSED).why), (CLOSE, "done"))
        equal((kind, WHY[struct.unpack("<H", p[:2])[0]], ev.why), (REFUSED, "limit", "limit"))


def a_rate_is_kept():
    with gateway(echo_url(rate=100000)) as g:
        g.tunnel(1, "echo.test", ports["echo"])
        began = time.monotonic()
        g.send(DATA, 1, b"x" * 50000)
        g.data(1, 50000)
        check(time.monotonic() - began > 0.6, "faster than the rule allows")


def too_many_at_once_are_refused():
    with gateway(echo_url(streams=2)) as g:
        g.tunnel(1, "echo.test", ports["echo"])
        g.tunnel(2, "echo.test", ports["echo"])
        g.refused(3, "echo.test", ports["echo"], "limit")
        g.send(CLOSE, 1, bytes(4))
        g.event(CLOSED)
        g.tunnel(4, "echo.test", ports["echo"])


def a_rule_that_goes_ends_its_streams():
    stays = servers.tcp(servers.echo)
    keep = {"to": f"tcp://echo.test:{stays}"}
    with gateway(echo_url(), keep) as g:
        g.tunnel(1, "echo.test", ports["echo"])
        g.tunnel(2, "echo.test", stays)
        g.rules([keep], LO)
        g.closed(1, "gone")
        g.send(DATA, 2, b"still")
        equal(g.data(2, 5), b"still")
        g.refused(3, "echo.test", ports["echo"], "rule")
        g.rules([keep, echo_url()], LO)
        g.tunnel(4, "echo.test", ports["echo"])


def nothing_is_said_while_it_is_held():
    ready = threading.Event()
    more = threading.Event()

    def late(s):
        ready.set()
        more.wait(WAIT)
        s.sendall(b"late")

    port = servers.tcp(late)
    with gateway(f"tcp://echo.test:{port}", echo_url()) as g:
        g.tunnel(1, "echo.test", port)
        ready.wait(WAIT)
        g.command(HOLD)
        equal(g.frame()[:2], (N_HOLD, 0))
        g.open(2, "echo.test", ports["echo"])  # it had begun to say so
        g.send(N_HELD, 0)
        equal({g.any_event().type for _ in range(2)}, {TRY, HELD})
        more.set()
        g.command(RESUME)
        equal(g.frame()[:2], (N_RESUME, 0))
        equal(g.data(1, 4), b"late")
        equal(g.frame(2)[0], OPENED)


def another_guest_finds_nothing_open():
    with gateway(echo_url()) as g:
        g.tunnel(1, "echo.test", ports["echo"])
        hello = g.greet()
        g.send(N_READY, 0, hello)
        equal([g.any_event().type for _ in range(2)], [CLOSED, READY])
        g.tunnel(1, "echo.test", ports["echo"])


def a_guest_that_breaks_the_protocol_gets_no_more():
    lies = [
        ("no frame", lambda g: g.port.sendall(b"GET / HTTP/1.1\r\n\r\n")),
        ("data of no stream", lambda g: g.send(DATA, 9, b"x")),
        ("data before OPENED", lambda g: (g.open(1, "silent.test", 443), g.send(DATA, 1, b"x"))),
        ("a stream twice", lambda g: (g.open(1, "silent.test", 443), g.open(1, "silent.test", 443))),
        ("a stream too many", lambda g: g.open(257, "silent.test", 443)),
        ("a name with a space", lambda g: g.open(1, "a b", 443)),
        ("a name in capitals", lambda g: g.open(1, "ECHO.test", 443)),
        ("another spelling of an address", lambda g: g.open(1, "0x7f.1", 443)),
        ("an exec that cannot be", lambda g: g.open(1, "echo.test", 443, exec_=17)),
        ("HELD unasked", lambda g: g.send(N_HELD, 0)),
        ("READY twice", lambda g: g.send(N_READY, 0, bytes(20))),
        ("a frame of the host's", lambda g: g.send(HELLO, 0, bytes(20))),
        ("credit that it has", lambda g: (g.tunnel(1, "echo.test", ports["echo"]),
                                          g.send(CREDIT, 1, struct.pack("<I", 1)))),
        ("more than the window", lambda g: (g.tunnel(1, "stuck.test", stuck),
                                            [g.send(DATA, 1, bytes(PAYLOAD)) for _ in range(3)])),
        ("a request for a tunnel", lambda g: (g.open(1, "silent.test", 443),
                                              g.send(REQUEST, 1, struct.pack("<QHHHH", 0, 3, 1, 0, 0)
                                                     + b"GET/"))),
    ]
    names.answers["stuck.test"] = ["127.0.0.1"]
    hold = threading.Event()
    stuck = servers.tcp(lambda s: hold.wait(WAIT))
    for name, lie in lies:
        with gateway("https://silent.test", echo_url(), {"to": f"tcp://stuck.test:{stuck}", "rate": 1024}) as g:
            try:
                lie(g)
            except OSError:
                pass
            ev = g.any_event()
            while ev.type == TRY:
                ev = g.any_event()
            equal(ev.type, TAMPERED, name)
            check(not g.process.poll(), name)
    hold.set()


def a_wrong_nonce_is_tampering():
    with gateway(echo_url(), meet=False) as g:
        g.greet()
        g.send(N_READY, 0, struct.pack("<I", 1) + bytes(16))
        check("READY" in g.event(TAMPERED).text)


def what_is_open_at_the_end_is_told():
    with gateway(echo_url()) as g:
        for stream in (1, 2):
            g.tunnel(stream, "echo.test", ports["echo"])
            g.send(DATA, stream, b"x" * 1000)
            equal(g.data(stream, 1000), b"x" * 1000)
        g.control.shutdown(socket.SHUT_WR)
        equal([(e.up, e.down) for e in (g.event(CLOSED), g.event(CLOSED))], [(1000, 1000)] * 2)


def it_ends_with_its_keeper():
    g = gateway(echo_url())
    g.tunnel(1, "echo.test", ports["echo"])
    g.control.close()
    equal(g.process.wait(WAIT), 0)


def it_has_no_right_that_it_does_not_need():
    with gateway(echo_url()) as g:
        g.tunnel(1, "echo.test", ports["echo"])
        pid = g.process.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        equal({status[k] for k in ("CapInh", "CapPrm", "CapEff", "CapAmb")}, {"0" * 16})
        equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        if os.environ.get("GATEWAY_ROOT"):
            equal(status["Uid"].split(), ["65534"] * 4)
            equal(os.listdir(f"/proc/{pid}/root"), [])
            own = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) > 2}
            equal({name.split(":")[0] for name in own} - {"pipe", "anon_inode"}, {"socket"})
            for kind, same in (("net", True), ("mnt", False), ("ipc", False), ("uts", False)):
                equal(os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}"), same, kind)


TESTS = [bytes_go_both_ways_and_half_closes, a_large_upload_waits_for_credit, ipv6_and_addresses_work,
         what_no_rule_names_is_refused_and_not_looked_up,
         names_that_lead_to_private_addresses_are_refused, a_name_that_changes_is_judged_each_time,
         a_host_is_not_its_own_way_in, a_name_that_is_not_there_is_said,
         a_name_whose_answer_is_cut_is_asked_for_again_over_tcp, the_next_address_is_taken,
         no_more_than_eight_addresses_of_a_name_are_tried,
         an_address_that_is_silent_does_not_hold_up,
         nobody_listens_is_said, a_dead_destination_does_not_slow_others, two_hundred_at_once_work,
         tls_passes_untouched, tls_for_another_name_is_cut_off, an_address_needs_no_name_in_tls,
         a_budget_of_bytes_ends_it, a_budget_is_of_all_streams_together,
         questions_for_names_have_a_limit, a_rate_is_kept, too_many_at_once_are_refused,
         a_rule_that_goes_ends_its_streams, nothing_is_said_while_it_is_held,
         another_guest_finds_nothing_open, a_guest_that_breaks_the_protocol_gets_no_more,
         a_wrong_nonce_is_tampering, what_is_open_at_the_end_is_told,
         it_ends_with_its_keeper, it_has_no_right_that_it_does_not_need]

if __name__ == "__main__":
    run(TESTS, setup, lambda: certs.remove())
