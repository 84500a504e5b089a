/* warm_list: which saved guests there are, and making them fewer. See warm.h. */
#include "snapshots/warm.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "snapshots/warm_meta.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK_BYTES 512u /* st_blocks counts these: stat(2) */

struct entry {
    char key[DIGEST_HEX_SIZE];
    char *image; /* NULL: meta.json cannot be read */
    uint64_t bytes, created_s, used_s;
};

struct entries {
    struct entry *items;
    size_t n;
};

static void entries_done(struct entries *es)
{
    for (size_t i = 0; i < es->n; i++)
        free(es->items[i].image);
    free(es->items);
}
#define own_entries __attribute__((cleanup(entries_done)))

/* What it takes on the disk. */
static uint64_t disk_bytes(int folder)
{
    static const char *const names[] = {WARM_RAM, WARM_STATE, WARM_META};
    uint64_t sum = 0;
    struct stat st;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (fstatat(folder, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            sum += (uint64_t)st.st_blocks * BLOCK_BYTES;
    return sum;
}

static void add_entry(struct entries *es, int dir, const char *key)
{
    own_close int folder = openat(dir, key, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct entry *grown = NULL, *en;
    struct warm_meta m;
    struct stat st;
    struct err e;

    if (folder < 0 || fstat(folder, &st) < 0)
        return; /* removed meanwhile */
    grown = reallocarray(es->items, es->n + 1, sizeof(*es->items));
    if (!grown)
        abort();
    es->items = grown;
    en = &es->items[es->n++];
    *en = (struct entry){.bytes = disk_bytes(folder), .used_s = (uint64_t)st.st_mtim.tv_sec};
    snprintf(en->key, sizeof(en->key), "%s", key);
    if (warm_meta_read(folder, NULL, &m, &en->image, &e) == 0)
        en->created_s = m.created_s;
}

static int older_first(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->used_s != y->used_s)
        return x->used_s < y->used_s ? -1 : 1;
    return strcmp(x->key, y->key);
}

/* A folder that is not there has none. */
static int read_entries(const char *dir, struct entries *ret, struct err *e)
{
    own_closedir DIR *d = opendir(dir);
    const struct dirent *en;

    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return err_sys(e, ERR_HOST, errno, "cannot list '%s'", dir);
    while ((errno = 0, en = readdir(d)))
        if (digest_is_hex(en->d_name))
            add_entry(ret, dirfd(d), en->d_name);
    if (errno)
        return err_sys(e, ERR_HOST, errno, "cannot list '%s'", dir);
    if (ret->n)
        qsort(ret->items, ret->n, sizeof(ret->items[0]), older_first);
    return 0;
}

int warm_list(const char *dir, struct doc **ret, struct err *e)
{
    own_entries struct entries es = {0};
    struct doc *list;

    if (read_entries(dir, &es, e) < 0)
        return -1;
    list = doc_new_array();
    for (size_t i = 0; i < es.n; i++) {
        struct doc *d = doc_new_object();

        doc_set_str(d, "key", es.items[i].key);
        if (es.items[i].image)
            doc_set_str(d, "image", es.items[i].image);
        else
            doc_set_bool(d, "damaged", true);
        doc_set_u64(d, "bytes", es.items[i].bytes);
        doc_set_u64(d, "created", es.items[i].created_s);
        doc_set_u64(d, "used", es.items[i].used_s);
        doc_add(list, d);
    }
    *ret = list;
    return 0;
}

/* 1: removed, and what was begun of it too; 0: somebody is making it. */
static int remove_key(const char *dir, const char *key, struct err *e)
{
    own_warm_save struct warm_save s = WARM_SAVE_INIT;
    int r;

    snprintf(s.key, sizeof(s.key), "%s", key);
    r = warm_claim(dir, &s, e);
    if (r <= 0)
        return r;
    return warm_discard(&s, e) < 0 ? -1 : 1;
}

int warm_remove(const char *dir, const char *key, struct err *e)
{
    own_entries struct entries es = {0};
    const struct entry *found = NULL;
    int r;

    if (!digest_is_prefix(key))
        return err_set(e, ERR_USAGE, "'%.80s' is not the key of a saved guest (at least %d digits)",
                       key, DIGEST_PREFIX_MIN);
    if (read_entries(dir, &es, e) < 0)
        return -1;
    for (size_t i = 0; i < es.n; i++) {
        if (!str_starts_with(es.items[i].key, key))
            continue;
        if (found)
            return err_set(e, ERR_USAGE, "more than one saved guest begins with '%s'", key);
        found = &es.items[i];
    }
    if (!found)
        return err_set(e, ERR_USAGE, "there is no saved guest '%s' (see 'lazaret warm ls')", key);
    r = remove_key(dir, found->key, e);
    if (r == 0)
        return err_set(e, ERR_HOST, "saved guest %.12s is being made anew (try again)", found->key);
    return r < 0 ? -1 : 0;
}

/* One that is being made, or what a crash left of it: then it is ours by its lock, and goes. */
static int sweep_one(const char *dir, const char *name, struct err *e)
{
    own_warm_save struct warm_save s = WARM_SAVE_INIT;
    int r;

    snprintf(s.key, sizeof(s.key), "%.*s", DIGEST_HEX_SIZE - 1, name);
    if (!digest_is_hex(s.key))
        return 0;
    r = warm_claim(dir, &s, e);
    if (r == 1 && strcmp(name, s.key) != 0)
        return file_remove_tree(s.tmp_fd, name, e);
    return r < 0 ? -1 : 0;
}

/* What crashes left. Whoever still lives holds the lock. */
static int sweep(const char *dir, struct err *e)
{
    own_free char *tmp = str_printf("%s/tmp", dir);
    own_closedir DIR *d = opendir(tmp);
    const struct dirent *en;

    if (!d)
        return errno == ENOENT ? 0 : err_sys(e, ERR_HOST, errno, "cannot list '%s'", tmp);
    while ((errno = 0, en = readdir(d)))
        if (sweep_one(dir, en->d_name, e) < 0)
            return -1;
    return errno ? err_sys(e, ERR_HOST, errno, "cannot list '%s'", tmp) : 0;
}

int warm_prune(const char *dir, uint64_t max_bytes, uint64_t *ret_removed, uint64_t *ret_bytes,
               struct err *e)
{
    own_entries struct entries es = {0};
    uint64_t left = 0, removed = 0, bytes = 0;

    if (sweep(dir, e) < 0 || read_entries(dir, &es, e) < 0)
        return -1;
    for (size_t i = 0; i < es.n; i++)
        left += es.items[i].bytes;
    for (size_t i = 0; i < es.n && left > max_bytes; i++) {
        int r = remove_key(dir, es.items[i].key, e);

        if (r < 0)
            return -1;
        if (r == 0)
            continue;
        left -= es.items[i].bytes;
        bytes += es.items[i].bytes;
        removed++;
    }
    *ret_removed = removed;
    *ret_bytes = bytes;
    return 0;
}
