"""Network rules of a sandbox: given when it comes up, changed while it is, within its policies."""
import json
import os

from live import *

BOX = "net"


def _write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text if isinstance(text, str) else json.dumps(text))
    os.chmod(path, 0o600)
    return path


def _policy(folder, **keys):
    return _write(folder, "policy.json", {"format": "lazaret-policy", "version": 1, **keys})


def _rules(name=BOX):
    shown = json.loads(finished(lazaret("show", name)))
    rules = shown.get("network", shown["plan"])["network"]
    return [r["to"] for r in rules], [r.get("from") for r in rules]


# Asks the proxy of the job for what no server has to answer: its address is private.
ASK = """
import os, socket, sys
where = sys.argv[1]
host, port = os.environ["http_proxy"].split("//")[1].strip("/").split(":")
s = socket.create_connection((host, int(port)), 30)
s.sendall(f"GET http://{where}/ HTTP/1.1\\r\\nHost: {where}\\r\\nConnection: close\\r\\n\\r\\n".encode())
while s.recv(4096): pass
"""


def _why(where):
    """Why a job in the sandbox does not get there."""
    done = finished(execute(BOX, "--json", "--", "python3", "-S", "-c", ASK, where))
    row, = json.loads(done)["egress"]
    equal((row["destination"], row["verdict"], row["count"]), (where, "refused", 1))
    return row["why"]


def _refused(done, status, *words):
    equal(done.returncode, status)
    for word in words:
        check(word in done.stderr.decode(), f"no '{word}' in: {done.stderr.decode()}")


def rules_change_while_a_sandbox_is_up_within_what_it_came_up_with(folder):
    policy = _policy(folder, network=["https://*.example.org", "tcp://git.example.org:22", "tcp://10.9.9.9:9"])
    key, other = _write(folder, "key", "of the gateway"), _write(folder, "other", "another")
    finished(up(BOX, "--policy", policy, "--allow", "https://a.example.org", "--secret", f"KEY={key}",
                "--allow", "https://b.example.org,name=b,secret=KEY"))
    try:
        equal(_rules()[0], ["https://a.example.org", "https://b.example.org"])
        _refused(lazaret("allow", BOX, "https://example.com"), 126,
                 "lazaret allow: https://example.com is not allowed by", "policy.json:1 (network)")
        _refused(lazaret("allow", BOX, "example.org"), 125, "it begins with none of https://")
        _refused(lazaret("allow", BOX, "https://c.example.org,name=c,secret=NEW"), 125,
                 "secret 'NEW' is not given (--secret NEW=FILE)")
        equal(len(_rules()[0]), 2)
        finished(lazaret("allow", BOX, "tcp://git.example.org:22",
                         "https://c.example.org,name=c,secret=NEW", "--secret", f"NEW={other}"))
        equal(_rules()[0], ["https://a.example.org", "https://b.example.org", "tcp://git.example.org:22",
                            "https://c.example.org"])
        equal(_rules()[1][2:], ["lazaret allow"] * 2)
        for secret in ("KEY", "NEW"):
            for option in ("--secret-env", None):
                done = execute(BOX, "--secret", f"{secret}={key}", *([option, secret] if option else []),
                               "--", "true")
                _refused(done, 125, f"'{secret}' is the gateway's")
        _refused(lazaret("fork", BOX, "child"), 125, "uses secret 'KEY'", "give it again (--secret KEY=FILE)")
        _refused(lazaret("fork", BOX, "child", "-n", "2", "--secret", f"KEY={key}"), 125, "one by one")
        _refused(lazaret("fork", BOX, "child", "--secret", f"OTHER={key}"), 125, "no network rule of sandbox")
        finished(lazaret("fork", BOX, "child", "--secret", f"KEY={key}", "--secret", f"NEW={other}", timeout=240))
        try:
            equal(_rules("child")[0], _rules()[0])
            _refused(lazaret("allow", "child", "https://example.com"), 126, "policy.json:1 (network)")
        finally:
            finished(lazaret("down", "child"))
        _refused(lazaret("deny", BOX, "https://a.example.org", "https://x.example.org"), 125,
                 "there is no rule 'https://x.example.org'")
        equal(len(_rules()[0]), 4, "half of a change:")
        finished(lazaret("deny", BOX, "https://a.example.org", "b"))
        equal(_rules()[0], ["tcp://git.example.org:22", "https://c.example.org"])
        finished(lazaret("allow", BOX, "https://d.example.org,name=c"))
        equal(_rules()[0], ["tcp://git.example.org:22", "https://d.example.org"], "one of the same name:")
        finished(execute(BOX, "--secret", f"NEW={other}", "--", "true"))  # the gateway has forgotten it
        _refused(lazaret("allow", BOX, "https://c.example.org,name=e,secret=NEW"), 125, "secret 'NEW' is not given")
        finished(lazaret("deny", BOX, "c", "tcp://git.example.org:22"))
        equal(_rules()[0], [])
        finished(lazaret("allow", BOX, "https://a.example.org"))
        equal(_why("10.9.9.9:9"), "rule")
        finished(lazaret("allow", BOX, "tcp://10.9.9.9:9"))
        equal(_why("10.9.9.9:9"), "address", "once it is allowed:")
        finished(lazaret("deny", BOX, "tcp://10.9.9.9:9"))
        equal(_why("10.9.9.9:9"), "rule", "once it is denied:")
        changes = [[r["to"] for r in d["network"]] for d in recorded("rules", BOX)[1]]
        equal((len(changes), changes[0][2:], changes[-2:]),
              (7, ["tcp://git.example.org:22", "https://c.example.org"],
               [["https://a.example.org", "tcp://10.9.9.9:9"], ["https://a.example.org"]]))
    finally:
        finished(lazaret("down", BOX))


def a_sandbox_that_came_up_without_a_network_gets_none():
    finished(up(BOX))
    try:
        _refused(lazaret("allow", BOX, "https://a.example.org"), 125,
                 "came up without a network", "bring it up with --allow")
        _refused(lazaret("deny", BOX, "https://a.example.org"), 125, "came up without a network")
        _refused(run(["true"], "--fork-from", BOX, "--allow", "https://a.example.org"), 125,
                 "came up without a network")
    finally:
        finished(lazaret("down", BOX))


def what_a_manifest_allows_more_than_another_is_said_and_is_the_status(folder):
    head = {"format": "lazaret-manifest", "version": 1}
    first = _write(folder, "a.json", {**head, "network": ["https://*.example.org"], "memory": "1G"})
    second = _write(folder, "b.json", {**head, "network": ["https://a.example.org", "https://example.com"]})
    done = lazaret("manifest", "diff", first, second)
    equal((done.returncode, done.stdout.decode()), (1, f"{second}:1: network: https://example.com\n"))
    equal(json.loads(finished(lazaret("manifest", "diff", "--json", first, second), 1)),
          [{"key": "network", "place": f"{second}:1", "text": "https://example.com"}])
    equal(finished(lazaret("manifest", "diff", first, first)), b"")
    _refused(lazaret("manifest", "diff", first, folder + "/none"), 125, "none")
    _refused(lazaret("manifest", "diff", first), 125, "diff needs two manifests")


if __name__ == "__main__":
    main()
