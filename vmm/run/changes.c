/* changes: what a guest changed on its disk, on its record. See changes.h. */
#include "run/changes.h"

#include "base/own.h"
#include "look/look.h"
#include "run/mark.h"
#include "run/recording.h"
#include "run/serve.h"
#include "snapshots/disk_extract.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define LINE_ROWS 32u /* of one line of a record: far below RECORD_LINE_MAX */
#define LOOK_MS   60000u

static bool is_wanted(const struct keeper *k)
{
    return k->plan->record.changes && k->recording && !k->plan->amnesic && k->up_ms > 0;
}

/* Can it be asked? What was given up, or ended by a rule, is not waited for. */
static bool answers(const struct keeper *k)
{
    const struct job *j = &k->jobs[0];

    return k->channel && k->ready && !k->lost && !k->held && !serve_is_paused(k) &&
           (k->serving || j->state == JOB_NONE || j->over);
}

void changes_settle(struct keeper *k)
{
    struct err ignored;

    /* A file system without a journal writes its tables behind the last flush, and QEMU, which will
     * be killed, may have those of the disk's file in its memory: it writes them out as it pauses.
     */
    k->settled =
        is_wanted(k) && answers(k) && mark_hold(k, &ignored) == 0 && hv_pause(k->hv, &ignored) == 0;
}

/* ---- on record ------------------------------------------------------------------------------- */

/* Paths are what the guest called its files. */
static struct doc *row_doc(const struct look_row *row)
{
    struct doc *d = look_row_doc(row);
    char escaped[LOOK_TEXT_SIZE];
    const char *path;
    struct err none;

    if (doc_get_str(d, "path", &path, &none) == 0) {
        str_escape(escaped, sizeof(escaped), path, strlen(path));
        doc_set_str(d, "guest_path", escaped);
    }
    doc_remove(d, "path");
    doc_remove(d, "path_hex");
    return d;
}

static void add_line(struct keeper *k, struct doc **rows)
{
    struct doc *d;

    if (!*rows)
        return;
    d = doc_new_object();
    doc_set(d, "rows", own_steal_ptr(*rows));
    recording_add(k, "changes", d);
}

/* *ret_listed: how many are on record. */
static int add_rows(struct keeper *k, int rows_fd, uint64_t *ret_listed, struct err *e)
{
    own_free struct look_rows *read = calloc(1, sizeof(*read));
    own_doc struct doc *rows = NULL;
    struct look_row row;
    uint64_t n = 0;
    bool more;

    if (!read)
        return err_set(e, ERR_HOST, "out of memory");
    read->fd = rows_fd;
    while (n < CHANGES_ROWS && recording_has_content(k)) {
        if (look_rows_next(read, &row, &more, e) < 0)
            return -1;
        if (!more)
            break;
        if (!rows)
            rows = doc_new_array();
        doc_add(rows, row_doc(&row));
        if (++n % LINE_ROWS == 0)
            add_line(k, &rows);
    }
    add_line(k, &rows);
    *ret_listed = n;
    return 0;
}

static void add_sum(struct keeper *k, const struct look_result *r, uint64_t listed)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "since", k->c->from ? "mark" : "empty");
    doc_set_u64(d, "added", r->added);
    doc_set_u64(d, "changed", r->changed);
    doc_set_u64(d, "removed", r->removed);
    doc_set_u64(d, "unread", r->unread);
    doc_set_u64(d, "listed", listed);
    doc_set_bool(d, "whole", !r->cut && !r->spent && !r->unread);
    doc_set_bool(d, "settled", k->settled);
    recording_add(k, "changes_sum", d);
}

/* ---- the disk -------------------------------------------------------------------------------- */

static int open_state(const struct keeper *k, const char *name, int *ret_fd, struct err *e)
{
    *ret_fd = openat(k->state_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *ret_fd < 0 ? err_sys(e, ERR_HOST, errno, "cannot open '%s'", name) : 0;
}

/* As a raw file: a run's is one. */
static int open_disk(const struct keeper *k, int *ret_fd, struct err *e)
{
    static const char name[] = "changes.raw";
    own_free char *disk = str_printf("%s/" FOLDER_DISK, k->state_path);
    own_free char *base = k->c->from ? str_printf("%s/" FOLDER_BASE, k->state_path) : NULL;
    own_free char *raw = str_printf("%s/%s", k->state_path, name);
    int rc;

    if (strcmp(up_scratch_name(k), FOLDER_SCRATCH) == 0)
        return open_state(k, FOLDER_SCRATCH, ret_fd, e);
    if (disk_extract(disk, base, NULL, raw, e) < 0)
        return -1;
    rc = open_state(k, name, ret_fd, e);
    unlinkat(k->state_fd, name, 0);
    return rc;
}

static int compare(struct keeper *k, struct err *e)
{
    own_close int later = -1, earlier = -1, rows = memfd_create("lazaret-rows", MFD_CLOEXEC);
    struct look_result r;
    uint64_t listed = 0;

    if (rows < 0)
        return err_sys(e, ERR_HOST, errno, "memfd_create");
    if (open_disk(k, &later, e) < 0 ||
        (k->c->from && open_state(k, FOLDER_BASE, &earlier, e) < 0) ||
        look_diff(k->c->look_path, earlier, later, rows, -1, 0, LOOK_MS, &r, e) < 0 ||
        add_rows(k, rows, &listed, e) < 0)
        return -1;
    add_sum(k, &r, listed);
    return 0;
}

void changes_put(struct keeper *k)
{
    struct doc *d;
    struct err e;
    bool guest;

    if (!is_wanted(k) || compare(k, &e) == 0)
        return;
    /* What lazaret-look says of a disk that it cannot read, whoever it is by then. */
    guest = e.class == ERR_GUEST || e.class == ERR_PROTOCOL;
    d = doc_new_object();
    doc_set_str(d, guest ? "guest_error" : "error", recording_has_content(k) ? e.text : "");
    doc_set_bool(d, "settled", k->settled);
    recording_add(k, "changes_sum", d);
}

bool changes_are_asked_of(int folder_fd)
{
    own_doc struct doc *plan = NULL;
    struct plan_record r = {0};
    struct err none;
    bool are;

    if (folder_read_doc(folder_fd, "plan.json", &plan, &none) < 0)
        return false;
    are = plan_record_from_doc(plan, &r, &none) == 0 && r.changes;
    plan_record_done(&r);
    return are;
}
