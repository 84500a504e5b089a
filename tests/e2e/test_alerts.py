"""Alerts of a policy: told, handed to a command, and guests that they stop, with the evidence."""
import datetime
import hashlib
import json
import os
import re
import socket
import subprocess

from e2e import *
from live import begin, execute, recorded, state, up

SMALL = ("--memory", "64M", "--disk", "64M")


def _policy(folder, *alerts, name="policy.json"):
    path = f"{folder}/{name}"
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"format": "lazaret-policy", "version": 1, "alerts": alerts}, out)
    return path


def _evidence_fits(id_):
    folder, lines = recorded("evidence", id_)
    equal([r["name"] for r in lines], ["memory", "disk"])
    for r in lines:
        path = f"{DATA}/evidence/{folder}/{r['name']}"
        with open(path, "rb") as f:
            equal(hashlib.file_digest(f, "sha256").hexdigest(), r["sha256"], path)
        equal(os.path.getsize(path), r["bytes"], path)
    frozen = recorded("frozen", id_)[1][-1]
    print(f"# {frozen['frozen_ms']} ms from the alert until it stood still")
    return folder


def a_run_over_its_alert_ends_frozen_with_evidence_whose_hashes_match(folder):
    told = f"{folder}/told"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/socket")
    listener.listen()
    streams = {"when": "streams", "above": "1M", "for": "60s", "action": "notify"}
    rules = _policy(folder,
                   {**streams, "socket": f"{folder}/socket",
                    "command": ["/bin/sh", "-c", f"echo $LAZARET_ALERT_ID $LAZARET_ALERT_TEXT > {told}"]},
                   {**streams, "socket": f"{folder}/nobody", "command": [f"{folder}/none"]},
                   {"when": "disk", "above": "10M", "for": "60s", "action": "freeze"},
                   {"when": "memory", "above": "100G", "action": "kill"})
    with Nothing():
        job = start(["sh", "-c", "echo marker-of-this-run > /dev/shm/m; head -c 3000000 /dev/zero; read go; "
                     "head -c 25000000 /dev/urandom > /work/x; sync; exec sleep 300"],
                    *SMALL, "-i", "--policy", rules, stdin=subprocess.PIPE)
        equal(len(job.stdout.read(3000000)), 3000000)
        wait_for(lambda: os.path.exists(told) and os.path.getsize(told), "the command of the first alert")
        _, err = job.communicate(b"go\n", timeout=240)
    equal(job.returncode, 121, err.decode())
    text = err.decode()
    check(re.search(rf"alert of {re.escape(rules)}:1: streams: \d+ is above 1048576", text), text)
    check(f"an alert of {rules}:1 ended it: disk:" in text, text)
    with open(told, encoding="utf-8") as f:
        id_, what = f.read().split(" ", 1)
    check(re.fullmatch(r"streams: \d+ is above 1048576\n", what), what)
    _notified(listener, id_, f"{rules}:1", what.strip())
    place = _evidence_fits(id_)
    with open(f"{DATA}/evidence/{place}/memory", "rb") as f:
        check(b"marker-of-this-run" in f.read(), "the memory is not the guest's")
    check(place in finished(lazaret("record", "ls")).decode(), place)
    finished(lazaret("verify", place))
    _shown(folder, place)


def _notified(listener, id_, rule, text):
    """The socket got its line; whom nobody could tell is on record."""
    listener.settimeout(10)
    with listener.accept()[0] as s, s.makefile() as f:
        (line,) = f.readlines()
    d = json.loads(line)
    datetime.datetime.fromisoformat(d.pop("time")[:26] + "+00:00")
    equal(d, {"format": "lazaret-alert", "version": 1, "id": id_, "rule": rule, "when": "streams", "text": text})
    untold = [(d["rule"], d["by"], d["text"].split(":")[0]) for d in recorded("untold", id_)[1]]
    equal(untold, [(rule, "host", f"its {whom}") for whom in ("command was not started", "socket was not told")])


def _shown(folder, id_):
    """The record as a page and as lines."""
    page = f"{folder}/page.html"
    finished(lazaret("report", "-o", page, id_))
    with open(page, encoding="utf-8") as f:
        text = f.read()
    for part in ("limit, status 121", "The record is whole", "layers hold, 0 broken", "an alert of", "freeze"):
        check(part in text, f"'{part}' is not in the page")
    lines = finished(lazaret("events", id_)).decode().splitlines()
    check(all(line.isprintable() and f" {id_} " in line for line in lines), lines)
    check([l for l in lines if " alert: freeze: disk: " in l], lines)
    rows = [json.loads(line) for line in finished(lazaret("events", "--json", id_)).splitlines()]
    equal([r["seq"] for r in rows], list(range(len(rows))))
    equal(rows[-1]["type"], "destroyed")


def a_sandbox_that_trips_an_alert_stands_still_and_says_why(folder):
    rules = _policy(folder, {"when": "streams", "above": "1M", "for": "60s", "action": "freeze"})
    with Nothing():
        finished(up("trips", *SMALL, "--policy", rules))
        try:
            finished(execute("trips", "--", "true"))
            equal(state("trips"), "running")
            _counted("trips")
            client = begin("trips", "--", "sh", "-c", "head -c 3000000 /dev/zero; exec sleep 300",
                           stdout=subprocess.DEVNULL)
            wait_for(lambda: state("trips") == "paused", "the alert's pause")
            shown = finished(lazaret("show", "trips")).decode()
            check(f"an alert of {rules}:1: streams: " in shown, shown)
            wait_for(lambda: recorded("frozen", "trips")[1], "its evidence")
            _evidence_fits("trips")
            one_line_error(execute("trips", "--", "true"), 125, "paused")
            finished(lazaret("resume", "trips"))
            finished(execute("trips", "--", "true"))
            client.kill()
            client.communicate()
        finally:
            finished(lazaret("down", "trips"))


def _counted(name):
    """What is up, in a table and for Prometheus."""
    rows = json.loads(finished(lazaret("stats", "--json")))
    equal([(r["name"], r["state"]) for r in rows], [(name, "running")])
    check(rows[0]["cpu_ns"] > 0 and rows[0]["resident_bytes"] > 0, rows)
    table = finished(lazaret("stats")).decode().splitlines()
    equal([line.split()[0] for line in table], ["NAME", name])
    metrics = finished(lazaret("metrics")).decode().splitlines()
    check('lazaret_guests{kind="sandbox",state="running"} 1' in metrics, metrics)
    value = [float(l.split()[1]) for l in metrics if l.startswith(f'lazaret_cpu_seconds_total{{sandbox="{name}"}}')]
    check(value and value[0] * 1e9 >= rows[0]["cpu_ns"], metrics)


def a_burst_of_denials_is_told_and_ends_the_job_while_it_runs(folder):
    """By the guest's word, which comes again whenever there are twice as many."""
    rules = _policy(folder, {"when": "denials", "above": 100, "for": "5m", "action": "kill"})
    burst = "import ctypes, time\nc = ctypes.CDLL(None)\nwhile True: c.unshare(0x20000); time.sleep(0.001)"
    before = set(os.listdir(f"{DATA}/records"))
    with Nothing():
        r = run(["python3", "-c", burst], *SMALL, "--policy", rules)
    finished(r, 121)
    said = r.stderr.decode()
    equal(said.count("the job is refused unshare"), 1, said)
    check(re.search(rf"an alert of {re.escape(rules)}:1 ended it: denials: \d+ is above 100", said), said)
    (name,) = set(os.listdir(f"{DATA}/records")) - before
    counts = [row["count"] for d in recorded("denied", name.removesuffix(".jsonl"))[1] for row in d["rows"]
              if row.get("call") == "unshare"]
    check(counts[-1] > 100, counts)
    check(all(2 * a <= b for a, b in zip(counts, counts[1:])), counts)


def output_over_its_alert_is_not_handed_out(folder):
    """A run's folder before anything is made in it; of a sandbox what is copied counts, too."""
    rules = _policy(folder, {"when": "output", "above": "1M", "action": "kill"})
    with Nothing():
        few = sh("head -c 500000 /dev/zero; head -c 500000 /dev/zero > /out/x", "--out", f"{folder}/few", *SMALL,
                 "--policy", rules)
        equal((len(finished(few)), os.listdir(f"{folder}/few")), (500000, ["x"]))
        many = sh("head -c 900000 /dev/zero; head -c 900000 /dev/zero > /out/x", "--out", f"{folder}/many", *SMALL,
                  "--policy", rules)
        equal((len(finished(many, 121)), os.listdir(f"{folder}/many")), (900000, []))
        check(re.search(rf"an alert of {re.escape(rules)}:1 ended it: output: 1\d+ is above 1048576",
                        many.stderr.decode()), many.stderr)


def a_run_that_opens_a_canary_ends_frozen_with_evidence_whose_hashes_match(folder):
    os.makedirs(f"{folder}/home/.aws")
    for name in (".aws/credentials", "notes"):
        with open(f"{folder}/home/{name}", "w", encoding="utf-8") as out:
            out.write(f"the words of {name}\n")
    rules = _policy(folder, {"when": "canary", "files": ["/in/.aws/credentials", "/work/none"], "action": "freeze"})
    options = (*SMALL, "--in", f"{folder}/home", "--policy", rules)
    before = set(_kept())
    with Nothing():
        # What is beside it is nobody's business, nor is what only looks at it.
        quiet = run(["sh", "-c", "cat /in/notes; test -s /in/.aws/credentials; ls /in/.aws"], *options)
        equal(finished(quiet), b"the words of notes\ncredentials\n")
        check(b"the canary '/work/none' is not there: it is not watched" in quiet.stderr, quiet.stderr)
        job = start(["sh", "-c", "echo now; cat /in/.aws/credentials > /work/x; exec sleep 300"], *options)
        equal(job.stdout.readline(), b"now\n")
        now = datetime.datetime.now(datetime.timezone.utc)
        _, err = job.communicate(timeout=240)
    equal(job.returncode, 121, err.decode())
    text = err.decode()
    check(f"an alert of {rules}:1 ended it: canary: /in/.aws/credentials was opened" in text, text)
    (id_,) = set(_kept()) - before
    _evidence_fits(id_)
    told = recorded("tripwire", id_)[1]
    equal([(d["by"], d["text"]) for d in told], [("host", "canary: /in/.aws/credentials was opened")])
    at = datetime.datetime.fromisoformat(told[0]["time"][:26] + "+00:00")
    ms = (at - now).total_seconds() * 1000 + recorded("frozen", id_)[1][-1]["frozen_ms"]
    print(f"# {ms:.0f} ms from the word before the touch until it stood still")
    equal([d["path"] for d in recorded("unwatched", id_)[1]], ["/work/none"])
    finished(lazaret("verify", id_))


def nothing_of_an_amnesic_guest_or_of_one_with_a_secret_is_evidence_on_a_disk(folder):
    rules = _policy(folder, {"when": "streams", "above": "1M", "for": "60s", "action": "freeze"})
    secret = f"{folder}/secret"
    with open(secret, "w", encoding="utf-8") as out:
        out.write("a value that nobody shall find")
    os.chmod(secret, 0o600)
    before = _kept()
    for options, why in ((["--amnesic"], "nothing of an amnesic guest goes to a disk"),
                         (["--secret", f"K={secret}"], "the guest was given a secret, which would be in it")):
        with Nothing():
            result = run(["sh", "-c", "head -c 3000000 /dev/zero; exec sleep 300"], *SMALL, *options,
                         "--policy", rules)
        finished(result, 121)
        check(f"there is no evidence of it: {why}" in result.stderr.decode(), result.stderr)
    equal(_kept(), before)


def _kept():
    return sorted(os.listdir(f"{DATA}/evidence")) if os.path.exists(f"{DATA}/evidence") else []


def an_alert_is_in_the_plan_with_its_place_and_a_wrong_one_is_refused(folder):
    good = _policy(folder, {"when": "cpu", "above": 90, "for": "30s", "action": "kill"})
    line = [l for l in finished(lazaret("check", "--policy", good, "--", "true")).decode().splitlines()
            if l.startswith("alert ")]
    equal([l.split() for l in line], [["alert", "cpu", "above", "90", "%", "in", "30.000", "s:", "kill", f"{good}:1"]])
    bad = _policy(folder, {"when": "cpu", "above": 90, "action": "kill"}, name="bad.json")
    one_line_error(lazaret("check", "--policy", bad, "--", "true"), 125, f"{bad}:1", "alerts[0]", "for")


if __name__ == "__main__":
    main()
