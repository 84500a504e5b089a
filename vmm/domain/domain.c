/*
 * domain: plan and files -> libvirt domain XML, by libxml2's writer.
 *
 * How it works
 *   domain_format() checks every text that comes from outside, then writes the document top down;
 *   one function writes one device. The writer escapes (the double quote but not the single one, so
 *   its quote character stays the default); an error inside it, only ever memory, is remembered in
 *   `bad` and reported once, at the end.
 *   What microvm and q35 do not share is where a device sits: address() is the only place that
 *   knows it. On q35 every device gets a fixed slot on the root bus, because libvirt would
 *   otherwise add a PCIe port, a device of its own, for each.
 *
 * Must: write the same bytes for the same plan and files.
 * Must not: look at the host, open a file, or write a device that is not in the golden files.
 */
#include "domain/domain.h"

#include "domain/text.h"

#include "base/own.h"
#include "shared/guest.h"
#include "shared/net.h"
#include "shared/wire.h"

#include <inttypes.h>
#include <libxml/xmlwriter.h>
#include <stdarg.h>
#include <string.h>

#define MEMORY_ID "lz-ram" /* QEMU's name of the memory, also in a saved state */
#define DOMAIN_NS "http://libvirt.org/schemas/domain/qemu/1.0"

/* Slots on the root bus of q35; 0 is the host bridge, 31 the chipset's own devices. */
enum slot { SLOT_ROOT = 1, SLOT_SCRATCH, SLOT_INPUT, SLOT_SERIAL, SLOT_RNG };

struct out {
    xmlTextWriterPtr w;
    enum plan_machine machine;
    bool bad;
};

static void check_rc(struct out *o, int rc)
{
    if (rc < 0)
        o->bad = true;
}

static void write_attrs(struct out *o, va_list ap)
{
    const char *name;

    while ((name = va_arg(ap, const char *))) {
        const char *value = va_arg(ap, const char *);

        check_rc(o, xmlTextWriterWriteAttribute(o->w, xml_text(name), xml_text(value)));
    }
}

/* Opens an element with attributes: name, value, ... */
#define begin(...) begin_until(__VA_ARGS__, (const char *)NULL)
__attribute__((sentinel)) static void begin_until(struct out *o, const char *element, ...)
{
    va_list ap;

    check_rc(o, xmlTextWriterStartElement(o->w, xml_text(element)));
    va_start(ap, element);
    write_attrs(o, ap);
    va_end(ap);
}

static void end(struct out *o)
{
    check_rc(o, xmlTextWriterEndElement(o->w));
}

/* An element with attributes and no content. */
#define leaf(...) leaf_until(__VA_ARGS__, (const char *)NULL)
__attribute__((sentinel)) static void leaf_until(struct out *o, const char *element, ...)
{
    va_list ap;

    check_rc(o, xmlTextWriterStartElement(o->w, xml_text(element)));
    va_start(ap, element);
    write_attrs(o, ap);
    va_end(ap);
    end(o);
}

static void text(struct out *o, const char *element, const char *value)
{
    check_rc(o, xmlTextWriterWriteElement(o->w, xml_text(element), xml_text(value)));
}

static void number(struct out *o, uint64_t value)
{
    check_rc(o, xmlTextWriterWriteFormatString(o->w, "%" PRIu64, value));
}

static void address(struct out *o, enum slot slot)
{
    char hex[8];

    if (o->machine == PLAN_MICROVM) {
        leaf(o, "address", "type", "virtio-mmio");
        return;
    }
    snprintf(hex, sizeof(hex), "0x%02x", (unsigned)slot);
    leaf(o, "address", "type", "pci", "domain", "0x0000", "bus", "0x00", "slot", hex, "function",
         "0x0");
}

/* On q35 the modern device only: on the root bus QEMU would add the legacy interface. */
static const char *virtio_model(const struct out *o)
{
    return o->machine == PLAN_MICROVM ? "virtio" : "virtio-non-transitional";
}

/* An error on the host stops the guest and raises an event, instead of showing a bad disk. */
static void disk_readonly(struct out *o, const char *path, const char *dev, const char *serial,
                          enum slot slot)
{
    begin(o, "disk", "type", "file", "device", "disk", "model", virtio_model(o));
    leaf(o, "driver", "name", "qemu", "type", "raw", "rerror_policy", "stop");
    leaf(o, "source", "file", path);
    leaf(o, "target", "dev", dev, "bus", "virtio");
    leaf(o, "readonly");
    text(o, "serial", serial);
    address(o, slot);
    end(o);
}

/* Said in full, so that nobody looks into the disk for what is below it. */
static void below(struct out *o, const char *base)
{
    if (!base) {
        leaf(o, "backingStore");
        return;
    }
    begin(o, "backingStore", "type", "file");
    leaf(o, "format", "type", "raw");
    leaf(o, "source", "file", base);
    leaf(o, "backingStore");
    end(o);
}

/* cache='unsafe': the disk is thrown away with the run, so nothing needs to reach the platter. */
static void disk_scratch(struct out *o, const struct domain_files *f)
{
    const char *format = f->marks ? "qcow2" : "raw";

    begin(o, "disk", "type", "file", "device", "disk", "model", virtio_model(o));
    leaf(o, "driver", "name", "qemu", "type", format, "cache", "unsafe", "error_policy", "stop",
         "rerror_policy", "stop", "discard", "unmap");
    leaf(o, "source", "file", f->scratch);
    if (f->marks)
        below(o, f->base);
    leaf(o, "target", "dev", "vdb", "bus", "virtio");
    text(o, "serial", GUEST_DISK_SCRATCH);
    address(o, SLOT_SCRATCH);
    end(o);
}

static void controllers(struct out *o, const char *ports)
{
    leaf(o, "controller", "type", "usb", "model", "none");
    if (o->machine == PLAN_Q35)
        leaf(o, "controller", "type", "pci", "index", "0", "model", "pcie-root");
    /* Port 0 is reserved for a console that we do not have; ours are the others. */
    if (o->machine == PLAN_MICROVM)
        begin(o, "controller", "type", "virtio-serial", "index", "0", "ports", ports);
    else
        begin(o, "controller", "type", "virtio-serial", "index", "0", "model", virtio_model(o),
              "ports", ports);
    address(o, SLOT_SERIAL);
    end(o);
}

static void channel(struct out *o, const char *path, const char *name, const char *port)
{
    begin(o, "channel", "type", "unix");
    leaf(o, "source", "mode", "bind", "path", path);
    leaf(o, "target", "type", "virtio", "name", name);
    leaf(o, "address", "type", "virtio-serial", "controller", "0", "bus", "0", "port", port);
    end(o);
}

/* libvirt calls the first serial port a console as well; said here so that nothing is added. */
static void serial(struct out *o, const char *path)
{
    begin(o, "serial", "type", "unix");
    leaf(o, "source", "mode", "bind", "path", path);
    begin(o, "target", "type", "isa-serial", "port", "0");
    leaf(o, "model", "name", "isa-serial");
    end(o);
    end(o);
    begin(o, "console", "type", "unix");
    leaf(o, "source", "mode", "bind", "path", path);
    leaf(o, "target", "type", "serial", "port", "0");
    end(o);
}

static void rng(struct out *o)
{
    begin(o, "rng", "model", virtio_model(o));
    leaf(o, "rate", "bytes", "65536", "period", "1000"); /* a guest cannot burn host time */
    begin(o, "backend", "model", "random");
    check_rc(o, xmlTextWriterWriteString(o->w, xml_text("/dev/urandom")));
    end(o);
    address(o, SLOT_RNG);
    end(o);
}

static void devices(struct out *o, const struct domain_files *f)
{
    begin(o, "devices");
    text(o, "emulator", f->emulator);
    disk_readonly(o, f->root, "vda", GUEST_DISK_ROOT, SLOT_ROOT);
    disk_scratch(o, f);
    if (f->input)
        disk_readonly(o, f->input, "vdc", GUEST_DISK_INPUT, SLOT_INPUT);
    controllers(o, f->net ? "3" : "2");
    serial(o, f->console);
    channel(o, f->channel, WIRE_PORT_NAME, "1");
    if (f->net)
        channel(o, f->net, NET_PORT_NAME, "2");
    leaf(o, "audio", "id", "1", "type", "none");
    leaf(o, "memballoon", "model", "none");
    rng(o);
    end(o);
}

static void identity(struct out *o, const struct plan *p, const struct domain_files *f)
{
    text(o, "name", f->name);
    text(o, "uuid", f->uuid);
    if (o->machine == PLAN_Q35) /* microvm's ACPI has no place for it */
        text(o, "genid", f->genid);
    begin(o, "memory", "unit", "KiB", "dumpCore", "off"); /* not in a core file of QEMU */
    number(o, p->guest_bytes / 1024);
    end(o);
    begin(o, "memoryBacking");
    leaf(o, "nosharepages"); /* merged pages would tell one guest what another one holds */
    end(o);
    begin(o, "vcpu", "placement", "static");
    number(o, p->cpus);
    end(o);
}

static void boot(struct out *o, const struct domain_files *f, const char *cmdline)
{
    begin(o, "os");
    begin(o, "type", "arch", "x86_64", "machine", plan_machine_name(o->machine));
    check_rc(o, xmlTextWriterWriteString(o->w, xml_text("hvm")));
    end(o);
    if (f->start == DOMAIN_BOOT || f->start == DOMAIN_TEMPLATE) {
        text(o, "kernel", f->kernel);
        text(o, "initrd", f->initrd);
        text(o, "cmdline", cmdline);
    }
    end(o);
}

/*
 * Software emulation does a string instruction one element at a time. Where the processor says that
 * "rep movsb" is fast (erms), the guest's kernel and C library copy by bytes, else by eight of
 * them.
 */
static void cpu(struct out *o, enum plan_accel accel)
{
    if (accel == PLAN_KVM) {
        leaf(o, "cpu", "mode", "host-passthrough", "check", "none");
        return;
    }
    begin(o, "cpu", "mode", "maximum", "check", "none");
    leaf(o, "feature", "policy", "disable", "name", "erms");
    end(o);
}

static void platform(struct out *o, const struct plan *p)
{
    begin(o, "features");
    leaf(o, "acpi");
    leaf(o, "apic");
    if (o->machine == PLAN_Q35) {
        leaf(o, "vmport", "state", "off");
        leaf(o, "smm", "state", "off");
    }
    end(o);
    cpu(o, p->accel);
    begin(o, "clock", "offset", "utc");
    if (o->machine == PLAN_Q35)
        leaf(o, "timer", "name", "hpet", "present", "no");
    end(o);
    text(o, "on_poweroff", "destroy");
    text(o, "on_reboot", "destroy");
    text(o, "on_crash", "destroy");
    if (o->machine == PLAN_Q35) {
        begin(o, "pm");
        leaf(o, "suspend-to-mem", "enabled", "no");
        leaf(o, "suspend-to-disk", "enabled", "no");
        end(o);
    }
}

static void arguments(struct out *o, const char *option, const char *value)
{
    leaf(o, "qemu:arg", "value", option);
    leaf(o, "qemu:arg", "value", value);
}

/*
 * The guest's memory under one name in every guest, which a saved state goes by; where it is a
 * file, in one of our choosing: libvirt would choose the place by a number that it makes up when it
 * starts the domain.
 */
static void memory(struct out *o, const struct plan *p, const struct domain_files *f)
{
    const bool shared = f->start == DOMAIN_TEMPLATE || f->start == DOMAIN_TRANSFER;
    const bool file = shared || f->start == DOMAIN_RESTORE;
    own_free char *object =
        file ? str_printf("memory-backend-file,id=" MEMORY_ID ",mem-path=%s,size=%" PRIu64
                          ",share=%s",
                          f->ram, p->guest_bytes, shared ? "on" : "off")
             : str_printf("memory-backend-ram,id=" MEMORY_ID ",size=%" PRIu64, p->guest_bytes);

    arguments(o, "-object", object);
    arguments(o, "-machine", "memory-backend=" MEMORY_ID);
}

static void environment(struct out *o, const char *name, const char *value)
{
    leaf(o, "qemu:env", "name", name, "value", value);
}

/* What libvirt has no element for. */
static void passthrough(struct out *o, const struct plan *p, const struct domain_files *f)
{
    begin(o, "qemu:commandline");
    if (o->machine == PLAN_Q35) /* devices of the chipset */
        arguments(o, "-machine", "sata=off,smbus=off,i8042=off");
    memory(o, p, f);
    if (f->start != DOMAIN_BOOT && f->start != DOMAIN_TEMPLATE)
        arguments(o, "-incoming", "defer");
    /* Else each of its threads keeps a heap of its own: 2 MiB more of an idle guest. */
    environment(o, "MALLOC_ARENA_MAX", "1");
    if (f->start == DOMAIN_RESTORE) {
        environment(o, "LD_PRELOAD", f->preload);
        environment(o, DOMAIN_READONLY_ENV, f->ram);
    }
    end(o);
    /* With it libvirt 9.0 asks QEMU about 395 properties one by one: 250 ms of each start. */
    begin(o, "qemu:capabilities");
    leaf(o, "qemu:del", "capability", "cpu-unavailable-features");
    end(o);
}

static void document(struct out *o, const struct plan *p, const struct domain_files *f,
                     const char *cmdline)
{
    check_rc(o, xmlTextWriterSetIndent(o->w, 1));
    check_rc(o, xmlTextWriterSetIndentString(o->w, xml_text("  ")));
    begin(o, "domain", "type", p->accel == PLAN_KVM ? "kvm" : "qemu", "xmlns:qemu", DOMAIN_NS);
    identity(o, p, f);
    boot(o, f, cmdline);
    platform(o, p);
    devices(o, f);
    passthrough(o, p, f);
    end(o);
    check_rc(o, xmlTextWriterFlush(o->w));
}

/* Returns new: the image's arguments and the plan's own behind them, so that the plan's win. */
static char *kernel_arguments(const struct plan *p, const struct domain_files *f)
{
    own_str struct str s = {0};

    str_add(&s, f->cmdline);
    /* What two of them refuse is told by AppArmor only, which so comes before Landlock. It is not
     * to pack away each profile that it gets. */
    str_add(&s, " lsm=lockdown,yama,apparmor,landlock apparmor.export_binary=0");
    /*
     * microvm's ACPI is of the reduced kind, so a kernel that could have EFI resets by EFI, which
     * is not there, and then by jumping into the BIOS, which may run for ever instead.
     */
    if (p->machine == PLAN_MICROVM)
        str_add(&s, " reboot=t");
    if (p->tsc_khz && p->machine == PLAN_MICROVM)
        str_addf(&s, " tsc_early_khz=%" PRIu64, p->tsc_khz);
    /*
     * QEMU 7.2 leaves the flags undefined after an emulated cmpxchg16b: an interrupt there saves
     * them and its return faults. Seen once in 100 restores; the kernel has another way.
     */
    if (p->accel == PLAN_TCG)
        str_add(&s, " clearcpuid=cx16");
    str_addf(&s, " " GUEST_ARG_VERITY "%" PRIu64 ":%" PRIu64 ":%s:%s", f->verity.data_blocks,
             f->verity.hash_start, f->verity.salt, f->verity.root_hash);
    return str_steal(&s);
}

int domain_format(const struct plan *p, const struct domain_files *f, char **ret_xml, struct err *e)
{
    own_free char *cmdline = NULL;
    struct out o = {.machine = p->machine};
    xmlBufferPtr buf;
    int rc = -1;

    if (text_check_files(f, e) < 0)
        return -1;
    cmdline = kernel_arguments(p, f);
    if (text_check_cmdline(cmdline, e) < 0)
        return -1;
    buf = xmlBufferCreate();
    o.w = buf ? xmlNewTextWriterMemory(buf, 0) : NULL;
    if (o.w) {
        document(&o, p, f, cmdline);
        xmlFreeTextWriter(o.w);
    }
    if (!o.w || o.bad) {
        err_set(e, ERR_HOST, "domain '%s': the XML writer failed (out of memory?)", f->name);
    } else {
        *ret_xml = str_dup((const char *)xmlBufferContent(buf));
        rc = 0;
    }
    if (buf)
        xmlBufferFree(buf);
    return rc;
}
