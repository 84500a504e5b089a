"""e2e: --amnesic: of a guest nothing readable is left on a disk, while it lives and afterwards.

A marker of 32 random bytes, which no argument and no plan holds, is brought into the guest: into
its memory, a tmpfs, a file of its disk, and what a detached command writes. Then every file of the
data folder, and every file on a disk that a process of the sandbox has open, is searched for it.
"""
import json
import os
import secrets
import signal
import stat
import subprocess
import time

from live import *

BEGAN = time.time()
SMALL = ("--memory", "64M", "--disk", "64M")
# In memory only: a process that was told it on its stdin, and a tmpfs.
HOLD = ("import sys; mine = sys.stdin.readline(); print('started', flush=True); "
        "open('/dev/shm/held', 'w').write(mine); sys.stdin.readline()")


def _holes_left_out(fd):
    """The parts of a file that are data."""
    at, end = 0, os.fstat(fd).st_size
    while at < end:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        hole = os.lseek(fd, at, os.SEEK_HOLE)
        yield at, hole
        at = hole


def _holds(path, marker):
    # What has not changed since we began cannot hold it: the images, mostly.
    if os.stat(path).st_ctime < BEGAN - 2:
        return False
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for at, hole in _holes_left_out(fd):
            tail = b""
            while at < hole:
                part = os.pread(fd, min(1 << 20, hole - at), at)
                if not part:
                    break
                if marker in tail + part:
                    return True
                tail, at = part[-len(marker):], at + len(part)
        return False
    finally:
        os.close(fd)


def _in_the_data_folder(marker):
    found = set()
    for folder, _, names in os.walk(DATA):
        for name in names:
            path = os.path.join(folder, name)
            if stat.S_ISREG(os.lstat(path).st_mode) and _holds(path, marker):
                found.add(os.path.relpath(path, DATA))
    return found


def _tree_below(pid):
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
            for child in f.read().split():
                found += _tree_below(int(child))
    return found


def _kinds(pid):
    """{device number: type of its file system}, as the process sees them."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as f:
        rows = [line.split() for line in f]
    return {os.makedev(*map(int, r[2].split(":"))): r[r.index("-") + 1] for r in rows}


def _on_a_disk(name):
    """What the sandbox's processes have open or mapped of files that are not in memory."""
    for pid in _tree_below(supervisor(name)):
        kinds = _kinds(pid)
        for place in ("fd", "map_files"):
            try:
                entries = os.listdir(f"/proc/{pid}/{place}")
            except PermissionError:
                continue  # map_files of an ordinary user
            for entry in entries:
                path = f"/proc/{pid}/{place}/{entry}"
                try:
                    s, target = os.stat(path), os.readlink(path)
                except OSError:
                    continue
                if stat.S_ISREG(s.st_mode) and not target.startswith("/memfd:") and \
                        kinds.get(s.st_dev) not in ("tmpfs", "devtmpfs"):
                    yield path, target


def _in_open_files(name, marker):
    return {target for path, target in _on_a_disk(name) if _holds(path, marker)}


def _plant(name, marker):
    """Returns the client whose command holds it in memory."""
    finished(execute(name, "-i", "--", "sh", "-c", "cat > /work/held; sync", input=marker))
    number = finished(execute(name, "-d", "--", "sh", "-c", "cat /work/held; exec sleep 1000"))
    number = number.decode().strip()
    wait_for(lambda: lazaret("logs", name, number).stdout == marker, "the detached command")
    p = begin(name, "-i", "--", "python3", "-c", HOLD, stdin=subprocess.PIPE)
    p.stdin.write(marker + b"\n")
    p.stdin.flush()
    equal(p.stdout.readline(), b"started\n")
    return p


def _memory_of(name):
    """{where: number of the device} of the file systems that the guest's files are on."""
    with open(f"/proc/{family(name)['keeper']}/mountinfo", encoding="utf-8") as f:
        found = {r[4]: r[2] for r in map(str.split, f) if r[4].startswith("/run/lz/state")}
    check("/run/lz/state" in found, "nothing of it is in memory")
    return found


def _is_held(devices):
    """Does a process have one of them mounted, or a file there open?"""
    numbers = set(devices.values())
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as f:
                if numbers & {line.split()[2] for line in f}:
                    return True
            files = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in files:
            try:
                at = os.stat(f"/proc/{pid}/fd/{name}").st_dev
            except OSError:
                continue
            if f"{os.major(at)}:{os.minor(at)}" in numbers:
                return True
    return False


def _kill_all_of(name):
    for pid in _tree_below(supervisor(name)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_for(lambda: state(name) == "dead", "its death", 30)


def _down(name, marker):
    devices = _memory_of(name)
    finished(lazaret("down", name))
    wait_for(lambda: not _is_held(devices), "its memory to go", 20)
    equal(_in_the_data_folder(marker), set())


# The same without --amnesic finds it: the search is one that can.
def without_it_disk_mark_and_output_hold_what_the_guest_held():
    marker = secrets.token_hex(32).encode()
    with Nothing():
        finished(up("recalls", *SMALL))
        p = _plant("recalls", marker)
        finished(lazaret("snapshot", "recalls", "one"))
        found = {os.path.basename(f) for f in _in_the_data_folder(marker)}
        equal(found, {"scratch.qcow2", "1", "exec-2.stdout"})
        check(any("scratch" in f for f in _in_open_files("recalls", marker)), "no open file")
        p.kill()
        p.communicate(timeout=60)
        finished(lazaret("down", "recalls"))


def nothing_that_the_guest_held_is_on_a_disk_whatever_ends_it(folder):
    marker = secrets.token_hex(32).encode()

    def search(name):
        equal(_in_the_data_folder(marker), set(), name)
        equal(_in_open_files(name, marker), set(), name)

    with Nothing():
        finished(up("forgets", *SMALL, "--max-marks", "2", "--amnesic"))
        holder = _plant("forgets", marker)
        search("forgets")
        # Each way by which what it holds is kept, handed on or looked at.
        finished(lazaret("snapshot", "forgets", "one"))
        finished(execute("forgets", "--", "sh", "-c", "cat /work/held > /work/more"))
        equal(finished(lazaret("diff", "forgets")), b"A /work/more\n")
        finished(lazaret("cp", "forgets:/work/held", f"{folder}/held"))
        finished(lazaret("cp", f"{folder}/held", "forgets:/work/again"))
        finished(lazaret("console", "forgets"))
        search("forgets")
        finished(lazaret("revert", "forgets"))
        holder.communicate(timeout=60)
        equal(finished(execute("forgets", "--", "sh", "-c", "cat /work/held; ls /work")),
              marker + b"held\n")
        finished(execute("forgets", "--revert-after", "--", "rm", "/work/held"))
        finished(lazaret("fork", "forgets", "inherits"))
        finished(lazaret("fork", "inherits", "last"))
        r = lazaret("run", "--fork-from", "forgets:one", "--json", "--", "cat", "/work/held")
        equal(json.loads(finished(r))["stdout"].encode(), marker)
        for name in ("forgets", "inherits", "last"):
            search(name)
        rows = {r["id"]: r["amnesic"] for r in json.loads(finished(lazaret("ls", "--json")))}
        equal(rows, {"forgets": True, "inherits": True, "last": True})

        # All of its processes at once; what its fork needs stays with the fork, and no more.
        devices = _memory_of("forgets")
        _kill_all_of("forgets")
        own = {"state": devices["/run/lz/state"]}
        wait_for(lambda: not _is_held(own), "its own memory to go", 20)
        equal(_in_the_data_folder(marker), set())
        one_line_error(lazaret("console", "forgets"), 125, "is dead")
        check(set(os.listdir(f"{DATA}/sandboxes/forgets")) <=
              {"lock", "run.json", "plan.json", "journal", "domain.xml", "socket", "result.json"},
              os.listdir(f"{DATA}/sandboxes/forgets"))
        finished(lazaret("gc"))
        equal(finished(execute("inherits", "--", "cat", "/work/held")), marker)
        finished(lazaret("snapshot", "inherits"))
        finished(execute("inherits", "--", "sh", "-c", "cat /work/held >> /work/more"))
        finished(lazaret("revert", "inherits"))
        _down("inherits", marker)
        _down("last", marker)
        wait_for(lambda: not _is_held(devices), "what was shared to go", 20)


def a_killed_process_of_an_amnesic_sandbox_leaves_nothing_and_says_nothing_of_it():
    marker = secrets.token_hex(32).encode()
    for who in ("qemu", "keeper", "supervisor"):
        with Nothing():
            finished(up("struck", *SMALL, "--amnesic"))
            finished(execute("struck", "-i", "--", "sh", "-c", "cat > /work/held; sync",
                             input=marker))
            devices = _memory_of("struck")
            os.kill(family("struck")[who], signal.SIGKILL)
            wait_for(lambda: state("struck") == "dead", "its death", 30)
            wait_for(lambda d=devices: not _is_held(d), "its memory to go", 20)
            equal(_in_the_data_folder(marker), set(), who)
            finished(lazaret("gc"))


def an_amnesic_run_takes_folders_in_and_out_and_leaves_nothing(folder):
    marker = secrets.token_hex(32).encode()
    os.mkdir(f"{folder}/in")
    with open(f"{folder}/in/file", "wb") as f:
        f.write(marker)
    with Nothing():
        p = start(["sh", "-c", "cp /in/file /out; cp /in/file /work; sync; cat /in/file; read line"],
                  "--amnesic", "-i", "--in", f"{folder}/in", "--out", f"{folder}/out", *SMALL,
                  stdin=subprocess.PIPE)
        equal(p.stdout.read(len(marker)), marker)
        equal(_in_the_data_folder(marker), set())
        p.communicate(b"\n", timeout=120)
        equal(p.returncode, 0)
        with open(f"{folder}/out/file", "rb") as f:
            equal(f.read(), marker)
        equal(_in_the_data_folder(marker), set())


def where_memory_may_go_to_a_disk_it_is_refused_in_words(folder):
    if os.geteuid() != 0:
        raise Skip("only root puts another file in the place of /proc/swaps")
    with open(f"{folder}/swaps", "w", encoding="ascii") as f:
        f.write("Filename Type Size Used Priority\n/dev/sda9 partition 1048572 0 -2\n")
    # In a mount namespace that goes with the command.
    script = f"mount --bind {folder}/swaps /proc/swaps && exec \"$@\""
    with Nothing():
        for words in (("run", "--accel", "tcg", "--amnesic", "--", "true"),
                      ("up", "x", "--accel", "tcg", "--amnesic")):
            r = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", LAZARET, *words],
                               capture_output=True, timeout=60, check=False, env=environment())
            one_line_error(r, 126, "--amnesic", "/dev/sda9", "swapoff")


def the_plan_says_that_it_is_amnesic_and_how_much_memory_that_may_take():
    with Nothing():
        plain, amnesic = (json.loads(finished(lazaret("check", "--accel", "tcg", "--json", *more,
                                                      "--disk", "64M", "--", "true")))["plan"]
                          for more in ((), ("--amnesic",)))
        equal(plain["amnesic"], False)
        check(amnesic["amnesic"] and 64 << 20 < amnesic["amnesic_bytes"] < 256 << 20, amnesic)
        for words in (("run", "--amnesic", "--keep-logs", "--", "true"),
                      ("up", "x", "--amnesic", "--keep-logs")):
            one_line_error(lazaret(*words), 125, "--amnesic", "--keep-logs")


if __name__ == "__main__":
    main()
