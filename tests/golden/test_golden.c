/*
 * test_golden: small fixed plans -> the golden files beside this one, byte for byte.
 *
 * GOLDEN_UPDATE=1 rewrites the files instead; read the difference before you commit it. The device
 * list is kept here, by hand, and is not rewritten: a new device needs a person.
 */
#include "base/file.h"
#include "base/own.h"
#include "domain/domain.h"
#include "hv/conf.h"
#include "oci/armor.h"
#include "oci/oci.h"
#include "tests/unit/suite.h"
#include "wrap/wrap.h"

#include <fcntl.h>
#include <string.h>

#define GOLDEN_SIZE_MAX (256 * 1024)

static const struct domain_row {
    const char *file;
    enum plan_machine machine;
    enum plan_accel accel;
    bool input;
    enum domain_start start;
    bool net;
} domains[] = {
    {"microvm-tcg.xml", PLAN_MICROVM, PLAN_TCG, false},
    {"microvm-tcg-input.xml", PLAN_MICROVM, PLAN_TCG, true},
    {"microvm-kvm.xml", PLAN_MICROVM, PLAN_KVM, false},
    {"microvm-kvm-input.xml", PLAN_MICROVM, PLAN_KVM, true},
    {"q35-tcg.xml", PLAN_Q35, PLAN_TCG, false},
    {"q35-tcg-input.xml", PLAN_Q35, PLAN_TCG, true},
    {"q35-kvm.xml", PLAN_Q35, PLAN_KVM, false},
    {"q35-kvm-input.xml", PLAN_Q35, PLAN_KVM, true},
    {"microvm-tcg-template.xml", PLAN_MICROVM, PLAN_TCG, true, DOMAIN_TEMPLATE},
    {"microvm-tcg-restore.xml", PLAN_MICROVM, PLAN_TCG, true, DOMAIN_RESTORE},
    {"q35-kvm-template.xml", PLAN_Q35, PLAN_KVM, true, DOMAIN_TEMPLATE},
    {"q35-kvm-restore.xml", PLAN_Q35, PLAN_KVM, true, DOMAIN_RESTORE},
    {"microvm-tcg-incoming.xml", PLAN_MICROVM, PLAN_TCG, false, DOMAIN_INCOMING},
    {"q35-kvm-incoming.xml", PLAN_Q35, PLAN_KVM, false, DOMAIN_INCOMING},
    {"microvm-tcg-transfer.xml", PLAN_MICROVM, PLAN_TCG, true, DOMAIN_TRANSFER},
    {"microvm-tcg-net.xml", PLAN_MICROVM, PLAN_TCG, false, DOMAIN_BOOT, true},
    {"q35-kvm-net.xml", PLAN_Q35, PLAN_KVM, false, DOMAIN_BOOT, true},
};
#define N_DOMAINS ((int)(sizeof(domains) / sizeof(domains[0])))

static char *domain_of(const struct domain_row *row)
{
    const struct plan p = {
        .machine = row->machine,
        .accel = row->accel,
        .tsc_khz = row->accel == PLAN_TCG ? 2596140 : 0,
        .memory_bytes = 512 * PLAN_MIB,
        .guest_bytes = 512 * PLAN_MIB + PLAN_GUEST_OVERHEAD,
        .cpus = 2,
        .uid = 1000,
        .gid = 1000,
    };
    const struct domain_files f = {
        .start = row->start,
        .name = "lz-golden",
        .uuid = "6e3d4b5a-9c1f-4e2b-8a77-1d0c5f3b2a90",
        .genid = "0f1c2b3a-4d5e-4f60-9182-a3b4c5d6e7f8",
        .emulator = CAGE_EMULATOR,
        .kernel = "/image/vmlinuz",
        .initrd = "/image/initramfs",
        .root = "/image/root.squashfs",
        .verity = {.root_hash = "f0e1d2c3b4a5968778695a4b3c2d1e0f"
                                "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
                   .salt = "00112233445566778899aabbccddeeff"
                           "00112233445566778899aabbccddeeff",
                   .data_blocks = 14863,
                   .hash_start = 14863},
        .scratch = "/run/scratch.img",
        .marks = row->start == DOMAIN_INCOMING || row->start == DOMAIN_TRANSFER,
        .base = row->start == DOMAIN_TRANSFER ? "/run/base.raw" : NULL,
        .input = row->input ? "/run/input.squashfs" : NULL,
        .channel = "/run/channel",
        .console = "/run/console",
        .net = row->net ? "/run/net" : NULL,
        .cmdline = "console=ttyS0 quiet",
        .ram = row->start == DOMAIN_BOOT ? NULL : "/run/ram",
        .preload = row->start == DOMAIN_RESTORE ? "/usr/libexec/lazaret/preload.so" : NULL,
    };
    char *xml = NULL;
    struct err e;

    ck_assert_msg(domain_format(&p, &f, &xml, &e) == 0, "%s", e.text);
    return xml;
}

static void compare(const char *file, const char *text)
{
    own_close int dir = -1;
    own_free char *want = NULL;
    size_t len = 0;
    struct err e;

    ck_assert_int_eq(file_open_dir(GOLDEN_DIR, &dir, &e), 0);
    if (getenv("GOLDEN_UPDATE")) {
        ck_assert_msg(file_write(dir, file, text, strlen(text), 0644, &e) == 0, "%s", e.text);
        return;
    }
    ck_assert_msg(file_read(dir, file, GOLDEN_SIZE_MAX, &want, &len, &e) == 0, "%s", e.text);
    ck_assert_msg(strcmp(want, text) == 0,
                  "%s differs; if that is meant: GOLDEN_UPDATE=1 meson test golden", file);
}

START_TEST(a_domain_is_its_golden_file)
{
    own_free char *xml = domain_of(&domains[_i]);

    compare(domains[_i].file, xml);
}
END_TEST

/* What a device of ours may be. Everything here is reachable from a hostile guest kernel. */
static const char *const devices_common[] = {
    "audio:none", /* says that there is none */
    "channel:lazaret.0",
    "console:unix", /* the serial port by its other name */
    "controller:usb/none",
    "disk:lz-root",
    "disk:lz-scratch",
    "emulator:/run/lz/lazaret-qemu",
    "memballoon:none",
    "serial:isa-serial",
    NULL,
};
static const char *const devices_input[] = {"disk:lz-input", NULL};
/* Of a guest with network rules; without them there is nothing that leads out. */
static const char *const devices_net[] = {"channel:lazaret.net.0", NULL};
static const char *const devices_microvm[] = {"controller:virtio-serial", "rng:virtio", NULL};
static const char *const devices_q35[] = {"controller:pci/pcie-root",
                                          "controller:virtio-serial/virtio-non-transitional",
                                          "rng:virtio-non-transitional", NULL};

static size_t take(const char *const *allowed, const char *device)
{
    size_t n = 0;

    for (; *allowed; allowed++)
        n += strcmp(*allowed, device) == 0;
    return n;
}

static size_t count(const char *const *list)
{
    size_t n = 0;

    while (list[n])
        n++;
    return n;
}

START_TEST(a_new_device_fails_until_the_list_is_changed)
{
    const struct domain_row *row = &domains[_i];
    const char *const *own = row->machine == PLAN_Q35 ? devices_q35 : devices_microvm;
    own_free char *xml = domain_of(row);
    own_strv struct strv list = {0};
    struct err e;

    ck_assert_int_eq(domain_devices(xml, &list, &e), 0);
    for (size_t i = 0; i < list.n; i++) {
        size_t n = take(devices_common, list.items[i]) + take(own, list.items[i]) +
                   (row->input ? take(devices_input, list.items[i]) : 0) +
                   (row->net ? take(devices_net, list.items[i]) : 0);

        ck_assert_msg(n == 1, "%s: '%s' is not on the list", row->file, list.items[i]);
        ck_assert_msg(i == 0 || strcmp(list.items[i - 1], list.items[i]) != 0, "%s: two of '%s'",
                      row->file, list.items[i]);
    }
    ck_assert_uint_eq(list.n, count(devices_common) + count(own) + row->input + row->net);
}
END_TEST

START_TEST(no_way_out_of_the_guest_but_disks_channel_and_console)
{
    static const char *const never[] = {
        "<interface", "<graphics", "<video",      "<sound",  "<hostdev",  "<filesystem", "<vsock",
        "<redirdev",  "<tpm",      "<smartcard",  "<hub",    "<watchdog", "<shmem",      "<input",
        "<parallel",  "<loader",   "<panic",      "-netdev", "-device",   "-chardev",    "-fsdev",
        "\"tcp\"",    "\"pty\"",   "\"network\"", "\"dev\"", "\"lun\""};
    own_free char *xml = domain_of(&domains[_i]);

    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        ck_assert_msg(!strstr(xml, never[i]), "%s: '%s'", domains[_i].file, never[i]);
}
END_TEST

static const char *const containers[] = {"oci.json", "oci-full.json", "oci-declared.json",
                                         "oci-egress.json"};

/* Bare: one command and nothing else. Full: terminal, input and output folders. Egress: with
 * declared paths, and one proxy variable of the plan's own. */
static char *container_of(bool full, bool declared, bool egress, bool profile)
{
    own_doc struct doc *d = NULL;
    own_strv struct strv argv = {0}, env = {0}, inputs = {0};
    own_strv struct strv read = {0}, write = {0}, exec = {0};
    own_free char *workdir = str_dup("/work"), *out = str_dup("/home/u/results");
    struct plan p = {
        .memory_bytes = 512 * PLAN_MIB,
        .tmp_bytes = 256 * PLAN_MIB,
        .pids = PLAN_PIDS_DEFAULT,
        .open_files = PLAN_FILES_MAX,
        .uid = PLAN_UID_DEFAULT,
        .gid = PLAN_UID_DEFAULT,
        .workdir = workdir,
        .out = full ? out : NULL,
        .interactive = full,
        .tty = full,
        .egress = egress,
        .apparmor = declared,
    };

    strv_add(&argv, "python3");
    strv_add(&argv, full ? "/in/agent.py" : "--version");
    strv_add(&env, "PATH=/usr/local/bin:/usr/bin:/bin");
    if (egress)
        strv_add(&env, "NO_PROXY=.example.org");
    if (full)
        strv_add(&inputs, "/home/u/texts");
    if (declared) {
        strv_add(&read, "/in");
        strv_add(&read, "/usr/share");
        strv_add(&write, "/out");
        strv_add(&exec, "/usr/bin/git");
        p.declared = (struct plan_declared){.read = read, .write = write, .exec = exec};
    }
    p.argv = argv;
    p.env = env;
    p.inputs = inputs;
    if (profile)
        return armor_profile(&p, full ? 2 : 1);
    d = oci_config(&p, full ? 2 : 1);
    return doc_format(d, true);
}

START_TEST(a_container_is_its_golden_file)
{
    own_free char *text = container_of(_i == 1, _i >= 2, _i == 3, false);

    compare(containers[_i], text);
}
END_TEST

static const char *const profiles[] = {"armor.profile", "armor-declared.profile"};

START_TEST(a_profile_is_its_golden_file)
{
    own_free char *text = container_of(false, _i == 1, _i == 1, true);

    compare(profiles[_i], text);
}
END_TEST

static const char *const confs[] = {"qemu-root.conf", "qemu-user.conf"};

START_TEST(what_libvirt_is_told_is_its_golden_file)
{
    own_free char *text = hv_conf_text(
        &(struct hv_conf){.as_root = _i == 0, .uid = 64055, .gid = 994, .core_to_nobody = _i == 0});

    compare(confs[_i], text);
}
END_TEST

/* Each layer around QEMU that libvirt can give is asked for by name, as root and else. */
START_TEST(what_confines_qemu_is_asked_for_explicitly)
{
    static const char *const always[] = {
        "seccomp_sandbox = 1\n", "security_default_confined = 1\n", "dump_guest_core = 0\n",
        "max_core = ",           "dynamic_ownership = 0\n",         "remember_owner = 0\n"};
    static const char *const as_root[] = {"namespaces = [ \"mount\" ]\n", "user = \"+5\"\n",
                                          "group = \"+6\"\n"};
    own_free char *text = hv_conf_text(&(struct hv_conf){.as_root = _i, .uid = 5, .gid = 6});

    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        ck_assert_msg(strstr(text, always[i]), "%s", always[i]);
    for (size_t i = 0; i < sizeof(as_root) / sizeof(as_root[0]); i++)
        ck_assert_msg(!strstr(text, as_root[i]) == !_i, "%s", as_root[i]);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("golden");

    tcase_add_loop_test(tc, a_domain_is_its_golden_file, 0, N_DOMAINS);
    tcase_add_loop_test(tc, a_new_device_fails_until_the_list_is_changed, 0, N_DOMAINS);
    tcase_add_loop_test(tc, no_way_out_of_the_guest_but_disks_channel_and_console, 0, N_DOMAINS);
    tcase_add_loop_test(tc, a_container_is_its_golden_file, 0, 4);
    tcase_add_loop_test(tc, a_profile_is_its_golden_file, 0, 2);
    tcase_add_loop_test(tc, what_libvirt_is_told_is_its_golden_file, 0, 2);
    tcase_add_loop_test(tc, what_confines_qemu_is_asked_for_explicitly, 0, 2);
    return suite_run("golden", tc);
}
