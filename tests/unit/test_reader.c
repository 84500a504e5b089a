/* test_reader: what reads other people's bytes has no rights, and what it says is not believed. */
#include "base/confine.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "images/tar_apart.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int file_with(const char *text)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

/* What the child found out about itself. */
struct found {
    int read_given, read_other, write_other; /* errno, or 0 */
    char secret[16];
};

struct task {
    int given, other;
    char *secret; /* of the environment */
};

static void look(void *arg, int to_fd)
{
    const struct task *t = arg;
    struct found f = {0};
    char byte;

    f.read_given = pread(t->given, &byte, 1, 0) == 1 ? 0 : errno;
    f.read_other = pread(t->other, &byte, 1, 0) == 1 ? 0 : errno;
    f.write_other = write(t->other, "x", 1) == 1 ? 0 : errno;
    memcpy(f.secret, t->secret, sizeof(f.secret));
    file_write_all(to_fd, &f, sizeof(f));
}

START_TEST(a_reader_has_the_fds_that_it_was_told_and_no_secrets)
{
    own_close int given = file_with("given"), other = file_with("other");
    own_reader_child struct reader r = {.fd = -1};
    struct task t = {.given = given, .other = other};
    struct found f;
    struct err e;

    ck_assert_int_eq(setenv("TOKEN", "0123456789abcdef", 1), 0);
    t.secret = getenv("TOKEN");
    ck_assert_int_eq(reader_start(&r, look, &t, &given, 1, 0, &e), 0);
    ck_assert_msg(reader_take(&r, &f, sizeof(f), &e) == 0, "%s", e.text);
    ck_assert_int_eq(f.read_given, 0);
    ck_assert_int_eq(f.read_other, EBADF);
    ck_assert_int_eq(f.write_other, EBADF);
    ck_assert_int_eq(f.secret[0], 0);
    ck_assert_int_eq(f.secret[15], 0);
    ck_assert_str_eq(t.secret, "0123456789abcdef");
}
END_TEST

static void open_file(void *arg, int to_fd)
{
    (void)arg;
    (void)!open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    file_write_all(to_fd, "!", 1);
}

static void call_out(void *arg, int to_fd)
{
    (void)arg;
    (void)!socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    file_write_all(to_fd, "!", 1);
}

static void start_another(void *arg, int to_fd)
{
    (void)arg;
    (void)!fork();
    file_write_all(to_fd, "!", 1);
}

static void kill_parent(void *arg, int to_fd)
{
    (void)arg;
    kill(getppid(), SIGKILL);
    file_write_all(to_fd, "!", 1);
}

static void crash(void *arg, int to_fd)
{
    (void)arg;
    (void)to_fd;
    abort();
}

static void say_nothing(void *arg, int to_fd)
{
    (void)arg;
    (void)to_fd;
}

START_TEST(a_reader_that_reaches_for_more_is_killed_and_one_that_breaks_is_told)
{
    static const struct {
        reader_fn *fn;
        const char *says;
    } rows[] = {
        {open_file, "signal 31"},   {call_out, "signal 31"}, {start_another, "signal 31"},
        {kill_parent, "signal 31"}, {crash, "signal"},       {say_nothing, "broke the process"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_reader_child struct reader r = {.fd = -1};
        struct err e = {0};
        char byte;

        ck_assert_int_eq(reader_start(&r, rows[i].fn, NULL, NULL, 0, 0, &e), 0);
        ck_assert_msg(reader_take(&r, &byte, 1, &e) < 0, "%zu", i);
        ck_assert_msg(strstr(e.text, rows[i].says), "%zu: %s", i, e.text);
        ck_assert_ptr_nonnull(strstr(e.text, "(do not use it)"));
        ck_assert_int_eq(e.class, ERR_IMAGE);
    }
}
END_TEST

static void eat(void *arg, int to_fd)
{
    const volatile char *p = malloc(READER_MEMORY_MAX);
    const char fits = p ? 1 : 0;

    (void)arg;
    file_write_all(to_fd, &fits, 1);
}

START_TEST(a_reader_has_an_end_to_its_memory)
{
    own_reader_child struct reader r = {.fd = -1};
    struct err e;
    char fits;

    ck_assert_int_eq(reader_start(&r, eat, NULL, NULL, 0, 0, &e), 0);
    ck_assert_msg(reader_take(&r, &fits, 1, &e) == 0, "%s", e.text);
#ifndef CONFINE_SANITIZED
    ck_assert_int_eq(fits, 0);
#endif
}
END_TEST

static void wait_for_ever(void *arg, int to_fd)
{
    static const char zeros[65536];

    (void)arg;
    while (file_write_all(to_fd, zeros, sizeof(zeros)) == 0)
        ;
}

START_TEST(a_reader_is_ended_with_whoever_listens)
{
    struct reader r = {.fd = -1};
    pid_t pid;
    struct err e;

    ck_assert_int_eq(reader_start(&r, wait_for_ever, NULL, NULL, 0, 0, &e), 0);
    pid = r.pid;
    reader_done(&r);
    ck_assert_int_eq(r.pid, 0);
    ck_assert_int_eq(r.fd, -1);
    ck_assert_int_eq(kill(pid, 0), -1);
}
END_TEST

/* Bytes in place of what a good reader would say of an archive of 1024 bytes. */
static void say_bytes(void *arg, int to_fd)
{
    const struct str *s = arg;

    file_write_all(to_fd, s->data, s->len);
}

static void must_not_believe(const struct str *said)
{
    own_tar_apart struct tar_apart t = TAR_APART_INIT;
    own_tar_entry struct tar_entry en = {0};
    struct err e = {0};
    bool more = true;
    int rc = 0;

    t.size = 1024;
    ck_assert_int_eq(reader_start(&t.reader, say_bytes, (void *)(uintptr_t)said, NULL, 0, 0, &e),
                     0);
    while (rc == 0 && more)
        if ((rc = tar_apart_next(&t, &en, &more, &e)) == 0 && more) {
            ck_assert(en.path.len > 0 && strlen(en.path.data) == en.path.len);
            ck_assert(en.offset <= 1024 && en.size <= 1024 - en.offset);
        }
    ck_assert_int_lt(rc, 0);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert(str_is_printable(e.text, sizeof(e.text)));
}

START_TEST(a_reader_that_lies_is_not_believed)
{
    for (int byte = 0; byte < 256; byte += 5) {
        own_str struct str said = {0};

        for (int i = 0; i < 2000; i++)
            str_add_bytes(&said, &(char){(char)byte}, 1);
        if (byte > 0) /* zeros are the end, and no error */
            must_not_believe(&said);
    }
}
END_TEST

SUITE("reader", a_reader_has_the_fds_that_it_was_told_and_no_secrets,
      a_reader_that_reaches_for_more_is_killed_and_one_that_breaks_is_told,
      a_reader_has_an_end_to_its_memory, a_reader_is_ended_with_whoever_listens,
      a_reader_that_lies_is_not_believed)
