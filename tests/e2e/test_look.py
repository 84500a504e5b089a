"""What goes in and out of a sandbox beside commands: tars, and what it says of itself."""
import atexit
import hashlib
import io
import json
import os
import signal
import subprocess
import tarfile

from e2e import *
from live import execute, family, jobs, recorded, started, state, up

BOX = "looked"  # the one that these tests share


def _box():
    if state(BOX) == "dead":
        finished(lazaret("down", BOX))
    if BOX not in sandboxes():
        finished(up(BOX, "--cold"))  # with a console
        atexit.register(lambda: BOX in sandboxes() and lazaret("down", BOX))
    return BOX


# ---- tars ------------------------------------------------------------------------------------


def _tar(*entries, **more):
    """(name, content or None for a folder, mode), or a whole TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **more) as t:
        for en in entries:
            if isinstance(en, tarfile.TarInfo):
                t.addfile(en)
                continue
            name, content, mode = en
            info = tarfile.TarInfo(name)
            info.mode = mode
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.size = len(content or b"")
            t.addfile(info, io.BytesIO(content or b""))
    return out.getvalue()


def _put(data, path):
    return lazaret("cp", "-", f"{_box()}:{path}", input=data)


def a_tar_goes_in_and_comes_out_again(folder):
    box = _box()
    big, long = os.urandom(1 << 20), "e" * 95
    before = sorted(os.listdir(DATA))
    for form in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        finished(execute(box, "--", "sh", "-c", "rm -rf /work/*; mkdir /work/to"))
        finished(_put(_tar(("./", None, 0o755), ("./run.sh", b"#!/bin/sh\n", 0o755),
                           (f"deep/{long}/n\u00e4me", b"text\n", 0o640), ("big", big, 0o600),
                           ("empty", None, 0o750), format=form), "/work/to"))
        r = lazaret("cp", f"{box}:/work/to", "-")
        finished(r)
        with tarfile.open(fileobj=io.BytesIO(r.stdout)) as t:
            seen = {m.name: (m.isdir(), m.mode, b"" if m.isdir() else t.extractfile(m).read())
                    for m in t.getmembers()}
            equal({m.uid for m in t.getmembers()}, {os.geteuid()})
        equal(seen, {"to": (True, 0o755, b""), "to/run.sh": (False, 0o755, b"#!/bin/sh\n"),
                     "to/deep": (True, 0o755, b""), f"to/deep/{long}": (True, 0o755, b""),
                     f"to/deep/{long}/n\u00e4me": (False, 0o640, b"text\n"),
                     "to/big": (False, 0o600, big), "to/empty": (True, 0o750, b"")})
    # GNU tar takes it, and what it makes is taken.
    subprocess.run(["tar", "-x", "-C", folder], input=r.stdout, check=True)
    tar = subprocess.run(["tar", "-c", "-C", folder, "to"], capture_output=True, check=True).stdout
    finished(_put(tar, "/work"))
    equal(finished(execute(box, "--", "sh", "-c", "cmp /work/to/big /work/to/big && ls /work/to")),
          b"big\ndeep\nempty\nrun.sh\n")
    r = lazaret("cp", f"{box}:/work/to/run.sh", "-")
    with tarfile.open(fileobj=io.BytesIO(finished(r))) as t:
        equal(t.getnames(), ["run.sh"])
    equal(_taken(box)[-1], ("tar", None, len(r.stdout), _sha256(r.stdout)))
    equal(sorted(os.listdir(DATA)), before, "spools left:")


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


def _taken(box):
    """What came out of it, by its record."""
    return [(d["taken"], d.get("guest_name"), d["bytes"], d["sha256"]) for d in recorded("output", box)[1]]


def what_is_taken_out_is_on_record_with_its_digest(folder):
    box = _box()
    finished(execute(box, "--", "sh", "-c", "rm -rf /work/*"))
    finished(lazaret("snapshot", box, "empty"))
    finished(execute(box, "--", "sh", "-c", "mkdir -p /work/d/e; echo one > /work/d/a; echo two > /work/d/e/b; "
                                            "ln -s a /work/d/link"))
    before = len(_taken(box))
    finished(lazaret("cp", f"{box}:/work/d", f"{folder}/mine"))
    finished(lazaret("diff", box, "empty", "--out", f"{folder}/out"))
    finished(lazaret("forget", box, "empty"))
    files = [("a", b"one\n"), ("e/b", b"two\n")]
    equal(sorted(_taken(box)[before:]),
          [(how, f"{top}/{name}", len(text), _sha256(text))
           for how, top in (("copy", "d"), ("diff", "work/d")) for name, text in files])
    sums = [{k: d[k] for k in ("taken", "files", "folders", "bytes", "refused", "listed")}
            for d in recorded("outputs", box)[1][-2:]]
    equal(sums[0], {"taken": "copy", "files": 2, "folders": 2, "bytes": 8, "refused": 1, "listed": 2})
    equal((sums[1]["taken"], sums[1]["files"], sums[1]["bytes"]), ("diff", 2, 8))
    # What the keeper does not take gets no name.
    finished(lazaret("pause", box))
    r = lazaret("cp", f"{box}:/work/d", f"{folder}/other")
    finished(lazaret("resume", box))
    one_line_error(r, 125, "paused")
    check(not os.path.exists(f"{folder}/other"), "a copy that is not on record has a name")


def a_hostile_tar_puts_nothing_in():
    box = _box()
    finished(execute(box, "--", "sh", "-c", "rm -rf /work/*; mkdir /work/to; echo f > /work/file"))
    first = ("first", b"first", 0o644)
    link, device = tarfile.TarInfo("hard"), tarfile.TarInfo("null")
    link.type, link.linkname = tarfile.LNKTYPE, "first"
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    away = tarfile.TarInfo("away")
    away.type, away.linkname = tarfile.SYMTYPE, "/etc"
    whole = _tar(first)
    rows = [
        (_tar(first, ("../out", b"x", 0o644)), "/work/to", 126, "'../out'"),
        (_tar(first, ("/etc/out", b"x", 0o644)), "/work/to", 126, "'/etc/out'"),
        (_tar(first, link), "/work/to", 126, "hard link"),
        (whole[:700], "/work/to", 126, "cut off"),
        (b"no tar " * 200, "/work/to", 126, "checksum"),
        (b"", "/work/to", 126, "missing"),
        (whole, "/work/file", 125, "not a folder"),
        (whole, "/work/none", 125, "no such"),
        (whole, "/etc", 126, "may not"),
    ]
    for data, path, status, said in rows:
        one_line_error(_put(data, path), status, said)
    one_line_error(lazaret("cp", "--max", "4K", "-", f"{box}:/work/to", input=_tar(first)), 121, "--max")
    equal(finished(execute(box, "--", "ls", "/work/to")), b"")
    r = _put(_tar(first, away, device, ("away/x", b"x", 0o644)), "/work/to")
    finished(r)
    check(b"'away': symbolic link" in r.stderr and b"'null': device" in r.stderr, r.stderr)
    equal(finished(execute(box, "--", "sh", "-c", "cd /work/to; find . -type f | sort")),
          b"./away/x\n./first\n")


def what_may_not_come_out_is_not_in_the_tar():
    box = _box()
    finished(execute(box, "--", "sh", "-c", "rm -rf /work/*; mkdir /work/odd; cd /work/odd; echo f > f; "
                                            "ln -s /etc/passwd link; mkfifo pipe; chmod 777 f"))
    r = lazaret("cp", f"{box}:/work/odd", "-")
    with tarfile.open(fileobj=io.BytesIO(finished(r))) as t:
        equal({m.name: m.mode for m in t.getmembers()}, {"odd": 0o755, "odd/f": 0o755})
    check(b"'odd/link': symbolic link" in r.stderr and b"'odd/pipe'" in r.stderr, r.stderr)
    one_line_error(lazaret("cp", f"{box}:/work/none", "-"), 125, "no such")
    r = lazaret("cp", f"{box}:/work/odd/pipe", "-")
    finished(r, 126)
    check(b"neither a file nor a folder" in r.stderr, r.stderr)


# ---- what it says of itself ------------------------------------------------------------------


def _guest():
    d = json.loads(finished(lazaret("stats", _box(), "--json")))
    check(d["memory_bytes"] > 0 and d["resident_bytes"] > 0, d)
    return d["guest"]


def stats_have_the_guests_word_apart():
    box = _box()
    p = started(box, "head -c 30000000 /dev/zero > /tmp/x; echo started; exec sleep 300")
    serial = jobs(box)[0]["exec"]
    guest = _guest()
    equal((guest["state"], [x["exec"] for x in guest["execs"]]), ("told", [serial]))
    check(guest["memory_total_bytes"] > guest["memory_free_bytes"] > 0, guest)
    check(guest["disk_total_bytes"] > guest["disk_free_bytes"] > 0, guest)
    x = guest["execs"][0]
    check(x["peak_bytes"] >= x["memory_bytes"] >= 30000000 and x["cpu_us"] > 0, x)
    check(1 <= x["pids"] <= 10, x)
    text = finished(lazaret("stats", box)).decode()
    host, _, word = text.partition("as the guest says:\n")
    check("resident" in host and "PIDS" not in host and f"  {serial} " in word, text)
    finished(lazaret("kill", box, str(serial)))
    p.communicate(timeout=60)


def a_guest_that_does_not_answer_is_not_waited_for():
    box = _box()
    finished(lazaret("pause", box))
    equal(_guest(), {"state": "paused"})
    check(b"it is paused" in finished(lazaret("stats", box)), "what is said of a paused guest")
    finished(lazaret("resume", box))
    with open(f"/proc/{family(box)['keeper']}/task/{family(box)['keeper']}/children",
              encoding="ascii") as f:
        relay = [int(c) for c in f.read().split()
                 if open(f"/proc/{c}/comm", encoding="ascii").read() == "lazaret-relay\n"]
    equal(len(relay), 1, "relays:")
    os.kill(relay[0], signal.SIGSTOP)  # what a guest that says nothing looks like
    equal(_guest(), {"state": "silent"})
    check(b"did not answer" in finished(lazaret("stats", box)), "what is said of a silent guest")
    os.kill(relay[0], signal.SIGCONT)
    equal(_guest()["state"], "told")


def the_console_is_followed_to_the_sandboxs_end():
    box = _box()
    whole = finished(lazaret("console", box))
    check(whole, "the console says nothing")
    p = subprocess.Popen([LAZARET, "console", "--follow", box], env=environment(),
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal(p.stdout.read(len(whole)), whole)
    with open(f"{DATA}/sandboxes/{box}/console.log", "ab") as f:
        f.write(b"more\n")  # as the relay does
    equal(p.stdout.readline(), b"more\n")
    other = subprocess.Popen([LAZARET, "console", "--follow", box], env=environment(),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    equal(other.stdout.read(len(whole)), whole)
    other.send_signal(signal.SIGINT)
    equal(other.wait(60), -signal.SIGINT)
    equal(p.poll(), None)
    finished(lazaret("down", box))
    equal((p.wait(60), p.stderr.read()), (0, b""))


if __name__ == "__main__":
    main()
