/* test_domain: promises of vmm/domain that a golden file cannot make. */
#include "agent/cmdline.h"
#include "agent/verity.h"
#include "base/own.h"
#include "domain/domain.h"
#include "shared/guest.h"
#include "tests/unit/suite.h"

#include <string.h>

#define SALT    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ROOT    "f0e1d2c3b4a5968778695a4b3c2d1e0f0f1e2d3c4b5a69788796a5b4c3d2e1f0"
#define OURS    "lazaret.verity=100:101:" SALT ":" ROOT
#define LONG_64 "/234567890123456789012345678901234567890123456789012345678901234"

static const struct plan a_plan = {
    .machine = PLAN_MICROVM,
    .accel = PLAN_TCG,
    .guest_bytes = 704 * PLAN_MIB,
    .cpus = 1,
    .uid = 1000,
    .gid = 1000,
};

static const struct domain_files some_files = {
    .name = "lz-unit",
    .uuid = "0b7c1f0e-7a55-4f0e-9d3c-2f1a5d9e4c11",
    .genid = "5d2a9c7e-3b41-4f88-a6d0-7c1e9b2f4a63",
    .emulator = "/run/lz/lazaret-qemu",
    .kernel = "/i/vmlinuz",
    .initrd = "/i/initramfs",
    .root = "/i/root.squashfs",
    .verity = {.root_hash = ROOT, .salt = SALT, .data_blocks = 100, .hash_start = 101},
    .scratch = "/r/scratch.img",
    .channel = "/r/channel",
    .console = "/r/console",
    .cmdline = "console=ttyS0",
};

static int format(const struct domain_files *f, char **ret_xml, struct err *e)
{
    return domain_format(&a_plan, f, ret_xml, e);
}

START_TEST(refuses_paths_that_xml_or_a_socket_would_change)
{
    static const char *const bad[] = {
        "",          "relative",       "/a\nb",          "/a\tb",
        "/a\x01",    "/a\x7f",         "/a\xff",         "/a\xc3",
        "/\xc0\xaf", "/\xed\xa0\x80z", "/a\xef\xbf\xbe", "/\xf4\x90\x80\x80",
        "/a\xc2\x85"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct domain_files f = some_files;
        char *xml = NULL;
        struct err e = {0};

        f.scratch = bad[i];
        ck_assert_msg(format(&f, &xml, &e) == -1, "row %zu", i);
        ck_assert_int_eq(e.class, ERR_USAGE);
        ck_assert_ptr_eq(strstr(e.text, "scratch disk"), e.text);
        ck_assert(str_is_printable(e.text, sizeof(e.text)));
        ck_assert_ptr_null(xml);
    }
}
END_TEST

START_TEST(every_text_is_checked)
{
    static struct domain_files f;
    static const char **const fields[] = {
        &f.name,        &f.uuid,  &f.emulator, &f.kernel,  &f.initrd,  &f.root,
        &f.scratch,     &f.input, &f.channel,  &f.console, &f.cmdline, &f.verity.root_hash,
        &f.verity.salt, &f.genid,
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        char *xml = NULL;
        struct err e = {0};

        f = some_files;
        *fields[i] = "/\x02";
        ck_assert_msg(format(&f, &xml, &e) == -1, "field %zu", i);
        ck_assert_int_eq(e.class, ERR_USAGE);
    }
}
END_TEST

START_TEST(a_memory_file_is_named_where_the_start_needs_it_and_stays_one_option)
{
    static const struct {
        enum domain_start start;
        const char *ram, *preload, *text; /* NULL: fine */
    } rows[] = {
        {DOMAIN_BOOT, NULL, NULL, NULL},
        {DOMAIN_TEMPLATE, "/r/ram", NULL, NULL},
        {DOMAIN_RESTORE, "/r/ram", "/l/preload.so", NULL},
        {DOMAIN_TEMPLATE, NULL, NULL, "memory file"},
        {DOMAIN_RESTORE, NULL, "/l/preload.so", "memory file"},
        {DOMAIN_RESTORE, "/r/ram", NULL, "preloaded library"},
        {DOMAIN_TEMPLATE, "/r/ram,share=on", NULL, "a comma"},
        {DOMAIN_RESTORE, "/r/ram", "/l/a.so:/l/b.so", "a colon"},
        {DOMAIN_RESTORE, "/r/ram", "/l/a.so /l/b.so", "a colon"},
        {DOMAIN_RESTORE, "r/ram", "/l/a.so", "memory file"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct domain_files f = some_files;
        own_free char *xml = NULL;
        struct err e = {0};

        f.start = rows[i].start;
        f.ram = rows[i].ram;
        f.preload = rows[i].preload;
        ck_assert_msg(format(&f, &xml, &e) == (rows[i].text ? -1 : 0), "row %zu: %s", i, e.text);
        ck_assert_msg(!rows[i].text || strstr(e.text, rows[i].text), "row %zu: %s", i, e.text);
    }
}
END_TEST

START_TEST(refuses_sockets_and_arguments_that_are_too_long)
{
    char args[2100];
    struct domain_files f = some_files;
    char *xml = NULL;
    struct err e = {0};

    f.channel = LONG_64 LONG_64;
    ck_assert_int_eq(format(&f, &xml, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "channel socket"));
    f = some_files;
    memset(args, 'a', sizeof(args) - 1);
    args[sizeof(args) - 1] = '\0';
    f.cmdline = args;
    ck_assert_int_eq(format(&f, &xml, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "kernel arguments"));
}
END_TEST

START_TEST(a_hostile_path_stays_one_attribute)
{
    struct domain_files f = some_files, evil = some_files;
    own_free char *xml = NULL, *evil_xml = NULL;
    own_strv struct strv devices = {0}, evil_devices = {0};
    struct err e;

    evil.scratch = "/r/'/><interface type='user'/>&amp;\"]]><!--\xc3\xa9";
    ck_assert_int_eq(format(&f, &xml, &e), 0);
    ck_assert_int_eq(format(&evil, &evil_xml, &e), 0);
    ck_assert_int_eq(domain_devices(xml, &devices, &e), 0);
    ck_assert_int_eq(domain_devices(evil_xml, &evil_devices, &e), 0);
    ck_assert_uint_eq(devices.n, evil_devices.n);
    for (size_t i = 0; i < devices.n; i++)
        ck_assert_str_eq(devices.items[i], evil_devices.items[i]);
}
END_TEST

#define LSM "lsm=lockdown,yama,apparmor,landlock apparmor.export_binary=0 "

START_TEST(the_plans_kernel_arguments_come_last)
{
    struct plan p = a_plan;
    own_free char *microvm = NULL, *q35 = NULL;
    struct err e;

    p.tsc_khz = 2596140;
    ck_assert_int_eq(domain_format(&p, &some_files, &microvm, &e), 0);
    ck_assert_ptr_nonnull(strstr(microvm, "<cmdline>console=ttyS0 " LSM
                                          "reboot=t tsc_early_khz=2596140 clearcpuid=cx16 " OURS
                                          "</cmdline>"));
    p.machine = PLAN_Q35;
    ck_assert_int_eq(domain_format(&p, &some_files, &q35, &e), 0);
    ck_assert_ptr_nonnull(
        strstr(q35, "<cmdline>console=ttyS0 " LSM "clearcpuid=cx16 " OURS "</cmdline>"));
}
END_TEST

START_TEST(refuses_a_root_that_the_guest_could_not_check)
{
    static const struct {
        struct domain_verity verity;
        bool good;
    } rows[] = {
        {{ROOT, SALT, 1, 1}, true},
        {{ROOT, SALT, UINT32_MAX, UINT32_MAX}, true},
        {{NULL, SALT, 1, 1}, false},
        {{ROOT, NULL, 1, 1}, false},
        {{"", SALT, 1, 1}, false},
        {{ROOT, "-", 1, 1}, false},
        {{ROOT "0", SALT, 1, 1}, false},
        {{ROOT " init=/x", SALT, 1, 1}, false},
        {{ROOT, SALT, 0, 1}, false},
        {{ROOT, SALT, 2, 1}, false},
        {{ROOT, SALT, 1, 1ull << 32}, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct domain_files f = some_files;
        own_free char *xml = NULL;
        struct err e = {0};

        f.verity = rows[i].verity;
        ck_assert_msg(format(&f, &xml, &e) == (rows[i].good ? 0 : -1), "row %zu", i);
        ck_assert_int_eq(e.class, rows[i].good ? ERR_NONE : ERR_USAGE);
    }
}
END_TEST

START_TEST(an_image_cannot_speak_to_the_agent_in_the_hosts_name)
{
    static const struct {
        const char *cmdline;
        bool good;
    } rows[] = {
        {"lazaret.verity=1:1:" SALT ":" ROOT, false},
        {"quiet lazaret.owner=0:0", false},
        {"quiet  lazaret.x", false},
        {"x=lazaret. notlazaret.owner=1 lazaret", true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct domain_files f = some_files;
        own_free char *xml = NULL;
        struct err e = {0};

        f.cmdline = rows[i].cmdline;
        ck_assert_msg(format(&f, &xml, &e) == (rows[i].good ? 0 : -1), "row %zu", i);
        ck_assert_int_eq(e.class, rows[i].good ? ERR_NONE : ERR_IMAGE);
    }
}
END_TEST

START_TEST(the_agent_reads_what_the_host_writes)
{
    own_free char *xml = NULL;
    struct err e;
    char value[VERITY_VALUE_SIZE];
    struct verity_table t;
    char *line, *end;

    ck_assert_int_eq(format(&some_files, &xml, &e), 0);
    line = strstr(xml, "<cmdline>") + strlen("<cmdline>");
    end = strstr(line, "</cmdline>");
    *end = '\0';
    ck_assert_int_eq(cmdline_value(line, GUEST_ARG_VERITY, value, sizeof(value)), 0);
    ck_assert_int_eq(verity_parse(value, &t), 0);
    ck_assert_uint_eq(t.data_blocks, 100);
    ck_assert_uint_eq(t.hash_start, 101);
    ck_assert_str_eq(t.salt, SALT);
    ck_assert_str_eq(t.root_hash, ROOT);
}
END_TEST

START_TEST(the_device_list_names_every_child_sorted)
{
    static const char *const want[] = {"disk:file", "interface:user", "sound:ich9", "vsock:virtio"};
    own_strv struct strv list = {0};
    struct err e;

    ck_assert_int_eq(domain_devices("<domain><devices><vsock model='virtio'/><sound model='ich9'/>"
                                    "<!-- x --><interface type='user'/><disk type='file'/>"
                                    "</devices></domain>",
                                    &list, &e),
                     0);
    ck_assert_uint_eq(list.n, 4);
    for (size_t i = 0; i < 4; i++)
        ck_assert_str_eq(list.items[i], want[i]);
}
END_TEST

START_TEST(the_device_list_refuses_what_is_no_domain)
{
    static const char *const bad[] = {
        "", "x", "<domain/>", "<devices/>", "<a><devices/></a>", "<domain><devices></domain>"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        own_strv struct strv list = {0};
        struct err e = {0};

        ck_assert_msg(domain_devices(bad[i], &list, &e) == -1, "'%s'", bad[i]);
        ck_assert_int_eq(e.class, ERR_HOST);
        ck_assert_uint_eq(list.n, 0);
    }
}
END_TEST

SUITE("domain", refuses_paths_that_xml_or_a_socket_would_change, every_text_is_checked,
      a_memory_file_is_named_where_the_start_needs_it_and_stays_one_option,
      refuses_sockets_and_arguments_that_are_too_long, a_hostile_path_stays_one_attribute,
      the_plans_kernel_arguments_come_last, refuses_a_root_that_the_guest_could_not_check,
      an_image_cannot_speak_to_the_agent_in_the_hosts_name, the_agent_reads_what_the_host_writes,
      the_device_list_names_every_child_sorted, the_device_list_refuses_what_is_no_domain)
