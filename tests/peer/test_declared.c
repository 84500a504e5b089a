/* test_declared: the real first process of a container against the kernel's Landlock. */
#include "tests/peer/peer.h"

#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct peer pe;
static struct peer_frame f;

/* This machine's kernel stands in for the guest's. */
static bool can_hold(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 3;
}

static void put(const char *name)
{
    char path[128];
    FILE *to;

    (void)snprintf(path, sizeof(path), "%s/%s", pe.dir, name);
    to = fopen(path, "we");
    ck_assert_ptr_nonnull(to);
    ck_assert_int_ge(fputs("text\n", to), 0);
    ck_assert_int_eq(fclose(to), 0);
}

static void begin(void)
{
    static const char *const folders[] = {"r", "w", "s"};
    char path[128];

    peer_open(&pe, NULL);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", pe.dir, folders[i]);
        ck_assert_int_eq(mkdir(path, 0700), 0);
    }
    put("r/a");
    put("s/a");
    put("w/a");
    peer_meet(&pe);
}

/* A shell with D set to the folder; $ in `declared` is that folder. Returns what it said. */
static const char *run(const char *declared, const char *script)
{
    static char command[4096], out[4096];
    struct wire_exit ex;
    size_t n = 0;

    for (const char *p = declared; *p; p++)
        n += (size_t)snprintf(command + n, sizeof(command) - n, *p == '$' ? "%s" : "%.1s",
                              *p == '$' ? pe.dir : p);
    (void)snprintf(command + n, sizeof(command) - n, "--\nsh\n-c\nexec 2>&-; D=%s; %s", pe.dir,
                   script);
    peer_exec(&pe, 1, 0, command);
    peer_expect(&pe, WIRE_STARTED, &f);
    n = peer_finish(&pe, 1, out, sizeof(out) - 1, &ex);
    out[n] = '\0';
    return out;
}

#define READS(file)  "{ read x <$D/" file "; } && echo " file ";"
#define WRITES(file) "{ echo >$D/" file "; } && echo " file ";"

START_TEST(a_job_touches_what_is_declared_and_nothing_else)
{
    static const char all[] = READS("r/a") READS("s/a") READS("w/a") WRITES("r/a") WRITES("r/n")
        WRITES("s/a") WRITES("w/a") WRITES("w/n") "/bin/true && echo true; /bin/false || echo $?";

    if (!can_hold())
        return;
    begin();
    ck_assert_str_eq(run("", all), "r/a\ns/a\nw/a\nr/a\nr/n\ns/a\nw/a\nw/n\ntrue\n1\n");
    ck_assert_str_eq(run("--read\n$/r\n", all), "r/a\n126\n");
    ck_assert_str_eq(run("--write\n$/w\n", all), "w/a\nw/n\n126\n");
    ck_assert_str_eq(run("--read\n$/s/a\n--write\n$/r/a\n", all), "s/a\nr/a\n126\n");
    ck_assert_str_eq(run("--exec\n/usr/bin/true\n", all), "true\n126\n");
    ck_assert_str_eq(run("--exec\n/usr/bin\n", all), "true\n1\n");
    ck_assert_str_eq(run("--exec\n/usr/bin/true\n--exec\n/usr/bin/false\n--read\n$\n", all),
                     "r/a\ns/a\nw/a\ntrue\n1\n");
    peer_close(&pe);
}
END_TEST

START_TEST(renaming_linking_and_removing_are_writes)
{
    if (!can_hold())
        return;
    begin();
    ck_assert_str_eq(run("--exec\n/usr/bin\n--read\n$\n--write\n$/w\n",
                         "mv $D/r/a $D/w/b || echo moved out; mv $D/w/a $D/r/b || echo moved in;"
                         "ln $D/s/a $D/w/c || echo linked; rm $D/s/a || echo removed;"
                         "mkdir $D/s/d || echo made; mkdir $D/w/d && mv $D/w/a $D/w/d && echo own"),
                     "moved out\nmoved in\nlinked\nremoved\nmade\nown\n");
    peer_close(&pe);
}
END_TEST

/* The job is told not to have started, with these words. */
static void expect_none(const char *command, const char *words)
{
    struct wire_unstarted un;
    char text[WIRE_TEXT_MAX + 1] = "";

    peer_exec(&pe, 1, 0, command);
    peer_expect(&pe, WIRE_UNSTARTED, &f);
    ck_assert_int_eq(wire_unstarted_parse(f.p, f.h.length, &un), 0);
    memcpy(text, un.text, un.text_len);
    ck_assert_uint_eq(un.why, WIRE_WHY_RUNTIME);
    ck_assert_msg(strstr(text, words), "%s", text);
}

START_TEST(a_path_that_is_not_there_stops_the_job)
{
    if (!can_hold())
        return;
    begin();
    expect_none("--read\n/not/there\n--\ntrue", "/not/there: No such file or directory");
    peer_close(&pe);
}
END_TEST

START_TEST(a_link_that_a_job_can_make_leads_nowhere)
{
    char link[64], command[256];
    struct stat root, shm;

    /* It has to be another file system, as /work is. */
    if (!can_hold() || stat("/", &root) < 0 || stat("/dev/shm", &shm) < 0 ||
        root.st_dev == shm.st_dev)
        return;
    begin();
    (void)snprintf(link, sizeof(link), "/dev/shm/lz-link-%d", getpid());
    ck_assert_int_eq(symlink("/etc", link), 0);
    (void)snprintf(command, sizeof(command), "--read\n%s\n--\ntrue", link);
    expect_none(command, link);
    (void)snprintf(command, sizeof(command), "--write\n%s/passwd\n--\ntrue", link);
    expect_none(command, link);
    ck_assert_int_eq(unlink(link), 0);
    peer_close(&pe);
}
END_TEST

START_TEST(a_kernel_that_cannot_hold_it_does_not_start_the_job)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog none = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &none), 0);
    begin();
    expect_none("--write\n/tmp\n--\ntrue", "the guest's kernel cannot hold declared paths");
    ck_assert_str_eq(run("", "echo undeclared"), "undeclared\n");
    peer_close(&pe);
}
END_TEST

SUITE("declared", a_job_touches_what_is_declared_and_nothing_else,
      renaming_linking_and_removing_are_writes, a_path_that_is_not_there_stops_the_job,
      a_link_that_a_job_can_make_leads_nowhere, a_kernel_that_cannot_hold_it_does_not_start_the_job)
