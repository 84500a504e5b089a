/*
 * test_embed: promises of vmm/hv with the real libvirt drivers and QEMU under software emulation.
 *
 * "test_embed root", "user" and "kvm" run in namespaces like the keeper's; each test is a
 * process of its own, for a process can use one libvirt root only. The guests are 64 KiB of ROM
 * with a few instructions. "kvm" only starts and stops one under KVM, where that is usable, and so
 * does any mode that is given the path of lazaret-qemu, behind that.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "hv/accel.h"
#include "hv/hv.h"
#include "tests/hv/stage.h"
#include "tests/unit/suite.h"
#include "wrap/wrap.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define QEMU     "/usr/bin/qemu-system-x86_64"
#define ROM_SIZE 65536
#define EVENT_MS 10000
#define UUID_A   "11111111-2222-4333-8444-555555555555"
#define UUID_B   "11111111-2222-4333-8444-666666666666"
#define LOG      STAGE_DIR "/log of libvirt"

/* What the guest does from its first instruction on, in 16-bit real mode. */
static const unsigned char code_idles[] = {0xf4, 0xeb, 0xfd};                   /* 1: hlt; jmp 1b */
static const unsigned char code_panics[] = {0xba, 0x05, 0x05, 0xb0, 0x01, 0xee, /* outb 1, 0x505 */
                                            0xf4, 0xeb, 0xfd};
static const unsigned char code_resets[] = {0x2e, 0x0f, 0x01, 0x1e, 0x10, 0x00, /* lidt cs:0x10 */
                                            0xcc, 0xf4, 0xeb, 0xfd}; /* int3: triple fault */

static const char xml_format[] =
    "<domain type='%s' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
    "<name>guest-%s</name><uuid>%s</uuid><memory unit='MiB'>16</memory><vcpu>1</vcpu>"
    "<os><type arch='x86_64' machine='microvm'>hvm</type>"
    "<loader readonly='yes' type='rom'>%s</loader></os><features><acpi/></features>"
    "<cpu mode='custom' match='exact' check='none'><model>qemu64</model></cpu>"
    "<on_poweroff>destroy</on_poweroff><on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>"
    "<devices><emulator>%s</emulator><controller type='usb' model='none'/>"
    "<memballoon model='none'/><panic model='isa'/></devices>"
    "<qemu:capabilities><qemu:del capability='cpu-unavailable-features'/></qemu:capabilities>"
    "</domain>";

static const char *domain_type = "qemu";
static char root[64];
static const char *wrapper; /* the program lazaret-qemu, or NULL: QEMU itself is started */

/* Returns new: a domain whose guest runs `code`. */
static char *make_xml(const char *uuid, const unsigned char *code, size_t len, const char *emulator)
{
    static const unsigned char reset_vector[] = {0xe9, 0x0d, 0x00}; /* jmp to offset 0 */
    own_free char *rom = wrapper ? str_dup(CAGE_VM "/rom") : str_printf("%s.rom", root);
    own_free unsigned char *bytes = calloc(1, ROM_SIZE);
    struct err e;

    memcpy(bytes, code, len);
    memcpy(bytes + ROM_SIZE - 16, reset_vector, sizeof(reset_vector));
    ck_assert_msg(file_write(AT_FDCWD, rom, bytes, ROM_SIZE, 0644, &e) == 0, "%s", e.text);
    return str_printf(xml_format, domain_type, uuid + 24, uuid, rom, emulator);
}

static char *idle_xml(const char *uuid)
{
    return make_xml(uuid, code_idles, sizeof(code_idles), wrapper ? CAGE_EMULATOR : QEMU);
}

static struct hv *open_embedded(void)
{
    struct hv_config c = {.root = root, .cache_dir = STAGE_DIR "/cache", .log_path = LOG};
    struct hv *h = NULL;
    struct err e;

    if (wrapper)
        snprintf(root, sizeof(root), CAGE_ROOT);
    else
        snprintf(root, sizeof(root), STAGE_DIR "/root-%d", (int)getpid());
    ck_assert_int_eq(mkdir(root, 0711), 0);
    ck_assert_msg(hv_open(&c, &h, &e) == 0, "%s", e.text);
    return h;
}

static struct hv *open_with_guest(const unsigned char *code, size_t len)
{
    struct hv *h = open_embedded();
    own_free char *xml = make_xml(UUID_A, code, len, QEMU);
    struct err e;

    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    return h;
}

/* Drops events until one of this type comes. */
static struct hv_event wait_event(struct hv *h, enum hv_event_type type)
{
    struct pollfd p = {.fd = hv_event_fd(h), .events = POLLIN};
    uint64_t deadline_ms = clock_mono_ms() + EVENT_MS;
    struct hv_event ev = {0};

    while (poll(&p, 1, clock_poll_timeout(deadline_ms)) > 0)
        while (hv_next_event(h, &ev))
            if (ev.type == type)
                return ev;
    ck_abort_msg("event %d did not come", (int)type);
    return ev;
}

START_TEST(a_created_guest_waits_until_it_is_resumed)
{
    struct hv *h = open_with_guest(code_resets, sizeof(code_resets));
    struct hv_event ev;
    struct err e;

    wait_event(h, HV_STARTED);
    wait_event(h, HV_PAUSED);
    ck_assert_int_eq(stage_count_qemu(), 1);
    ck_assert_int_eq(hv_next_event(h, &ev), 0); /* it would have reset at its third instruction */
    ck_assert_msg(hv_resume(h, &e) == 0, "%s", e.text);
    wait_event(h, HV_RESUMED);
    wait_event(h, HV_SHUTDOWN);
    wait_event(h, HV_STOPPED);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

START_TEST(a_panic_is_told_before_the_end)
{
    struct hv *h = open_with_guest(code_panics, sizeof(code_panics));
    struct err e;

    ck_assert_int_eq(hv_resume(h, &e), 0);
    wait_event(h, HV_CRASHED);
    ck_assert_int_eq(wait_event(h, HV_STOPPED).why, HV_WHY_CRASHED);
    hv_close(h);
}
END_TEST

START_TEST(a_killed_qemu_is_told_as_stopped)
{
    struct hv *h = open_with_guest(code_idles, sizeof(code_idles));
    struct err e;

    ck_assert_int_eq(hv_resume(h, &e), 0);
    ck_assert_int_gt(hv_qemu_pid(h), 0);
    ck_assert_int_eq(kill(hv_qemu_pid(h), SIGKILL), 0);
    ck_assert_int_eq(wait_event(h, HV_STOPPED).why, HV_WHY_FAILED);
    hv_close(h);
}
END_TEST

START_TEST(destroy_leaves_no_process)
{
    struct hv *h = open_with_guest(code_idles, sizeof(code_idles));
    struct err e;

    ck_assert_int_eq(hv_resume(h, &e), 0);
    ck_assert_int_eq(stage_count_qemu(), 1);
    ck_assert_msg(hv_destroy(h, &e) == 0, "%s", e.text);
    ck_assert_int_eq(stage_count_qemu(), 0);
    ck_assert_int_eq(hv_qemu_pid(h), 0);
    hv_close(h);
}
END_TEST

START_TEST(destroy_ends_a_qemu_that_does_not_answer)
{
    struct hv *h = open_with_guest(code_idles, sizeof(code_idles));
    struct err e;

    ck_assert_int_eq(kill(hv_qemu_pid(h), SIGSTOP), 0);
    ck_assert_msg(hv_destroy(h, &e) == 0, "%s", e.text);
    ck_assert_int_eq(stage_count_qemu(), 0);
    hv_close(h);
}
END_TEST

START_TEST(destroy_of_a_dead_or_missing_domain_is_fine)
{
    struct hv *h = open_embedded();
    own_free char *xml = idle_xml(UUID_A);
    struct err e;

    ck_assert_int_eq(hv_destroy(h, &e), 0);
    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    ck_assert_int_eq(kill(hv_qemu_pid(h), SIGKILL), 0);
    ck_assert_msg(hv_destroy(h, &e) == 0, "%s", e.text);
    ck_assert_msg(hv_destroy(h, &e) == 0, "%s", e.text);
    ck_assert_msg(hv_destroy_by_name(h, "nobody", &e) == 0, "%s", e.text);
    hv_close(h);
    hv_close(NULL);
}
END_TEST

START_TEST(a_second_domain_may_follow_but_not_run_beside)
{
    struct hv *h = open_with_guest(code_idles, sizeof(code_idles));
    own_free char *xml = idle_xml(UUID_B);
    struct err e;

    ck_assert_int_eq(hv_create(h, xml, false, &e), -1);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    wait_event(h, HV_STOPPED); /* libvirt has let go of the name */
    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    wait_event(h, HV_STARTED);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

START_TEST(tells_versions_and_the_live_xml)
{
    struct hv *h = open_with_guest(code_idles, sizeof(code_idles));
    own_free char *xml = NULL;
    struct hv_versions v;
    struct err e;

    ck_assert_msg(hv_get_versions(h, &v, &e) == 0, "%s", e.text);
    ck_assert_msg(v.libvirt[0] >= '0' && v.libvirt[0] <= '9' && strchr(v.libvirt, '.'), "%s",
                  v.libvirt);
    ck_assert_msg(v.qemu[0] >= '0' && v.qemu[0] <= '9' && strchr(v.qemu, '.'), "%s", v.qemu);
    ck_assert_msg(hv_live_xml(h, &xml, &e) == 0, "%s", e.text);
    ck_assert_ptr_nonnull(strstr(xml, UUID_A));
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    ck_assert_int_eq(hv_live_xml(h, &xml, &e), -1);
    hv_close(h);
}
END_TEST

static void assert_status_line(pid_t pid, const char *line)
{
    own_free char *path = str_printf("/proc/%d/status", (int)pid);
    own_fclose FILE *f = fopen(path, "re");
    char got[256];

    ck_assert_ptr_nonnull(f);
    while (fgets(got, sizeof(got), f))
        if (str_starts_with(got, line))
            return;
    ck_abort_msg("no '%s' in %s", line, path);
}

START_TEST(qemu_runs_confined_and_as_the_owner_that_was_told)
{
    struct hv *h = open_with_guest(code_idles, sizeof(code_idles));
    own_free char *line = NULL;
    struct err e;
    uid_t uid;
    gid_t gid;

    ck_assert_msg(hv_qemu_owner(NULL, &uid, &gid, &e) == 0, "%s", e.text);
    ck_assert_uint_ne(uid, 0);
    line = str_printf("Uid:\t%u\t%u\t%u\t%u", uid, uid, uid, uid);
    assert_status_line(hv_qemu_pid(h), line);
    assert_status_line(hv_qemu_pid(h), "CapEff:\t0000000000000000");
    assert_status_line(hv_qemu_pid(h), "NoNewPrivs:\t1");
    assert_status_line(hv_qemu_pid(h), "Seccomp:\t2");
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

START_TEST(no_file_of_ours_changes_its_owner)
{
    struct hv *h = open_with_guest(code_idles, sizeof(code_idles));
    own_free char *rom = str_printf("%s.rom", root);
    struct stat st;
    struct err e;

    ck_assert_int_eq(stat(rom, &st), 0);
    ck_assert_uint_eq(st.st_uid, geteuid());
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

START_TEST(a_xml_that_cannot_start_is_one_line_with_the_way_out)
{
    static const struct {
        const char *old, *new, *text;
        bool validate;
    } rows[] = {
        {QEMU, "/usr/bin/qemu-nowhere", "install Debian's package 'qemu-system-x86'", false},
        {"<uuid>" UUID_A "</uuid>", "", "has no uuid", false},
        {UUID_A, "11111111-2222-4333-8444-55555555555x", "uuid", false},
        {".rom", ".nowhere", ".nowhere", false},
        {"<domain", "<<domain", "invalid element name", false},
        {"microvm", "no-such-machine", "no-such-machine", false},
        {"<vcpu>", "<surprise/><vcpu>", "does not fit libvirt's schema", true},
        {"type='qemu'", "type='kvm'", "--accel tcg", false},
    };
    struct hv *h = open_embedded();
    own_free char *good = idle_xml(UUID_A);
    struct err e;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = strstr(good, rows[i].old);
        own_free char *bad = NULL;

        if (strstr(rows[i].new, "kvm") && access("/dev/kvm", F_OK) == 0)
            continue; /* it may well start here */
        ck_assert_ptr_nonnull(at);
        bad = str_printf("%.*s%s%s", (int)(at - good), good, rows[i].new, at + strlen(rows[i].old));
        e.text[0] = '\0';
        ck_assert_int_eq(hv_create(h, bad, rows[i].validate, &e), -1);
        ck_assert_msg(strstr(e.text, rows[i].text), "row %zu: %s", i, e.text);
        ck_assert_msg(str_is_printable(e.text, sizeof(e.text)), "row %zu", i);
        ck_assert_int_eq(e.class, ERR_HOST);
        ck_assert_int_eq(stage_count_qemu(), 0);
    }
    ck_assert_msg(hv_create(h, good, true, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

START_TEST(a_root_that_cannot_be_used_is_said_with_the_way_out)
{
    static const struct {
        const char *uri, *root, *text, *log;
    } rows[] = {
        {NULL, STAGE_DIR "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "use a shorter path"},
        {NULL, STAGE_DIR "/nowhere", "No such file"},
        {NULL, "relative", "absolute"},
        {NULL, NULL, "absolute"},
        {"qemu+ssh://host/system", NULL, "run lazaret there"},
        {"qemu:///system", NULL, "without a space", LOG},
        {"qemu:///system", NULL, "cannot open log file", STAGE_DIR},
        {"qemu:///system", NULL, "start 'libvirtd'"},
    };
    struct hv *h = NULL;
    struct err e;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hv_config c = {.uri = rows[i].uri, .root = rows[i].root, .log_path = LOG};

        if (rows[i].uri)
            c.log_path = rows[i].log ? rows[i].log : STAGE_DIR "/log";

        ck_assert_int_eq(hv_open(&c, &h, &e), -1);
        ck_assert_msg(strstr(e.text, rows[i].text), "row %zu: %s", i, e.text);
        ck_assert_ptr_null(h);
    }
}
END_TEST

START_TEST(a_missing_qemu_driver_is_said_with_the_package)
{
    struct hv_config c = {.root = root, .log_path = LOG};
    struct hv *h = NULL;
    struct err e;

    snprintf(root, sizeof(root), STAGE_DIR "/root-%d", (int)getpid());
    ck_assert_int_eq(mkdir(root, 0711), 0);
    setenv("LIBVIRT_DRIVER_DIR", "/nonexistent", 1);
    ck_assert_int_eq(hv_open(&c, &h, &e), -1);
    ck_assert_msg(strstr(e.text, "install Debian's package 'libvirt-daemon-driver-qemu'"), "%s",
                  e.text);
}
END_TEST

START_TEST(a_root_is_used_by_one_process_only)
{
    struct hv *h = open_embedded();
    struct hv *second = NULL;
    struct hv_config c = {.root = root, .log_path = LOG};
    own_free char *other = str_printf("%s-b", root);
    struct err e;

    ck_assert_int_eq(mkdir(other, 0711), 0);
    c.root = other;
    ck_assert_int_eq(hv_open(&c, &second, &e), -1);
    ck_assert_msg(strstr(e.text, "a process can use one libvirt root only"), "%s", e.text);
    hv_close(h);
}
END_TEST

START_TEST(nothing_reaches_stdout_or_stderr)
{
    int fd = memfd_create("output", MFD_CLOEXEC), keep = dup(2), keep_out = dup(1);
    own_free char *bad = NULL;
    struct stat st;
    struct err e;
    struct hv *h;

    fflush(NULL);
    ck_assert_int_ge(dup2(fd, 2), 0);
    ck_assert_int_ge(dup2(fd, 1), 0);
    h = open_with_guest(code_resets, sizeof(code_resets));
    ck_assert_int_eq(hv_resume(h, &e), 0);
    wait_event(h, HV_STOPPED);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    bad = make_xml(UUID_B, code_idles, sizeof(code_idles), "/usr/bin/qemu-nowhere");
    ck_assert_int_eq(hv_create(h, bad, false, &e), -1);
    hv_close(h);
    fflush(NULL);
    dup2(keep, 2);
    dup2(keep_out, 1);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_int_eq(st.st_size, 0);
    /* There was something to say: the domain is tainted, and a program was missing. */
    ck_assert_int_eq(stat(LOG, &st), 0);
    ck_assert_int_gt(st.st_size, 0);
}
END_TEST

START_TEST(close_does_not_end_a_guest_and_returns_at_once)
{
    struct hv *h = open_with_guest(code_idles, sizeof(code_idles));
    pid_t pid = hv_qemu_pid(h);
    uint64_t before_ms = clock_mono_ms();

    hv_close(h);
    ck_assert_uint_lt(clock_mono_ms() - before_ms, 1000);
    ck_assert_int_eq(stage_count_qemu(), 1);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
}
END_TEST

START_TEST(starts_and_stops)
{
    struct hv *h = NULL;
    struct err e;

    h = open_with_guest(code_idles, sizeof(code_idles));
    ck_assert_msg(hv_resume(h, &e) == 0, "%s", e.text);
    wait_event(h, HV_RESUMED);
    ck_assert_msg(hv_destroy(h, &e) == 0, "%s", e.text);
    ck_assert_int_eq(stage_count_qemu(), 0);
    hv_close(h);
}
END_TEST

/* Ends the session's daemon, which libvirt started when it was asked for. */
static void kill_daemon(void)
{
    own_free char *text = NULL;
    uint64_t pid;
    struct err e;

    ck_assert_msg(file_read(AT_FDCWD, STAGE_DIR "/libvirt/libvirtd.pid", 32, &text, NULL, &e) == 0,
                  "%s", e.text);
    text[strcspn(text, "\n")] = '\0';
    ck_assert_int_eq(str_parse_u64(text, "pid", 2, INT32_MAX, &pid, &e), 0);
    ck_assert_int_eq(kill((pid_t)pid, SIGKILL), 0);
}

START_TEST(a_session_daemon_does_the_same_and_its_loss_is_told)
{
    struct hv_config c = {.uri = "qemu:///session", .log_path = STAGE_DIR "/log"};
    own_free char *xml = NULL, *second = NULL;
    struct hv *h = NULL;
    struct err e;

    setenv("XDG_RUNTIME_DIR", STAGE_DIR, 1);
    setenv("XDG_CACHE_HOME", STAGE_DIR "/session-cache", 1);
    setenv("XDG_CONFIG_HOME", STAGE_DIR "/session-config", 1);
    snprintf(root, sizeof(root), STAGE_DIR "/session");
    ck_assert_msg(hv_open(&c, &h, &e) == 0, "%s", e.text);
    xml = idle_xml(UUID_A);
    second = idle_xml(UUID_B);
    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_qemu_pid(h), 0);
    ck_assert_int_eq(stage_count_qemu(), 1);
    ck_assert_msg(hv_resume(h, &e) == 0, "%s", e.text);
    wait_event(h, HV_RESUMED);
    ck_assert_msg(hv_destroy(h, &e) == 0, "%s", e.text);
    ck_assert_int_eq(wait_event(h, HV_STOPPED).why, HV_WHY_DESTROYED);
    ck_assert_int_eq(stage_count_qemu(), 0);
    ck_assert_msg(hv_create(h, second, false, &e) == 0, "%s", e.text);
    ck_assert_msg(hv_destroy_by_name(h, "guest-666666666666", &e) == 0, "%s", e.text);
    ck_assert_int_eq(stage_count_qemu(), 0);
    kill_daemon();
    wait_event(h, HV_LOST);
    hv_close(h);
}
END_TEST

/* A socket that takes connections by its backlog, behind which nobody answers. */
static int hung_socket(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 4), 0);
    return fd;
}

START_TEST(a_session_daemon_that_takes_no_connection_is_given_up)
{
    struct hv_config c = {.uri = "qemu:///session", .log_path = STAGE_DIR "/log", .open_ms = 1000};
    struct hv *h = NULL;
    struct err e;
    int daemons[2];

    setenv("XDG_RUNTIME_DIR", STAGE_DIR "/hung", 1);
    setenv("XDG_CACHE_HOME", STAGE_DIR "/hung", 1);
    setenv("XDG_CONFIG_HOME", STAGE_DIR "/hung", 1);
    ck_assert_int_eq(mkdir(STAGE_DIR "/hung", 0700), 0);
    ck_assert_int_eq(mkdir(STAGE_DIR "/hung/libvirt", 0700), 0);
    daemons[0] = hung_socket(STAGE_DIR "/hung/libvirt/libvirt-sock");
    daemons[1] = hung_socket(STAGE_DIR "/hung/libvirt/virtqemud-sock");
    ck_assert_int_eq(hv_open(&c, &h, &e), -1);
    ck_assert_str_eq(e.text, "cannot connect to libvirt: it did not answer within 1 s");
    ck_assert_int_eq(e.class, ERR_HOST);
    close(daemons[0]);
    close(daemons[1]);
}
END_TEST

static int run_all(void)
{
    const TTest *const all[] = {
        starts_and_stops,
        a_created_guest_waits_until_it_is_resumed,
        a_panic_is_told_before_the_end,
        a_killed_qemu_is_told_as_stopped,
        destroy_leaves_no_process,
        destroy_ends_a_qemu_that_does_not_answer,
        destroy_of_a_dead_or_missing_domain_is_fine,
        a_second_domain_may_follow_but_not_run_beside,
        tells_versions_and_the_live_xml,
        qemu_runs_confined_and_as_the_owner_that_was_told,
        no_file_of_ours_changes_its_owner,
        a_xml_that_cannot_start_is_one_line_with_the_way_out,
        a_root_that_cannot_be_used_is_said_with_the_way_out,
        a_missing_qemu_driver_is_said_with_the_package,
        a_root_is_used_by_one_process_only,
        nothing_reaches_stdout_or_stderr,
        close_does_not_end_a_guest_and_returns_at_once,
        a_session_daemon_does_the_same_and_its_loss_is_told,
        a_session_daemon_that_takes_no_connection_is_given_up,
    };

    /* Root has no session of its own: that name leads to the system's daemon. */
    return suite_main("embed", NULL, NULL, all,
                      sizeof(all) / sizeof(all[0]) - (geteuid() == 0 ? 2 : 0));
}

/* As in a cage: behind lazaret-qemu, which goes by these names. */
static int run_wrapped(void)
{
    const TTest *const all[] = {starts_and_stops};
    own_close int at = open(CAGE_EMULATOR, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (mkdir(CAGE_VM, 0755) < 0 || at < 0 ||
        mount(wrapper, CAGE_EMULATOR, NULL, MS_BIND, NULL) < 0)
        return EXIT_FAILURE;
    return suite_main("embed-wrapped", NULL, NULL, all, 1);
}

static int skip(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *mode = argc >= 2 ? argv[1] : "user";

    wrapper = argc == 3 ? argv[2] : NULL;
    if (strcmp(mode, "root") == 0 && geteuid() != 0)
        return skip("needs root");
    if (strcmp(mode, "kvm") == 0) {
        struct accel_result r;
        struct stat kvm;

        accel_test(&r);
        if (r.verdict != ACCEL_GOOD && r.verdict != ACCEL_SLOW)
            return skip(r.text);
        if (geteuid() == 0 && stat("/dev/kvm", &kvm) == 0 && (kvm.st_mode & 066) == 0)
            return skip("/dev/kvm is for root only, and QEMU runs as another user");
        domain_type = "kvm";
        return stage_run(geteuid() != 0, true, run_wrapped);
    }
    return stage_run(strcmp(mode, "user") == 0, false, wrapper ? run_wrapped : run_all);
}
