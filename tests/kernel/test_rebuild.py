"""Kernels of our own, built again: as another user, in another folder, at another time, from another
environment. It compiles for minutes, so it is tried only where KERNEL_REBUILD=1 asks for it; needs
the kernels of `lazaret image kernel build` and the source package that this left in the cache.
"""
import glob
import os
import pwd
import shutil
import subprocess
import tempfile

import as_user
import store
from e2e import *

PACKAGES = "cache/kernel/apt/archives"
BUILD_S = 3 * 3600


def _build(top, flavour):
    """The record of what an ordinary user builds who has the source package and nothing else."""
    as_user.stage(top)
    user = pwd.getpwnam(as_user.USER)
    os.makedirs(f"{top}/data/{PACKAGES}")
    for package in glob.glob(f"{DATA}/{PACKAGES}/linux-source-*.deb"):
        shutil.copy(package, f"{top}/data/{PACKAGES}")
    subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", f"{top}/data"], check=True)
    finished(as_user.run(top, ["env", "TZ=Asia/Tokyo", "KBUILD_BUILD_HOST=elsewhere",
                               "CFLAGS=-O1", f"{top}/vmm/cli/lazaret", "image", "kernel", "build",
                               "--flavour", flavour, "--jobs", "1"],
                         umask=0o077, timeout=BUILD_S, stdin=subprocess.DEVNULL,
                         capture_output=True))
    return store.kernel_record(f"{top}/data/images", flavour)


def _again(flavour):
    if os.environ.get("KERNEL_REBUILD") != "1":
        raise Skip("it compiles for minutes (KERNEL_REBUILD=1)")
    if os.geteuid() != 0:
        raise Skip("only root can build as somebody else")
    if not os.path.exists(f"{DATA}/images/kernels/{flavour}"):
        raise Skip(f"no kernel '{flavour}' is built")
    first = store.kernel_record(f"{DATA}/images", flavour)
    with tempfile.TemporaryDirectory(prefix="lz-kernel-", dir="/var/tmp") as top:
        second = _build(top, flavour)
    equal(second["recipe"], first["recipe"], "the source or the lists have changed; build it anew:")
    equal(second, first, flavour)


def an_airgap_built_elsewhere_is_the_same_byte_for_byte():
    _again("airgap")


def a_net_built_elsewhere_is_the_same_byte_for_byte():
    _again("net")


if __name__ == "__main__":
    main()
