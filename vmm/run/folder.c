/* folder: the folder of one run or sandbox, which is its state: made, written to, swept. */
#include "run/folder.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "hv/hv.h"
#include "run/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define JSON_MAX     (4u << 20)
#define LOCK_WAIT_MS 10000u
#define DAEMON_MS    5000u /* a libvirt daemon may hang */

/* Waits a while for an exclusive lock; `path` is for the error. */
static int lock_file(int fd, const char *path, struct err *e)
{
    bool taken;

    if (file_wait_lock(fd, false, LOCK_WAIT_MS, &taken, e) < 0)
        return err_wrap(e, "'%s'", path);
    if (!taken)
        return err_set(e, ERR_HOST, "another lazaret holds '%s' (does a 'lazaret gc' hang?)", path);
    return 0;
}

const char *folder_place(enum folder_kind kind)
{
    return kind == FOLDER_SANDBOX ? "sandboxes" : "runs";
}

int folder_lock_place(const char *data_dir, enum folder_kind kind, struct err *e)
{
    own_free char *path = str_printf("%s/%s", data_dir, folder_place(kind));
    own_close int fd = -1;

    if (file_make_dirs(path, 0700, e) < 0 || file_open_dir(path, &fd, e) < 0 ||
        lock_file(fd, path, e) < 0)
        return -1;
    return own_steal_fd(fd);
}

char *folder_live_place(const char *data_dir)
{
    return str_printf("%s/" FOLDER_LIVE, data_dir);
}

/* A run's name among those that live; a sandbox has none there. */
static char *live_path(const char *data_dir, const char *id)
{
    return str_printf("%s/" FOLDER_LIVE "/%s", data_dir, id);
}

static int add_live(const char *data_dir, const char *id, struct err *e)
{
    own_free char *place = folder_live_place(data_dir);
    own_free char *path = live_path(data_dir, id);
    own_close int fd = -1;

    if (file_make_dirs(place, 0700, e) < 0)
        return -1;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? err_sys(e, ERR_HOST, errno, "cannot make '%s'", path) : 0;
}

int folder_forget_live(const char *data_dir, const char *id, struct err *e)
{
    own_free char *path = live_path(data_dir, id);

    if (unlink(path) < 0 && errno != ENOENT)
        return err_sys(e, ERR_HOST, errno, "cannot remove '%s'", path);
    return 0;
}

/* Removed at the end of every run, kept or not. */
static const char *const never_kept[] = {FOLDER_SCRATCH, FOLDER_BASE, FOLDER_DISK,   FOLDER_INPUT,
                                         FOLDER_TREE,    TALK_SOCKET, FOLDER_PAUSED, FOLDER_MARKS};

static int make_id(char *out, struct err *e)
{
    uint8_t tail[3];
    time_t now = (time_t)(clock_real_ns() / 1000000000u);
    struct tm tm;
    size_t n;

    if (getrandom(tail, sizeof(tail), 0) != sizeof(tail))
        return err_sys(e, ERR_HOST, errno, "getrandom");
    gmtime_r(&now, &tm);
    n = strftime(out, RUN_ID_SIZE, "%Y%m%d-%H%M%S-", &tm);
    snprintf(out + n, RUN_ID_SIZE - n, "%02x%02x%02x", tail[0], tail[1], tail[2]);
    return 0;
}

int folder_write_doc(int dirfd, const char *name, const struct doc *d, struct err *e)
{
    own_free char *text = doc_format(d, true);

    return file_write(dirfd, name, text, strlen(text), 0600, e);
}

/* Not synced to the disk, as the journal. */
static int write_first_doc(const struct folder *f, const char *name, const struct doc *d,
                           struct err *e)
{
    own_free char *text = doc_format(d, true);

    return file_write_brief(f->fd, name, text, strlen(text), 0600, e);
}

int folder_read_doc(int dirfd, const char *name, struct doc **ret, struct err *e)
{
    own_free char *text = NULL;
    size_t len = 0;

    if (file_read(dirfd, name, JSON_MAX, &text, &len, e) < 0)
        return -1;
    return doc_parse(text, len, name, ret, e);
}

int folder_is_amnesic(int folder_fd, bool *ret, struct err *e)
{
    own_doc struct doc *run = NULL;

    if (folder_read_doc(folder_fd, "run.json", &run, e) < 0)
        return -1;
    *ret = false;
    return doc_has(run, "amnesic") ? doc_get_bool(run, "amnesic", ret, e) : 0;
}

static int write_run_json(const struct folder *f, const struct plan *plan,
                          const struct run_config *c, struct err *e)
{
    own_doc struct doc *d = doc_new_object();
    char when[32];

    doc_set_str(d, "format", "lazaret-run");
    doc_set_u64(d, "version", 1);
    doc_set_str(d, "id", f->id);
    doc_set_str(d, "kind", f->kind == FOLDER_SANDBOX ? "sandbox" : "run");
    doc_set_str(d, "started", clock_format_utc(when, clock_real_ns()));
    doc_set_u64(d, "pid", (uint64_t)getpid());
    doc_set_str(d, "image", plan->image);
    doc_set_strv(d, "command", (const char *const *)plan->argv.items);
    doc_set_str(d, "connect", c->uri ? c->uri : "embedded");
    doc_set_bool(d, "keep", c->keep_logs);
    doc_set_bool(d, "amnesic", plan->amnesic);
    if (!plan->record.off)
        doc_set_str(d, "record", f->record);
    if (plan->debug)
        doc_set_bool(d, "debug", true);
    return write_first_doc(f, "run.json", d, e);
}

/* The name is taken: by one that lives, or by what is left of one. */
static int say_taken(const char *path, const char *name, struct err *e)
{
    own_close int fd = -1;
    const char *state = "dead";

    if (file_open_dir(path, &fd, e) < 0 || folder_state(fd, FOLDER_SANDBOX, &state, e) < 0)
        return -1;
    if (strcmp(state, "dead") == 0)
        return err_set(e, ERR_USAGE,
                       "there is a dead sandbox '%s' (see 'lazaret show %s'; remove it with "
                       "'lazaret down %s')",
                       name, name, name);
    return err_set(e, ERR_USAGE, "there is a sandbox '%s' already: it is %s", name, state);
}

static int make_dir(struct folder *f, const char *data_dir, const char *name, struct err *e)
{
    char id[RUN_ID_SIZE];

    if (make_id(id, e) < 0)
        return -1;
    f->kind = name ? FOLDER_SANDBOX : FOLDER_RUN;
    snprintf(f->id, sizeof(f->id), "%s", name ? name : id);
    snprintf(f->record, sizeof(f->record), "%s%s%s", name ? name : "", name ? "." : "", id);
    f->path = str_printf("%s/%s/%s", data_dir, folder_place(f->kind), f->id);
    /* First: no folder of a run that lives is without its name there. */
    if (!name && add_live(data_dir, f->id, e) < 0)
        return -1;
    if (mkdir(f->path, 0700) == 0)
        return 0;
    if (name && errno == EEXIST)
        return say_taken(f->path, name, e);
    err_sys(e, ERR_HOST, errno, "cannot make the folder '%s'", f->path);
    if (!name)
        folder_forget_live(data_dir, f->id, &(struct err){0});
    return -1;
}

static int fill_dir(struct folder *f, const struct plan *plan, const struct run_config *c,
                    struct err *e)
{
    own_doc struct doc *d = plan_to_doc(plan);

    if (file_open_dir(f->path, &f->fd, e) < 0)
        return -1;
    f->lock_fd = openat(f->fd, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (f->lock_fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write to '%s'", f->path);
    /* Somebody who looks at the state may hold it for a moment. */
    if (lock_file(f->lock_fd, f->path, e) < 0 || write_run_json(f, plan, c, e) < 0)
        return -1;
    return write_first_doc(f, "plan.json", d, e);
}

int folder_create(const char *data_dir, const char *name, const struct plan *plan,
                  const struct run_config *c, struct folder *ret, struct err *e)
{
    own_folder struct folder f = {.fd = -1, .lock_fd = -1};
    own_close int place = folder_lock_place(data_dir, name ? FOLDER_SANDBOX : FOLDER_RUN, e);

    if (place < 0 || make_dir(&f, data_dir, name, e) < 0)
        return -1;
    if (fill_dir(&f, plan, c, e) < 0) {
        file_remove_tree(AT_FDCWD, f.path, &(struct err){0});
        if (!name)
            folder_forget_live(data_dir, f.id, &(struct err){0});
        return -1;
    }
    f.debug = plan->debug;
    *ret = f;
    f = (struct folder){.fd = -1, .lock_fd = -1};
    return 0;
}

void folder_done(struct folder *f)
{
    free(f->path);
    if (f->fd >= 0)
        close(f->fd);
    if (f->lock_fd >= 0)
        close(f->lock_fd);
    *f = (struct folder){.fd = -1, .lock_fd = -1};
}

/*
 * Not synced to the disk: the journal is for the crash of a process. After a power cut no process
 * of the run is left, and gc removes the folder whatever the journal says.
 */
static int journal(const struct folder *f, struct doc *d, struct err *e)
{
    own_close int fd = openat(f->fd, "journal", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    own_free char *text = NULL, *line = NULL;

    if (f->debug)
        doc_set_bool(d, "debug", true);
    text = doc_format(d, false);
    line = str_printf("%s\n", text);
    if (fd < 0 || file_write_all(fd, line, strlen(line)) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write the run's journal");
    return 0;
}

/* Returns new: with the time. */
static struct doc *new_line(void)
{
    struct doc *d = doc_new_object();
    char when[32];

    doc_set_str(d, "t", clock_format_utc(when, clock_real_ns()));
    return d;
}

int folder_journal(const struct folder *f, const char *step, const char *state, struct err *e)
{
    own_doc struct doc *d = new_line();

    doc_set_str(d, "step", step);
    doc_set_str(d, "state", state);
    return journal(f, d, e);
}

int folder_journal_event(const struct folder *f, const char *event, struct doc *what, struct err *e)
{
    own_doc struct doc *d = new_line();

    doc_set_str(d, "event", event);
    doc_set(d, "what", what);
    return journal(f, d, e);
}

int folder_write_result(int folder_fd, const struct run_result *r, struct err *e)
{
    own_doc struct doc *d = run_result_to_doc(r);

    return folder_write_doc(folder_fd, "result.json", d, e);
}

/* 1 or 0: is it there? */
static int has(int fd, const char *name, struct err *e)
{
    if (faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return errno == ENOENT ? 0 : err_sys(e, ERR_HOST, errno, "cannot look for '%s'", name);
}

/* Its text, NULL where there is none. */
static int read_if_there(int fd, const char *name, char **ret, struct err *e)
{
    int there = has(fd, name, e);

    *ret = NULL;
    return there <= 0 ? there : file_read(fd, name, JSON_MAX, ret, NULL, e);
}

/* In a process of its own, because libvirt's calls have no deadline. */
static int destroy_domain(const char *uri, const char *name)
{
    struct err e;
    struct hv *hv;
    int rc;

    if (hv_open(&(struct hv_config){.uri = uri, .log_path = "/dev/null"}, &hv, &e) < 0)
        return -1;
    rc = hv_destroy_by_name(hv, name, &e);
    hv_close(hv);
    return rc;
}

/* The domain of a dead run that a local daemon may still run. */
static int destroy_over_daemon(int fd, const char *id, struct err *e)
{
    own_doc struct doc *run = NULL;
    own_free char *name = str_printf("lazaret-%s", id);
    own_free char *journal = NULL, *text = NULL;
    const char *uri;
    struct err missing;
    pid_t pid;
    int status;

    if (read_if_there(fd, "journal", &journal, e) < 0 ||
        read_if_there(fd, "run.json", &text, e) < 0)
        return -1;
    /* run.json is written whole before there is a domain: without it there was none. */
    if (!journal || !strstr(journal, "\"state\":\"" FOLDER_CREATING "\"") || !text ||
        doc_parse(text, strlen(text), "run.json", &run, &missing) < 0 ||
        doc_get_str(run, "connect", &uri, &missing) < 0 || strcmp(uri, "embedded") == 0)
        return 0;
    pid = fork();
    if (pid == 0)
        _exit(destroy_domain(uri, name) < 0 ? 1 : 0);
    if (pid < 0)
        return err_sys(e, ERR_HOST, errno, "fork");
    if (spawn_wait(pid, "libvirt", clock_mono_ms() + DAEMON_MS, &status, e) < 0)
        return -1;
    if (status != 0)
        return err_set(e, ERR_HOST,
                       "its domain could not be destroyed over %s (does the daemon run?)", uri);
    return 0;
}

int folder_sweep(const char *data_dir, enum folder_kind kind, const char *id, bool keep,
                 struct err *e)
{
    own_free char *path = str_printf("%s/%s/%s", data_dir, folder_place(kind), id);
    own_close int fd = -1;

    if (file_open_dir(path, &fd, e) < 0)
        return -1;
    if (destroy_over_daemon(fd, id, e) < 0)
        return err_wrap(e, "%s", id);
    if (!keep && file_remove_tree(AT_FDCWD, path, e) < 0)
        return -1;
    for (size_t i = 0; keep && i < sizeof(never_kept) / sizeof(never_kept[0]); i++)
        if (file_remove_tree(fd, never_kept[i], e) < 0)
            return -1;
    return kind == FOLDER_RUN ? folder_forget_live(data_dir, id, e) : 0;
}

int folder_state(int fd, enum folder_kind kind, const char **ret_state, struct err *e)
{
    const bool sandbox = kind == FOLDER_SANDBOX;
    int up = 1, sign = 0; /* what is there */
    own_close int lock = openat(fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool taken = true;

    if (lock < 0 && errno != ENOENT)
        return err_sys(e, ERR_HOST, errno, "cannot open its lock");
    if (lock >= 0 && file_try_lock(lock, true, &taken, e) < 0)
        return -1;
    if (sandbox && !taken && (up = has(fd, TALK_SOCKET, e)) < 0)
        return -1;
    if (sandbox != taken && (sign = has(fd, taken ? "result.json" : FOLDER_PAUSED, e)) < 0)
        return -1;
    if (taken)
        *ret_state = sign ? "kept" : "dead";
    else
        *ret_state = !up ? "starting" : sign ? "paused" : "running";
    return 0;
}
