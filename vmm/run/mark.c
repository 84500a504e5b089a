/* mark: what a sandbox was at a moment, and going back to it. See mark.h. */
#include "run/mark.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "run/amnesia.h"
#include "run/recording.h"
#include "run/serve.h"
#include "run/serve_private.h"
#include "run/start.h"
#include "run/template.h"
#include "snapshots/qcow2.h"
#include "snapshots/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define SYNC_MS 20000u  /* for the guest to write out its disk; generous: slow emulation */
#define SAVE_MS 120000u /* for its memory to be written or read, where the disk is slow */

int mark_check_name(const char *name, struct err *e)
{
    if (str_is_name(name))
        return 0;
    return err_set(e, ERR_USAGE,
                   "'%.64s' is no name for a mark (1 to 64 letters, digits, '.', '_' or '-')",
                   str_is_printable(name, 4096) ? name : "?");
}

int mark_find(const struct marks *m, const char *name, const struct mark **ret, struct err *e)
{
    if ((!name || !*name) && m->n > 0) {
        *ret = &m->items[m->n - 1];
        return 0;
    }
    for (size_t i = 0; name && i < m->n; i++) {
        if (strcmp(m->items[i].name, name) != 0)
            continue;
        *ret = &m->items[i];
        return 0;
    }
    return name && *name
               ? err_set(e, ERR_USAGE, "there is no mark '%s' (see 'lazaret marks')", name)
               : err_set(e, ERR_USAGE, "there is no mark (make one: 'lazaret snapshot')");
}

static int choose_name(const struct marks *m, const char *name, struct mark *ret, struct err *e)
{
    const struct mark *other;
    struct err none;

    ret->id = m->last_id + 1;
    if (!name || !*name)
        snprintf(ret->name, sizeof(ret->name), "mark-%" PRIu32, ret->id);
    else if (mark_check_name(name, e) < 0)
        return -1;
    else
        snprintf(ret->name, sizeof(ret->name), "%s", name);
    if (mark_find(m, ret->name, &other, &none) == 0)
        return err_set(e, ERR_USAGE, "there is a mark '%s' already (see 'lazaret forget')",
                       ret->name);
    return 0;
}

/* ---- taking one ------------------------------------------------------------------------------ */

static int hold_channel(struct keeper *k, uint64_t until, struct err *e)
{
    k->synced = false;
    if (channel_sync(k->channel, e) < 0)
        return -1;
    while (!k->synced) {
        if (k->held) {
            k->release = true;
            return serve_check_going(k, e);
        }
        if (clock_mono_ms() >= until) {
            k->release = true;
            return err_set(e, ERR_GUEST, "the guest did not write out its disk in time");
        }
        if (keeper_pump(k, until, NULL, 0, e) < 0)
            return -1;
    }
    if (k->synced_how == WIRE_SYNC_DONE)
        return 0;
    channel_resume(k->channel, &(struct err){0});
    return err_set(e, ERR_GUEST, "the guest could not write out its disk (is it full?)");
}

int mark_hold(struct keeper *k, struct err *e)
{
    uint64_t until = clock_mono_ms() + SYNC_MS;

    if (egress_hold(k, until, e) < 0)
        return -1;
    if (hold_channel(k, until, e) == 0)
        return 0;
    egress_resume(k, &(struct err){0});
    return -1;
}

static int make_file(struct keeper *k, const struct mark *m, int *ret_fd, struct err *e)
{
    own_free char *name = str_printf(MARK_FILE, m->id);

    if (mkdirat(k->state_fd, FOLDER_MARKS, 0700) < 0 && errno != EEXIST)
        return err_sys(e, ERR_HOST, errno, "cannot make a folder for marks");
    *ret_fd = openat(k->state_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *ret_fd < 0 ? err_sys(e, ERR_HOST, errno, "cannot make a file for the mark") : 0;
}

/* Disk and memory while the guest stands still. */
static int save(struct keeper *k, const struct mark *m, int fd, struct err *e)
{
    own_free char *disk = str_printf(MARK_DISK, m->id);

    if (hv_disk_keep(k->hv, disk, e) < 0)
        return -1;
    if (hv_save_state(k->hv, fd, HV_RAM_IN_STATE, SAVE_MS, e) == 0)
        return 0;
    hv_disk_forget(k->hv, disk, &(struct err){0});
    return -1;
}

/* The guest goes on whatever came of it; one that cannot is lost. */
static int take_held(struct keeper *k, const struct mark *m, int fd, struct err *e)
{
    bool paused = hv_pause(k->hv, e) == 0;
    int rc = paused ? save(k, m, fd, e) : -1;
    struct err late;

    if ((paused && hv_resume(k->hv, &late) < 0) || channel_resume(k->channel, &late) < 0 ||
        egress_resume(k, &late) < 0) {
        k->lost = true;
        *e = late;
        return -1;
    }
    return rc;
}

static int take(struct keeper *k, struct mark *m, struct err *e)
{
    own_free char *disk = str_printf(MARK_DISK, m->id);
    own_close int fd = -1;

    if (make_file(k, m, &fd, e) < 0 || mark_hold(k, e) < 0)
        return -1;
    serve_note_jobs(k, m);
    if (take_held(k, m, fd, e) < 0)
        return -1;
    m->made_real_ns = clock_real_ns();
    if (digest_fd(fd, m->sha256, &m->state_bytes, e) == 0)
        return 0;
    hv_disk_forget(k->hv, disk, &(struct err){0});
    return err_wrap(e, "its state");
}

/* Its name in the folder: what forks added to the mark, or (suffix "") its state. */
static char *file_name(const struct keeper *k, uint32_t id, const char *suffix)
{
    if (k->plan->amnesic && suffix[0])
        return str_printf(MARK_SHARE "/" MARK_SHARED "%s", id, suffix);
    return str_printf(MARK_FILE "%s", id, suffix);
}

static void remove_files(struct keeper *k, uint32_t id)
{
    static const char *const suffixes[] = {"", MARK_SAVED, MARK_BASE, ".tmp", ".share"};
    own_free char *share = str_printf("%s/" MARK_SHARE, k->state_path, id);

    /* Forks that are up have it mounted too, and with it the files in it. */
    if (k->plan->amnesic)
        (void)umount2(share, MNT_DETACH | UMOUNT_NOFOLLOW);

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        own_free char *name = str_printf(MARK_FILE "%s", id, suffixes[i]);
        struct err why;

        if (file_remove_tree(k->state_fd, name, &why) < 0)
            run_note(&k->result, "%s", why.text);
    }
}

/* Its children become its parent's. */
static void forget_at(struct keeper *k, struct marks *m, size_t i)
{
    const struct mark gone = m->items[i];
    own_free char *disk = str_printf(MARK_DISK, gone.id);
    struct err why;

    remove_files(k, gone.id);
    if (hv_disk_forget(k->hv, disk, &why) < 0)
        run_note(&k->result, "%s", why.text);
    memmove(&m->items[i], &m->items[i + 1], (m->n - i - 1) * sizeof(*m->items));
    m->n--;
    recording_mark(k, "forget", gone.name, NULL);
    for (size_t j = 0; j < m->n; j++)
        if (m->items[j].parent == gone.id)
            m->items[j].parent = gone.parent;
    if (m->at == gone.id)
        m->at = gone.parent;
}

/* Makes room for one more: the oldest go, but none that is held. */
static void prune(struct keeper *k, struct marks *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n; i++)
        n += !m->items[i].held;
    for (size_t i = 0; i < m->n && n >= m->max;) {
        if (m->items[i].held) {
            i++;
            continue;
        }
        forget_at(k, m, i);
        n--;
    }
}

/* The one rule for whatever is kept of a guest: marks, and with them forks and diffs. */
static bool may_be_kept(const struct keeper *k)
{
    return !k->secret_delivered || k->plan->amnesic;
}

static int check_secret(const struct keeper *k, const struct marks *m, struct err *e)
{
    if (may_be_kept(k))
        return 0;
    return err_set(e, ERR_REFUSED,
                   "a secret was given to a command in sandbox '%s': what the guest holds is not "
                   "kept any more (%s)",
                   k->folder->id,
                   m->n > 0 ? "go back to a mark from before with 'lazaret revert'"
                            : "make marks and forks before, or begin with 'up --amnesic'");
}

/* "": the sandbox's beginning. */
static const char *name_of(const struct marks *m, uint32_t id)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i].id == id)
            return m->items[i].name;
    return "";
}

int mark_take(struct keeper *k, struct marks *m, const char *name, enum mark_life life,
              const struct mark **ret, struct err *e)
{
    struct mark new = {.held = life == MARK_HELD, .secret = k->secret_delivered};

    if (m->n >= (k->plan->amnesic ? k->plan->marks + PLAN_AMNESIC_SPARE : MARK_ROOM))
        return err_set(e, ERR_USAGE, "there are %zu marks, the most at once", m->n);
    if (check_secret(k, m, e) < 0 || choose_name(m, name, &new, e) < 0)
        return -1;
    if (take(k, &new, e) < 0) {
        remove_files(k, new.id);
        return err_wrap(e, "no mark was made");
    }
    if (life == MARK_KEPT)
        prune(k, m);
    new.parent = m->at; /* pruning may have moved it */
    m->items[m->n] = new;
    recording_mark(k, "mark", new.name, name_of(m, new.parent));
    m->last_id = m->at = new.id;
    *ret = &m->items[m->n++];
    return 0;
}

int mark_forget(struct keeper *k, struct marks *m, const char *name, struct err *e)
{
    const struct mark *found;

    if (!name || !*name)
        return err_set(e, ERR_USAGE, "which mark?");
    if (k->held) /* its disk is QEMU's, which is stopped */
        return serve_check_going(k, e);
    if (mark_find(m, name, &found, e) < 0)
        return -1;
    if (found->held)
        return err_set(e, ERR_USAGE, "a command that runs goes back to mark '%s'", name);
    forget_at(k, m, (size_t)(found - m->items));
    return 0;
}

void mark_release(struct marks *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->items[i].name, name) == 0)
            m->items[i].held = false;
}

/* ---- going back ------------------------------------------------------------------------------ */

int mark_open(const struct mark *m, int dir_fd, const char *path, int *ret_fd, struct err *e)
{
    *ret_fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*ret_fd < 0)
        return err_sys(e, ERR_HOST, errno, "the state of mark '%s' is gone", m->name);
    return 0;
}

int mark_open_checked(const struct mark *m, int dir_fd, const char *path, int *ret_fd,
                      struct err *e)
{
    own_close int fd = -1;
    char sha256[DIGEST_HEX_SIZE];
    uint64_t bytes;

    if (mark_open(m, dir_fd, path, &fd, e) < 0)
        return -1;
    if (digest_fd(fd, sha256, &bytes, e) < 0)
        return err_wrap(e, "the state of mark '%s'", m->name);
    if (bytes != m->state_bytes || strcmp(sha256, m->sha256) != 0)
        return err_set(e, ERR_HOST, "the state of mark '%s' is not the one that was saved",
                       m->name);
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(e, ERR_HOST, errno, "the state of mark '%s'", m->name);
    *ret_fd = own_steal_fd(fd);
    return 0;
}

/* The disk as a raw file, the memory, and what QEMU writes of devices. */
static uint64_t share_bytes(const struct plan *p)
{
    return p->disk_bytes + p->guest_bytes + p->guest_bytes / 256 + PLAN_AMNESIC_LOGS;
}

int mark_hand_out(struct keeper *k, const struct mark *m, int *ret_state_fd, int *ret_share_fd,
                  struct err *e)
{
    own_free char *share = str_printf("%s/" MARK_SHARE, k->state_path, m->id);
    own_close int state = -1;

    if (access(share, F_OK) < 0 && amnesia_mount(share, share_bytes(k->plan), e) < 0)
        return -1;
    if (file_open_dir(k->state_path, &state, e) < 0 || amnesia_hand_out(share, ret_share_fd, e) < 0)
        return -1;
    *ret_state_fd = own_steal_fd(state);
    return 0;
}

static int restore(struct keeper *k, const struct mark *to, int state_fd, struct err *e)
{
    own_free char *disk = str_printf(MARK_DISK, to->id);
    own_free char *path = str_printf("%s/" FOLDER_DISK, k->state_path);
    own_free char *base = k->c->from ? str_printf("%s/" FOLDER_BASE, k->state_path) : NULL;
    own_free char *xml = NULL;
    const struct domain_files f = {.start = DOMAIN_INCOMING, .input = start_input(k)};

    if (qcow2_revert(path, base, disk, e) < 0 || up_format_domain(k, &f, &xml, e) < 0 ||
        file_write_brief(k->folder->fd, UP_DOMAIN_XML, xml, strlen(xml), 0600, e) < 0)
        return -1;
    free(k->xml);
    k->xml = own_steal_ptr(xml);
    return hv_create_incoming(k->hv, k->xml, state_fd, HV_RAM_IN_STATE, SAVE_MS, e);
}

int mark_return(struct keeper *k, struct marks *m, const struct mark *to, int state_fd,
                struct err *e)
{
    channel_close(k->channel);
    k->channel = NULL;
    if (hv_destroy(k->hv, e) < 0)
        return -1;
    template_wait_gone(k->hv);
    keeper_forget_guest(k);
    k->held = false;
    if (restore(k, to, state_fd, e) < 0 || up_channel(k, e) < 0 || serve_adopt_jobs(k, to, e) < 0 ||
        up_let_run(k, e) < 0 || work_greet(k, e) < 0)
        return err_wrap(e, "going back to mark '%s'", to->name);
    m->at = to->id;
    k->secret_delivered = to->secret;
    return 0;
}

/* Of a guest that forks begin with. */
static uint64_t saved_bytes(const struct keeper *k, const struct mark *m)
{
    own_free char *name = file_name(k, m->id, MARK_SAVED);
    own_free char *dir = str_printf("%s/%s", k->state_path, name);
    own_doc struct doc *all = NULL;
    uint64_t sum = 0;
    struct err none;

    if (warm_list(dir, &all, &none) < 0)
        return 0;
    for (size_t i = 0; i < doc_len(all); i++) {
        uint64_t bytes = 0;

        if (doc_get_u64(doc_at(all, i), "bytes", &bytes, &none) == 0)
            sum += bytes;
    }
    return sum;
}

static uint64_t file_bytes(const struct keeper *k, const char *name)
{
    struct stat st;

    return fstatat(k->state_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_blocks * 512
                                                                     : 0;
}

void mark_usage(const struct keeper *k, const struct marks *m, uint64_t *ret_states,
                uint64_t *ret_disk)
{
    *ret_states = 0;
    for (size_t i = 0; i < m->n; i++) {
        own_free char *base = file_name(k, m->items[i].id, MARK_BASE);

        *ret_states += m->items[i].state_bytes + file_bytes(k, base) + saved_bytes(k, &m->items[i]);
    }
    *ret_disk = file_bytes(k, FOLDER_DISK);
}
