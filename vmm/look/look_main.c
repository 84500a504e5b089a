/*
 * lazaret-look: says what two states of a scratch disk differ in, and does nothing else.
 *
 * Must: be confined before the first byte of a disk is read; read the disks only.
 * Must not: open anything, outlive its caller, use more memory or processor time than it was given.
 * What it writes is not believed: see row.h and shared/tree.h.
 */
#include "look/differ.h"
#include "look/look_fds.h"
#include "look/rights.h"

#include "base/str.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct spool rows = {.fd = LOOK_FD_ROWS};
static struct tree_out tree = {.spool.fd = LOOK_FD_TREE};
static struct differ differ = {.rows = &rows, .tree = &tree};

static int size_of(int fd, uint64_t *ret, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "fstat");
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_HOST, "a disk that is not a regular file");
    *ret = (uint64_t)st.st_size;
    return 0;
}

static int run(bool has_earlier, struct err *e)
{
    static struct disk earlier, later;
    const struct confine rights = rights_look(tree.left_bytes);
    uint64_t size[2] = {0, 0};

    if ((has_earlier && size_of(LOOK_FD_EARLIER, &size[0], e) < 0) ||
        size_of(LOOK_FD_LATER, &size[1], e) < 0 || confine_self(&rights, e) < 0)
        return err_wrap(e, "lazaret-look cannot begin");
    if (has_earlier) {
        if (disk_open(&earlier, LOOK_FD_EARLIER, size[0], "the earlier disk", e) < 0)
            return -1;
        differ.disk[0] = &earlier;
    }
    if (disk_open(&later, LOOK_FD_LATER, size[1], "the later disk", e) < 0)
        return -1;
    differ.disk[1] = &later;
    return differ_run(&differ, e);
}

/* Rows that were not written yet may not be before it: they are a part of nothing. */
static void put_error(const struct err *e)
{
    static uint8_t raw[LOOK_HEADER_SIZE + LOOK_PATH_MAX];
    static struct look_row row = {.change = LOOK_ERROR};

    row.why = (uint8_t)e->class;
    row.path_len = str_escape(row.path, sizeof(row.path), e->text, strlen(e->text));
    spool_put(&rows, raw, look_row_format(raw, &row));
    (void)spool_flush(&rows);
}

int main(int argc, char **argv)
{
    bool has_earlier;
    struct err e;

    if (argc != 3 || str_parse_u64(argv[2], "size", 0, UINT64_MAX, &tree.left_bytes, &e) < 0)
        return 2; /* not started by look_diff() */
    has_earlier = strcmp(argv[1], LOOK_ARG_BOTH) == 0;
    tree.wanted = tree.left_bytes > 0;
    if (run(has_earlier, &e) < 0)
        put_error(&e);
    _exit(rows.failed ? 1 : 0);
}
