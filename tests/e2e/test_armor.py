"""A job's AppArmor profile in a real guest: it is on, it tells what it refuses, and prove names one that is not."""
import json
import os
import subprocess

from live import *

CURRENT = "/proc/self/attr/apparmor/current"
UNARMED = os.environ.get("LAZARET_E2E_UNARMED")

TRIES = r"""
import os, sys
def tries(do, *args):
    try:
        do(*args)
        print('worked')
    except OSError as e:
        print(e.strerror)
os.symlink('/etc/hostname', '/out/link')
for path in sys.argv[1:]:
    tries(open, path)
tries(open, '/tmp/x', 'w')
tries(open, '/tmp/\x1b[2J', 'w')
tries(os.execv, '/in/program', ['x'])
tries(open, '/out/link')
tries(open, '/usr/share/dict')
"""


def a_file_that_is_not_declared_is_told_by_name(folder):
    os.makedirs(f"{folder}/in")
    for name, text in (("tries.py", TRIES), ("program", "#!/bin/true\n")):
        with open(f"{folder}/in/{name}", "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(f"{folder}/in/{name}", 0o755)
    r = run(["python3", "/in/tries.py", "/etc/passwd", "/etc/hostname", "/proc/version"], "--json",
            "--in", f"{folder}/in", "--out", f"{folder}/out", "--read", "/in", "--read", "/etc/python3.11",
            "--write", "/out")
    got = json.loads(finished(r))
    equal(got["stdout"].split("\n"), 8 * ["Permission denied"] + [""])
    rows = [row for row in got["guest_denials"] if row["kind"] == "file"]
    # Below /usr Landlock refuses alone, and to execute it does so before anybody else is asked.
    equal([(row["access"], row["path"], row["count"]) for row in rows], [
        ("read", "/etc/passwd", 1), ("read", "/etc/hostname", 2), ("read", "/proc/version", 1),
        ("write", "/tmp/x", 1), ("write", r"/tmp/\x1b[2J", 1)])
    said = r.stderr.decode()
    check("lazaret: warning: the job is refused to read '/etc/passwd' (as the guest says)\n" in said, said)
    check("\x1b" not in said, said)


def each_command_has_a_profile_of_its_own_that_holds():
    finished(up("armored", "--memory", "64M", "--disk", "32M"))
    try:
        first = begin("armored", "--", "sh", "-c", f"cat {CURRENT}; exec sleep 300", stdout=subprocess.PIPE)
        equal(first.stdout.readline(), b"lazaret-exec-1 (enforce)\n")
        r = execute("armored", "--", "sh", "-c", f"cat {CURRENT}; echo unconfined >/proc/self/attr/exec")
        check(r.returncode != 0, r)
        equal(r.stdout, b"lazaret-exec-2 (enforce)\n")
        check(b"refused to write '/proc/" in r.stderr, r.stderr)
        first.kill()
        first.wait(60)
        # A number that is used again is not in the way of its profile.
        for _ in range(2):
            check(finished(execute("armored", "--", "cat", CURRENT)).endswith(b" (enforce)\n"), "not enforced")
    finally:
        finished(lazaret("down", "armored"))


def a_profile_that_refuses_nothing_is_named():
    if not UNARMED:
        raise Skip("the library that breaks it is not built")
    finished(up("unarmed", "--memory", "64M", "--disk", "32M", env={"LD_PRELOAD": UNARMED}))
    try:
        rows = json.loads(finished(lazaret("prove", "--json", "unarmed", timeout=240), 1))["rows"]
        equal({(r["name"], r["seen"]) for r in rows if r["verdict"] == "broken"},
              {("job-apparmor", "it is 'lazaret-exec-1 (complain)'")})
    finally:
        finished(lazaret("down", "unarmed"))


def _without_the_parser(*args, **kwargs):
    """lazaret on a host that has none."""
    hide = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null /usr/sbin/apparmor_parser && exec "$@"', "sh"]
    return subprocess.run([*hide, LAZARET, *args], capture_output=True, timeout=240, env=environment(),
                          check=False, **kwargs)


def a_host_that_cannot_compile_one_says_so_and_a_policy_can_require_it(folder):
    if os.geteuid() != 0:
        raise Skip("only root can hide the parser")
    with open(f"{folder}/policy.json", "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-policy", "version": 1, "required_layers": ["apparmor"]}, f)
    policy = ("--policy", f"{folder}/policy.json")
    lines = _without_the_parser("doctor").stdout.decode().splitlines()
    line = next(x for x in lines if "layer-apparmor" in x)
    check(line.startswith("warning") and "'apparmor'" in line, line)
    one_line_error(_without_the_parser("run", "--accel", "tcg", *policy, "--", "true"), 126, "'apparmor'")
    finished(lazaret("check", "--accel", "tcg", *policy, "--", "true"))
    equal(finished(_without_the_parser("run", "--accel", "tcg", "--", "cat", CURRENT)), b"unconfined\n")


if __name__ == "__main__":
    main()
