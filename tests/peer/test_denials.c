/* test_denials: the real agent and what jobs are refused; the test is the kernel that tells it. */
#include "tests/peer/peer.h"

#include "agent/container.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <glob.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define X86_64 "c000003e"

static struct peer pe;
static struct peer_frame f;

static void tell(uint16_t type, const char *text)
{
    struct {
        struct nlmsghdr h;
        char text[1024];
    } m = {.h = {.nlmsg_type = type}};

    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    ck_assert_int_gt(send(pe.kernel, &m, NLMSG_HDRLEN + strlen(m.text), 0), 0);
}

/* As the kernel writes it, of a job that the agent named `owner`. */
static void tell_refused(unsigned owner, const char *comm, const char *arch, unsigned number)
{
    char text[400];

    (void)snprintf(text, sizeof(text),
                   "audit(1700000000.123:45): auid=%u uid=101000 gid=101000 ses=1 subj=unconfined "
                   "pid=77 comm=%s exe=\"/usr/bin/x\" sig=0 arch=%s syscall=%u compat=0 "
                   "ip=0x7f00 code=0x50000",
                   owner, comm, arch, number);
    tell(AUDIT_SECCOMP, text);
}

/* The agent's next mark. */
static unsigned hear_mark(void)
{
    struct {
        struct nlmsghdr h;
        char text[512];
    } m = {0};
    struct pollfd p = {.fd = pe.kernel, .events = POLLIN};

    ck_assert_msg(poll(&p, 1, PEER_WAIT_MS) == 1, "no mark came");
    ck_assert_int_gt(recv(pe.kernel, &m, sizeof(m) - 1, 0), NLMSG_HDRLEN);
    ck_assert_uint_eq(m.h.nlmsg_type, AUDIT_USER_AVC);
    ck_assert_int_eq(strncmp(m.text, "lazaret ", 8), 0);
    return (unsigned)strtoul(m.text + 8, NULL, 10);
}

static void echo_mark(unsigned number)
{
    char text[128];

    (void)snprintf(text, sizeof(text),
                   "audit(1700000000.124:46): pid=1 uid=0 auid=4294967295 "
                   "ses=4294967295 subj=kernel msg='lazaret %u'",
                   number);
    tell(AUDIT_USER_AVC, text);
}

/* What was told of each job, in rising order. */
static struct told {
    struct wire_denied rows[WIRE_DENIED_MAX];
    bool last[WIRE_DENIED_MAX]; /* it came with less than twice its count */
    size_t n;
} told[WIRE_EXEC_MAX + 1];

/* One DENIED, into its place among those that came: again with twice its count, and once with a
 * higher one. */
static void take_row(struct told *t)
{
    struct wire_denied m;
    size_t at = 0;

    ck_assert_str_eq(wire_type_name(f.h.type), "DENIED");
    ck_assert_int_eq(wire_denied_parse(f.p, f.h.length, &m), 0);
    while (at < t->n && wire_denied_what(&t->rows[at]) < wire_denied_what(&m))
        at++;
    if (at < t->n && wire_denied_what(&t->rows[at]) == wire_denied_what(&m)) {
        ck_assert(!t->last[at] && m.count > t->rows[at].count);
        t->last[at] = m.count / 2 < t->rows[at].count;
        t->rows[at] = m;
        return;
    }
    ck_assert_uint_lt(t->n, WIRE_DENIED_MAX);
    memmove(t->rows + at + 1, t->rows + at, (t->n - at) * sizeof(t->rows[0]));
    memmove(t->last + at + 1, t->last + at, (t->n - at) * sizeof(t->last[0]));
    t->rows[at] = m;
    t->last[at] = false;
    t->n++;
}

/* Everything up to EXIT: of the job that ends, as "kind:detail*count ". */
static const char *rows(void)
{
    static char out[2048];
    const struct told *t;
    size_t len = 0;

    for (;;) {
        ck_assert_msg(peer_next(&pe, &f, PEER_WAIT_MS), "no EXIT came");
        if (f.h.type == WIRE_EXIT)
            break;
        take_row(&told[wire_stream_exec(f.h.stream)]);
    }
    t = &told[wire_stream_exec(f.h.stream)];
    out[0] = '\0';
    for (size_t i = 0; i < t->n; i++)
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%u:%u*%u ", t->rows[i].kind,
                                t->rows[i].detail, (unsigned)t->rows[i].count);
    return out;
}

static void ck_rows(const char *want)
{
    const char *got = rows();

    ck_assert_str_eq(got, want);
}

static void begin(const char *command)
{
    peer_open_audited(&pe);
    peer_meet(&pe);
    peer_exec(&pe, 1, 0, command);
    peer_expect(&pe, WIRE_STARTED, &f);
}

START_TEST(refused_calls_are_counted_by_number_and_told_before_the_end)
{
    unsigned mark;

    begin("sh\n-c\nexit 3");
    mark = hear_mark();
    tell_refused(1, "\"x\"", X86_64, 165);
    tell_refused(1, "\"x\"", X86_64, 321);
    tell_refused(1, "\"x\"", X86_64, 165);
    tell_refused(1, "\"x\"", X86_64, 101);
    tell_refused(1, "\"x\"", "40000003", 20);      /* i386 */
    tell_refused(1, "\"x\"", X86_64, 0x40000000u); /* x32 */
    tell_refused(1, "\"x\"", X86_64, 435);         /* clone3: the filter's own doing */
    tell_refused(2, "\"x\"", X86_64, 1);           /* of no job */
    tell_refused(1, "\"syscall=9\"", X86_64, 165); /* a name that lies */
    tell_refused(1, "2061726368", X86_64, 165);    /* " arch" */
    echo_mark(mark);
    ck_rows("1:101*1 1:165*4 1:321*1 2:0*2 ");
    ck_assert_uint_eq(f.p[4], 3); /* the EXIT is the job's */
    peer_close(&pe);
}
END_TEST

START_TEST(the_first_of_a_kind_and_twice_as_many_are_told_while_the_job_runs)
{
    struct wire_denied m;
    uint8_t raw[4];
    unsigned mark;

    begin("sleep\n300");
    for (unsigned i = 0; i < 5; i++) {
        static const unsigned numbers[] = {165, 165, 165, 165, 321}, counts[] = {1, 2, 0, 4, 1};

        tell_refused(1, "\"x\"", X86_64, numbers[i]);
        if (counts[i] == 0) /* hardly more than was told: no frame */
            continue;
        peer_expect(&pe, WIRE_DENIED, &f);
        ck_assert_int_eq(wire_denied_parse(f.p, f.h.length, &m), 0);
        ck_assert(m.kind == WIRE_DENIED_CALL && m.detail == numbers[i] && m.count == counts[i]);
    }
    tell_refused(1, "\"x\"", X86_64, 165);
    wire_u32_format(raw, SIGKILL);
    peer_send(&pe, WIRE_SIGNAL, wire_stream(1, WIRE_CONTROL), raw, sizeof(raw));
    mark = hear_mark();
    echo_mark(mark);
    ck_rows("1:165*5 "); /* what has grown, and that only */
    peer_close(&pe);
}
END_TEST

START_TEST(each_job_has_its_own_count)
{
    unsigned marks[2];

    begin("true");
    marks[0] = hear_mark();
    peer_exec(&pe, 2, 0, "true");
    peer_expect(&pe, WIRE_STARTED, &f);
    marks[1] = hear_mark();
    tell_refused(2, "\"x\"", X86_64, 165);
    tell_refused(1, "\"x\"", X86_64, 101);
    echo_mark(marks[1]);
    ck_rows("1:165*1 ");
    ck_assert_uint_eq(wire_stream_exec(f.h.stream), 2);
    tell_refused(2, "\"x\"", X86_64, 1); /* it is over */
    echo_mark(marks[0]);
    ck_rows("1:101*1 ");
    ck_assert_uint_eq(wire_stream_exec(f.h.stream), 1);
    peer_close(&pe);
}
END_TEST

START_TEST(more_calls_than_rows_are_summed_up)
{
    unsigned mark, calls = 0;
    const char *p;

    begin("true");
    mark = hear_mark();
    for (unsigned number = 100; number > 60; number--)
        tell_refused(1, "\"x\"", X86_64, number);
    echo_mark(mark);
    p = rows();
    for (const char *at = p; (at = strstr(at, "1:")); at++)
        calls++;
    ck_assert_msg(strstr(p, " 3:0*") && calls <= WIRE_DENIED_MAX - WIRE_FILES_MAX - 7, "%s", p);
    ck_assert_uint_eq(calls + (unsigned)strtoul(strstr(p, " 3:0*") + 5, NULL, 10), 40);
    peer_close(&pe);
}
END_TEST

/* As the kernel writes it, by the profile of an exec; `name` and `comm` as it encodes them. */
static void tell_armor(unsigned exec, const char *name, const char *comm, const char *mask)
{
    char text[1000];

    (void)snprintf(
        text, sizeof(text),
        "audit(1700000000.125:47): apparmor=\"DENIED\" operation=\"open\" class=\"file\" "
        "profile=\"lazaret-exec-%u\" name=%s pid=77 comm=%s requested_mask=\"%s\" "
        "denied_mask=\"%s\" fsuid=101000 ouid=0",
        exec, name, comm, mask, mask);
    tell(AUDIT_AVC, text);
}

static const struct wire_denied *file_row(unsigned n)
{
    const struct told *t = &told[1];

    for (size_t i = 0; i < t->n; i++)
        if (t->rows[i].kind == WIRE_DENIED_FILE && (t->rows[i].detail & 255u) == n)
            return &t->rows[i];
    ck_abort_msg("there is no file %u", n);
    return NULL;
}

START_TEST(files_that_apparmor_refused_are_told_by_name)
{
    unsigned mark;

    begin("true");
    mark = hear_mark();
    tell_armor(1, "\"/etc/shadow\"", "\"cat\"", "r");
    tell_armor(1, "\"/etc/shadow\"", "\"cat\"", "r");
    tell_armor(1, "\"/etc/shadow\"", "\"cat\"", "wc");
    tell_armor(1, "\"/etc/both\"", "\"cat\"", "wr");
    tell_armor(2, "\"/etc/passwd\"", "\"cat\"", "r");         /* of no job */
    tell_armor(1, "2F746D702F6120620A", "206E616D653D", "x"); /* "/tmp/a b\n", by " name=" */
    tell(AUDIT_AVC, "audit(1.2:3): apparmor=\"STATUS\" operation=\"profile_load\" "
                    "profile=\"unconfined\" name=\"lazaret-exec-1\" pid=1 comm=\"x\"");
    tell(AUDIT_AVC, "audit(1.2:3): apparmor=\"DENIED\" operation=\"capable\" class=\"cap\" "
                    "profile=\"lazaret-exec-1\" pid=7 comm=\"x\" capability=21 "
                    "capname=\"sys_admin\"");
    echo_mark(mark);
    ck_rows("8:0*1 9:257*2 9:514*1 9:771*1 9:1028*1 ");
    ck_assert_str_eq(file_row(1)->name, "/etc/shadow");
    ck_assert_str_eq(file_row(2)->name, "/etc/shadow");
    ck_assert_str_eq(file_row(4)->name, "/tmp/a b\n");
    peer_close(&pe);
}
END_TEST

START_TEST(more_files_than_rows_are_summed_up_and_a_long_name_is_cut)
{
    char name[2 * 300 + 1];
    unsigned mark;

    begin("true");
    mark = hear_mark();
    for (unsigned i = 0; i < sizeof(name) - 1; i += 2)
        memcpy(name + i, i ? "0A" : "2F", 2);
    name[sizeof(name) - 1] = '\0';
    tell_armor(1, name, "\"x\"", "r");
    for (unsigned i = 0; i < WIRE_FILES_MAX + 4; i++) {
        (void)snprintf(name, sizeof(name), "\"/%u\"", i);
        tell_armor(1, name, "\"x\"", "r");
    }
    echo_mark(mark);
    ck_rows("7:0*5 9:257*1 9:258*1 9:259*1 9:260*1 9:261*1 9:262*1 9:263*1 9:264*1 ");
    ck_assert_uint_eq(strlen(file_row(1)->name), WIRE_NAME_MAX);
    peer_close(&pe);
}
END_TEST

START_TEST(a_job_whose_profile_is_none_does_not_start)
{
    static const char both[] = "true and a profile";
    const struct wire_exec m = {.config_size = 4, .profile_size = sizeof(both) - 5};
    struct wire_unstarted u;
    uint8_t raw[WIRE_EXEC_SIZE];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    wire_exec_format(raw, &m);
    peer_send(&pe, WIRE_EXEC, wire_stream(1, WIRE_CONTROL), raw, sizeof(raw));
    /* The end of the one and the beginning of the other are in one frame, which is not the last. */
    peer_send(&pe, WIRE_CONFIG, wire_stream(1, WIRE_CONTROL), both, 7);
    peer_send(&pe, WIRE_CONFIG, wire_stream(1, WIRE_CONTROL), both + 7, sizeof(both) - 8);
    peer_expect(&pe, WIRE_UNSTARTED, &f);
    ck_assert_int_eq(wire_unstarted_parse(f.p, f.h.length, &u), 0);
    ck_assert_uint_eq(u.why, WIRE_WHY_RUNTIME);
    ck_assert_ptr_nonnull(memmem(u.text, u.text_len, "AppArmor", 8));
    peer_expect_free(&pe, 1);
    peer_close(&pe);
}
END_TEST

/* What is in that file of the only bundle there is, "": no such file. */
static const char *in_bundle(const char *name)
{
    static char text[64];
    char path[128];
    glob_t found;
    FILE *file = NULL;

    (void)snprintf(path, sizeof(path), "%s/*/bundle-1-*/%s", pe.dir, name);
    text[0] = '\0';
    if (glob(path, 0, NULL, &found) == 0)
        file = fopen(found.gl_pathv[0], "re");
    globfree(&found);
    if (!file)
        return text;
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}

START_TEST(canaries_configuration_and_profile_of_a_job_are_told_apart)
{
    const struct wire_exec m = {
        .config_size = WIRE_CANARY_SIZE + 6, .canaries = 1, .profile_size = 8};
    const uint32_t to = wire_stream(1, WIRE_CONTROL);
    uint8_t raw[WIRE_EXEC_SIZE];
    char bytes[WIRE_CANARY_SIZE + 12] = "/canary";

    memcpy(bytes + WIRE_CANARY_SIZE, "configprofil", 12);
    peer_open(&pe, NULL);
    peer_meet(&pe);
    wire_exec_format(raw, &m);
    peer_send(&pe, WIRE_EXEC, to, raw, sizeof(raw));
    /* The first frame ends within the canary, the second within the profile. */
    peer_send(&pe, WIRE_CONFIG, to, bytes, 9);
    peer_send(&pe, WIRE_CONFIG, to, bytes + 9, sizeof(bytes) - 9);
    /* Frames are taken in their order: when another job has begun, these were. */
    peer_exec(&pe, 2, 0, "true");
    peer_expect(&pe, WIRE_STARTED, &f);
    ck_assert_str_eq(in_bundle(CONTAINER_CONFIG), "config");
    ck_assert_str_eq(in_bundle(CONTAINER_PROFILE), "profil");
    peer_close(&pe);
}
END_TEST

START_TEST(what_cannot_be_read_or_will_not_come_keeps_no_job_back)
{
    begin("true");
    (void)hear_mark();
    tell(AUDIT_SECCOMP, "audit(1.2:3): nothing that we know");
    (void)hear_mark(); /* it asks again: its mark may have been lost as well */
    tell(NLMSG_ERROR, "xxxx");
    ck_rows("4:0*1 ");
    peer_close(&pe);
}
END_TEST

static void put(const char *name, const char *text)
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/cgroup/exec-1/%s", pe.dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
}

START_TEST(limits_that_were_hit_are_told)
{
    peer_open(&pe, NULL); /* of a kernel that tells nothing of calls */
    put("memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\n");
    put("pids.events", "max 7\n");
    peer_meet(&pe);
    peer_exec(&pe, 1, 0, "true");
    peer_expect(&pe, WIRE_STARTED, &f);
    ck_rows("5:0*9 6:0*7 ");
    peer_close(&pe);
}
END_TEST

SUITE("denials", the_first_of_a_kind_and_twice_as_many_are_told_while_the_job_runs,
      refused_calls_are_counted_by_number_and_told_before_the_end, each_job_has_its_own_count,
      more_calls_than_rows_are_summed_up, what_cannot_be_read_or_will_not_come_keeps_no_job_back,
      limits_that_were_hit_are_told, files_that_apparmor_refused_are_told_by_name,
      more_files_than_rows_are_summed_up_and_a_long_name_is_cut,
      a_job_whose_profile_is_none_does_not_start,
      canaries_configuration_and_profile_of_a_job_are_told_apart)
