"""others: `true` by what else there is on this host, beside `run --cold` and `run`: virsh with a run's own XML,
and containers by crun, podman and gVisor's runsc, which share the host's kernel.

    others.py ROUNDS FOLDER    writes others.json into FOLDER, a table in Markdown to stdout

What is not there, or refuses, is in the table with the reason. virsh has the embedded driver with a root and
a cache of its own, started anew each time as ours is, and QEMU as it is; the guest is met and ended as by us.
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import cold
import forks
import report
import store
from cold import DATA

CONF = ('stdio_handler = "file"\ncgroup_controllers = [ ]\ndynamic_ownership = 0\nremember_owner = 0\n'
        'seccomp_sandbox = 1\n')
WAIT_S = 120


class Refused(Exception):
    """Why something cannot be measured here."""


def reason(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it says nothing"])[-1][:200]


def call(argv, **kwargs):
    try:
        r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                           timeout=WAIT_S, check=False, **kwargs)
    except subprocess.TimeoutExpired as late:
        raise Refused(f"not done in {WAIT_S} s") from late
    if r.returncode:
        raise Refused(reason(r.stderr + r.stdout))


def program(name):
    path = shutil.which(name)
    if not path:
        raise Refused("not installed")
    return path


class Virsh:
    """The same domain by another client of libvirt."""

    def __init__(self, folder):
        self.virsh, self.folder = program("virsh"), folder
        d = cold.preview(*forks.SMALL[2:])
        self.plan, self.config = d["plan"], json.dumps(d["oci_config"]).encode()
        xml = d["domain_xml"].replace("/run/lz/lazaret-qemu", "/usr/bin/qemu-system-x86_64")
        for name in store.PARTS:
            xml = xml.replace(f"/run/lz/vm/{name}<", f"{store.part(f'{DATA}/images', name)}<")
            xml = xml.replace(f'/run/lz/vm/{name}"', f'{store.part(f"{DATA}/images", name)}"')
        xml = xml.replace("/run/lz/vm/scratch.raw", f"{folder}/scratch").replace("/run/lz/vm", folder)
        with open(f"{folder}/domain.xml", "w", encoding="utf-8") as f:
            f.write(xml)
        os.makedirs(f"{folder}/root/etc")
        with open(f"{folder}/root/etc/qemu.conf", "w", encoding="utf-8") as f:
            f.write(CONF + ('user = "root"\ngroup = "root"\n' if os.geteuid() == 0 else ""))

    def __call__(self):
        cold.make_scratch(self.plan, self.folder)
        with subprocess.Popen([self.virsh, "-q", "-c", f"qemu:///embed?root={self.folder}/root"], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as p:
            try:
                p.stdin.write(f"create {self.folder}/domain.xml\n")
                p.stdin.flush()
                self._meet(p)
            except (Refused, OSError, EOFError) as broken:
                said = self._say_last(p, "destroy lazaret-preview\nquit\n")
                raise Refused(f"{broken}; it says: {reason(said)}") from broken
            said = self._say_last(p, "destroy lazaret-preview\nquit\n")
        if p.returncode:
            raise Refused(reason(said))
        for name in ("channel", "console", "scratch"):
            if os.path.exists(f"{self.folder}/{name}"):
                os.unlink(f"{self.folder}/{name}")

    def _meet(self, p):
        until = time.monotonic() + WAIT_S
        while True:
            try:
                peer = cold.Peer(f"{self.folder}/channel")
                break
            except (FileNotFoundError, ConnectionRefusedError) as missing:
                if p.poll() is not None or time.monotonic() > until:
                    raise Refused("no guest") from missing
                time.sleep(0.001)
        peer.sock.settimeout(WAIT_S)
        peer.hello()
        peer.run(self.config)

    @staticmethod
    def _say_last(p, words):
        try:
            return p.communicate(words, timeout=WAIT_S)[0]
        except subprocess.TimeoutExpired:
            p.kill()
            return p.communicate()[0]


def bundle(folder):
    """A root with busybox in it; a container shares the host's kernel, so no more is needed."""
    busybox = program("busybox")
    os.makedirs(f"{folder}/rootfs/bin")
    shutil.copy(busybox, f"{folder}/rootfs/bin/busybox")
    os.link(f"{folder}/rootfs/bin/busybox", f"{folder}/rootfs/bin/true")
    return f"{folder}/rootfs"


def oci(path, folder, words):
    """A runtime that takes a bundle: `spec` makes its configuration, `run` runs it."""
    bundle(folder)
    call([path, "spec"], cwd=folder)
    with open(f"{folder}/config.json", encoding="utf-8") as f:
        config = json.load(f)
    config["process"].update(terminal=False, args=["true"])
    with open(f"{folder}/config.json", "w", encoding="utf-8") as f:
        json.dump(config, f)
    return lambda: call([path, *words, "run", "--bundle", folder, f"lz-bench-{os.getpid()}"], cwd=folder)


def crun(folder):
    built = glob.glob(f"{DATA}/cache/build/crun-*/crun")  # the one that is in the image
    return oci(shutil.which("crun") or (built[0] if built else program("crun")), folder,
               ["--root", f"{folder}/state", "--cgroup-manager", "disabled"])


def runsc(folder):
    return oci(program("runsc"), folder, ["--root", f"{folder}/state", "--network", "none"])


def podman(folder):
    path, root = program("podman"), bundle(folder)
    # Its own limits may be more than what this process may give.
    limits = [word for name in ("nofile", "nproc") for word in ("--ulimit", f"{name}=1024:1024")]
    return lambda: call([path, "run", "--rm", "--network", "none", "--cgroups", "disabled", *limits, "--rootfs", root,
                         "true"])


WAYS = {"virsh with the same XML": Virsh, "crun on the host": crun, "podman on the host": podman,
        "runsc (gVisor) on the host": runsc}


def leave_old_cgroups():
    """crun refuses a host that has both kinds of cgroups. As root all is measured where only the new one's are."""
    if os.geteuid() != 0 or not os.path.isdir("/sys/fs/cgroup/unified") or "BENCH_CGROUP2" in os.environ:
        return
    os.environ["BENCH_CGROUP2"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "sh", "-c", 'mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$0" "$@"',
                          sys.executable, *sys.argv])


def measure(rounds, folder):
    ready, rows, missing = {}, {}, {}

    def attempt(name, f):
        try:
            return f()
        except (Refused, OSError, EOFError) as why:
            missing[name] = str(why) or type(why).__name__
        return None

    for i, (name, prepare) in enumerate(WAYS.items()):
        os.mkdir(f"{folder}/{i}")
        ready[name] = attempt(name, lambda p=prepare, i=i: p(f"{folder}/{i}"))
    ready = {name: way for name, way in ready.items() if way}
    ready = {"`run --cold`": lambda: forks.lazaret("run", *forks.SMALL, "--cold", "--", "true"),
             "`run`, warm": lambda: forks.lazaret("run", *forks.SMALL, "--", "true"), **ready}
    for i in range(rounds + 1):
        for name, way in ready.items():
            began, before = time.monotonic(), missing.pop(name, None)
            attempt(name, way)
            if name not in missing and i > 0:  # the first is for caches
                rows.setdefault(name, []).append(time.monotonic() - began)
            missing.update({name: before} if before else {})
    return rows, missing


def main():
    leave_old_cgroups()
    rounds, folder = int(sys.argv[1]), sys.argv[2]
    before = report.machine("tcg")
    with tempfile.TemporaryDirectory(prefix="lz") as scratch:  # libvirt's root has a short path
        rows, missing = measure(rounds, scratch)
    report.write_part(folder, "others", before, rounds, [], {"s": rows, "missing": missing})
    cells = [[name, report.cell(report.spread(took))
              + (f" ({len(took)} of {rounds} rounds: {missing.pop(name)})" if name in missing else "")]
             for name, took in rows.items()]
    print(report.table(["`true`, by", "ms, median [min..max]"], [*cells, *([n, why] for n, why in missing.items())]))


if __name__ == "__main__":
    main()
