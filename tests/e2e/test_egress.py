"""Egress: what a job's programs reach through the gateway, what is refused and why, and what never
enters the guest. Real servers on the loopback of a network namespace of this test's own, where
lazaret runs, too; policies allow 127.0.0.0/8 for it."""
import atexit
import json
import os
import threading

from e2e import *
from live import *

import servers

BOX = "egress"  # the one that these tests share
SECRET = "sk-" + os.urandom(24).hex()
RANGES = ["127.0.0.0/8"]
SMALL = ("--memory", "96M")
RIG = {}

# What the job runs: its requests by the means that programs have.
CLIENT = r"""
import json, os, socket, ssl, struct, sys, time, urllib.error, urllib.request
def get(url, data=None, **kw):
    try:
        with urllib.request.urlopen(url, data, timeout=30, **kw) as r:
            return [r.status, r.read().decode()]
    except urllib.error.HTTPError as e:
        return [e.code, json.load(e)]
    except OSError as e:
        return [0, str(e)]
def direct(url, **kw):
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30, **kw)
def proxy(first, n=65536):
    s = socket.create_connection(("127.0.0.1", 3128), timeout=30)
    s.sendall(first)
    return s, s.recv(n)
def connect(name, port):
    s, got = proxy(b"CONNECT %s:%d HTTP/1.1\r\n\r\n" % (name.encode(), port))
    body = got.split(b"\r\n\r\n", 1)[1]
    s.close()
    return [int(got.split()[1]), json.loads(body) if body else None]
def socks(name, port):
    s, got = proxy(b"\5\1\0")
    s.sendall(b"\5\1\0\3" + bytes([len(name)]) + name.encode() + struct.pack(">H", port))
    return s, s.recv(10)[1]
"""


def _http(s):
    """Says what it was asked; /events has no end until it was hung up on."""
    with s.makefile("rb") as f:
        line = f.readline().decode().split()
        headers = {}
        while (row := f.readline().decode().strip()):
            k, v = row.split(":", 1)
            headers[k.lower()] = v.strip()
        body = f.read(int(headers.get("content-length", 0)))
        RIG["asked"].append((line, headers))
        if line[1].endswith("/events"):
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            RIG["go"].wait(60)
            s.sendall(b"data: 2\n\n")
            return
        text = json.dumps({"path": line[1], "length": len(body), "key": headers.get("authorization")}).encode()
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(text) + text)


def _rig():
    if RIG:
        return RIG
    if not servers.is_alone():
        raise Skip("needs root, for a network namespace of its own")
    certificates = servers.Certificates()
    atexit.register(certificates.remove)
    RIG.update(asked=[], go=threading.Event(), ca=certificates.ca,
               names=servers.Names({n: ["127.0.0.1"] for n in ("good.test", "api.test", "hidden.test")}
                                   | {"rebinds.test": ["169.254.169.254"], "private.test": ["10.0.0.1"]}))
    for name in ("good", "api"):
        RIG[name] = servers.tcp(_http, context=certificates.server(f"{name}.test"))
    RIG["http"], RIG["echo"], RIG["hidden"] = servers.tcp(_http), servers.tcp(servers.echo), servers.tcp(_http)
    os.environ.update(LAZARET_DNS=RIG["names"].at, SSL_CERT_FILE=RIG["ca"])
    return RIG


def _files(folder):
    """The policy, the manifest and the secret of all these sandboxes, as options."""
    r = _rig()
    with open(f"{folder}/policy.json", "w") as f:
        json.dump({"format": "lazaret-policy", "version": 1, "network_ranges": RANGES}, f)
    with open(f"{folder}/agent.json", "w") as f:
        json.dump({"format": "lazaret-manifest", "version": 1, "network": [
            f"https://good.test:{r['good']}", f"http://good.test:{r['http']}", f"tcp://good.test:{r['echo']}",
            f"tcp://127.0.0.1:{r['echo']}", f"tcp://rebinds.test:80", f"tcp://private.test:80",
            {"to": f"https://api.test:{r['api']}/v1", "name": "api", "methods": ["GET", "POST"], "secret": "KEY"},
        ]}, f)
    with open(os.open(f"{folder}/key", os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(SECRET)
    return ("--manifest", f"{folder}/agent.json", "--policy", f"{folder}/policy.json", "--secret", f"KEY={folder}/key",
            *SMALL)


def _box(folder):
    if BOX not in sandboxes():
        finished(up(BOX, *_files(folder)))
        atexit.register(lambda: BOX in sandboxes() and lazaret("down", BOX))
        with open(_rig()["ca"], "rb") as f:
            finished(execute(BOX, "-i", "--", "sh", "-c", "cat > /work/ca.pem", input=f.read()))
    return BOX


def _python(script, *options, name=BOX):
    """What the script prints, as JSON, and the result of its exec."""
    r = execute(name, "--json", *options, "--", "python3", "-c", CLIENT + script, timeout=240)
    d = json.loads(finished(r))
    return json.loads(d["stdout"]), d


def what_is_allowed_works_by_every_way(folder):
    r = _rig()
    _box(folder)
    got, d = _python(f"""
out = {{}}
context = ssl.create_default_context(cafile="/work/ca.pem")
out["https"] = get("https://good.test:{r['good']}/a", context=context)
out["http"] = get("http://good.test:{r['http']}/b?c", data=b"x" * 300000)
for name in ("good.test", "127.0.0.1"):
    s, code = socks(name, {r['echo']})
    s.sendall(b"hello"); s.shutdown(socket.SHUT_WR)
    out[name] = [code, b"".join(iter(lambda: s.recv(99), b"")).decode()]
out["api"] = get("http://api.lazaret/v1/chat", data=b"{{}}")
out["api-direct"] = json.loads(direct("http://api.lazaret/v1/x").read())
print(json.dumps(out))
""")
    equal(json.loads(got["https"][1])["path"], "/a", got)
    equal(json.loads(got["http"][1]), {"path": "/b?c", "length": 300000, "key": None})
    for name in ("good.test", "127.0.0.1"):
        equal(got[name], [0, "hello"])
    for answer in (json.loads(got["api"][1]), got["api-direct"]):
        check(answer["key"] != f"Bearer {SECRET}", "the secret came back")
    asked = {line[1]: headers for line, headers in r["asked"]}
    for path in ("/v1/chat", "/v1/x"):
        equal(asked[path]["authorization"], f"Bearer {SECRET}")
    rows = {(e["destination"], e["verdict"]): e for e in d["egress"]}
    check((f"good.test:{r['http']}", "allowed") in rows, rows)
    check(rows[f"good.test:{r['http']}", "allowed"]["bytes_up"] > 300000, rows)


def events_arrive_while_the_request_lives(folder):
    r = _rig()
    _box(folder)
    p = begin(BOX, "--", "python3", "-uc", CLIENT + """
with direct("http://api.lazaret/v1/events") as r:
    for line in r:
        print(line.decode().strip())
""")
    equal(p.stdout.readline(), b"data: 1\n")
    r["go"].set()
    check(b"data: 2" in p.communicate(timeout=120)[0], "the second event")
    equal(p.returncode, 0)


def what_is_refused_says_why_in_the_guest_and_on_the_host(folder):
    r = _rig()
    _box(folder)
    rows = (("evil.test", 443, "rule"), ("good.test", 22, "rule"), ("hidden.test", r["hidden"], "rule"),
            ("rebinds.test", 80, "address"), ("private.test", 80, "address"), ("169.254.169.254", 80, "rule"),
            ("::1", 80, "rule"))
    got, d = _python(f"""
out = []
for name, port in {[row[:2] for row in rows]}:
    began = time.monotonic()
    out.append(connect("[%s]" % name if ":" in name else name, port) + [time.monotonic() - began])
out.append(get("http://evil.test/"))
out.append(get("http://other.lazaret/"))
out.append(get("http://api.lazaret/v2"))
out.append(get("https://good.test:{r['good']}/", context=ssl.create_default_context()))
out.append(socks("evil.test", 80)[1])
try:
    out.append(socket.gethostbyname("good.test"))
except OSError as e:
    out.append(e.errno)
print(json.dumps(out))
""")
    seen = {(e["destination"], e["why"]) for e in d["egress"] if e["verdict"] == "refused"}
    for (name, port, why), (status, body, _) in zip(rows, got):
        at = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        equal((status, body["denied"], body["destination"]), (403, True, at))
        check(body["reason"], body)
        check((at, why) in seen, (at, seen))
    for answer in got[len(rows):len(rows) + 3]:
        equal((answer[0], answer[1]["denied"]), (403, True), answer)
    check("CERTIFICATE_VERIFY_FAILED" in got[-3][1], got[-3])  # the job's own trust, end to end
    equal(got[-2:], [2, -2])
    check("--allow" in got[0][1]["how_to_allow"], got[0])


def what_is_refused_again_and_again_is_told_as_it_happens(folder):
    """With its count, for whoever follows the record while the command runs."""
    _rig()
    _box(folder)
    host = f"again-{os.urandom(4).hex()}.test"  # of no earlier life

    def told(kind):
        with open(f"{folder}/lines", encoding="utf-8") as f:
            rows = [json.loads(line) for line in f if line.endswith("\n")]
        return [d for d in rows if d["type"] == kind and host in json.dumps(d)]

    with open(f"{folder}/lines", "wb") as out:
        follower = subprocess.Popen([LAZARET, "events", "--follow", "--json", BOX], stdout=out, env=environment())
    try:
        job = begin(BOX, "-i", "--", "python3", "-c", CLIENT + f"""
for i in range(60):
    connect("{host}", 443)
input()
""", stdin=subprocess.PIPE)
        wait_for(lambda: sum(d["count"] for d in told("egress_again")) >= 59, "all of the tries")
        equal([d["verdict"] for d in told("egress")], ["refused"])
        equal((told("egress_sum"), job.poll()), ([], None))
        job.communicate(b"\n", timeout=60)
        wait_for(lambda: told("egress_sum"), "the end")
        (total,) = told("egress_sum")
        equal((total["tries"], sum(d["count"] for d in told("egress_again"))), (60, 59))
        equal({(d["by"], d["destination"], d["why"]) for d in told("egress_again")},
              {("host", f"{host}:443", "rule")})
    finally:
        follower.kill()
        follower.communicate()


def nothing_else_is_to_be_found_from_inside(folder):
    r = _rig()
    _box(folder)
    got, _ = _python(f"""
out = dict(links=sorted(n for _, n in socket.if_nameindex()), routes=open("/proc/net/route").read().count("\\n"),
           open=[], tunnels=[], errors=set())
for host in ("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "127.0.0.2", "8.8.8.8"):
    for port in {r['hidden']}, 80:
        s = socket.socket(); s.settimeout(2)
        e = s.connect_ex((host, port))
        out["errors"].add(e)
        if e == 0: out["open"].append([host, port])
        s.close()
        status, _ = connect(host, port)
        if status != 403: out["tunnels"].append([host, port, status])
for kind in "tcp", "tcp6", "udp", "udp6":  # all that listens in the job's network, whoever does
    for row in open("/proc/net/" + kind).read().splitlines()[1:]:
        _, at, _, state = row.split()[:4]
        if state == ("0A" if kind[0] == "t" else "07"): out["open"].append([kind, int(at.split(":")[1], 16)])
for what in ((socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_PACKET, socket.SOCK_RAW, 3), (40, socket.SOCK_STREAM, 0)):
    try:
        socket.socket(*what); out["open"].append(what)
    except OSError: pass
out["errors"] = sorted(out["errors"])
print(json.dumps(out))
""")
    equal(got["links"], ["lo"])
    equal(got["routes"], 1)  # the headline
    equal(sorted(got["open"]), [["tcp", 53], ["tcp", 80], ["tcp", 3128], ["udp", 53]])
    equal(got["tunnels"], [])
    listening = set()  # on the gateway's side of it: sandboxes have no port that another could find
    for kind in "tcp", "tcp6":
        with open(f"/proc/net/{kind}") as f:
            listening |= {int(row.split()[1].split(":")[1], 16) for row in f if row.split()[3] == "0A"}
    equal(listening, {r[name] for name in ("good", "api", "http", "echo", "hidden")} | {r["names"].port})
    check(set(got["errors"]) <= {101, 111}, got["errors"])  # unreachable, or refused on the loopback


def _contents(*tops):
    """Path and content of every file below these that can be read."""
    for top in tops:
        for at, _, files in os.walk(top):
            for file in files:
                try:
                    with open(f"{at}/{file}", "rb") as f:
                        content = f.read()
                except OSError:
                    continue
                yield f"{at}/{file}", content


def the_key_is_nowhere_in_the_guest_nor_in_what_is_kept(folder):
    _box(folder)
    proof = "held-" + os.urandom(16).hex()  # what the job does hold is found: the search can fail
    job = begin(BOX, "--", "python3", "-uc", CLIENT + f"""
held = "{proof[::-1]}"[::-1]
print(get("http://api.lazaret/v1/x")[0])
time.sleep(300)
""")
    equal(job.stdout.readline(), b"200\n")
    finished(lazaret("snapshot", BOX, "look", timeout=240))
    job.kill()
    job.communicate()
    found = False
    for path, content in _contents(f"{DATA}/sandboxes/{BOX}", f"{DATA}/runs", f"{DATA}/records"):
        check(SECRET.encode() not in content, f"the key is in {path}")
        found |= proof.encode() in content
    check(found, "what the job holds is not in the memory of the snapshot: nothing was searched")


def a_guest_that_was_saved_meets_a_new_gateway(folder):
    r = _rig()
    _box(folder)
    if "look" not in finished(lazaret("marks", BOX)).decode():
        finished(lazaret("snapshot", BOX, "look", timeout=240))
    script = f"s, code = socks('good.test', {r['echo']}); s.sendall(b'on'); print(json.dumps([code, s.recv(9).decode()]))"
    finished(lazaret("revert", BOX, "look", timeout=240))
    equal(_python(script)[0], [0, "on"])
    _files(folder)
    text = finished(lazaret("run", "--fork-from", f"{BOX}:look", "--secret", f"KEY={folder}/key", "--", "python3", "-c",
                            CLIENT + script, timeout=240))
    equal(json.loads(text), [0, "on"])


def the_way_is_the_hosts_own_proxy_where_it_is_asked_for(folder):
    r = _rig()
    parent, login = servers.Parent(), os.urandom(16).hex()
    none = dict.fromkeys([f"{name}_proxy" for name in ("https", "all", "http", "no")] +
                         [f"{name}_PROXY" for name in ("HTTPS", "ALL", "HTTP", "NO")], "")  # but the host's own
    env = {**none, "https_proxy": f"http://agent:{login}@{parent.at}"}
    with open(f"{folder}/policy.json", "w") as f:
        json.dump({"format": "lazaret-policy", "version": 1,
                   "network": [f"https://*:{r['good']}", "tcp://10.0.0.1:80"]}, f)
    rules = ("--allow", f"https://good.test:{r['good']}", "--allow", "tcp://10.0.0.1:80", "--egress-proxy", *SMALL)
    one_line_error(up("behind", *rules, "--policy", f"{folder}/policy.json", env=env), 126,
                   f"--egress-proxy: {parent.at} is not allowed")
    one_line_error(up("behind", *rules, env=none), 125, "the environment names no proxy")
    finished(up("behind", *rules, env=env))
    try:
        with open(r["ca"], "rb") as f:
            finished(execute("behind", "-i", "--", "sh", "-c", "cat > /work/ca.pem", input=f.read()))
        asked = r["names"].asked.count("good.test")
        got, d = _python(f"""
context = ssl.create_default_context(cafile="/work/ca.pem")
print(json.dumps([get("https://good.test:{r['good']}/by-proxy", context=context), connect("10.0.0.1", 80)]))
""", name="behind")
        equal(json.loads(got[0][1])["path"], "/by-proxy", got)
        check("private" in got[1][1]["reason"], got)
        equal(r["names"].asked.count("good.test"), asked)
        equal([h.split()[1] for h in parent.heads], [f"good.test:{r['good']}"])
        one_line_error(lazaret("fork", "behind", "other", env=none), 125, f"goes out through {parent.at}")
        one_line_error(lazaret("run", "--fork-from", "behind", "--", "true",
                               env={**none, "https_proxy": "http://127.0.0.1:1"}), 125, f"goes out through {parent.at}")
        seen = False
        for path, content in _contents(f"{DATA}/sandboxes/behind", f"{DATA}/runs", f"{DATA}/records"):
            check(login.encode() not in content, f"the login is in {path}")
            seen |= parent.at.encode() in content
        check(seen, "nothing says which proxy it is")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    check(login.encode() not in f.read(), "the login is in an argument")
            except OSError:
                pass
    finally:
        finished(lazaret("down", "behind"))


def without_rules_there_is_no_way_out(folder):
    if not servers.is_alone():
        raise Skip("needs root, for a network namespace of its own")
    text = finished(sh("cat /proc/net/dev | tail -n +3 | cut -d: -f1; env | grep -ic proxy; "
                       "python3 -c 'import socket; print(socket.socket().connect_ex((\"127.0.0.1\", 3128)))'"))
    equal(text.split()[1:], [b"0", b"111"], text)


servers.alone()
main()
