/* test_notify: promises of what an alert writes to a socket. */
#include "run/notify.h"

#include "base/doc.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct notify notify = {.id = "20261127-221451-fefde8"};
static struct err err;

/* Returns new: who listens at `path`, with room for `queue` who wait. */
static int listen_at(const char *path, int queue)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    ck_assert_uint_lt(strlen(path), sizeof(at.sun_path));
    memcpy(at.sun_path, path, strlen(path));
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, queue), 0);
    return fd;
}

static int tell(char *path)
{
    const struct alert_rule r = {
        .when = ALERT_CPU, .action = ALERT_NOTIFY, .from = (char[]){"p.json:7"}, .socket = path};

    return notify_socket(&notify, &r, "cpu: 95 is above 90", &err);
}

START_TEST(a_socket_gets_one_line_of_json_whenever_it_is_read)
{
    own_free char *path = in_dir("socket");
    own_close int fd = listen_at(path, 4), from = -1;
    own_doc struct doc *d = NULL;
    const char *text;
    char buf[4096];
    ssize_t n;

    ck_assert_msg(tell(path) == 0, "%s", err.text); /* before anybody takes it */
    from = accept(fd, NULL, NULL);
    n = read(from, buf, sizeof(buf));
    ck_assert_int_gt(n, 1);
    ck_assert_ptr_eq(memchr(buf, '\n', (size_t)n), buf + n - 1);
    ck_assert_int_eq(doc_parse(buf, (size_t)n - 1, "it", &d, &err), 0);
    for (int i = 0; i < 5; i++) {
        static const char *const members[][2] = {{"format", "lazaret-alert"},
                                                 {"id", "20261127-221451-fefde8"},
                                                 {"rule", "p.json:7"},
                                                 {"when", "cpu"},
                                                 {"text", "cpu: 95 is above 90"}};

        ck_assert_int_eq(doc_get_str(d, members[i][0], &text, &err), 0);
        ck_assert_str_eq(text, members[i][1]);
    }
    ck_assert_int_eq(read(from, buf, sizeof(buf)), 0);
}
END_TEST

START_TEST(a_listener_that_takes_nothing_holds_nobody_up)
{
    own_free char *path = in_dir("socket");
    own_close int fd = listen_at(path, 0);
    unsigned told = 0;

    while (told < 100 && tell(path) == 0)
        told++;
    ck_assert_uint_gt(told, 0);
    ck_assert_uint_lt(told, 100);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot connect"));
    own_close_p(&fd);
    ck_assert_int_eq(tell(path), -1); /* gone */
}
END_TEST

START_TEST(a_socket_that_is_somebody_elses_or_none_is_not_told)
{
    own_free char *path = in_dir("socket"), *link = in_dir("link"), *none = in_dir("none"),
                  *file = in_dir("file");
    own_close int fd = listen_at(path, 4);

    ck_assert_int_eq(symlink(path, link), 0);
    put("file", "");
    ck_assert_int_eq(tell(link), -1);
    ck_assert_int_eq(tell(none), -1);
    ck_assert_int_eq(tell(file), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "is no socket"));
    if (geteuid() != 0) /* who cannot give it away */
        return;
    ck_assert_int_eq(chown(path, 12345, 12345), 0);
    ck_assert_int_eq(tell(path), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "it belongs to uid 12345"));
    ck_assert_int_eq(accept(fd, NULL, NULL), -1);
}
END_TEST

START_TEST(a_path_longer_than_an_address_is_reached)
{
    own_free char *path = in_dir("socket"), *far = NULL;
    own_close int fd = listen_at(path, 4), from = -1;
    char name[120] = "";

    memset(name, 'd', sizeof(name) - 1);
    make(name);
    far = str_printf("%s/%s/socket", dir, name);
    ck_assert_int_eq(rename(path, far), 0);
    ck_assert_msg(tell(far) == 0, "%s", err.text);
    from = accept(fd, NULL, NULL);
    ck_assert_int_ge(from, 0);
}
END_TEST

SUITE_WITH(begin, end, "notify", a_socket_gets_one_line_of_json_whenever_it_is_read,
           a_listener_that_takes_nothing_holds_nobody_up,
           a_socket_that_is_somebody_elses_or_none_is_not_told,
           a_path_longer_than_an_address_is_reached)
