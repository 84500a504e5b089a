"""Forks and diffs: copies of a living sandbox that share until they write, and what it wrote."""
import atexit
import json
import os
import re
import shutil
import time

from live import *

BOX = "parent"  # the one that all of these tests begin with


def _box():
    if state(BOX) == "dead":
        finished(lazaret("down", BOX))
    if BOX not in sandboxes():
        finished(up(BOX))
        atexit.register(lambda: BOX in sandboxes() and lazaret("down", BOX))
    return BOX


def _sh(name, script, *options):
    return finished(execute(name, *options, "--", "sh", "-c", script)).decode()


def _fork(source, name, *options):
    return lazaret("fork", source, name, *options, timeout=240)


def _gone(*names):
    for name in names:
        finished(lazaret("down", name))
        check(name not in sandboxes(), f"'{name}' is there still")


def _marks(name=BOX):
    return json.loads(finished(lazaret("marks", name, "--json")))


TELL = ("uname -n; cat /etc/machine-id /proc/sys/kernel/random/uuid; "
        "head -c 16 /dev/urandom | od -An -tx1 | tr -d ' '; "
        "python3 -c 'import ssl; print(ssl.RAND_bytes(16).hex())'; date +%s.%N")


def forks_have_the_parents_memory_disk_and_jobs_and_agree_on_nothing_new():
    box = _box()
    finished(execute(box, "-d", "--", "sh", "-c",
                     "i=0; while :; do i=$((i+1)); echo $i > /work/count; sleep 0.1; "
                     "read name < /proc/sys/kernel/hostname; echo $name >> /work/names; done"))
    _sh(box, "echo of the parent > /work/f")
    wait_for(lambda: _sh(box, "cat /work/count 2>/dev/null || echo 0") > "0", "the job to count")
    finished(_fork(box, "child", "-n", "2"))
    names = [box, "child-1", "child-2"]
    try:
        equal(_marks()["marks"], [], "the mark for the forks is left:")
        for name in names:
            equal(_sh(name, "cat /work/f"), "of the parent\n")
            equal(len(jobs(name)), 1)
            before = int(_sh(name, "cat /work/count") or 0)
            wait_for(lambda: int(_sh(name, "cat /work/count") or 0) > before, "it to go on")
        said = []
        for name in names:
            began = time.time()
            words = _sh(name, TELL).split()
            equal(len(words), 6)
            check(began - 1 <= float(words[-1]) <= time.time() + 1, f"clock of {name}: {words[-1]}")
            said.append(words[:-1])
        equal(len({w for words in said for w in words}), 15, "common words:")
        equal([_sh(n, "tail -n 1 /work/names") for n in names], [f"{said[0][0]}\n"] * 3,
              "the host name of the job that runs on:")
        _sh("child-1", "echo of the child > /work/f")
        equal([_sh(n, "cat /work/f") for n in names],
              ["of the parent\n", "of the child\n", "of the parent\n"])
        number = jobs("child-1")[0]["exec"]
        finished(lazaret("kill", "child-1", str(number)))
        wait_for(lambda: not jobs("child-1"), "the child's job to end")
        equal([len(jobs(n)) for n in names], [1, 0, 1])
    finally:
        _gone("child-1", "child-2")
    finished(lazaret("kill", box, str(jobs(box)[0]["exec"])))


def a_fork_lives_on_without_its_parent_and_is_forked_itself():
    box = _box()
    _sh(box, "echo one > /work/f")
    finished(_fork(box, "first"))
    _gone(box)
    try:
        _sh("first", "echo two >> /work/f")
        finished(_fork("first", "second"))
        equal(_sh("second", "cat /work/f"), "one\ntwo\n")
        finished(lazaret("snapshot", "second", "here"))
        _sh("second", "echo three >> /work/f")
        finished(lazaret("revert", "second"))
        equal(_sh("second", "cat /work/f"), "one\ntwo\n")
        equal(_sh("first", "cat /work/f"), "one\ntwo\n")
    finally:
        _gone(*(n for n in ("first", "second") if n in sandboxes()))


def all_forks_come_up_or_none():
    box = _box()
    finished(_fork(box, "some-2"))
    one_line_error(_fork(box, "some", "-n", "3"), 125, "some-2", "already")
    equal(sandboxes(), sorted([box, "some-2"]))
    _gone("some-2")
    equal(_marks()["marks"], [])
    one_line_error(_fork(box, "a/b"), 125, "no name")
    one_line_error(_fork("nobody", "child"), 125, "no sandbox 'nobody'")
    one_line_error(_fork(f"{box}:none", "child"), 125, "no mark 'none'")


def _generation_id(name):
    """The one that its QEMU was started with."""
    with open(f"/proc/{family(name)['qemu']}/cmdline", "rb") as f:
        return re.search(rb'"vmgenid","guid":"([0-9a-f-]{36})"', f.read())[1]


def each_start_on_q35_has_a_generation_id_of_its_own_and_the_guests_kernel_reads_it():
    names = ["board", "board-fork"]
    finished(up("board", "--machine", "q35"))
    try:
        finished(_fork(*names))
        ids = [_generation_id(n) for n in names]
        finished(lazaret("snapshot", "board-fork", "here"))
        finished(lazaret("revert", "board-fork"))
        ids.append(_generation_id("board-fork"))
        equal(len(set(ids)), 3, f"different ones of {ids}:")
        for name in names:
            said = _sh(name, "uname -r; find /sys/devices -path '*/QEMUVGID:00/driver'").split()
            check(len(said) > 1 or said[0].startswith("6.1."), f"no driver in '{name}': {said}")
    finally:
        _gone(*(n for n in names if n in sandboxes()))


def a_job_in_a_throw_away_copy_changes_nothing(folder):
    box = _box()
    _sh(box, "echo kept > /work/f")
    finished(lazaret("snapshot", box, "here"))
    _sh(box, "echo later > /work/f")
    out = f"{folder}/out"
    r = lazaret("run", "--fork-from", f"{box}:here", "--out", out, "--", "sh", "-c",
                "cat /work/f; echo x > /work/f; cp /work/f /out/g; exit 7", timeout=240)
    equal(finished(r, 7), b"kept\n")
    with open(f"{out}/g", encoding="ascii") as f:
        equal(f.read(), "x\n")
    equal(finished(lazaret("run", "--fork-from", box, "--", "cat", "/work/f", timeout=240)), b"later\n")
    equal((runs(), sandboxes()), ([], [box]))
    equal([m["mark"] for m in _marks()["marks"]], ["here"])
    one_line_error(lazaret("run", "--fork-from", box, "--memory", "1G", "--", "true"), 125, "left out")
    finished(lazaret("forget", box, "here"))
    equal(os.listdir(f"{DATA}/sandboxes/{box}/marks"), [])


def a_saved_state_that_is_not_the_marks_is_refused():
    box = _box()
    finished(lazaret("snapshot", box, "here"))
    at = f"{DATA}/sandboxes/{box}/marks"
    number, = (n for n in os.listdir(at) if n.isdigit())
    with open(f"{at}/{number}", "r+b") as f:
        f.seek(1 << 20)
        byte = f.read(1)
        f.seek(1 << 20)
        f.write(bytes([byte[0] ^ 1]))
    run_it = ("run", "--fork-from", f"{box}:here", "--", "echo", "works")
    r = lazaret(*run_it, timeout=240)
    finished(r, 125)
    check(b"not the one that was saved" in r.stderr, r.stderr)
    equal((runs(), sandboxes()), ([], [box]))
    with open(f"{at}/{number}", "r+b") as f:
        f.seek(1 << 20)
        f.write(byte)
    equal(finished(lazaret(*run_it, timeout=240)), b"works\n")
    key, = (n for n in os.listdir(f"{at}/{number}.saved") if n != "tmp")
    path = f"{at}/{number}.saved/{key}/ram"
    os.chmod(path, 0o600)
    with open(path, "r+b") as f:
        f.seek(2 << 20)
        byte = f.read(1)
        f.seek(2 << 20)
        f.write(bytes([byte[0] ^ 1]))
    r = lazaret(*run_it, timeout=240)
    finished(r, 125)
    check(b"ram" in r.stderr, r.stderr)
    equal(_sh(box, "echo alive"), "alive\n")
    finished(lazaret("forget", box, "here"))


def diff_lists_what_was_added_changed_and_removed(folder):
    box = _box()
    _sh(box, "rm -rf /work/*; mkdir /work/d; echo old > /work/d/f; echo x > /work/gone; echo s > /work/same")
    one_line_error(lazaret("diff", box), 125, "no mark to compare with")
    finished(lazaret("snapshot", box, "a"))
    _sh(box, "echo newer > /work/d/f; rm /work/gone; echo n > /work/new; touch /work/same")
    want = b"C /work/d/f\nR /work/gone\nA /work/new\n"
    equal(finished(lazaret("diff", box)), want)
    equal(len(_marks()["marks"]), 1, "a mark is left:")
    finished(lazaret("snapshot", box, "b"))
    _sh(box, "rm -rf /work/*")
    equal(finished(lazaret("diff", box, "a", "b")), want)
    equal(finished(lazaret("diff", box, "b", "a")), b"C /work/d/f\nA /work/gone\nR /work/new\n")
    out = f"{folder}/out"
    d = json.loads(finished(lazaret("diff", box, "a", "b", "--json", "--out", out)))
    equal((d["added"], d["changed"], d["removed"], d["whole"], d["out_files"]), (1, 1, 1, True, 2))
    found = sorted(os.path.join(top, n)[len(out):] for top, _, names in os.walk(out) for n in names)
    equal(found, ["/work/d/f", "/work/new"])
    with open(f"{out}/work/d/f", encoding="ascii") as f:
        equal(f.read(), "newer\n")
    one_line_error(lazaret("diff", box, "a", "b", "--out", out), 125, "not empty")
    shutil.rmtree(out)
    for mark in "ab":
        finished(lazaret("forget", box, mark))


if __name__ == "__main__":
    main()
