"""Learn, then lock: a run with --learn writes the manifest of what it did; by it the run can be had
again, and nothing more. Real guests, and real servers on the loopback of a network namespace of this
test's own for the part with a network; a policy allows 127.0.0.0/8 for it."""
import json
import os
import sys

from e2e import *
from live import *

import servers

SMALL = ("--memory", "64M", "--disk", "64M")  # what is learned is no less: its guests are of one shape
JOB = r"""
import subprocess, sys
text = open('/in/a.txt').read()
open('/work/copy', 'w').write(text)
open('/out/count', 'w').write(str(len(text.split())))
print(subprocess.run(['wc', '-w', '/work/copy'], capture_output=True, text=True).stdout.split()[0])
"""


def _answer(s):
    s.recv(4096)
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def _servers():
    """The ports of two servers of HTTP that are good.test and api.test."""
    if not servers.is_alone():
        raise Skip("needs root, for a network namespace of its own")
    names = _servers.names = servers.Names({name: ["127.0.0.1"] for name in ("good.test", "api.test")})
    os.environ["LAZARET_DNS"] = names.at
    return servers.tcp(_answer), servers.tcp(_answer)


def _inputs(folder):
    os.makedirs(f"{folder}/in", exist_ok=True)
    for name, text in (("a.txt", "one two\n"), ("job.py", JOB)):
        with open(f"{folder}/in/{name}", "w", encoding="utf-8") as f:
            f.write(text)
    return f"{folder}/in"


def _manifest(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def _whys(m):
    return {(w["key"], w.get("line")): w for w in m["why"]}


def _diff(a, b):
    done = lazaret("manifest", "diff", "--json", a, b)
    rows = json.loads(done.stdout)
    equal(done.returncode, 1 if rows else 0)
    return rows


def _folder(folder, name):
    os.makedirs(f"{folder}/{name}", exist_ok=True)
    return f"{folder}/{name}"


def what_a_run_did_replays_by_its_manifest_and_one_more_file_or_program_is_refused(folder):
    learned = f"{folder}/agent.json"
    done = run(["python3", "/in/job.py"], *SMALL, "--in", _inputs(folder), "--out", _folder(folder, "out"),
               "--learn", learned, "--json")
    result = json.loads(finished(done))
    equal((result["class"], result["learned"], result["stdout"]), ("exited", learned, "2\n"))
    said = done.stderr.decode()
    check("learned: network 0, read " in said and learned in said, said)
    m, whys = _manifest(learned), _whys(_manifest(learned))
    equal((m["network"], m["write"]), ([], ["/out", "/work"]))
    check("/in" in m["read"] and "/usr/bin/wc" in m["exec"], m)
    equal((whys["write", "/out"]["by"], whys["exec", "/usr/bin/wc"]["by"], whys["memory", None]["by"],
           whys["pids", None]["by"], whys["timeout", None]["by"]), ("host", "guest", "guest", "guest", "host"))
    for key in ("network", "read", "write", "exec"):
        equal(m[key], sorted(m[key], key=lambda path: path.replace("/", "\1")), key)
    # The whole of it again, by the manifest alone.
    os.remove(f"{folder}/out/count")
    replayed = lazaret("run", "--accel", "tcg", "--manifest", learned, timeout=240)
    equal(finished(replayed), b"2\n")
    with open(f"{folder}/out/count", encoding="utf-8") as f:
        equal(f.read(), "2")
    # One file, one place to write to and one program more, each by its own name.
    probe = ("import subprocess\n"
             "def does(do):\n"
             "    try:\n        do()\n        return 'worked'\n"
             "    except OSError as e:\n        return f'{e.filename}: {e.strerror}'\n"
             "print([does(lambda: open('/in/a.txt')), does(lambda: open('/etc/passwd')),\n"
             "       does(lambda: open('/tmp/x', 'w')), does(lambda: subprocess.run(['/usr/bin/id']))])")
    out = finished(run(["python3", "-c", probe], "--manifest", learned, "--out", _folder(folder, "again")))
    equal(out.decode().strip(), str(["worked", "/etc/passwd: Permission denied", "/tmp/x: Permission denied",
                                     "/usr/bin/id: Permission denied"]))


def a_second_run_widens_it_and_says_so_and_the_same_again_changes_nothing(folder):
    first, learned = f"{folder}/first.json", f"{folder}/agent.json"
    sh_ = ("--in", _inputs(folder), *SMALL)
    finished(sh("read x </in/a.txt", *sh_, "--learn", learned))
    with open(learned, encoding="utf-8") as f, open(first, "w", encoding="utf-8") as copy:
        copy.write(f.read())
    os.chmod(learned, 0o600)
    done = sh("read x </etc/hostname; echo x >/work/a", *sh_, "--learn", learned)
    finished(done)
    check("lazaret: widened: write: '/work'" in done.stderr.decode(), done.stderr)
    equal(_diff(learned, first), [])
    check({"write"} <= {row["key"] for row in _diff(first, learned)}, _diff(first, learned))
    m = _manifest(learned)
    check(_whys(m)["write", "/work"]["widened"], m)
    check("widened" not in _whys(m)["read", "/in"], m)
    equal((m["command"][2], os.stat(learned).st_mode & 0o777), ("read x </in/a.txt", 0o600))
    done = sh("read x </etc/hostname; echo x >/work/a", *sh_, "--learn", learned)
    finished(done)
    check("widened" not in done.stderr.decode(), done.stderr)
    equal(_manifest(learned), m)


def where_the_job_did_not_end_by_itself_nothing_is_written(folder):
    learned = f"{folder}/agent.json"
    done = run(["sleep", "100"], *SMALL, "--timeout", "1", "--learn", learned)
    finished(done, 124)
    check("nothing was learned" in done.stderr.decode(), done.stderr)
    equal(os.listdir(folder), [])
    # A status of its own is an end of its own.
    finished(sh("exit 7", *SMALL, "--learn", learned), 7)
    check("/usr/bin/dash" in _manifest(learned)["exec"], _manifest(learned))


def what_cannot_be_learned_is_said_before_anything_runs(folder):
    with open(f"{folder}/other.json", "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-manifest", "version": 1, "image": "other"}, f)
    with open(f"{folder}/policy.json", "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-policy", "version": 1}, f)
    for options, says in ((("--learn", f"{folder}/other.json"), "it is of the image 'other', not 'default'"),
                          (("--learn", f"{folder}/policy.json"), "it is no lazaret-manifest"),
                          (("--learn", f"{folder}/no/such.json"), "--learn"),
                          (("--learn", f"{folder}/new.json", "--amnesic"), "--amnesic excludes --learn"),
                          (("--learn", f"{folder}/new.json", "--keep", "box"), "--learn excludes --keep")):
        one_line_error(run(["true"], *options), 125, says)
    one_line_error(lazaret("up", "--learn", f"{folder}/new.json", "box"), 125, "--learn")
    equal(sorted(os.listdir(folder)), ["other.json", "policy.json"])


def destinations_are_learned_within_the_policy_and_another_one_is_refused(folder):
    port, hidden = _servers()
    with open(f"{folder}/policy.json", "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-policy", "version": 1, "network_ranges": ["127.0.0.0/8"],
                   "network": [f"http://*:{port}"]}, f)
    policy, learned = ("--policy", f"{folder}/policy.json"), f"{folder}/agent.json"
    get = ("import sys, urllib.request as r\n"
           "for url in sys.argv[1:]:\n"
           "    try: print(r.urlopen(url, timeout=60).status)\n"
           "    except OSError as e: print(e)\n")
    good, api = f"http://good.test:{port}", f"http://api.test:{port}"
    # Nothing was asked for; what the policy does not name stays refused.
    done = run(["python3", "-c", get, good + "/x", f"http://good.test:{hidden}/"], *SMALL, *policy,
               "--learn", learned)
    out = finished(done).decode().splitlines()
    check(out[0] == "200" and "403" in out[1], out)
    m = _manifest(learned)
    equal((m["network"], _whys(m)["network", good]["by"]), ([good], "host"))
    # By it the same again, and no other one of those that the policy allows.
    done = run(["python3", "-c", get, good + "/x", api + "/"], *policy, "--manifest", learned)
    out = finished(done).decode().splitlines()
    check(out[0] == "200" and f"api.test:{port}: no rule allows it" in out[1], out)
    check(f"egress refused: api.test:{port}" in done.stderr.decode(), done.stderr)


servers.alone()
main()
