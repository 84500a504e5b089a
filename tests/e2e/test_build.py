"""test_build: promises of `lazaret image build`. Needs Debian's packages, as any build does."""
import json
import os
import tempfile

import as_user
import store
from e2e import *


def _build(recipe, *options):
    return lazaret("image", "build", recipe, *options, timeout=900)


def _write(folder, **keys):
    """A recipe on top of busybox, which is quick to build and has all that commands need."""
    with open(f"{folder}/app.json", "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-recipe", "version": 1, "variant": "extract",
                   "packages": ["busybox-static"], **keys}, f)
    return f"{folder}/app.json"


SHELL = {"path": "/bin/sh", "link": "busybox"}
TAR = {"path": "/bin/tar", "link": "busybox"}


def _tags():
    return [row["name"] for row in json.loads(lazaret("image", "ls", "--json").stdout)]


def _forget(name):
    if name in _tags():
        finished(lazaret("image", "rm", name))


def the_same_recipe_gives_another_user_the_same_image_elsewhere_and_later():
    if os.geteuid() != 0:
        raise Skip("takes root to be two users")
    ours = finished(_build("minimal"))
    with tempfile.TemporaryDirectory(prefix="lz-user-") as top:
        as_user.stage(top)
        theirs = as_user.run(top, [f"{top}/vmm/cli/lazaret", "image", "build", "minimal"],
                             capture_output=True, timeout=900)
    equal(finished(theirs), ours, "digest:")
    check(ours.startswith(b"sha256:"), ours)


def a_minimal_image_is_a_few_mebibytes_and_runs():
    finished(_build("minimal"))
    with Nothing():
        out = finished(run(["sh", "-c", "echo $((6*7)); ls / | wc -l"], "--image", "minimal"))
    equal(out.split()[0], b"42")
    size = store.manifest(f"{DATA}/images", "minimal")["root"]["size"]
    check(size < 4 << 20, f"{size} bytes")


def a_recipe_says_what_runs_as_whom_and_where(folder):
    with open(f"{folder}/hello", "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho \"$1 $GREETING $(id -u):$(id -g) $PWD $(cat /srv/made)\"\n")
    path = _write(folder, files=[SHELL, TAR, {"path": "/opt/hello", "source": "hello",
                                             "mode": "0755"},
                                {"path": "/srv", "folder": True}],
                 run=["/bin/busybox --install -s /bin", "echo by hand >/srv/made"],
                 env=["GREETING=good day"], user="33:44", workdir="/srv",
                 entrypoint=["/opt/hello"], command=["world"])
    try:
        with Nothing():
            finished(_build(path))
        equal(finished(run([], "--image", "app")), b"world good day 33:44 /srv by hand\n")
        equal(finished(run(["moon"], "--image", "app", "--env", "GREETING=hi", "--user", "7",
                           "--workdir", "/opt")), b"moon hi 7:7 /opt by hand\n")
        equal(finished(run(["-c", "echo other"], "--image", "app", "--entrypoint", "sh")),
              b"other\n")
        inspected = json.loads(finished(lazaret("image", "inspect", "app", "--json")))
        equal(inspected["manifest"]["recipe"]["recipe"]["user"], "33:44")
    finally:
        _forget("app")


def commands_of_a_recipe_run_in_a_guest_without_a_network(folder):
    path = _write(folder, files=[SHELL, TAR, {"path": "/etc/built", "text": ""}],
                 run=["/bin/busybox --install -s /bin",
                      f"! test -e {folder}",
                      "ls /sys/class/net >/etc/built",
                      "grep CapEff /proc/self/status >>/etc/built",
                      "chown 33:44 /etc/built"])
    try:
        finished(_build(path))
        out = finished(run(["sh", "-c", "cat /etc/built; stat -c %u:%g /etc/built"],
                           "--image", "app"))
        equal(out.split(), [b"lo", b"CapEff:", b"000000000000000b", b"33:44"])
    finally:
        _forget("app")


def a_policy_keeps_no_recipe_from_being_built_and_no_unsigned_image_runs(folder):
    policy = f"{DATA}/images/policy.json"
    path = _write(folder, files=[SHELL, TAR, {"path": "/etc/built", "text": ""}],
                 run=["echo built >/etc/built", "/bin/busybox --install -s /bin"])
    with open(policy, "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-image-policy", "version": 1, "require_signature": True,
                   "trusted": [f"{folder}/key.pub"]}, f)
    try:
        finished(lazaret("image", "keygen", f"{folder}/key"))
        finished(_build(path))
        one_line_error(run(["cat", "/etc/built"], "--image", "app"), 126, "not signed")
        finished(lazaret("image", "sign", "--key", f"{folder}/key", "app"))
        equal(finished(run(["cat", "/etc/built"], "--image", "app")), b"built\n")
    finally:
        os.remove(policy)
        _forget("app")


def a_command_that_fails_leaves_no_image_and_says_so(folder):
    path = _write(folder, files=[SHELL, TAR], run=["echo about to fail", "exit 7", "true"])
    with Nothing():
        result = _build(path)
    finished(result, 125)
    check(b"status 7" in result.stderr and b"about to fail" in result.stderr, result.stderr)
    equal(result.stdout, b"")
    check("app" not in _tags(), "the image is there")
    equal(os.listdir(f"{DATA}/images/tmp"), [])
    check(not os.path.exists(f"{DATA}/cache/build/result"), "the result folder is left")


def a_wrong_recipe_is_one_line_with_a_way_out(folder):
    one_line_error(_build(_write(folder, pakages=[])), 125, "app.json", "pakages", "lazaret-recipe")
    one_line_error(lazaret("image", "build", "nosuch"), 125, "nosuch")
    one_line_error(lazaret("image", "build", "minimal", "--kernel", "hurd"), 125, "hurd")


def a_writable_root_takes_writes_and_forgets_them():
    script = "mkdir /var/tmp/a && echo kept >/var/tmp/a/b && cat /var/tmp/a/b"
    for _ in range(2):
        equal(finished(sh(script, "--writable")), b"kept\n")
    finished(sh(script), 1)


if __name__ == "__main__":
    main()
