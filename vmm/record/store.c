/* store: the records of a data folder: found, listed, removed. */
#include "record/store.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "record/read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

struct entry {
    char id[RECORD_ID_SIZE];
    bool sealed;
    uint64_t bytes, changed_ns;
};

struct entries {
    struct entry *items;
    size_t n;
};

static void entries_done(struct entries *all)
{
    free(all->items);
}
#define own_entries __attribute__((cleanup(entries_done)))

static bool read_name(const char *name, struct entry *ret)
{
    *ret = (struct entry){0};
    ret->sealed = record_id_of(name, RECORD_SEALED, ret->id);
    return ret->sealed || record_id_of(name, RECORD_SUFFIX, ret->id);
}

/* Lives of a sandbox come oldest first: their ids are its name and a time. */
static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->id, ((const struct entry *)b)->id);
}

static int by_age(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->changed_ns == y->changed_ns)
        return by_id(a, b);
    return x->changed_ns < y->changed_ns ? -1 : 1;
}

static void add_entry(struct entries *all, const struct entry *one)
{
    struct entry *items = reallocarray(all->items, all->n + 1, sizeof(*items));

    if (!items)
        abort();
    all->items = items;
    items[all->n++] = *one;
}

/* In that order. Without a folder there are none. */
static int read_all(const char *data_dir, int (*order)(const void *a, const void *b),
                    struct entries *ret, struct err *e)
{
    own_free char *path = str_printf("%s/" RECORD_DIR, data_dir);
    own_closedir DIR *d = opendir(path);
    struct dirent *en;

    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", path);
    while ((errno = 0, en = readdir(d))) {
        struct entry one;
        struct stat st;

        if (!read_name(en->d_name, &one) ||
            fstatat(dirfd(d), en->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        one.bytes = (uint64_t)st.st_size;
        one.changed_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
        add_entry(ret, &one);
    }
    if (errno)
        return err_sys(e, ERR_HOST, errno, "cannot list '%s'", path);
    if (ret->n > 0)
        qsort(ret->items, ret->n, sizeof(*ret->items), order);
    return 0;
}

int record_find(const char *data_dir, const char *text, char ret_id[RECORD_ID_SIZE], struct err *e)
{
    own_entries struct entries all = {0};
    const struct entry *found = NULL, *newest = NULL;
    size_t n = 0;

    if (read_all(data_dir, by_id, &all, e) < 0)
        return -1;
    for (size_t i = 0; i < all.n && text[0]; i++) {
        const struct entry *one = &all.items[i];

        if (strcmp(one->id, text) == 0) {
            n = 1;
            found = one;
            break;
        }
        if (record_is_life(one->id, text))
            newest = one;
        if (str_starts_with(one->id, text)) {
            found = one;
            n++;
        }
    }
    if (newest && n != 1)
        found = newest;
    else if (n != 1)
        return err_set(e, ERR_USAGE, "%s '%.64s' (see 'lazaret record ls')",
                       n ? "there is more than one record that begins with"
                         : "there is no record of",
                       str_is_printable(text, 4096) ? text : "?");
    memcpy(ret_id, found->id, sizeof(found->id));
    return 0;
}

int record_open(const char *data_dir, const char *id, int *ret_fd, struct err *e)
{
    own_free char *path = str_printf("%s/" RECORD_DIR "/%s" RECORD_SUFFIX, data_dir, id);
    own_free char *sealed = str_printf("%s/" RECORD_DIR "/%s" RECORD_SEALED, data_dir, id);

    *ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*ret_fd >= 0)
        return 0;
    if (errno == ENOENT && access(sealed, F_OK) == 0)
        return err_set(e, ERR_USAGE,
                       "the record is sealed: open '%s' with 'lazaret unseal', and give that file",
                       sealed);
    return err_sys(e, ERR_HOST, errno, "cannot open '%s'", path);
}

/* ---- ls -------------------------------------------------------------------------------------- */

/* The first line, which has all but the state. */
static int take_begin(const struct record_line *line, void *arg, struct err *e)
{
    struct doc *row = arg;
    const struct doc *plan = NULL, *argv = NULL;
    const char *text;
    struct err none;

    (void)e;
    doc_set_str(row, "began", line->time);
    if (doc_get_str(line->d, "kind", &text, &none) == 0)
        doc_set_str(row, "kind", text);
    if (doc_get_str(line->d, "name", &text, &none) == 0)
        doc_set_str(row, "name", text);
    if (doc_has(line->d, "debug"))
        doc_set_bool(row, "debug", true);
    if (doc_get_object(line->d, "plan", &plan, &none) == 0 &&
        doc_get_array(plan, "command", &argv, &none) == 0)
        doc_set(row, "command", doc_copy(argv));
    return 1;
}

/* Is the last whole line its end? */
static int is_closed(int fd, uint64_t bytes, bool *ret, struct err *e)
{
    own_free char *tail = malloc(RECORD_LINE_MAX + 1);
    off_t from = bytes > RECORD_LINE_MAX + 1 ? (off_t)(bytes - RECORD_LINE_MAX - 1) : 0;
    own_doc struct doc *d = NULL;
    const char *end, *line, *type = "";
    struct err none;
    ssize_t n;

    if (!tail)
        return err_set(e, ERR_HOST, "out of memory");
    n = pread(fd, tail, RECORD_LINE_MAX + 1, from);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read the record");
    end = memrchr(tail, '\n', (size_t)n);
    if (end) {
        line = memrchr(tail, '\n', (size_t)(end - tail));
        line = line ? line + 1 : tail;
        if (doc_parse(line, (size_t)(end - line), "it", &d, &none) == 0 && doc_is_object(d))
            doc_get_str(d, "type", &type, &none);
    }
    *ret = strcmp(type, "destroyed") == 0;
    return 0;
}

static int read_row(const char *data_dir, const struct entry *one, struct doc *row, struct err *e)
{
    own_close int fd = -1;
    enum record_ends ends;
    bool closed = false;
    char why[256];

    if (record_open(data_dir, one->id, &fd, e) < 0 ||
        record_read(fd, take_begin, row, &ends, why, sizeof(why), e) < 0 ||
        is_closed(fd, one->bytes, &closed, e) < 0)
        return -1;
    doc_set_str(row, "state", closed ? "closed" : "open");
    return 0;
}

static int add_row(const char *data_dir, const struct entry *one, struct doc *list, struct err *e)
{
    struct doc *row = doc_new_object();

    doc_add(list, row);
    doc_set_str(row, "id", one->id);
    doc_set_u64(row, "bytes", one->bytes);
    if (!one->sealed)
        return read_row(data_dir, one, row, e);
    doc_set_str(row, "state", "sealed");
    return 0;
}

int record_list(const char *data_dir, struct doc **ret, struct err *e)
{
    own_entries struct entries all = {0};
    own_doc struct doc *list = doc_new_array();

    if (read_all(data_dir, by_age, &all, e) < 0)
        return -1;
    for (size_t i = 0; i < all.n; i++)
        if (add_row(data_dir, &all.items[i], list, e) < 0)
            return -1;
    *ret = own_steal_ptr(list);
    return 0;
}

/* ---- what is kept ---------------------------------------------------------------------------- */

/* 1: it is gone; 0: somebody writes to it. The ledger first: what is missing without a word there
 * was not removed by us. */
static int remove_one(const struct ledger *l, int dir, const struct entry *one, struct err *e)
{
    own_free char *name = str_printf("%s%s", one->id, one->sealed ? RECORD_SEALED : RECORD_SUFFIX);
    own_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct record_head h = {.hash = RECORD_NO_HASH};
    bool taken;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(e, ERR_HOST, errno, "cannot open '%s'", name);
    if (file_try_lock(fd, false, &taken, e) < 0)
        return -1;
    if (!taken)
        return 0;
    memcpy(h.id, one->id, sizeof(h.id));
    if (ledger_add(l, &h, LEDGER_REMOVED, true, e) < 0)
        return -1;
    if (unlinkat(dir, name, 0) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot remove '%s'", name);
    return 1;
}

int record_prune(const char *data_dir, uint64_t older_ms, uint64_t max_bytes, uint64_t *ret_removed,
                 uint64_t *ret_bytes, struct err *e)
{
    own_free char *path = str_printf("%s/" RECORD_DIR, data_dir);
    own_entries struct entries all = {0};
    own_ledger struct ledger l = {.fd = -1};
    own_close int dir = -1;
    uint64_t now = clock_real_ns(), left = 0;

    *ret_removed = *ret_bytes = 0;
    if (read_all(data_dir, by_age, &all, e) < 0)
        return -1;
    if (all.n == 0)
        return 0;
    for (size_t i = 0; i < all.n; i++)
        left += all.items[i].bytes;
    if (file_open_dir(path, &dir, e) < 0 || ledger_open(data_dir, &l, e) < 0)
        return -1;
    for (size_t i = 0; i < all.n; i++) {
        const struct entry *one = &all.items[i];
        uint64_t age_ms = now > one->changed_ns ? (now - one->changed_ns) / 1000000u : 0;
        int gone;

        if (age_ms <= older_ms && left <= max_bytes)
            continue;
        gone = remove_one(&l, dir, one, e);
        if (gone < 0)
            return -1;
        if (gone == 0)
            continue;
        left -= one->bytes;
        *ret_bytes += one->bytes;
        ++*ret_removed;
    }
    return 0;
}
