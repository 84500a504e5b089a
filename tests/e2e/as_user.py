"""as_user: runs an end-to-end test file as an ordinary user (games), with a data folder of its own.

    as_user.py TEST.py [TEST NAME]...

Programs, tests and image are copied to where that user can read them; then the test file takes
this process's place. When we are an ordinary user already, the other tests have shown all this.
"""
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

import store

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ["vmm/cli/lazaret", "vmm/cli/lazaret-verify", "vmm/channel/lazaret-relay", "vmm/channel/lazaret-unpack",
            "vmm/look/lazaret-look", "vmm/hv/liblazaret-preload.so", "vmm/wrap/lazaret-qemu",
            "tests/e2e/libtaken-over.so", "tests/e2e/unlocked-qemu", "guest-agent/agent/lazaret-agent"]
USER = "games"  # not nobody: 65534 is also what others look like in a user namespace


def stage(top):
    """Lays programs, recipes and an empty data folder below `top`, for the ordinary user."""
    build = os.path.normpath(os.path.join(os.path.dirname(os.environ["LAZARET"]), "../.."))
    user = pwd.getpwnam(USER)
    os.chmod(top, 0o755)
    for program in PROGRAMS:
        os.makedirs(os.path.dirname(f"{top}/{program}"), exist_ok=True)
        shutil.copy(f"{build}/{program}", f"{top}/{program}")
    shutil.copytree(f"{build}/images/recipes", f"{top}/images/recipes",
                    ignore=lambda folder, names: [n for n in names if not n.endswith(".json")])
    for name, mode in (("data", 0o700), ("home", 0o755), ("tmp", 0o1777)):
        os.mkdir(f"{top}/{name}")
        os.chown(f"{top}/{name}", user.pw_uid, user.pw_gid)
        os.chmod(f"{top}/{name}", mode)


def run(top, argv, **kwargs):
    """Runs a command as the ordinary user, who has what stage() laid and nothing else."""
    user = pwd.getpwnam(USER)
    env = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": f"{top}/home", "LANG": "C.UTF-8",
           "TMPDIR": f"{top}/tmp", "LAZARET": f"{top}/vmm/cli/lazaret",
           "LAZARET_DATA_DIR": f"{top}/data", "PYTHONDONTWRITEBYTECODE": "1",
           "LAZARET_E2E_FAULTS": os.environ.get("LAZARET_E2E_FAULTS", "1")}
    return subprocess.run(["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                           "--clear-groups", "--no-new-privs", *argv], env=env, cwd=top,
                          check=False, **kwargs)


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP this is an ordinary user already")
        return 0
    with tempfile.TemporaryDirectory(prefix="lz-user-") as top:
        stage(top)
        # As in the tree: the tests read the versions of the protocols where they are defined.
        for name in ("tests/e2e/e2e.py", "tests/e2e/live.py", "tests/e2e/preload.py", "tests/e2e/store.py",
                     f"tests/e2e/{sys.argv[1]}", "guest-agent/shared/wire.h",
                     "vmm/run/talk.h"):
            os.makedirs(os.path.dirname(f"{top}/{name}"), exist_ok=True)
            shutil.copy(f"{HERE}/../../{name}", f"{top}/{name}")
        store.copy(f"{os.environ['LAZARET_DATA_DIR']}/images", f"{top}/data/images")
        user = pwd.getpwnam(USER)
        # A key whose public half is root's: test_images.py trusts it.
        subprocess.run([os.environ["LAZARET"], "image", "keygen", f"{top}/tests/e2e/release"], check=True,
                       stdout=subprocess.DEVNULL)
        os.chown(f"{top}/tests/e2e/release", user.pw_uid, user.pw_gid)
        os.chmod(f"{top}/tests/e2e/release.pub", 0o644)
        subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", f"{top}/data"], check=True)
        test = f"{top}/tests/e2e/{sys.argv[1]}"
        return run(top, ["/usr/bin/python3", test, *sys.argv[2:]]).returncode


if __name__ == "__main__":
    sys.exit(main())
