/* learn_paths: what a job touched as a few paths that may be declared. See learn_paths.h. */
#include "plan/learn_paths.h"

#include "base/own.h"
#include "shared/guest.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const starting_read[] = {GUEST_STARTING_READ};
static const char *const starting_exec[] = {GUEST_STARTING_EXEC};
static const char *const starting_devices[] = {GUEST_STARTING_DEVICES};
static const char *const wholes[] = {"/in",      "/work",        "/out", "/tmp",
                                     "/dev/shm", "/run/secrets", "/proc"};

void learn_lines_done(struct learn_lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].path);
    free(l->items);
    *l = (struct learn_lines){0};
}

static void add(struct learn_lines *l, const char *path, size_t len, size_t n)
{
    struct learn_line *grown = reallocarray(l->items, l->n + 1, sizeof(*grown));

    if (!grown)
        abort();
    l->items = grown;
    l->items[l->n++] = (struct learn_line){.path = str_printf("%.*s", (int)len, path), .n = n};
}

/* ---- one path -------------------------------------------------------------------------------- */

static bool is_at_or_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    if (strcmp(folder, "/") == 0)
        return true;
    return strncmp(path, folder, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool is_below_one_of(const char *path, const char *const *folders, size_t n)
{
    size_t i = 0;

    while (i < n && !is_at_or_below(path, folders[i]))
        i++;
    return i < n;
}

/* As the kernel names them, which follows the links of the image. */
static bool is_loader(const char *path)
{
    const char *name = strrchr(path, '/');
    size_t i = 0;

    while (i < COUNT(starting_exec) && strcmp(name, strrchr(starting_exec[i], '/')) != 0)
        i++;
    return i < COUNT(starting_exec) && is_below_one_of(path, starting_read, COUNT(starting_read));
}

static bool is_starting(const struct plan *p, enum learn_kind kind, const char *path)
{
    if (is_at_or_below(path, "/.lazaret"))
        return true;
    if (kind == LEARN_EXECUTED)
        return is_loader(path);
    if (is_below_one_of(path, starting_devices, COUNT(starting_devices)))
        return true;
    if (kind == LEARN_WRITTEN)
        return false;
    /* With a network it is lazaret's own. A next run may be without one, and an image need not have
     * the file: a declared one that is missing starts nothing. */
    return is_below_one_of(path, starting_read, COUNT(starting_read)) ||
           (p->egress && strcmp(path, "/etc/resolv.conf") == 0);
}

static bool is_plain(const char *name, size_t len)
{
    own_free char *part = str_printf("%.*s", (int)len, name);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)part[i] < ' ' || part[i] == 0x7f)
            return false;
    return len > 0 && strcmp(part, ".") != 0 && strcmp(part, "..") != 0 && str_is_utf8(part);
}

/* How much of it can be written down: whole parts. 0: nothing. */
static size_t plain_length(const char *path)
{
    size_t at = 0;

    for (unsigned parts = 0; parts < LEARN_PARTS && path[at] == '/'; parts++) {
        size_t len = strcspn(path + at + 1, "/");

        if (!is_plain(path + at + 1, len) || at + 1 + len > PLAN_PATH_MAX)
            break;
        at += 1 + len;
    }
    return at;
}

static size_t first_folder(const char *path)
{
    return 1 + strcspn(path + 1, "/");
}

static void add_path(const struct plan *p, enum learn_kind kind, const char *path,
                     struct learn_lines *l)
{
    size_t len = plain_length(path);
    own_free char *plain = str_printf("%.*s", (int)len, path);

    /* The folder itself was opened. */
    if (strcmp(path, "/") == 0 && kind == LEARN_READ) {
        add(l, path, 1, 1);
        return;
    }
    if (len == 0) {
        l->left_out++;
        return;
    }
    if (is_starting(p, kind, plain))
        return;
    for (size_t i = 0; i < COUNT(wholes); i++)
        if (is_at_or_below(plain, wholes[i]) &&
            (kind != LEARN_EXECUTED || strcmp(wholes[i], "/in") != 0)) {
            add(l, wholes[i], strlen(wholes[i]), 1);
            return;
        }
    add(l, plain, p->writable_root ? first_folder(plain) : len, 1);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* By parts: what is below a folder comes right behind it. */
static int compare(const void *a, const void *b)
{
    const char *x = ((const struct learn_line *)a)->path, *y = ((const struct learn_line *)b)->path;

    while (*x && *x == *y)
        x++, y++;
    return (*x == '/' ? 1 : (unsigned char)*x) - (*y == '/' ? 1 : (unsigned char)*y);
}

/* In order, without what is below another one. */
static void settle(struct learn_lines *l)
{
    size_t n = 0;

    if (l->n > 0)
        qsort(l->items, l->n, sizeof(l->items[0]), compare);
    for (size_t i = 0; i < l->n; i++) {
        struct learn_line *one = &l->items[i], *last = n ? &l->items[n - 1] : NULL;

        if (last && is_at_or_below(one->path, last->path)) {
            last->n += one->n;
            free(one->path);
        } else {
            l->items[n++] = *one;
        }
    }
    l->n = n;
}

static size_t parent_length(const char *path)
{
    return (size_t)(strrchr(path, '/') - path);
}

static size_t depth(const char *path)
{
    size_t n = 0;

    for (; *path; path++)
        n += *path == '/';
    return n;
}

/* The folder of a path. */
struct parent {
    const char *path;
    size_t len;
};

static int compare_parents(const void *a, const void *b)
{
    const struct parent *x = a, *y = b;

    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return memcmp(x->path, y->path, x->len);
}

/* Returns new: of each line, those of one folder together. */
static struct parent *sort_parents(const struct learn_lines *l)
{
    struct parent *all = calloc(l->n + 1, sizeof(*all));

    if (!all)
        abort();
    for (size_t i = 0; i < l->n; i++)
        all[i] = (struct parent){l->items[i].path, parent_length(l->items[i].path)};
    qsort(all, l->n, sizeof(*all), compare_parents);
    return all;
}

/* Where there are too many in one folder, they become it. False: nowhere. */
static bool join_siblings(struct learn_lines *l)
{
    own_free struct parent *all = sort_parents(l);
    const size_t n = l->n;

    for (size_t i = 0, next; i < n; i = next) {
        next = i + 1;
        while (next < n && compare_parents(&all[i], &all[next]) == 0)
            next++;
        if (all[i].len > 0 && next - i > LEARN_SIBLINGS)
            add(l, all[i].path, all[i].len, 0);
    }
    if (l->n == n)
        return false;
    settle(l);
    return true;
}

/* The deepest become their folders. False: all are at the top. */
static bool join_deepest(struct learn_lines *l)
{
    size_t deepest = 0;

    for (size_t i = 0; i < l->n; i++)
        if (depth(l->items[i].path) > deepest)
            deepest = depth(l->items[i].path);
    for (size_t i = 0, n = l->n; deepest > 1 && i < n; i++)
        if (depth(l->items[i].path) == deepest)
            add(l, l->items[i].path, parent_length(l->items[i].path), 0);
    settle(l);
    return deepest > 1;
}

void learn_lines_tidy(struct learn_lines *l)
{
    settle(l);
    do {
        while (join_siblings(l))
            ;
    } while (l->n > LEARN_LINES && join_deepest(l));
}

void learn_lines_add(struct learn_lines *l, const struct strv *paths)
{
    for (size_t i = 0; i < paths->n; i++) {
        size_t len = strlen(paths->items[i]);

        while (len > 1 && paths->items[i][len - 1] == '/')
            len--;
        add(l, paths->items[i], len, 0);
    }
    settle(l);
}

static const struct strv *declared(const struct plan *p, enum learn_kind kind)
{
    return kind == LEARN_READ      ? &p->declared.read
           : kind == LEARN_WRITTEN ? &p->declared.write
                                   : &p->declared.exec;
}

/* What both of them allow, and no more of them than may be declared. */
static void meet(struct learn_lines *l, const struct learn_lines *allowed)
{
    const bool whole = l->n + allowed->n > PLAN_PATHS_MAX;
    struct learn_lines ret = {.left_out = l->left_out};

    for (size_t i = 0; i < l->n; i++) {
        const struct learn_line *is = &l->items[i];
        const size_t before = ret.n;

        for (size_t k = 0; k < allowed->n; k++) {
            const char *path = allowed->items[k].path;

            if (is_at_or_below(path, is->path))
                add(&ret, path, strlen(path), is->n);
            else if (is_at_or_below(is->path, path))
                add(&ret, whole ? path : is->path, strlen(whole ? path : is->path), is->n);
        }
        if (ret.n == before)
            ret.left_out += is->n;
    }
    settle(&ret);
    learn_lines_done(l);
    *l = ret;
}

void learn_lines_make(const struct plan *p, enum learn_kind kind, const struct strv *paths,
                      struct learn_lines *l)
{
    for (size_t i = 0; i < paths->n; i++)
        add_path(p, kind, paths->items[i], l);
    learn_lines_tidy(l);
    while (l->n > LEARN_LINES) {
        l->left_out += l->items[--l->n].n;
        free(l->items[l->n].path);
    }
    if (plan_is_declared(p)) {
        own_learn_lines struct learn_lines allowed = {0};

        learn_lines_add(&allowed, declared(p, kind));
        meet(l, &allowed);
    }
}
