/* test_seen: the guest's table of what a job did to files; and its eyes, on a root of the test's
 * own, where the kernel lets it have one. */
#include "agent/eyes.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct seen seen;

static void add(enum wire_seen_kind kind, const char *path, uint64_t size)
{
    seen_add(&seen, kind, path, strlen(path), size);
}

/* All that is due, as "kind:detail:size:path ". */
static const char *told(void)
{
    static char out[4096];
    struct wire_seen m;
    size_t len = 0;

    out[0] = '\0';
    while (seen_next(&seen, &m)) {
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%u:%u:%u:%.*s ", m.kind, m.detail,
                                (unsigned)m.size, (int)m.path_len, (const char *)m.path);
        ck_assert_uint_lt(len, sizeof(out));
        seen_told(&seen, &m);
    }
    return out;
}

START_TEST(what_was_written_is_told_at_the_end_with_its_last_size)
{
    seen_init(&seen, 10);
    add(WIRE_SEEN_WRITTEN, "/a", 1);
    add(WIRE_SEEN_OPENED, "/a", 0);
    add(WIRE_SEEN_WRITTEN, "/b", 1);
    add(WIRE_SEEN_WRITTEN, "/a", 7);
    ck_assert_str_eq(told(), "2:0:0:/a ");
    add(WIRE_SEEN_OPENED, "/a", 0);
    add(WIRE_SEEN_EXECUTED, "/c", 0);
    ck_assert_str_eq(told(), "3:0:0:/c ");
    seen_end(&seen);
    ck_assert_str_eq(told(), "1:0:7:/a 1:0:1:/b ");
    ck_assert_str_eq(told(), "");
    seen_done(&seen);
}
END_TEST

START_TEST(what_finds_no_room_is_counted)
{
    char path[WIRE_PATH_MAX + 2];

    seen_init(&seen, 2);
    add(WIRE_SEEN_WRITTEN, "/a", 1);
    memset(path, '/', sizeof(path));
    path[WIRE_PATH_MAX + 1] = '\0';
    add(WIRE_SEEN_WRITTEN, path, 1); /* a byte too long */
    path[WIRE_PATH_MAX] = '\0';
    add(WIRE_SEEN_WRITTEN, path, 1);
    add(WIRE_SEEN_WRITTEN, "/c", 1);
    add(WIRE_SEEN_WRITTEN, "/a", 5);
    ck_assert_str_eq(told(), "");
    seen_end(&seen);
    ck_assert_ptr_nonnull(strstr(told(), "1:0:5:/a 1:0:1://"));
    seen_untold(&seen);
    ck_assert_ptr_nonnull(strstr(told(), " 4:0:2: "));
    seen_done(&seen);
}
END_TEST

START_TEST(a_canary_is_told_first_and_once_whoever_the_host_is)
{
    seen_init(&seen, 2);
    add(WIRE_SEEN_OPENED, "/a", 0);
    seen.blind = true;
    seen.touched = 1u << 3 | 1u << WIRE_CANARY_SOME;
    seen.absent = 1;
    ck_assert_str_eq(told(), "6:3:0: 6:16:0: 7:0:0: 5:0:0: 2:0:0:/a ");
    seen.touched |= 1u << 3 | 1u << 4;
    ck_assert_str_eq(told(), "6:4:0: ");
    seen_untold(&seen);
    ck_assert_str_eq(told(), "5:0:0: 2:0:0:/a ");
    seen_done(&seen);
}
END_TEST

START_TEST(a_canary_that_is_no_path_is_refused)
{
    static const struct wire_exec ask = {.canaries = 2};
    static struct eyes y;
    char both[2 * WIRE_CANARY_SIZE] = "/a";

    eyes_init(&y);
    memcpy(both + WIRE_CANARY_SIZE, "/b/c", 5);
    /* In pieces, and with the configuration behind it. */
    ck_assert_int_eq(eyes_take_config(&y, &ask, (uint8_t *)both, 700), 700);
    ck_assert_int_eq(eyes_take_config(&y, &ask, (uint8_t *)both + 700, 400), 324);
    ck_assert_int_eq(eyes_take_config(&y, &ask, (uint8_t *)both, 400), 0);
    ck_assert_str_eq(y.paths[0], "/a");
    ck_assert_str_eq(y.paths[1], "/b/c");
    eyes_close(&y);
    both[WIRE_CANARY_SIZE] = 'b';
    ck_assert_int_eq(eyes_take_config(&y, &ask, (uint8_t *)both, sizeof(both)), -EPROTO);
    eyes_close(&y);
    memset(both, '/', sizeof(both));
    ck_assert_int_eq(eyes_take_config(&y, &ask, (uint8_t *)both, sizeof(both)), -EPROTO);
}
END_TEST

/* ---- a job that has a root of its own -------------------------------------------------------- */

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0)
        _exit(3);
}

static unsigned flood; /* files */
static bool leases;    /* the canary, so that nobody else can open it at once */

static void work(void)
{
    char path[32];
    int fd;

    if (leases) {
        (void)signal(SIGIO, SIG_IGN);
        fd = open("/in/trap", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
            _exit(5);
        return;
    }
    for (unsigned i = 0; i < flood; i++) {
        (void)snprintf(path, sizeof(path), "/work/%u", i);
        put(path, "");
    }

    put("/work/a", "12345");
    put("/work/gone", "1");
    put("/work/line\nend", "12");
    if (unlink("/work/gone") < 0 || mkfifo("/work/fifo", 0600) < 0)
        _exit(4);
    fd = open("/work/fifo", O_RDWR | O_CLOEXEC); /* nobody may wait for its other end */
    close(fd);
    close(open("/in/a", O_RDONLY | O_CLOEXEC));
    close(open("/in/trap", O_RDONLY | O_CLOEXEC));
    close(open("/in", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* 0: it may not have one. */
static int make_root(const char *at)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", at, "tmpfs", 0, NULL) < 0 || chdir(at) < 0)
        return 0;
    if (mkdir("work", 0755) < 0 || mkdir("in", 0755) < 0 ||
        mount("tmpfs", "work", "tmpfs", 0, NULL) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return 0;
    put("/in/a", "a");
    put("/in/trap", "b");
    return 1;
}

static struct job {
    pid_t pid;
    int say, hear;
} job;

static bool has_eyes(const struct wire_exec *ask, struct eyes *y)
{
    char at[] = "/tmp/lazaret-seen-XXXXXX", c = 0;
    int down[2], up[2];

    ck_assert_ptr_nonnull(mkdtemp(at));
    ck_assert_int_eq(pipe2(down, O_CLOEXEC) | pipe2(up, O_CLOEXEC), 0);
    job.pid = fork();
    if (job.pid == 0) {
        close(down[1]); /* else its own end would keep it waiting once the other is closed */
        c = make_root(at) ? 'y' : 'n';
        if (write(up[1], &c, 1) != 1 || read(down[0], &c, 1) != 1)
            _exit(1);
        work();
        if (write(up[1], &c, 1) == 1)
            (void)!read(down[0], &c, 1); /* lives until end_job() */
        _exit(0);
    }
    close(down[0]);
    close(up[1]);
    job.say = down[1];
    job.hear = up[0];
    ck_assert_int_eq(read(job.hear, &c, 1), 1);
    ck_assert_int_eq(rmdir(at), 0);
    if (c == 'y')
        eyes_open(y, ask, job.pid, &seen);
    return c == 'y' && !seen.blind;
}

static void end_job(void)
{
    close(job.say);
    close(job.hear);
    ck_assert_int_eq(waitpid(job.pid, NULL, 0), job.pid);
}

/* Lets the job work, and looks until there is no more. */
static void look_on(struct eyes *y)
{
    char c;

    ck_assert_int_eq(write(job.say, "g", 1), 1);
    ck_assert_int_eq(read(job.hear, &c, 1), 1);
    end_job();
    while (!eyes_look(y, 0, &seen))
        ;
    seen_end(&seen);
}

static struct eyes eyes;

static void name_canary(size_t i, const char *path)
{
    (void)snprintf(eyes.paths[i], sizeof(eyes.paths[i]), "%s", path);
}

START_TEST(eyes_see_what_a_job_wrote_by_the_names_that_it_sees)
{
    static const struct wire_exec ask = {.flags = WIRE_EXEC_WATCH};

    eyes_init(&eyes);
    seen_init(&seen, 10);
    if (has_eyes(&ask, &eyes)) {
        look_on(&eyes);
        ck_assert_str_eq(told(), "1:0:5:/work/a 1:0:1:/work/gone 1:0:2:/work/line\nend ");
    } else {
        end_job(); /* without the rights for it */
    }
    eyes_close(&eyes);
    seen_done(&seen);
}
END_TEST

START_TEST(eyes_see_what_a_job_opened_and_the_canary_that_it_touched)
{
    static const struct wire_exec ask = {.flags = WIRE_EXEC_LEARN, .canaries = 2};
    const char *all;

    eyes_init(&eyes);
    name_canary(0, "/in/none");
    name_canary(1, "/in/trap");
    seen_init(&seen, 20);
    if (has_eyes(&ask, &eyes)) {
        look_on(&eyes);
        all = told();
        ck_assert_ptr_eq(strstr(all, "6:1:0: 7:0:0: 2:"), all);
        ck_assert_ptr_nonnull(strstr(all, "2:0:0:/in/a 2:0:0:/in/trap 2:0:0:/in/ "));
        ck_assert_ptr_null(strstr(all, " 1:0:"));
    } else {
        end_job();
    }
    eyes_close(&eyes);
    seen_done(&seen);
}
END_TEST

/* What the kernel keeps for one who does not look. */
static unsigned queue_max(void)
{
    char text[32] = "16384";
    int fd = open("/proc/sys/fs/fanotify/max_queued_events", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
        close(fd);
    }
    return (unsigned)strtoul(text, NULL, 10);
}

START_TEST(no_flood_hides_a_touch)
{
    static const struct wire_exec ask = {.flags = WIRE_EXEC_WATCH, .canaries = 1};
    const char *all;

    eyes_init(&eyes);
    name_canary(0, "/in/trap");
    seen_init(&seen, 1);
    flood = queue_max() + 1000;
    if (has_eyes(&ask, &eyes)) {
        look_on(&eyes);
        all = told();
        ck_assert_msg(strncmp(all, "6:0:0: 1:0:0:/work/0 4:0:", 25) == 0, "%s", all);
        ck_assert_uint_gt(seen.lost, 1000);
    } else {
        end_job();
    }
    eyes_close(&eyes);
    seen_done(&seen);
}
END_TEST

START_TEST(a_lease_hides_no_touch)
{
    static const struct wire_exec ask = {.canaries = 1};
    char c;

    eyes_init(&eyes);
    name_canary(0, "/in/trap");
    seen_init(&seen, 1);
    leases = true;
    if (has_eyes(&ask, &eyes)) {
        ck_assert_int_eq(write(job.say, "g", 1), 1);
        ck_assert_int_eq(read(job.hear, &c, 1), 1);
        ck_assert(eyes_look(&eyes, 0, &seen));
        ck_assert_uint_ne(seen.touched, 0);
    }
    end_job();
    eyes_close(&eyes);
    seen_done(&seen);
}
END_TEST

/* A byte is less than an event: nothing comes of it. */
static void put_packets(int to, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        ck_assert_int_eq(write(to, "", 1), 1);
}

START_TEST(eyes_rest_between_looks_but_not_from_canaries)
{
    const unsigned more_than_a_look = 9;
    struct pollfd files, canaries;
    int of_files[2], of_canaries[2];

    eyes_init(&eyes);
    seen_init(&seen, 1);
    ck_assert_int_eq(pipe2(of_files, O_CLOEXEC | O_NONBLOCK | O_DIRECT), 0);
    ck_assert_int_eq(pipe2(of_canaries, O_CLOEXEC | O_NONBLOCK | O_DIRECT), 0);
    eyes.files = of_files[0];
    eyes.canaries = of_canaries[0];
    put_packets(of_files[1], more_than_a_look);
    put_packets(of_canaries[1], more_than_a_look);
    ck_assert(!eyes_look(&eyes, 1000, &seen)); /* there is more: no rest */
    eyes_fill(&eyes, &files, &canaries);
    ck_assert_int_eq(files.fd, eyes.files);
    put_packets(of_canaries[1], more_than_a_look);
    ck_assert(!eyes_look(&eyes, 1000, &seen));
    ck_assert_uint_gt(eyes_deadline(&eyes), 1000);
    eyes_fill(&eyes, &files, &canaries);
    ck_assert_int_eq(files.fd, -1);
    ck_assert_int_eq(canaries.fd, eyes.canaries);
    eyes_wake(&eyes, eyes_deadline(&eyes) - 1);
    eyes_fill(&eyes, &files, &canaries);
    ck_assert_int_eq(files.fd, -1);
    eyes_wake(&eyes, eyes_deadline(&eyes));
    ck_assert_uint_eq(eyes_deadline(&eyes), 0);
    eyes_fill(&eyes, &files, &canaries);
    ck_assert_int_eq(files.fd, eyes.files);
    eyes_close(&eyes);
    close(of_files[1]);
    close(of_canaries[1]);
    seen_done(&seen);
}
END_TEST

START_TEST(what_cannot_be_watched_is_said)
{
    static const struct wire_exec ask = {.flags = WIRE_EXEC_WATCH, .canaries = 1};

    eyes_init(&eyes);
    name_canary(0, "/a");
    seen_init(&seen, 10);
    eyes_open(&eyes, &ask, INT32_MAX, &seen); /* no such process */
    ck_assert_int_eq(eyes.files, -1);
    ck_assert_str_eq(told(), "7:0:0: 5:0:0: ");
    ck_assert(eyes_look(&eyes, 0, &seen));
    eyes_close(&eyes);
    seen_done(&seen);
}
END_TEST

SUITE("seen", what_was_written_is_told_at_the_end_with_its_last_size, what_finds_no_room_is_counted,
      a_canary_is_told_first_and_once_whoever_the_host_is, a_canary_that_is_no_path_is_refused,
      eyes_see_what_a_job_wrote_by_the_names_that_it_sees,
      eyes_see_what_a_job_opened_and_the_canary_that_it_touched, no_flood_hides_a_touch,
      a_lease_hides_no_touch, eyes_rest_between_looks_but_not_from_canaries,
      what_cannot_be_watched_is_said)
