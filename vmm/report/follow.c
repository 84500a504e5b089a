/* follow: the lines that records grow by. See follow.h. */
#include "report/follow.h"

#include "base/own.h"
#include "base/str.h"
#include "record/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

struct file {
    char id[RECORD_ID_SIZE];
    uint64_t offset;
    bool seen; /* in the folder, this time */
};

struct follow {
    int dir, watch;
    char *only;
    char *buf; /* RECORD_LINE_MAX + 1 */
    struct file *files;
    size_t n;
};

static bool is_wanted(const struct follow *f, const char *id)
{
    return !f->only || strcmp(id, f->only) == 0 || record_is_life(id, f->only);
}

static struct file *find(struct follow *f, const char id[RECORD_ID_SIZE])
{
    struct file *more;

    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->files[i].id, id) == 0)
            return &f->files[i];
    more = reallocarray(f->files, f->n + 1, sizeof(*more));
    if (!more)
        return NULL;
    f->files = more;
    more = &f->files[f->n++];
    *more = (struct file){0};
    memcpy(more->id, id, sizeof(more->id));
    return more;
}

static int give_line(const char *id, const char *text, size_t len, follow_fn *each, void *arg,
                     struct err *e)
{
    own_doc struct doc *d = NULL;
    struct report_line line;

    if (doc_parse(text, len, id, &d, e) < 0)
        return -1;
    report_line_of(d, &line);
    return each(id, &line, arg, e);
}

/* Every whole line behind the offset. */
static int read_file(struct follow *f, struct file *file, follow_fn *each, void *arg, struct err *e)
{
    own_free char *name = str_printf("%s" RECORD_SUFFIX, file->id);
    own_close int fd = -1;
    struct stat st;
    ssize_t n;

    /* Of all records few grow at a time. */
    if (fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)st.st_size > file->offset)
        fd = openat(f->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) /* or gone meanwhile */
        return 0;
    while ((n = pread(fd, f->buf, RECORD_LINE_MAX + 1, (off_t)file->offset)) > 0) {
        const char *at = f->buf, *newline;

        while ((newline = memchr(at, '\n', (size_t)(f->buf + n - at)))) {
            if (give_line(file->id, at, (size_t)(newline - at), each, arg, e) < 0)
                return err_wrap(e, "record '%s'", file->id);
            at = newline + 1;
        }
        if (at == f->buf) {
            if (n > RECORD_LINE_MAX)
                return err_set(e, ERR_HOST, "record '%s': a line is too long", file->id);
            break; /* the rest of it is still to come */
        }
        file->offset += (uint64_t)(at - f->buf);
    }
    return n < 0 ? err_sys(e, ERR_HOST, errno, "cannot read record '%s'", file->id) : 0;
}

static int is_record(const struct dirent *entry)
{
    char id[RECORD_ID_SIZE];

    return record_id_of(entry->d_name, RECORD_SUFFIX, id);
}

/* Forgets those that were removed: a name may come again, with other lines. */
static void forget_gone(struct follow *f)
{
    size_t kept = 0;

    for (size_t i = 0; i < f->n; i++)
        if (f->files[i].seen) {
            f->files[kept] = f->files[i];
            f->files[kept++].seen = false;
        }
    f->n = kept;
}

int follow_read(struct follow *f, follow_fn *each, void *arg, struct err *e)
{
    char events[4096];
    struct dirent **names = NULL;
    int n, rc = 0;

    while (read(f->watch, events, sizeof(events)) > 0)
        ;
    n = scandirat(f->dir, ".", &names, is_record, alphasort);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot list the records");
    for (int i = 0; i < n; i++) {
        char id[RECORD_ID_SIZE];

        if (rc == 0 && record_id_of(names[i]->d_name, RECORD_SUFFIX, id) && is_wanted(f, id)) {
            struct file *file = find(f, id);

            if (file)
                file->seen = true;
            rc = file ? read_file(f, file, each, arg, e)
                      : err_sys(e, ERR_HOST, errno, "%d records", n);
        }
        free(names[i]);
    }
    free(names);
    forget_gone(f);
    return rc;
}

int follow_open(const char *data_dir, const char *only, struct follow **ret, struct err *e)
{
    own_free char *path = str_printf("%s/" RECORD_DIR, data_dir);
    own_follow struct follow *f = calloc(1, sizeof(*f));

    if (!f)
        return err_sys(e, ERR_HOST, errno, "following records");
    f->watch = -1;
    f->only = only ? str_dup(only) : NULL;
    f->buf = malloc(RECORD_LINE_MAX + 1);
    f->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir < 0 && errno == ENOENT)
        /* cppcheck-suppress memleak ; cleanup frees it */
        return err_set(e, ERR_USAGE, "there are no records yet");
    if (f->dir >= 0)
        f->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (!f->buf || f->dir < 0 || f->watch < 0 ||
        inotify_add_watch(f->watch, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0)
        /* cppcheck-suppress memleak ; cleanup frees it */
        return err_sys(e, ERR_HOST, errno, "cannot watch '%s'", path);
    *ret = own_steal_ptr(f);
    /* cppcheck-suppress memleak ; cleanup frees it */
    return 0;
}

void follow_free(struct follow *f)
{
    if (!f)
        return;
    own_close_p(&f->dir);
    own_close_p(&f->watch);
    free(f->only);
    free(f->buf);
    free(f->files);
    free(f);
}

int follow_fd(const struct follow *f)
{
    return f->watch;
}
