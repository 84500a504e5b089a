/* test_fds: promises of a message that file descriptors go with. */
#include "base/spawn.h"
#include "shared/fds.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int pair[2];

static void setup(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void teardown(void)
{
    close(pair[0]);
    close(pair[1]);
}

/* `n` times our own end. */
static void send_n(size_t n)
{
    int fds[FDS_ROOM];

    for (size_t i = 0; i < n; i++)
        fds[i] = pair[0];
    ck_assert_int_eq(fds_send(pair[0], "word", 4, fds, n, 0), 4);
}

START_TEST(the_file_that_was_sent_arrives_and_is_closed_at_an_exec)
{
    struct stat ours, theirs;
    struct fds with;
    char word[4];
    int fd;

    send_n(1);
    ck_assert_int_eq(fds_receive(pair[1], word, sizeof(word), &with, 0), 4);
    ck_assert_int_eq(memcmp(word, "word", 4), 0);
    fd = fds_one(&with);
    ck_assert_int_eq(fstat(pair[0], &ours), 0);
    ck_assert_int_eq(fstat(fd, &theirs), 0);
    ck_assert_uint_eq(ours.st_ino, theirs.st_ino);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
}
END_TEST

START_TEST(another_number_than_what_is_legal_is_closed)
{
    static const size_t counts[] = {0, 1, 3, 5, FDS_ROOM};
    const size_t before = suite_count_fds();

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct fds with;
        char word[4];

        send_n(counts[i]);
        ck_assert_int_eq(fds_receive(pair[1], word, sizeof(word), &with, 0), 4);
        ck_assert_uint_eq(with.n, counts[i]);
        ck_assert(!with.cut);
        ck_assert_ptr_null(fds_just(&with, 4));
        ck_assert_uint_eq(suite_count_fds(), before);
        ck_assert_int_eq(fds_one(&with), -1);
    }
}
END_TEST

START_TEST(a_message_that_was_cut_has_no_files)
{
    const size_t before = suite_count_fds();
    struct fds with;
    char part[3];

    send_n(1);
    ck_assert_int_eq(fds_receive(pair[1], part, sizeof(part), &with, 0), 3);
    ck_assert(with.cut);
    ck_assert_int_eq(fds_one(&with), -1);
    ck_assert_uint_eq(suite_count_fds(), before);
}
END_TEST

START_TEST(more_than_there_is_room_for_is_not_sent)
{
    int fds[FDS_ROOM + 1] = {0};

    ck_assert_int_eq(fds_send(pair[0], "word", 4, fds, FDS_ROOM + 1, 0), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(without_a_message_there_are_no_files)
{
    struct fds with = {.n = 7};
    char word[4];

    ck_assert_int_eq(fds_receive(pair[1], word, sizeof(word), &with, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_uint_eq(with.n, 0);
}
END_TEST

START_TEST(a_child_that_has_ended_is_no_error)
{
    close(pair[1]);
    ck_assert_int_eq(spawn_tell(pair[0], "word", 4, NULL, 0), 0);
    pair[1] = -1;
}
END_TEST

SUITE_WITH(setup, teardown, "fds", the_file_that_was_sent_arrives_and_is_closed_at_an_exec,
           another_number_than_what_is_legal_is_closed, a_message_that_was_cut_has_no_files,
           more_than_there_is_room_for_is_not_sent, without_a_message_there_are_no_files,
           a_child_that_has_ended_is_no_error)
