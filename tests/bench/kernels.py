"""kernels: what an image's kernel costs at boot: Debian's cloud kernel beside those of our own that
the store has, with small and large images, on both machine types.

From starting bare QEMU, with the image's own files, to the agent's READY; interleaved in one run;
medians and spread. Other work on the machine shows in the wall time, less so in the CPU time.
"""
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import bare
import store
from cold import DATA, LAZARET, Peer

RECIPES = ("minimal", "python")
MEMORY_MIB = 512


def kernels():
    folder = f"{DATA}/images/kernels"
    own = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if not own:
        sys.exit("kernels: there is none of our own to compare (lazaret image kernel build)")
    return ["debian", *own]


def build(recipe, kernel):
    tag = f"bench-{recipe}-{kernel}"
    r = subprocess.run([LAZARET, "image", "build", recipe, "--kernel", kernel, "--tag", tag],
                       capture_output=True, text=True, check=False)
    if r.returncode:
        sys.exit(r.stderr)
    return tag


def arguments(tag, machine):
    """The kernel's arguments in a real run of this image."""
    out = subprocess.run([LAZARET, "check", "--accel", "tcg", "--image", tag, "--machine", machine,
                          "--json", "--", "true"], capture_output=True, check=True).stdout
    return re.search("<cmdline>(.*)</cmdline>", json.loads(out)["domain_xml"])[1]


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def boot(tag, machine, cmdline):
    """Seconds to READY, seconds of CPU time, MiB of QEMU in memory."""
    kernel, initramfs, root = (store.part(f"{DATA}/images", p, tag) for p in store.PARTS)
    with tempfile.TemporaryDirectory(prefix="lz-bench-") as folder:
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-m", "0",
                        f"{folder}/scratch", "64M"], check=True, stdout=subprocess.DEVNULL)
        argv = bare.argv(machine, kernel, initramfs, cmdline, f"{folder}/console", MEMORY_MIB,
                         ((root, "lz-root", True), (f"{folder}/scratch", "lz-scratch", False)),
                         f"{folder}/channel")
        before, began = cpu_s(), time.monotonic()
        qemu = subprocess.Popen(argv)
        try:
            while not os.path.exists(f"{folder}/channel"):
                time.sleep(0.001)
            while True:
                try:
                    peer = Peer(f"{folder}/channel")
                    break
                except ConnectionRefusedError:
                    time.sleep(0.001)
            peer.sock.settimeout(120)
            peer.hello()
            wall = time.monotonic() - began
            with open(f"/proc/{qemu.pid}/status", encoding="ascii") as f:
                resident = next(int(x.split()[1]) / 1024 for x in f if x.startswith("VmRSS:"))
        finally:
            qemu.kill()
            qemu.wait()
        return wall, cpu_s() - before, resident


def unpacked_mib(kernel):
    tag = f"bench-{RECIPES[0]}-{kernel}"
    return bare.unpacked_bytes(store.part(f"{DATA}/images", "kernel", tag)) / 1048576


def cell(values, scale=1000):
    low, high = min(values) * scale, max(values) * scale
    return f"{statistics.median(values) * scale:.0f} [{low:.0f}..{high:.0f}]"


def main():
    rounds = int(sys.argv[1])
    cases = {}
    for recipe in RECIPES:
        for kernel in kernels():
            tag = build(recipe, kernel)
            for machine in bare.MACHINES:
                cases[recipe, machine, kernel] = (tag, machine, arguments(tag, machine))
    took = {case: [] for case in cases}
    for i in range(rounds):
        for case, how in cases.items():
            took[case].append(boot(*how))
        print(f"round {i + 1} of {rounds}", file=sys.stderr)
    print(f"Software emulation, {MEMORY_MIB} MiB, n={rounds}: median [min..max]; ratios of medians, "
          "Debian's kernel / this one.\n")
    print("| image | machine | kernel | to READY, ms | ratio | CPU, ms | ratio | QEMU in memory, MiB |"
          "\n|---|---|---|---|---|---|---|---|")
    for (recipe, machine, kernel), rows in sorted(took.items(), key=lambda x: x[0][:2]):
        wall, cpu, resident = zip(*rows)
        first = list(zip(*took[recipe, machine, "debian"]))
        ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(first, (wall, cpu))]
        print(f"| {recipe} | {machine} | {kernel} | {cell(wall)} | {ratios[0]:.2f} | {cell(cpu)} "
              f"| {ratios[1]:.2f} | {statistics.median(resident):.0f} |")
    print("\nUnpacked:", ", ".join(f"{k} {unpacked_mib(k):.1f} MiB" for k in kernels()) + ".")


if __name__ == "__main__":
    main()
