/* recording: the launcher's part: before anything runs, and when nothing runs any more. */
#include "run/recording.h"

#include "base/file.h"
#include "base/own.h"
#include "record/ledger.h"
#include "run/folder.h"
#include "seal/age.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

void recording_files_add(struct recording_files *f, const char *role, const char *name,
                         const char *text)
{
    struct recording_file *items = reallocarray(f->items, f->n + 1, sizeof(*items));

    if (!items)
        abort();
    f->items = items;
    f->items[f->n++] =
        (struct recording_file){.role = role, .name = str_dup(name), .text = str_dup(text)};
}

void recording_files_done(struct recording_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->items[i].name);
        free(f->items[i].text);
    }
    free(f->items);
    *f = (struct recording_files){0};
}

int recording_prepare(const struct plan *plan, const struct run_config *c, struct err *e)
{
    return plan->record.off ? 0 : ledger_prepare(c->data_dir, e);
}

static int copy_sealed(int from, struct seal_writer *w, struct err *e)
{
    own_free unsigned char *buf = malloc(SEAL_CHUNK);
    ssize_t n;

    if (!buf)
        return err_set(e, ERR_HOST, "out of memory");
    while ((n = file_read_up_to(from, buf, SEAL_CHUNK)) > 0)
        if (seal_put(w, buf, (size_t)n) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot seal the record");
    if (n < 0 || seal_end(w) < 0 || fsync(w->fd) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot seal the record");
    return 0;
}

/* The sealed one is whole before the other goes. */
static int seal(int dir, const char *id, const struct strv *to, struct err *e)
{
    own_free char *plain = str_printf("%s" RECORD_SUFFIX, id);
    own_free char *name = str_printf("%s" RECORD_SEALED, id);
    own_free char *part = str_printf("%s.part", name);
    own_free struct seal_writer *w = calloc(1, sizeof(*w));
    struct seal_public keys[SEAL_RECIPIENTS_MAX];
    own_close int from = openat(dir, plain, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out = -1;

    if (!w)
        return err_set(e, ERR_HOST, "out of memory");
    for (size_t i = 0; i < to->n; i++)
        if (seal_public_parse(to->items[i], &keys[i], e) < 0)
            return -1;
    out = openat(dir, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (from < 0 || out < 0)
        return err_sys(e, ERR_HOST, errno, "cannot seal the record");
    if (seal_begin(w, keys, to->n, e) < 0)
        return -1;
    w->fd = out;
    if (copy_sealed(from, w, e) < 0) {
        unlinkat(dir, part, 0);
        return -1;
    }
    if (renameat(dir, part, dir, name) < 0 || unlinkat(dir, plain, 0) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot seal the record");
    return 0;
}

static int add_last(struct record *r, bool kept, struct err *e)
{
    struct doc *d = doc_new_object();

    doc_set_bool(d, "processes", true);
    doc_set_str(d, "folder", kept ? "kept" : "removed");
    return record_add(r, RECORD_HOST, "destroyed", d, e);
}

int recording_close(const struct plan *plan, const struct run_config *c, const struct folder *f,
                    bool kept, struct err *e)
{
    own_free char *path = str_printf("%s/" RECORD_DIR, c->data_dir);
    own_free char *name = str_printf("%s" RECORD_SUFFIX, f->record);
    own_ledger struct ledger l = {.fd = -1};
    own_record struct record *r = NULL;
    own_close int dir = -1;

    if (plan->record.off || file_open_dir(path, &dir, e) < 0)
        return plan->record.off ? 0 : -1;
    if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return 0; /* it did not get as far as that */
    if (record_resume(dir, f->record, "end", &r, e) < 0 || ledger_open(c->data_dir, &l, e) < 0)
        return -1;
    if (plan->debug)
        record_mark_debug(r);
    if (add_last(r, kept, e) < 0 || record_sign(r, &l, RECORD_SIGN_CLOSED, e) < 0)
        return -1;
    return plan->record.recipients.n > 0 ? seal(dir, f->record, &plan->record.recipients, e) : 0;
}
