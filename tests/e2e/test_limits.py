"""Manifests and policies through the program, and each limit of a plan broken from inside."""
import json
import os
import shutil
import subprocess

from e2e import *

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../vmm/plan/examples")
MANIFEST = {"format": "lazaret-manifest", "version": 1}
POLICY = {"format": "lazaret-policy", "version": 1}

PROBE = r"""
import errno, json, mmap, os, resource, signal, sys
def child(do):
    'How a process that does this ends: an error name, a signal, or done.'
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            do()
            said = b'done'
        except OSError as e:
            said = errno.errorcode.get(e.errno, '?').encode()
        except (MemoryError, ValueError) as e:
            said = type(e).__name__.encode()
        os.write(w, said)
        os._exit(0)
    os.close(w)
    said = os.read(r, 64).decode()
    os.close(r)
    _, status = os.waitpid(pid, 0)
    return f'signal {os.WTERMSIG(status)}' + ' core' * os.WCOREDUMP(status) if os.WIFSIGNALED(status) else said
def fill(path, size):
    with open(path, 'wb', buffering=0) as f:
        for _ in range(size >> 20):
            if f.write(bytes(1 << 20)) != 1 << 20:
                f.write(b'x')
def open_all():
    kept = []
    while True:
        kept.append(open('/dev/null'))
def fork_all():
    os.setpgid(0, 0)
    kids = []
    try:
        while len(kids) < 200:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            kids.append(pid)
    finally:
        for pid in kids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
def program():
    with open('/tmp/p', 'w') as f:
        f.write('#!/bin/sh\n')
    os.chmod('/tmp/p', 0o4755)
    os.execv('/tmp/p', ['p'])
def raise_limit(which):
    soft, hard = resource.getrlimit(which)
    resource.setrlimit(which, (hard + 1, hard + 1))
def file_over():
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    fill('/work/big', 3 << 20)
def disk():
    for i in range(40):
        fill(f'/work/f{i}', 1 << 20)
tmp = os.statvfs('/tmp')
out = {
  'cpu': resource.getrlimit(resource.RLIMIT_CPU),
  'address space': child(lambda: mmap.mmap(-1, 300 << 20)),
  'cpus': os.cpu_count(), 'second cpu': child(lambda: os.sched_setaffinity(0, {1})),
  'root': [child(lambda: os.setuid(0)), child(lambda: os.setgid(0)), child(lambda: os.chroot('/work'))],
  'file size': child(file_over),
  'open files': child(open_all),
  'core': child(os.abort), 'core limit': resource.getrlimit(resource.RLIMIT_CORE),
  'pids': child(fork_all),
  'raised': {n: child(lambda n=n: raise_limit(getattr(resource, 'RLIMIT_' + n))) for n in ('CPU', 'AS', 'FSIZE', 'NOFILE', 'CORE')},
  'tmp program': child(program), 'tmp full': child(lambda: [fill(f'/tmp/f{i}', 1 << 20) for i in range(9)] and None),
  'tmp flags': [bool(tmp.f_flag & os.ST_NOEXEC), bool(tmp.f_flag & os.ST_NOSUID), bool(tmp.f_flag & os.ST_NODEV)],
  'tmp bytes': tmp.f_blocks * tmp.f_frsize,
  'path': os.environ['PATH'], 'where': os.getcwd(), 'mode': os.environ['MODE'],
  'writable': sorted(d for d, sub, _ in os.walk('/') if os.access(d, os.W_OK) and not sub.clear()
                     and not d.startswith('/proc/')),
}
for i in range(9):
    if os.path.exists(f'/tmp/f{i}'):
        os.unlink(f'/tmp/f{i}')
out['disk full'] = child(disk)
print(json.dumps(out))
"""


def _write(folder, name, base, **keys):
    path = f"{folder}/{name}"
    with open(path, "w", encoding="utf-8") as f:
        json.dump({**base, **keys}, f, indent=1)
    return path


def each_limit_of_a_manifest_holds_from_inside(folder):
    manifest = _write(folder, "agent.json", MANIFEST, command=["python3", "-c", PROBE], env=["MODE=x"], workdir="/work",
                      memory="192M", cpus=1, tmp="4M", disk="32M", pids=24, cpu_time="5m", address_space="256M", file_size="2M",
                      open_files=128, timeout="4m")
    got = json.loads(finished(lazaret("run", "--accel", "tcg", "--manifest", manifest, timeout=300)))
    # Less than the guest has: without the limit it would be given.
    want = {"cpu": [300, 301], "address space": "ENOMEM", "cpus": 1, "second cpu": "EINVAL", "root": 3 * ["EPERM"],
            "file size": "signal 25", "open files": "EMFILE", "core": "signal 6", "core limit": [0, 0], "pids": "EAGAIN",
            "raised": dict.fromkeys(("CPU", "AS", "FSIZE", "NOFILE", "CORE"), "ValueError"),
            "tmp program": "EACCES", "tmp full": "ENOSPC", "tmp flags": [True, True, True], "tmp bytes": 4 << 20,
            "path": "/usr/local/bin:/usr/bin:/bin", "where": "/work", "mode": "x",
            "writable": ["/dev/shm", "/tmp", "/work"], "disk full": "ENOSPC"}
    for key, value in want.items():
        equal(got[key], value, key)


WRITES = r"""
import mmap, os, time
def took(path, size, count):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT | os.O_DSYNC)
    began = time.monotonic()
    for i in range(count):
        os.pwrite(fd, mmap.mmap(-1, size), i * size)
    return time.monotonic() - began
print(took('/work/a', 1 << 20, 8), took('/work/b', 4096, 60))
"""


def a_scratch_disk_is_no_faster_than_it_may_be():
    # Load makes it slower only. Without the limits: 0.2 s and 0.4 s.
    finished(lazaret("up", "--accel", "tcg", "--disk-rate", "4M", "--disk-iops", "40", "slow"))
    try:
        finished(lazaret("snapshot", "slow", "here"))
        for back in (True, False):
            large, many = map(float, finished(lazaret("exec", "slow", "--", "python3", "-c", WRITES)).split())
            check(large >= 1.8 and many >= 1.2, f"8 MiB took {large} s, 60 requests {many} s")
            finished(lazaret("revert", "slow", "here")) if back else None
    finally:
        finished(lazaret("down", "slow"))


def a_job_that_does_nothing_or_too_much_is_121():
    # Two processes together, none of them over what --cpu-time would count.
    r = run(["sh", "-c", "echo kept > /out/a; (while :; do :; done) & while :; do :; done"],
            "--json", "--job-cpu-time", "3")
    d = json.loads(finished(r, 121))
    equal((d["class"], d["signal"]), ("limit", 9))
    check("--job-cpu-time" in d["error"], d["error"])
    check(d["job_ms"] >= 1000, f"CPU time from before the job was counted: {d}")
    # It goes on as long as it works, or says something; then it is silent.
    script = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.1; done; trap '' TERM; sleep 500"
    r = sh(script, "--json", "--idle-time", "2")
    d = json.loads(finished(r, 121))
    equal((d["class"], d["stdout"].split()[-1]), ("limit", "40"))
    check("--idle-time" in d["error"], d["error"])
    # In a sandbox each command; and not what has to wait because it is paused.
    finished(lazaret("up", "--accel", "tcg", "--idle-time", "2", "idle"))
    try:
        p = subprocess.Popen([LAZARET, "exec", "-i", "idle", "--", "sh", "-c", "echo on; read x; echo $x"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
        equal(p.stdout.readline(), b"on\n")
        finished(lazaret("pause", "idle"))
        equal(finished(lazaret("exec", "idle", "--", "true"), 125), b"")
        finished(lazaret("resume", "idle"))
        equal(p.wait(60), 121)
    finally:
        finished(lazaret("down", "idle"))


def a_job_over_its_cpu_time_or_file_size_is_121():
    r = run(["sh", "-c", "echo kept > /out/a; exec python3 -c 'while True: pass'"], "--json", "--cpu-time", "1")
    d = json.loads(finished(r, 121))
    equal((d["class"], d["signal"]), ("limit", 24))
    check("--cpu-time" in d["error"], d["error"])
    # Who goes on is killed: the guest does not say why.
    r = sh("trap '' XCPU; while :; do :; done", "--json", "--cpu-time", "5")
    equal(json.loads(finished(r, 128 + 9))["class"], "signaled")
    r = sh("exec head -c 2M /dev/zero > /work/x", "--json", "--file-size", "1M")
    d = json.loads(finished(r, 121))
    equal((d["class"], d["signal"]), ("limit", 25))
    # The same signal without the limit is just a signal.
    d = json.loads(finished(sh("kill -XCPU $$", "--json"), 128 + 24))
    equal(d["class"], "signaled")


def check_says_who_decided_each_line(folder):
    manifest = _write(folder, "agent.json", MANIFEST, memory="1G", cpus=2)
    policy = _write(folder, "policy.json", POLICY, max={"timeout": "1h"})
    args = ("check", "--accel", "tcg", "--manifest", manifest, "--policy", policy, "--cpus", "3")
    text = finished(lazaret(*args, "--", "true")).decode()
    rows = {line.split()[0]: line.split() for line in text.split("\n\n")[0].splitlines() if not line.startswith("#")}
    for key, value, place in (("memory", "1", f"{manifest}:4"), ("cpus", "3", "line"), ("timeout", "3600.000", f"{policy}:5"),
                              ("disk", "1", "default"), ("user", "1000:1000", "image"), ("network", "none", "default")):
        equal((rows[key][1], rows[key][-1]), (value, place), key)
    d = json.loads(finished(lazaret(*args, "--json", "--", "true")))["plan"]
    equal((d["cpus"], d["decided"]["cpus"], d["decided"]["memory"]), (3, "command line", f"{manifest}:4"))
    one_line_error(lazaret("check", "--manifest", _write(folder, "odd.json", MANIFEST, networks=True), "--", "true"),
                   125, "odd.json:4: networks: unknown key")


def what_is_above_the_policy_is_126_or_trimmed_and_said(folder):
    manifest = _write(folder, "agent.json", MANIFEST, memory="8G", command=["true"])
    refuse = _write(folder, "policy.json", POLICY, max={"memory": "2G"})
    for command in ("check", "run"):
        one_line_error(lazaret(command, "--accel", "tcg", "--manifest", manifest, "--policy", refuse), 126,
                       "agent.json:4: memory: 8 GiB is above ", "policy.json:5 (2 GiB)")
    one_line_error(lazaret("up", "box", "--accel", "tcg", "--memory", "8G", "--policy", refuse), 126,
                   "--memory: 8 GiB is above ", "policy.json:5 (2 GiB)")
    trim = _write(folder, "trim.json", POLICY, max={"memory": "2G"}, on_excess="trim")
    r = lazaret("check", "--accel", "tcg", "--json", "--manifest", manifest, "--policy", trim)
    equal(json.loads(finished(r))["plan"]["memory_bytes"], 2 << 30)
    check(b"agent.json:4: memory: 8 GiB is trimmed to 2 GiB by " in r.stderr, r.stderr)
    # Both apply: a user's cannot widen another.
    finished(lazaret("check", "--accel", "tcg", "--manifest", manifest, "--policy", trim, "--policy", refuse), 126)
    images = _write(folder, "images.json", POLICY, images=["sha256:" + "0" * 64])
    one_line_error(lazaret("run", "--accel", "tcg", "--policy", images, "--", "true"), 126, "--image: sha256:", "images.json:4")
    roots = _write(folder, "roots.json", POLICY, input_roots=["/srv/lazaret-data"])
    one_line_error(lazaret("run", "--accel", "tcg", "--policy", roots, "--in", folder, "--", "true"), 126, "input_roots")
    plain = _write(folder, "plain.json", POLICY, allow_debug=False, require_amnesic=True)
    one_line_error(lazaret("run", "--accel", "tcg", "--policy", plain, "--amnesic", "--debug", "--", "true"), 126,
                   "--debug: not allowed by ", "plain.json:4 (allow_debug)")
    one_line_error(lazaret("up", "box", "--accel", "tcg", "--policy", plain), 126, "plain.json:5 (require_amnesic)")
    for layer, status in (("calls", 0), ("label", 126)):
        layers = _write(folder, f"{layer}.json", POLICY, required_layers=[layer])
        r = lazaret("check", "--accel", "tcg", "--policy", layers, "--", "true")
        if status:
            one_line_error(r, status, "the layer 'label'", "label.json:4 (required_layers)")
        else:
            finished(r)


def the_policies_of_the_host_and_of_the_user_always_apply(folder):
    os.makedirs(f"{folder}/config/lazaret")
    mine = _write(f"{folder}/config/lazaret", "policy.json", POLICY, max={"cpus": 1})
    args = ("check", "--accel", "tcg", "--cpus", "2", "--", "true")
    env = {"XDG_CONFIG_HOME": f"{folder}/config"}
    one_line_error(lazaret(*args, env=env), 126, "--cpus: 2 is above", "config/lazaret/policy.json:5 (1)")
    os.chmod(mine, 0o666)
    one_line_error(lazaret(*args, env=env), 125, "policy")
    os.chmod(mine, 0o644)
    with open(mine, "w", encoding="utf-8") as f:
        f.write("{}")
    one_line_error(lazaret(*args, env=env), 125, "policy.json")
    if os.geteuid() != 0:
        raise Skip("only root can put a policy for the host into a mount namespace")
    # Our own /etc: the host's is not touched.
    shutil.copytree("/etc", f"{folder}/etc", symlinks=True, ignore_dangling_symlinks=True)
    os.makedirs(f"{folder}/etc/lazaret", exist_ok=True)
    _write(f"{folder}/etc/lazaret", "policy.json", POLICY, max={"cpus": 1})
    wide = _write(folder, "wide.json", POLICY, max={"cpus": 64}, on_excess="trim")
    r = subprocess.run(["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', f"{folder}/etc", LAZARET,
                        "check", "--accel", "tcg", "--policy", wide, "--cpus", "2", "--", "true"],
                       capture_output=True, env=environment(), timeout=120, check=False)
    one_line_error(r, 126, "--cpus: 2 is above /etc/lazaret/policy.json:5 (1)")


def the_examples_can_be_checked():
    d = json.loads(finished(lazaret("check", "--json", "--accel", "tcg", "--manifest", f"{EXAMPLES}/agent.json",
                                    "--policy", f"{EXAMPLES}/policy.json")))
    limits = {r["type"]: r["hard"] for r in d["oci_config"]["process"]["rlimits"]}
    equal((limits["RLIMIT_CPU"], limits["RLIMIT_AS"], limits["RLIMIT_FSIZE"], limits["RLIMIT_NOFILE"], limits["RLIMIT_CORE"]),
          (301, 2 << 30, 64 << 20, 256, 0))


if __name__ == "__main__":
    main()
