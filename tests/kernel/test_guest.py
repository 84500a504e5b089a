"""Kernels of our own, booted: what tests/kernel/probe.c, as a guest's root, says of them. The
kernels are those that `lazaret image kernel build` put into the store; none there: nothing to try.
"""
import functools
import os
import subprocess
import tempfile

import bare
import store
from e2e import *

PROBE = os.environ["PROBE"]
END_S = 120
UNPACKED_MAX = 30 << 20


def _kernels():
    """(flavour, path of the bzImage, arguments that it wants) of each in the store."""
    folder = f"{DATA}/images/kernels"
    found = []
    for flavour in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        record = store.kernel_record(f"{DATA}/images", flavour)
        found.append((flavour, f"{DATA}/images/blobs/sha256/{record['kernel']['sha256']}",
                      record["cmdline"]))
    if not found:
        raise Skip("no kernel of our own is built")
    return found


@functools.cache
def _boot(kernel, machine, cmdline, memory_mib=256):
    """What the probe said, as a dictionary; everything else on the console is in "". The machine
    has ended by itself."""
    with tempfile.TemporaryDirectory(prefix="lz-kernel-") as folder:
        with open(PROBE, "rb") as f, open(f"{folder}/initramfs", "wb") as out:
            out.write(store.initramfs(f.read()))
        if machine == "microvm":
            cmdline += f" tsc_early_khz={_khz()}"
        subprocess.run(bare.argv(machine, kernel, f"{folder}/initramfs", cmdline,
                                 f"{folder}/console", memory_mib),
                       timeout=END_S, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        with open(f"{folder}/console", encoding="ascii", errors="replace") as f:
            said = f.read().replace("\r", "")
    facts = {"": said}
    for line in said.splitlines():
        key, colon, value = line.partition(": ")
        if colon and not line.startswith("["):
            facts[key] = value
    check("end" in facts, f"the probe did not come to its end:\n{said[-2000:]}")
    return facts


def _khz():
    with open("/proc/cpuinfo", encoding="ascii") as f:
        return next(int(float(x.split(":")[1]) * 1000) for x in f if x.startswith("cpu MHz"))


def _each(machine="q35"):
    for flavour, kernel, cmdline in _kernels():
        yield flavour, _boot(kernel, machine, f"{cmdline} probe=off")


def both_machines_boot_and_power_off():
    for machine in bare.MACHINES:
        for flavour, facts in _each(machine):
            equal(facts["end"], "off", f"{flavour} on {machine}")


def a_panic_ends_the_machine():
    for machine in bare.MACHINES:
        for flavour, kernel, cmdline in _kernels():
            facts = _boot(kernel, machine, f"{cmdline} probe=die")
            check("Kernel panic" in facts[""], f"{flavour} on {machine}: {facts['']}")


def the_kernels_address_is_random():
    for flavour, kernel, cmdline in _kernels():
        seen = {_boot(kernel, "q35", f"{cmdline} probe=off boot={n}")["text"] for n in range(3)}
        check(len(seen) > 1, f"{flavour}: {seen}")
        check("0" * 16 not in seen, f"{flavour}: {seen}")


def the_clock_counts_no_ticks():
    for machine in bare.MACHINES:
        for flavour, facts in _each(machine):
            check(facts["clock"].startswith("tsc"), f"{flavour} on {machine}: {facts['clock']}")


def lockdown_and_the_security_modules_are_on():
    for flavour, facts in _each():
        equal(facts["lsm"], "lockdown,capability,landlock,yama,apparmor", flavour)
        equal(facts["lockdown"], "none integrity [confidentiality]", flavour)
        check(int(facts["landlock"]) >= 6, f"{flavour}: Landlock {facts['landlock']}")


def no_vulnerability_is_left_open():
    for flavour, facts in _each():
        rows = {k: v for k, v in facts.items() if k.startswith("vulnerability ")}
        equal(len(rows), 16, flavour)
        for key, value in rows.items():
            check(value.startswith(("Not affected", "Mitigation:")), f"{flavour}: {key}: {value}")


def the_controllers_of_the_container_are_there():
    for flavour, facts in _each():
        equal(set(facts["controllers"].split()), {"cpu", "io", "memory", "pids"}, flavour)


def windows_into_the_kernel_are_absent():
    for flavour, facts in _each():
        rows = {k: v for k, v in facts.items() if k.startswith("absent ")}
        equal(len(rows), 10, flavour)
        equal({v for v in rows.values()}, {"yes"}, f"{flavour}: {rows}")


def what_is_refused_is_not_in_the_kernel():
    for flavour, facts in _each():
        for call in ("init_module", "kexec_load", "io_uring_setup", "userfaultfd", "add_key",
                     "modify_ldt", "iopl", "process_vm_readv", "swapon"):
            equal(facts[f"call {call}"], "ENOSYS", f"{flavour}: {call}")


def an_airgap_has_no_ip_and_a_net_has():
    for flavour, facts in _each():
        inet = "works" if flavour == "net" else "EAFNOSUPPORT"
        for family, want in {"unix": "works", "netlink": "works", "inet": inet, "inet6": inet,
                             "packet": "EAFNOSUPPORT", "vsock": "EAFNOSUPPORT",
                             "alg": "EAFNOSUPPORT"}.items():
            equal(facts[f"call {family}"], want, f"{flavour}: {family}")


def sixty_four_mebibytes_are_enough_to_boot():
    for flavour, kernel, cmdline in _kernels():
        equal(_boot(kernel, "microvm", f"{cmdline} probe=off", 64)["end"], "off", flavour)


def unpacked_it_is_at_most_thirty_mebibytes():
    for flavour, kernel, _ in _kernels():
        size = bare.unpacked_bytes(kernel)
        check(os.path.getsize(kernel) < size <= UNPACKED_MAX, f"{flavour}: {size} bytes")


if __name__ == "__main__":
    main()
