"""bare: QEMU without libvirt and the manager, with the devices of a guest (tests/golden/*.xml)."""
import struct

MACHINES = {
    "microvm": (["-M", "microvm"], "virtio-{}-device"),
    "q35": (["-M", "q35,hpet=off,sata=off,smbus=off,i8042=off,vmport=off,smm=off"],
            "virtio-{}-pci-non-transitional"),
}


def argv(machine, kernel, initramfs, cmdline, console, memory_mib, disks=(), channel=None):
    """disks: (path, serial, is it read-only). channel: a socket that QEMU listens on."""
    options, device = MACHINES[machine]
    ret = ["qemu-system-x86_64", *options, "-accel", "tcg", "-cpu", "max", "-m", str(memory_mib),
           "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
           "-kernel", kernel, "-initrd", initramfs, "-append", cmdline,
           "-object", "rng-random,id=rng,filename=/dev/urandom",
           "-device", device.format("rng") + ",rng=rng", "-device", device.format("serial"),
           "-serial", f"file:{console}"]
    for i, (path, serial, ro) in enumerate(disks):
        ret += ["-drive", f"if=none,id=d{i},format=raw,file={path},readonly={'on' if ro else 'off'}",
                "-device", f"{device.format('blk')},drive=d{i},serial={serial}"]
    if channel:
        ret += ["-chardev", f"socket,id=c,path={channel},server=on,wait=off",
                "-device", "virtserialport,chardev=c,name=lazaret.0"]
    return ret


def unpacked_bytes(kernel):
    """What a bzImage unpacks to: vmlinux and its relocations. The linker puts that size behind what
    it packed (scripts/Makefile.lib, size_append); where that lies is in the boot header
    (Documentation/arch/x86/boot.rst)."""
    with open(kernel, "rb") as f:
        image = f.read()
    if image[0x202:0x206] != b"HdrS":
        raise ValueError(f"{kernel} is no bzImage")
    offset, length = struct.unpack_from("<II", image, 0x248)
    end = (image[0x1f1] + 1) * 512 + offset + length
    return struct.unpack_from("<I", image, end - 4)[0]
