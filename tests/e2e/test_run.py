"""What `lazaret run` gives back: streams, statuses, the terminal."""
import hashlib
import json
import os
import pty
import select
import struct
import subprocess
import fcntl
import termios
import threading
import time

from e2e import *


def prints_only_what_the_job_prints():
    with Nothing():
        r = run(["python3", "-c", "print(6*7)"])
        equal(finished(r), b"42\n")
        equal(r.stderr, b"")


def the_jobs_status_is_the_status():
    equal(sh("exit 7").returncode, 7)


def a_killed_job_is_128_plus_the_signal():
    equal(sh("kill -9 $$").returncode, 137)


def exit_137_and_sigkill_are_told_apart():
    equal(json.loads(finished(sh("exit 137", "--json"), 137))["class"], "exited")
    equal(json.loads(finished(sh("kill -9 $$", "--json"), 137))["class"], "signaled")


def a_missing_command_is_127():
    one_line_error(run(["no-such-command"]), 127, "no-such-command", "not in the image")


def a_file_that_is_no_program_is_126():
    r = run(["/etc/passwd"])
    one_line_error(r, 126, "/etc/passwd", "cannot be executed")


def stdout_and_stderr_stay_apart():
    r = sh("echo out; echo err >&2")
    equal(finished(r), b"out\n")
    equal(r.stderr, b"err\n")


def a_deadline_is_124_and_counts_from_the_jobs_start():
    with Nothing():
        p = start(["sh", "-c", "echo started; exec sleep 100"], "--timeout", "3")
        p.stdout.readline()
        began = time.monotonic()
        _, err = p.communicate(timeout=60)
        took = time.monotonic() - began
        equal(p.returncode, 124)
        check(b"deadline" in err, err)
        check(2.5 < took < 8, f"ended {took:.1f} s after the job's start")


def a_job_over_its_memory_says_so_in_words_and_json():
    hog = ["python3", "-c", "x = b'x' * (150 << 20)"]
    r = run(hog, "--memory", "64M")
    equal(r.returncode, 137)
    check(b"memory limit of 64 MiB" in r.stderr, r.stderr)
    d = json.loads(finished(run(hog, "--memory", "64M", "--json"), 137))
    equal(d["class"], "oom")
    check(d["guest_oom_kills"] >= 1, d)


def a_hundred_mebibytes_come_out_whole():
    code = ("import hashlib,os,sys\n"
            "h=hashlib.sha256()\n"
            "for _ in range(100):\n"
            "  b=os.urandom(1<<20); h.update(b); sys.stdout.buffer.write(b)\n"
            "sys.stdout.flush(); sys.stderr.write(h.hexdigest())\n")
    r = run(["python3", "-c", code])
    equal(hashlib.sha256(finished(r)).hexdigest(), r.stderr.decode())
    equal(len(r.stdout), 100 << 20)


def sixteen_mebibytes_go_in_and_come_back():
    data = os.urandom(16 << 20)
    r = run(["cat"], "-i", input=data)
    equal(hashlib.sha256(finished(r)).digest(), hashlib.sha256(data).digest())


def without_i_the_job_reads_nothing():
    equal(finished(run(["cat"], stdin=None, input=b"not for the job")), b"")


def _peak_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


def _below(root):
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                rest = f.read().rpartition(")")[2].split()
            with open(f"/proc/{pid}/comm") as f:
                parents[int(pid)] = (int(rest[1]), f.read().strip())
        except OSError:
            continue
    found, grew = {root}, True
    while grew:
        more = {p for p, (up, _) in parents.items() if up in found} - found
        grew = bool(more)
        found |= more
    return {p: parents[p][1] for p in found if p in parents}


def memory_of_keeper_and_relay_stays_flat_under_load():
    code = ("import os,sys,time\n"
            "print('idle', flush=True); sys.stdin.readline()\n"
            "b=os.urandom(1<<20)\n"
            "for _ in range(100): os.write(1,b)\n"
            "os.write(2, b'done\\n'); sys.stdin.readline()\n")
    p = start(["python3", "-c", code], "-i", stdin=subprocess.PIPE)
    equal(p.stdout.readline(), b"idle\n")
    ours = {pid for pid, comm in _below(p.pid).items() if comm.startswith("lazaret")}
    check(len(ours) >= 4, f"launcher, init, keeper and relay, but {ours}")
    before = {pid: _peak_kib(pid) for pid in ours}
    p.stdin.write(b"\n")
    p.stdin.flush()
    drained = threading.Thread(target=lambda: [None for _ in iter(lambda: p.stdout.read(1 << 20), b"")])
    drained.start()
    equal(p.stderr.readline(), b"done\n")
    grown = {pid: _peak_kib(pid) - before[pid] for pid in ours}
    p.stdin.write(b"\n")
    p.stdin.close()
    drained.join(60)
    equal(p.wait(60), 0)
    check(max(grown.values()) <= 4096, f"KiB grown: {grown}")


def a_reader_that_stops_stops_the_job():
    code = ("import os,sys\n"
            "n=0\n"
            "b=bytes(65536)\n"
            "while True:\n"
            "  os.write(1,b); n+=len(b); os.write(2, b'%d\\n' % n)\n")
    p = start(["python3", "-c", code])
    last, still_since = 0, time.monotonic()
    os.set_blocking(p.stderr.fileno(), False)
    began = time.monotonic()
    seen = b""
    while time.monotonic() - began < 120:
        chunk = p.stderr.read() or b""
        seen += chunk
        lines = seen.split()
        if lines and int(lines[-1]) != last:
            last, still_since = int(lines[-1]), time.monotonic()
        if last and time.monotonic() - still_since > 3:
            break
        time.sleep(0.05)
    check(0 < last < 8 << 20, f"the job wrote {last} bytes that nobody read")
    p.terminate()  # the job ends, but its last output is still owed to the reader
    time.sleep(1)
    p.terminate()
    equal(p.wait(60), 143)


def a_reader_that_leaves_ends_the_job_as_in_a_pipe():
    with Nothing():
        p = start(["yes"])
        equal(p.stdout.readline(), b"y\n")
        p.stdout.close()
        equal(p.wait(60), 141)


def t_gives_a_terminal_with_the_windows_size():
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 37, 101, 0, 0))
    before = termios.tcgetattr(slave)
    p = start(["sh", "-c", "tty; stty size; read x; echo got-$x; stty size; exit 3"], "-i", "-t",
              stdin=slave, stdout=slave, stderr=slave)
    seen = b""

    def until(word):
        nonlocal seen
        end = time.monotonic() + 120
        while word not in seen and time.monotonic() < end:
            if select.select([master], [], [], 1)[0]:
                seen += os.read(master, 4096)
        check(word in seen, f"{word!r} not in {seen!r}")

    until(b"37 101")
    check(b"/dev/" in seen, seen)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    p.send_signal(28)  # SIGWINCH: this terminal is not ours, so the kernel sends none
    time.sleep(0.5)
    os.write(master, b"word\r")
    until(b"got-word")
    until(b"20 60")
    equal(p.wait(60), 3)
    equal(termios.tcgetattr(slave), before, "terminal settings:")


def a_terminal_without_stdin_keeps_ctrl_c_for_the_user():
    master, slave = pty.openpty()
    p = start(["sh", "-c", "echo started; exec sleep 100"], "-t", stdin=slave, stdout=slave, stderr=slave,
              start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    seen = b""
    while b"started" not in seen:
        check(select.select([master], [], [], 120)[0], seen)
        seen += os.read(master, 4096)
    os.write(master, b"\x03")
    equal(p.wait(60), 130)


def a_run_in_the_background_does_not_take_what_is_typed_to_the_shell():
    master, slave = pty.openpty()
    shell = 'set -m; "$@" & read line; echo shell-got-$line; kill %1; wait; echo over'
    p = subprocess.Popen(["bash", "-c", shell, "bash", *argv(["-i"], [
        "sh", "-c", "echo up-and-running; while read x; do echo job-got-$x; done"])],
        stdin=slave, stdout=slave, stderr=slave, env=environment(),
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    seen = b""

    def until(word):
        nonlocal seen
        while word not in seen:
            check(select.select([master], [], [], 120)[0], f"{word} not in {seen}")
            seen += os.read(master, 4096)

    until(b"up-and-running\r\n")
    os.write(master, b"secret\n")
    until(b"shell-got-secret")
    until(b"over")
    check(b"job-got" not in seen, seen)
    p.kill()
    p.wait()


def json_carries_the_output_escaped():
    d = json.loads(finished(sh(r"printf 'a\033[2J\377b'; echo e >&2", "--json")))
    equal(d["stdout"], "a\x1b[2J\ufffdb")
    equal(d["stderr"], "e\n")
    equal((d["class"], d["status"], d["exit_code"]), ("exited", 0, 0))
    equal(d["stdout_truncated"], False)
    d = json.loads(finished(sh("head -c 1048576 /dev/zero >&2; head -c 1048577 /dev/zero", "--json")))
    equal((d["stdout_truncated"], d["stderr_truncated"]), (True, False))
    equal((len(d["stdout"]), len(d["stderr"])), (1048576, 1048576))


def environment_and_workdir_and_user_are_the_plans():
    r = sh("echo $A-$B; pwd; id -u; id -g; env | wc -l", "--env", "A=1", "--env", "B=x y",
           "--workdir", "/tmp", "--user", "1234:99")
    lines = finished(r).decode().split("\n")
    equal(lines[:4], ["1-x y", "/tmp", "1234", "99"])
    check(int(lines[4]) <= 8, f"{lines[4]} variables")


def the_guests_clock_counts_no_ticks():
    # Of timer ticks a guest on a busy host misses some, and its clock would run slow.
    clock = run(["cat", "/sys/devices/system/clocksource/clocksource0/current_clocksource"],
                "--cpus", "2")
    check(finished(clock).strip() in (b"tsc", b"tsc-early", b"kvm-clock"), clock.stdout)


def a_folder_goes_in_read_only_and_another_comes_out(folder):
    os.makedirs(f"{folder}/in/sub")
    with open(f"{folder}/in/sub/secret.txt", "w") as f:
        f.write("hello")
    os.chmod(f"{folder}/in/sub/secret.txt", 0o600)
    r = sh("cat /in/sub/secret.txt; touch /in/x 2>/dev/null && echo wrote; mkdir -p /out/d; "
           "echo result > /out/d/r.txt; echo top > /out/top", "--in", f"{folder}/in", "--out",
           f"{folder}/out")
    equal(finished(r), b"hello")
    with open(f"{folder}/out/d/r.txt") as f:
        equal(f.read(), "result\n")
    equal(sorted(os.listdir(f"{folder}/out")), ["d", "top"])


def what_comes_out_obeys_the_umask(folder):
    finished(sh("umask 0; echo x > /out/f; mkdir /out/d", "--out", f"{folder}/out",
                preexec_fn=lambda: os.umask(0o027)))
    modes = [os.stat(f"{folder}/out{p}").st_mode & 0o777 for p in ("", "/d", "/f")]
    check(all(m & 0o027 == 0 for m in modes), [oct(m) for m in modes])


def several_folders_go_in_under_their_names(folder):
    for name in ("one", "two"):
        os.makedirs(f"{folder}/{name}")
        with open(f"{folder}/{name}/f", "w") as f:
            f.write(name)
    r = sh("cat /in/one/f /in/two/f", "--in", f"{folder}/one", "--in", f"{folder}/two")
    equal(finished(r), b"onetwo")


def what_may_not_come_out_is_refused_and_listed(folder):
    r = sh("cd /out; echo fine > fine; ln -s /etc/passwd link; mkfifo fifo; echo s > setid; "
           "chmod u+s setid; printf x > \"$(printf 'bad\\nname')\"", "--out", f"{folder}/out")
    finished(r)
    equal(os.listdir(f"{folder}/out"), ["fine"])
    for word in (b"link", b"fifo", b"setid", b"bad\\x0aname"):
        check(word in r.stderr, r.stderr)


def output_over_its_cap_is_121_and_whole_files_only(folder):
    r = sh("echo small > /out/a; head -c 3000000 /dev/zero > /out/b", "--out", f"{folder}/out",
           "--out-max", "1M")
    equal(r.returncode, 121)
    check(b"--out-max" in r.stderr, r.stderr)
    for name in os.listdir(f"{folder}/out"):
        equal(name, "a")


def without_out_nothing_can_be_written_there():
    equal(finished(sh("touch /out/x 2>/dev/null || echo refused")), b"refused\n")


if __name__ == "__main__":
    main()
