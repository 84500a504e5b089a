"""What the plan declares is held in a real guest: read, write and execute that and nothing else."""
import json
import os

from live import *

PROBE = r"""
import json, os, socket
def does(do):
    try:
        do()
        return 'worked'
    except OSError as e:
        return e.strerror
def write(path):
    with open(path, 'w') as f:
        f.write('x')
def read(path):
    with open(path) as f:
        f.read()
def execute(path):
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(path, [path])
        except OSError as e:
            os._exit(100 + e.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps({
    'read': [does(lambda: read('/in/a')), does(lambda: read('/etc/hostname')), does(lambda: os.listdir('/'))],
    'write': [does(lambda: write('/out/x')), does(lambda: write('/work/x')), does(lambda: write('/tmp/x')),
              does(lambda: os.truncate('/work', 0)), does(lambda: os.mkdir('/work/d')),
              does(lambda: os.rename('/out/x', '/tmp/x')), does(lambda: os.rename('/out/x', '/out/y'))],
    'back': does(lambda: read('/out/y')),
    'execute': [execute('/bin/true'), execute('/bin/false'), execute('/in/script')],
    'memfd': [does(lambda: os.memfd_create('m')), does(lambda: os.memfd_create('m', 8))],
    'start': [does(lambda: write('/dev/null')), does(os.openpty)]}))
"""


def a_job_touches_what_is_declared_and_nothing_else(folder):
    os.makedirs(f"{folder}/in")
    for name, text in (("a", "text"), ("script", "#!/bin/sh\nexit 0\n"), ("probe.py", PROBE)):
        with open(f"{folder}/in/{name}", "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(f"{folder}/in/{name}", 0o755)
    no, yes = "Permission denied", "worked"
    out = finished(run(["python3", "/in/probe.py"], "--in", f"{folder}/in", "--out", f"{folder}/out",
                       "--read", "/in", "--read", "/etc/python3.11", "--write", "/out",
                       "--exec", "/bin/true", "--exec", "/in/script"))
    equal(json.loads(out), {
        "read": [yes, no, no],
        "write": [yes, no, no, "Is a directory", no, "Invalid cross-device link", yes],
        "back": no,
        "execute": [0, 113, 113],  # /in/script: its interpreter is not declared
        "memfd": ["Operation not permitted", yes],
        "start": [yes, yes]})
    equal(os.listdir(f"{folder}/out"), ["y"])


def a_path_that_is_not_in_the_image_is_named():
    one_line_error(run(["true"], "--write", "/no/such"), 125, "/no/such: No such file or directory")


def what_a_sandbox_declares_holds_for_commands_and_copies(folder):
    finished(up("declared", "--read", "/work", "--write", "/work", "--memory", "64M", "--disk", "32M"))
    try:
        finished(execute("declared", "--", "sh", "-c", "echo x >/work/a; read x </work/a"))
        for script in ("echo x >/tmp/a", "read x </etc/hostname", "exec ls /work"):
            check(execute("declared", "--", "sh", "-c", script).returncode != 0, script)
        with open(f"{folder}/file", "w", encoding="utf-8") as f:
            f.write("x")
        finished(lazaret("cp", f"{folder}/file", "declared:/work/file"))
        one_line_error(lazaret("cp", f"{folder}/file", "declared:/tmp/file"), 126, "may not")
        finished(lazaret("cp", "declared:/work/file", f"{folder}/back"))
        one_line_error(lazaret("cp", "declared:/etc/hostname", f"{folder}/back"), 126, "may not")
    finally:
        finished(lazaret("down", "declared"))


if __name__ == "__main__":
    main()
