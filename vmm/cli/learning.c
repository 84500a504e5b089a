/* learning: `run --learn FILE`: the manifest of what a run did, or a widened one. See learning.h.
 */
#include "cli/learning.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "cli/output_file.h"
#include "plan/learn.h"
#include "plan/request_write.h"
#include "plan/widen.h"
#include "run/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_MS 5000u /* for another one that learns into the same folder */

/* Its folder, to look at and to lock: two that widen one file do so one after the other. */
static int open_folder(const char *path, int *ret_fd, struct err *e)
{
    const char *slash = strrchr(path, '/');
    own_free char *folder =
        slash ? str_printf("%.*s", (int)(slash - path) + 1, path) : str_dup(".");
    own_close int fd = -1;

    if (file_open_dir(folder, &fd, e) < 0) {
        e->class = ERR_USAGE;
        return err_wrap(e, "--learn");
    }
    if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0)
        return err_sys(e, ERR_USAGE, errno, "--learn: cannot write to '%s'", folder);
    *ret_fd = own_steal_fd(fd);
    return 0;
}

/* What is there already. *ret_mode is its own, or what a new file gets. */
static int read_old(const char *path, struct request *ret, bool *ret_is, mode_t *ret_mode,
                    struct err *e)
{
    const mode_t ours = umask(077);
    struct stat st;

    umask(ours);
    *ret_is = stat(path, &st) == 0;
    if (!*ret_is && errno != ENOENT)
        return err_sys(e, ERR_USAGE, errno, "--learn: '%s'", path);
    *ret_mode = *ret_is ? st.st_mode & 0777 : 0666 & ~ours;
    if (*ret_is && options_read_request(path, ret, NULL, e) < 0)
        return err_wrap(e, "--learn");
    return 0;
}

int learning_begin(const struct options *o, struct learning *ret, struct err *e)
{
    own_request struct request old = {0}, fresh = {0}, both = {0};
    own_strv struct strv notes = {0};
    own_close int folder = -1;
    const char *image = plan_wish_text(&o->wish, KEY_IMAGE);
    mode_t mode;
    bool is;

    if (!o->learn)
        return 0;
    if (open_folder(o->learn, &folder, e) < 0 || read_old(o->learn, &old, &is, &mode, e) < 0)
        return -1;
    if (image)
        request_add(&fresh, KEY_IMAGE, image);
    if (is && learn_merge(&old, &fresh, &both, &notes, e) < 0)
        return err_wrap(e, "--learn '%s'", o->learn);
    if (observe_open(&ret->fd, e) < 0)
        return -1;
    ret->path = o->learn;
    return 0;
}

void learning_done(struct learning *l)
{
    own_close_p(&l->fd);
}

/* The texts are of a file that may be anybody's, and of the guest. */
static void say(const char *what, const char *key, const char *text)
{
    own_free char *line = str_printf("%s%s%s", key, key[0] ? ": " : "", text);
    const size_t room = 4 * strlen(line) + 1;
    own_free char *shown = malloc(room);

    if (!shown)
        abort();
    str_escape(shown, room, line, strlen(line));
    log_msg(LOG_NOTE, "%s: %s", what, shown);
}

static void say_all(const struct learning *l, const struct request *r, const struct doc *widened,
                    const struct strv *notes)
{
    own_free char *text =
        str_printf("network %zu, read %zu, write %zu, exec %zu, and limits, in '%s'",
                   r->of[KEY_NETWORK].texts.n, r->of[KEY_READ].texts.n, r->of[KEY_WRITE].texts.n,
                   r->of[KEY_EXEC].texts.n, l->path);

    for (size_t i = 0; i < notes->n; i++)
        log_msg(LOG_WARN, "learned: %s", notes->items[i]);
    say("learned", "", text);
    for (size_t i = 0; widened && i < doc_len(widened); i++)
        say("widened", cli_text(doc_at(widened, i), "key"), cli_text(doc_at(widened, i), "text"));
}

static int write_manifest(struct learning *l, const struct request *fresh, struct strv *notes,
                          struct err *e)
{
    own_request struct request old = {0}, both = {0}, again = {0};
    own_doc struct doc *widened = NULL;
    own_close int folder = -1;
    own_free char *text = NULL;
    bool is, taken = false;
    mode_t mode;

    if (open_folder(l->path, &folder, e) < 0 ||
        file_wait_lock(folder, false, LOCK_MS, &taken, e) < 0)
        return -1;
    if (!taken)
        return err_set(e, ERR_HOST, "--learn: somebody else writes in the folder of '%s'", l->path);
    if (read_old(l->path, &old, &is, &mode, e) < 0)
        return -1;
    if (is && (learn_merge(&old, fresh, &both, notes, e) < 0 ||
               request_widens(&old, &both, &widened, e) < 0))
        return err_wrap(e, "--learn '%s'", l->path);
    text = request_format(is ? &both : fresh);
    /* What is written can be read: there may be more of it than a manifest holds. */
    if (request_parse(text, strlen(text), l->path, &again, e) < 0)
        return err_wrap(e, "--learn: it would be no manifest");
    if (output_file(l->path, text, strlen(text), mode, e) < 0)
        return -1;
    l->written = true;
    say_all(l, is ? &both : fresh, widened, notes);
    return 0;
}

int learning_end(struct learning *l, const struct options *o, const struct plan *p,
                 const struct run_result *r, struct err *e)
{
    own_observed struct observed seen = {0};
    own_request struct request fresh = {0};
    own_strv struct strv notes = {0};

    if (!l->path)
        return 0;
    if (r->err.class != ERR_NONE || r->end != RUN_ENDED_EXIT) {
        log_msg(LOG_WARN, "nothing was learned: the job did not end by itself");
        return 0;
    }
    if (observe_read(l->fd, r, &seen, e) < 0)
        return err_wrap(e, "--learn");
    if (seen.blind)
        return err_set(e, ERR_GUEST, "--learn: the guest cannot watch files: nothing was learned");
    if (learn_manifest(p, &o->wish, &seen.l, &fresh, &notes, e) < 0)
        return err_wrap(e, "--learn");
    return write_manifest(l, &fresh, &notes, e);
}
