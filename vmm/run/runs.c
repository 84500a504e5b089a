/* runs: what runs and sandboxes there are: listed, shown, and swept where they are dead. */
#include "run/runs.h"

#include "base/file.h"
#include "base/own.h"
#include "run/alarm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct looking {
    const char *place;
    enum folder_kind kind;
    int (*each)(void *arg, const struct runs_found *f);
    void *arg;
};

/* A run may end and vanish while we look. */
static int look(void *arg, const char *name, struct err *e)
{
    const struct looking *l = arg;
    own_free char *path = str_printf("%s/%s", l->place, name);
    struct runs_found f = {.kind = l->kind, .id = name};
    own_close int fd = -1;

    if (!str_is_name(name) || file_open_dir(path, &fd, &(struct err){0}) < 0)
        return 0;
    f.fd = fd;
    if (folder_state(fd, f.kind, &f.state, e) < 0)
        return err_wrap(e, "%s", name);
    return l->each(l->arg, &f);
}

/* Calls `each` for every name in a folder, in their order; for none if there is no folder. */
static int for_each_name(const char *place, int (*each)(void *arg, const char *name, struct err *e),
                         void *arg, struct err *e)
{
    struct dirent **names = NULL;
    int n = scandir(place, &names, NULL, alphasort);
    int rc = 0;

    if (n < 0)
        return errno == ENOENT ? 0 : err_sys(e, ERR_HOST, errno, "cannot list '%s'", place);
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = each(arg, names[i]->d_name, e);
        free(names[i]);
    }
    free(names);
    return rc;
}

int runs_each(const char *data_dir, enum folder_kind kind, const char *listed,
              int (*each)(void *arg, const struct runs_found *f), void *arg, struct err *e)
{
    own_free char *place = str_printf("%s/%s", data_dir, folder_place(kind));
    struct looking l = {.place = place, .kind = kind, .each = each, .arg = arg};

    return for_each_name(listed ? listed : place, look, &l, e);
}

/* Why a sandbox is held, if it is. */
static void add_held(struct doc *row, int fd, const char *state)
{
    own_free char *why = NULL;
    char text[ERR_TEXT_MAX];
    size_t len;

    if (strcmp(state, "paused") != 0 ||
        file_read(fd, FOLDER_PAUSED, ERR_TEXT_MAX, &why, &len, &(struct err){0}) < 0 || len == 0)
        return;
    str_escape(text, sizeof(text), why, len);
    doc_set_str(row, "held", text);
}

struct listing {
    struct doc *list;
    bool all;
};

static int list_one(void *arg, const struct runs_found *f)
{
    struct listing *l = arg;
    own_doc struct doc *run = NULL;
    struct doc *row;
    const char *text;
    bool amnesic = false;
    struct err ignored;

    if (!l->all && f->kind == FOLDER_RUN && strcmp(f->state, "running") != 0)
        return 0;
    row = doc_new_object();
    doc_set_str(row, "id", f->id);
    doc_set_str(row, "kind", f->kind == FOLDER_SANDBOX ? "sandbox" : "run");
    doc_set_str(row, "state", f->state);
    add_held(row, f->fd, f->state);
    if (folder_read_doc(f->fd, "run.json", &run, &ignored) == 0) {
        static const char *const keys[] = {"started", "image", "connect"};
        const struct doc *command;

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            if (doc_get_str(run, keys[i], &text, &ignored) == 0)
                doc_set_str(row, keys[i], text);
        if (doc_has(run, "amnesic") && doc_get_bool(run, "amnesic", &amnesic, &ignored) == 0)
            doc_set_bool(row, "amnesic", amnesic);
        if (doc_has(run, "debug"))
            doc_set_bool(row, "debug", true);
        if (doc_get_array(run, "command", &command, &ignored) == 0) {
            struct doc *copy = doc_new_array();

            for (size_t i = 0; i < doc_len(command); i++)
                doc_add_str(copy, doc_str_at(command, i) ? doc_str_at(command, i) : "");
            doc_set(row, "command", copy);
        }
    }
    doc_add(l->list, row);
    return 0;
}

int run_list(const char *data_dir, bool all, struct doc **ret, struct err *e)
{
    struct listing l = {.list = doc_new_array(), .all = all};
    own_free char *live = folder_live_place(data_dir);

    if (runs_each(data_dir, FOLDER_SANDBOX, NULL, list_one, &l, e) < 0 ||
        runs_each(data_dir, FOLDER_RUN, all ? NULL : live, list_one, &l, e) < 0) {
        doc_free(l.list);
        return -1;
    }
    *ret = l.list;
    return 0;
}

struct finding {
    const char *prefix;
    bool sandbox;
    unsigned n;
    struct doc *found;
};

static int find_one(void *arg, const struct runs_found *at)
{
    static const struct {
        const char *key, *file;
    } parts[] = {{"run", "run.json"},
                 {"plan", "plan.json"},
                 {"network", FOLDER_NETWORK},
                 {"result", "result.json"}};
    struct finding *f = arg;

    /* A sandbox by its whole name, which goes before the beginning of a run's id. */
    if (at->kind == FOLDER_SANDBOX ? strcmp(at->id, f->prefix) != 0
                                   : f->sandbox || !str_starts_with(at->id, f->prefix))
        return 0;
    f->sandbox = at->kind == FOLDER_SANDBOX;
    f->n++;
    doc_free(f->found);
    f->found = doc_new_object();
    doc_set_str(f->found, "id", at->id);
    doc_set_str(f->found, "kind", f->sandbox ? "sandbox" : "run");
    doc_set_str(f->found, "state", at->state);
    add_held(f->found, at->fd, at->state);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct doc *d;
        struct err missing;

        if (folder_read_doc(at->fd, parts[i].file, &d, &missing) == 0)
            doc_set(f->found, parts[i].key, d);
    }
    return 0;
}

int run_show(const char *data_dir, const char *id, struct doc **ret, struct err *e)
{
    struct finding f = {.prefix = id};

    if (runs_each(data_dir, FOLDER_SANDBOX, NULL, find_one, &f, e) == 0 &&
        runs_each(data_dir, FOLDER_RUN, NULL, find_one, &f, e) == 0) {
        if (f.n == 1) {
            *ret = f.found;
            return 0;
        }
        err_set(e, ERR_USAGE,
                f.n ? "run '%s': more than one begins so (see 'lazaret ls --all')"
                    : "run or sandbox '%s': there is none (see 'lazaret ls --all')",
                id);
    }
    doc_free(f.found);
    return -1;
}

struct sweeping {
    const char *data_dir;
    bool kept;
    uint64_t removed, failed;
    struct err first; /* of those that failed */
};

static int sweep_dead(struct sweeping *s, const struct runs_found *f, struct err *e)
{
    own_doc struct doc *run = NULL;
    own_close int file = openat(f->fd, "run.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool keep = false;
    struct err missing;
    struct stat st;

    /* One that cannot be looked at now may have been asked to stay. */
    if (file < 0 && errno != ENOENT && errno != ELOOP)
        return err_sys(e, ERR_HOST, errno, "%s: cannot open 'run.json'", f->id);
    /* After a power cut it may be empty: then nobody has asked. */
    if (!s->kept && file >= 0 && (fstat(file, &st) < 0 || st.st_size > 0) &&
        folder_read_doc(f->fd, "run.json", &run, e) < 0)
        return err_wrap(e, "%s (what is damaged goes with 'lazaret gc --kept')", f->id);
    if (run)
        doc_get_bool(run, "keep", &keep, &missing);
    if (keep) {
        struct run_result lost = {.err = {.class = ERR_HOST, .text = "the manager died"},
                                  .debug = doc_has(run, "debug")};

        snprintf(lost.id, sizeof(lost.id), "%s", f->id);
        if (folder_write_result(f->fd, &lost, e) < 0)
            return -1;
    }
    return folder_sweep(s->data_dir, f->kind, f->id, keep, e);
}

/* One that cannot be swept does not keep the others from it. */
static int gc_one(void *arg, const struct runs_found *f)
{
    struct sweeping *s = arg;
    struct err failure;

    if (strcmp(f->state, "dead") != 0 && !(strcmp(f->state, "kept") == 0 && s->kept))
        return 0;
    if (sweep_dead(s, f, &failure) == 0)
        s->removed++;
    else if (s->failed++ == 0)
        s->first = failure;
    return 0;
}

/* A crash may come before a run's folder is there, or when it is gone. */
static int forget_one(void *arg, const char *id, struct err *e)
{
    own_free char *path = str_printf("%s/%s/%s", (const char *)arg, folder_place(FOLDER_RUN), id);

    if (!str_is_name(id) || access(path, F_OK) == 0 || errno != ENOENT)
        return 0;
    return folder_forget_live(arg, id, e);
}

/* With the lock of runs/ held: there, a name comes before its folder. */
static int forget_gone(const char *data_dir, struct err *e)
{
    own_free char *live = folder_live_place(data_dir);

    return for_each_name(live, forget_one, (void *)(uintptr_t)data_dir, e);
}

static int remove_evidence(const char *data_dir, struct err *e)
{
    own_free char *path = str_printf("%s/" ALARM_DIR, data_dir);

    return file_remove_tree(AT_FDCWD, path, e);
}

int run_gc(const char *data_dir, bool kept, uint64_t *ret_removed, struct err *e)
{
    struct sweeping s = {.data_dir = data_dir, .kept = kept};

    for (int kind = 0; kind < FOLDER_KINDS; kind++) {
        own_close int lock = folder_lock_place(data_dir, (enum folder_kind)kind, e);

        if (lock < 0 || runs_each(data_dir, (enum folder_kind)kind, NULL, gc_one, &s, e) < 0 ||
            (kind == FOLDER_RUN && forget_gone(data_dir, e) < 0))
            return -1;
    }
    if (s.failed) {
        *e = s.first;
        return -1;
    }
    *ret_removed = s.removed;
    return kept ? remove_evidence(data_dir, e) : 0;
}
