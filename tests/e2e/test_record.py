"""Records: what a run and a sandbox did, on record, and checkable elsewhere and later."""
import base64
import hashlib
import json
import os
import re
import signal
import subprocess

from e2e import *
from preload import Preload

RECORDS = f"{DATA}/records"


def _ids():
    try:
        return {n.removesuffix(".jsonl") for n in os.listdir(RECORDS) if n.endswith(".jsonl")}
    except FileNotFoundError:
        return set()


class _New:
    """with _New() as new: the body makes one record; new.id is its id."""

    def __enter__(self):
        self.before, self.known = _ids(), None
        return self

    @property
    def id(self):
        if not self.known:
            new = _ids() - self.before
            equal(len(new), 1, f"records made, {new}:")
            self.known = new.pop()
        return self.known

    def __exit__(self, kind, value, trace):
        pass


def _lines(record):
    with open(f"{RECORDS}/{record}.jsonl", "rb") as f:
        lines = f.read().splitlines()
    prev = "0" * 64
    for n, line in enumerate(lines):
        d = json.loads(line)
        equal((d["seq"], d["prev"]), (n, prev))
        prev = hashlib.sha256(line).hexdigest()
    return [json.loads(line) for line in lines]


def _one(lines, kind):
    found = [d for d in lines if d["type"] == kind]
    equal(len(found), 1, f"lines '{kind}':")
    return found[0]


def _verify(*args, status=0, env=None):
    return finished(lazaret("verify", *args, env=env), status).decode().strip()


def a_run_is_on_record_and_its_bundle_is_checked_on_another_machine(folder):
    with open(f"{folder}/policy.json", "w") as f:
        json.dump({"format": "lazaret-policy", "version": 1, "redact": ["sk-*"]}, f)
    with open(f"{folder}/agent.json", "w") as f:
        json.dump({"format": "lazaret-manifest", "version": 1, "name": "nightly"}, f)
    with _New() as new, Nothing():
        result = json.loads(finished(sh("echo words; echo $KEY > /out/f; mkdir /out/d; printf abc > /out/d/g; "
                    "i=0; while [ $i -lt 300 ]; do : > /tmp/$i; i=$((i+1)); done; exit 3", "--out",
                    f"{folder}/out", "--env", "KEY=not-on-record", "--env", "MY=sk-1", "--manifest", f"{folder}/agent.json",
                    "--policy", f"{folder}/policy.json", "--timeout", "100", "--json"), 3))
        finished(run(["true", "sk-0123456789"], "--no-record", "--policy", f"{folder}/policy.json"))
    check(_verify(new.id).startswith(f"whole: {new.id}, "), "it is not whole")
    lines = _lines(new.id)
    equal([d["type"] for d in lines if d["type"] not in ("denials", "words")],
          ["begin", "file", "file", "image", "up", "file", "layers", "exec", *["wrote"] * 9, "exit", "output", "output", "outputs",
           "sample", "end", "destroyed"])
    begin, up, job, last = (_one(lines, t) for t in ("begin", "up", "exec", "exit"))
    equal((begin["id"], begin["kind"], begin["plan"]["timeout_ms"]), (new.id, "run", 100000))
    equal((begin["plan"]["name"], result["name"]), ("nightly", "nightly"))
    equal((up["accel"], bool(up["qemu"] and up["libvirt"])), ("tcg", True))
    equal({"KEY", "MY"} - set(job["env"]), set())
    equal((last["class"], last["status"], last["guest_exit_code"]), ("exited", 3, 3))
    equal(last["stream_bytes"], len("words\n"))
    rows = {r["name"]: r["verdict"] for r in _one(lines, "layers")["rows"]}
    equal((rows["qemu-seccomp"], rows["devices"]), ("holds", "holds"))
    files = {d["role"]: d for d in lines if d["type"] == "file"}
    check(files["domain"]["text"].startswith("<domain "), files["domain"])
    equal(files["policy"]["redacted"], True)
    equal({d["guest_name"]: (d["bytes"], d["sha256"]) for d in lines if d["type"] == "output"},
          {"f": (14, hashlib.sha256(b"not-on-record\n").hexdigest()), "d/g": (3, hashlib.sha256(b"abc").hexdigest())})
    _wrote([d for d in lines if d["type"] == "wrote"])
    with open(f"{RECORDS}/{new.id}.jsonl") as f:
        text = f.read()
    for word in ("KEY=", "sk-", "\"text\":\"words"):
        check(word not in text, f"{word} is on record")
    _elsewhere(folder, new.id)
    _statement(folder, new.id)


def _wrote(lines):
    """The first 256 files, by name and size; of the rest how many."""
    rows = [(r["path"], r["bytes"]) for d in lines for r in d["rows"]]
    equal((rows[:3], len(rows)), ([("/out/f", 14), ("/out/d/g", 3), ("/tmp/0", 0)], 256))
    equal(({d["by"] for d in lines}, lines[-1]["more"]), ({"guest"}, 302 - 256))


def _elsewhere(folder, record):
    """Another data folder, which has neither ledger nor key."""
    os.mkdir(f"{folder}/data", 0o700)
    env = {"LAZARET_DATA_DIR": f"{folder}/data"}
    finished(lazaret("record", "export", record, "-o", f"{folder}/b.tar"))
    with open(f"{folder}/key.pub", "wb") as f:
        f.write(finished(lazaret("record", "key")))
    check("only the bundle itself" in _verify(f"{folder}/b.tar", status=3, env=env), "the key is taken for known")
    check(_verify("--trusted", f"{folder}/key.pub", f"{folder}/b.tar", env=env).startswith("whole: "), "not whole")
    _without_libvirt(["--trusted", f"{folder}/key.pub", f"{folder}/b.tar"], env)
    with open(f"{folder}/b.tar", "r+b") as f:
        data = f.read()
        f.seek(data.index(b"guest_exit_code\":3") + 17)
        f.write(b"0")
    check(_verify("--trusted", f"{folder}/key.pub", f"{folder}/b.tar", status=1, env=env).startswith("refused: "),
          "a changed status is not refused")


def _without_libvirt(words, env):
    """The program for a machine that has no library of it says the same."""
    program = f"{os.path.dirname(LAZARET)}/lazaret-verify"
    libraries = subprocess.run([program], env=environment(LD_TRACE_LOADED_OBJECTS="1"), check=True, capture_output=True)
    check(b"libcrypto" in libraries.stdout and b"virt" not in libraries.stdout, libraries.stdout)
    r = subprocess.run([program, *words], env=environment(**env), capture_output=True, timeout=120, check=False)
    equal(finished(r).decode().strip(), _verify(*words, env=env))


def _statement(folder, record):
    """As its specifications have it, by a tool that is not ours."""
    d = json.loads(finished(lazaret("record", "statement", record)))
    payload, kind = base64.b64decode(d["payload"]), d["payloadType"].encode()
    with open(f"{folder}/pae", "wb") as f:
        f.write(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    with open(f"{folder}/sig", "wb") as f:
        f.write(base64.b64decode(d["signatures"][0]["sig"]))
    subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", f"{folder}/key.pub", "-in",
                    f"{folder}/pae", "-sigfile", f"{folder}/sig"], check=True, stdout=subprocess.DEVNULL)
    statement = json.loads(payload)
    equal((statement["_type"], statement["predicateType"]),
          ("https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"))
    with open(f"{RECORDS}/{record}.jsonl", "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    equal(statement["subject"][0], {"name": "record.jsonl", "digest": {"sha256": digest}})
    equal({s["name"] for s in statement["subject"]}, {"record.jsonl", "out/f", "out/d/g"})


def a_sandboxs_life_is_one_record_and_its_fork_names_it(folder):
    with Nothing():
        with _New() as new:
            finished(lazaret("up", "told", "--accel", "tcg", "--no-output-content"))
            check(new.id.startswith("told."), new.id)
        check(_verify("told", status=2).startswith(f"incomplete: {new.id}: "), "one that lives is not incomplete")
        finished(lazaret("exec", "told", "--", "sh", "-c", "echo chosen > /work/name; exit 5"), 5)
        finished(lazaret("snapshot", "told", "first"))
        finished(lazaret("pause", "told"))
        finished(lazaret("resume", "told"))
        finished(lazaret("revert", "told"))
        with _New() as child:
            finished(lazaret("fork", "told", "child"))
            check(child.id.startswith("child."), child.id)
        finished(lazaret("down", "child"))
        finished(lazaret("down", "told"))
    lines = _lines(new.id)
    check(re.fullmatch(r"told\.\d{8}-\d{6}-[0-9a-f]{6}", new.id), new.id)
    equal([d["type"] for d in lines if d["type"] != "sample"],
          ["begin", "image", "up", "file", "layers", "exec", "exit", "mark", "pause", "resume", "revert", "mark",
           "fork", "fork", "forget", "end", "destroyed"])
    equal(_one(lines, "end")["class"], "down")
    with open(f"{RECORDS}/{new.id}.jsonl") as f:
        check("chosen" not in f.read(), "arguments are on record")
    parent = _one(_lines(child.id), "begin")["parent"]
    equal((parent["sandbox"], parent["record"]), ("told", new.id))
    equal(lines[parent["seq"]]["type"], "fork")
    for record in (new.id, child.id, "told"):
        check(_verify(record).startswith("whole: "), record)
    # Whoever removes one says so; who takes one away is told on.
    os.rename(f"{RECORDS}/{child.id}.jsonl", f"{RECORDS}/away")
    one_line_error(lazaret("verify", child.id), 1, "missing")
    os.rename(f"{RECORDS}/away", f"{RECORDS}/{child.id}.jsonl")
    # A policy that stands is for all; what is asked for is less, or counts for nothing.
    os.makedirs(f"{folder}/lazaret", 0o700)
    with open(f"{folder}/lazaret/policy.json", "w") as f:
        f.write('{"format": "lazaret-policy", "version": 1, "record_max_age": "1d", "records_max_size": "1"}')
    finished(lazaret("gc", "--records-max-size", "1G"))
    check({new.id, child.id} <= _ids(), "gc has removed records")
    finished(lazaret("gc", "--records-max-size", "1G", env={"XDG_CONFIG_HOME": folder}))
    equal(_ids(), set())
    one_line_error(lazaret("verify", child.id), 125, "was removed by gc")


def a_run_waits_for_the_disk_twice_and_for_its_record_only(folder):
    """Counted in lazaret and in what it starts, from the command to the prompt behind it."""
    cost, words = Preload(folder, "cost"), ("run", "--accel", "tcg", "--", "true")
    finished(lazaret(*words))  # makes what there is once: a key, a saved guest
    with _New() as new, Nothing():
        finished(lazaret(*words, env=cost.env()))
    with open(f"{DATA}/ledger/heads.jsonl") as f:
        heads = [h["state"] for h in map(json.loads, f) if h["record"] == new.id]
    # Its own are at the beginning, before the command, and at the end: others are of one that took 10 s,
    # whose first one is waited for as well.
    times = 2 if len(heads) > 3 else 1
    equal(heads[-1], "closed")
    names = [cost.text(128 * (1 + i)).split("/")[-1] for i in range(min(cost.get(0), 16))]
    equal(names, [f"{new.id}.jsonl", "heads.jsonl"] * times)


def _changes(record):
    """Rows by path, and the sum."""
    lines = _lines(record)
    rows = {r["guest_path"]: (r["change"], r.get("kind"), r.get("size")) for d in lines if d["type"] == "changes"
            for r in d["rows"]}
    return rows, _one(lines, "changes_sum")


def what_changed_on_the_disk_is_on_record_as_the_host_read_it(folder):
    """Of a run that its deadline ended, of a sandbox, and of a fork: since its mark."""
    odd = "/work/<b>\\x1b[2J"
    with _New() as new, Nothing():
        finished(sh("echo one > /work/a; mkdir /work/d; ln -s a /work/l; : > \"$(printf '/work/<b>\\033[2J')\"; exec sleep 100",
                    "--record-changes", "--timeout", "3"), 124)
    rows, total = _changes(new.id)
    equal({p: row for p, row in rows.items() if p.startswith("/work/")},
          {"/work/a": ("added", "file", 4), "/work/d": ("added", "folder", None), "/work/l": ("added", "link", 1),
           odd: ("added", "file", 0)})
    equal((total["since"], total["settled"], total["whole"], total["listed"]), ("empty", True, True, len(rows)))
    page = f"{folder}/page.html"
    finished(lazaret("report", "-o", page, new.id))
    with open(page, encoding="utf-8") as f:
        text = f.read()
    check("What changed on its disk" in text and "&lt;b&gt;\\x1b" in text and "/work/<b>" not in text, "the page")
    with Nothing():
        with _New() as new:
            finished(lazaret("up", "changing", "--accel", "tcg", "--record-changes"))
            check(new.id, "no record")
        finished(lazaret("exec", "changing", "--", "sh", "-c", "echo one > /work/a; echo two > /work/b"))
        finished(lazaret("snapshot", "changing", "first"))
        with _New() as child:
            finished(lazaret("fork", "changing", "changed"))
            check(child.id, "no record")
        finished(lazaret("exec", "changed", "--", "sh", "-c", "rm /work/a; echo three > /work/b"))
        finished(lazaret("down", "changed"))
        finished(lazaret("down", "changing"))
    rows, total = _changes(child.id)
    equal((rows["/work/a"][0], rows["/work/b"], total["since"], total["settled"]),
          ("removed", ("changed", "file", 6), "mark", True))
    rows, total = _changes(new.id)
    equal((rows["/work/a"], rows["/work/b"], total["since"]), (("added", "file", 4), ("added", "file", 4), "empty"))
    for options in (("--no-record",), ("--amnesic",)):
        one_line_error(run(["true"], "--record-changes", *options), 125, "--record-changes excludes")


def a_killed_keeper_or_launcher_leaves_an_incomplete_record():
    for who in ("keeper", "launcher"):
        with _New() as new, Nothing():
            p = start(["sleep", "100"])
            wait_for(lambda: _ids() - new.before and any(d["type"] == "exec" for d in _lines(new.id)), "the job")
            os.kill(relay_of(p)[1] if who == "keeper" else p.pid, signal.SIGKILL)
            p.communicate(timeout=60)
            wait_for(lambda: not processes(), "the end")
            lazaret("gc")
        check(_verify(new.id, status=2).startswith(f"incomplete: {new.id}: "), who)


def of_an_amnesic_run_only_numbers_are_on_record_and_a_sealed_one_is_readable_by_its_key_only(folder):
    public = finished(lazaret("keygen", f"{folder}/key")).decode().strip()
    sealed = set(os.listdir(RECORDS)) if os.path.isdir(RECORDS) else set()
    with Nothing():
        finished(run(["echo", "chosen"], "--amnesic", "--record-recipient", public))
    sealed = set(os.listdir(RECORDS)) - sealed
    equal(len(sealed), 1)
    name = sealed.pop()
    check(name.endswith(".jsonl.age"), name)
    one_line_error(lazaret("verify", name.removesuffix(".jsonl.age")), 125, "sealed")
    with open(f"{folder}/plain", "wb") as f:
        f.write(finished(lazaret("unseal", "--identity", f"{folder}/key", f"{RECORDS}/{name}", "-")))
    check(_verify(f"{folder}/plain").startswith("whole: "), "what was sealed is not whole")
    with open(f"{folder}/plain") as f:
        text = f.read()
    check("chosen" not in text and "\"type\":\"exit\"" in text, text)


def a_run_without_a_record_is_refused_where_a_policy_requires_one(folder):
    with open(f"{folder}/policy.json", "w") as f:
        f.write('{"format": "lazaret-policy", "version": 1,\n"require_record": true}')
    before = _ids()
    one_line_error(run(["true"], "--no-record", "--policy", f"{folder}/policy.json"), 126, "policy.json:2")
    equal(_ids(), before)


if __name__ == "__main__":
    main()
