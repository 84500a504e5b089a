/* look: the caller's end of lazaret-look. See look.h. UNTRUSTED: what it reads. */
#include "look/look.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "channel/program.h"
#include "look/look_fds.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

static int refill(struct look_rows *r, bool *ret_eof, struct err *e)
{
    ssize_t n = file_refill(r->fd, &r->offset, r->buf, sizeof(r->buf), &r->start, &r->end);

    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read the list of differences");
    *ret_eof = n == 0;
    return 0;
}

/* The next row, the last one too. */
static int next(struct look_rows *r, struct look_row *ret, struct err *e)
{
    for (;;) {
        long used = look_row_parse(r->buf + r->start, r->end - r->start, ret);
        bool eof = false;

        if (used < 0)
            return err_set(e, ERR_PROTOCOL, "lazaret-look wrote what is not a difference");
        if (used > 0) {
            r->start += (size_t)used;
            return 0;
        }
        if (refill(r, &eof, e) < 0)
            return -1;
        if (eof)
            return err_set(e, ERR_PROTOCOL, "the list of differences ends before its end");
    }
}

int look_rows_next(struct look_rows *r, struct look_row *ret, bool *ret_more, struct err *e)
{
    if (next(r, ret, e) < 0)
        return -1;
    *ret_more = ret->change != LOOK_END && ret->change != LOOK_ERROR;
    return 0;
}

static int count(int rows_fd, struct look_result *ret, struct err *e)
{
    own_free struct look_rows *r = calloc(1, sizeof(*r));
    struct look_result sum = {0};
    struct look_row row;

    if (!r)
        return err_set(e, ERR_HOST, "out of memory");
    r->fd = rows_fd;
    for (uint32_t n = 0; n <= LOOK_ROWS_MAX; n++) {
        if (next(r, &row, e) < 0)
            return -1;
        if (row.change == LOOK_ERROR)
            return err_set(e, (enum err_class)row.why, "%s", row.path);
        if (row.change == LOOK_END) {
            sum.cut = row.what & LOOK_END_CUT;
            sum.spent = row.what & LOOK_END_SPENT;
            sum.over = row.what & LOOK_END_OVER;
            *ret = sum;
            return 0;
        }
        sum.added += row.change == LOOK_ADDED;
        sum.changed += row.change == LOOK_CHANGED;
        sum.removed += row.change == LOOK_REMOVED;
        sum.unread += row.change == LOOK_UNREAD;
    }
    return err_set(e, ERR_PROTOCOL, "lazaret-look wrote more differences than it may");
}

int look_diff(const char *look_path, int earlier_fd, int later_fd, int rows_fd, int tree_fd,
              uint64_t tree_max_bytes, uint64_t timeout_ms, struct look_result *ret, struct err *e)
{
    const uint64_t deadline = clock_mono_ms() + timeout_ms;
    char max[24];
    const char *const argv[] = {look_path, earlier_fd < 0 ? LOOK_ARG_LATER : LOOK_ARG_BOTH, max,
                                NULL};
    const int fds[] = {later_fd, rows_fd, earlier_fd < 0 ? later_fd : earlier_fd, tree_fd};
    const struct spawn s = program_spawn(argv, fds, tree_fd < 0 ? 3 : 4);
    int status;
    pid_t pid;

    snprintf(max, sizeof(max), "%" PRIu64, tree_fd < 0 ? 0 : tree_max_bytes);
    if (spawn_start(&s, &pid, e) < 0 || spawn_wait(pid, "lazaret-look", deadline, &status, e) < 0)
        return err_wrap(e, "diff");
    if (!WIFEXITED(status))
        return err_set(e, ERR_GUEST,
                       "lazaret-look was ended by signal %d: the disks are damaged, or take more "
                       "memory or time than it has",
                       WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return err_set(e, ERR_HOST, "lazaret-look could not write what it found (status %d)",
                       WEXITSTATUS(status));
    return count(rows_fd, ret, e);
}
