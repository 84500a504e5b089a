/* diff: what differs between two marks of a sandbox. See diff.h. */
#include "run/diff.h"

#include "base/own.h"
#include "channel/unpack.h"
#include "run/amnesia.h"
#include "run/fork.h"
#include "run/sandbox.h"
#include "run/taken.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define LOOK_MS   600000u
#define UNPACK_MS 600000u

/* The mark's disk. */
static int open_mark(const struct diff *d, const char *mark, struct run_from *ret, int *ret_fd,
                     struct err *e)
{
    if (sandbox_fork(d->data_dir, d->sandbox, mark, ret, e) < 0)
        return -1;
    if (ret->in_memory && amnesia_no_cores(e) < 0)
        return -1;
    return fork_open_base(d->data_dir, ret, ret_fd, e);
}

/* Returns new: the name of the newest mark. */
static int find_newest(const struct diff *d, char **ret, struct err *e)
{
    own_doc struct doc *all = NULL;
    const struct doc *rows;
    const char *name;

    if (sandbox_marks(d->data_dir, d->sandbox, &all, e) < 0 ||
        doc_get_array(all, "marks", &rows, e) < 0)
        return -1;
    if (doc_len(rows) == 0)
        return err_set(e, ERR_USAGE,
                       "sandbox '%s' has no mark to compare with (make one: 'lazaret snapshot %s')",
                       d->sandbox, d->sandbox);
    if (doc_get_str(doc_at(rows, doc_len(rows) - 1), "mark", &name, e) < 0)
        return -1;
    *ret = str_dup(name);
    return 0;
}

static int compare(const struct diff *d, int earlier, int later, int rows_fd,
                   struct look_result *ret, struct unpack_result *ret_out, struct err *e)
{
    own_taken struct taken t = {0};
    own_close int tree = -1;

    if (d->out_fd < 0)
        return look_diff(d->look_path, earlier, later, rows_fd, -1, 0, LOOK_MS, ret, e);
    tree = memfd_create("lazaret-diff", MFD_CLOEXEC);
    if (tree < 0)
        return err_sys(e, ERR_HOST, errno, "memfd_create");
    if (look_diff(d->look_path, earlier, later, rows_fd, tree, d->out_max_bytes, LOOK_MS, ret, e) <
            0 ||
        unpack_listed(d->unpack_path, tree, d->out_fd, &(struct strv){0}, d->out_max_bytes,
                      UNPACK_MS, &(struct unpack_list){.made = taken_add, .arg = &t}, ret_out,
                      e) < 0)
        return -1;
    taken_sum(&t, ret_out);
    if (taken_tell(d->data_dir, d->sandbox, TAKEN_DIFF, &t, e) < 0)
        return -1;
    if (ret->over)
        return err_set(e, ERR_LIMIT,
                       "more was changed than may come out (raise it with --out-max)");
    return 0;
}

int diff_make(const struct diff *d, int rows_fd, struct look_result *ret,
              struct unpack_result *ret_out, struct err *e)
{
    struct run_from a = {0}, b = {0};
    own_close int earlier = -1, later = -1;
    own_free char *newest = NULL;
    struct err late;
    int rc;

    if (!d->earlier && find_newest(d, &newest, e) < 0)
        return -1;
    if (open_mark(d, d->earlier ? d->earlier : newest, &a, &earlier, e) < 0) {
        fork_let_go(&a);
        return -1;
    }
    rc = open_mark(d, d->later, &b, &later, e);
    fork_let_go(&a);
    fork_let_go(&b);
    if (rc == 0)
        rc = compare(d, earlier, later, rows_fd, ret, ret_out, e);
    if (!d->later && b.mark.id && sandbox_forget(d->data_dir, d->sandbox, b.mark.name, &late) < 0 &&
        rc == 0) {
        *e = late;
        return -1;
    }
    return rc;
}
