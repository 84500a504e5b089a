/* start: how a run's guest begins: restored, or by its kernel. See start.h. */
#include "run/start.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "domain/domain.h"
#include "run/cage.h"
#include "run/fork.h"
#include "run/template.h"
#include "shared/wire.h"
#include "snapshots/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define RESTORE_MS  10000u
#define TRANSFER_MS 120000u /* all of the memory, where the disk may be slow */
#define BLANK_BYTES (1u << 20)

/* In the cage, where QEMU finds them. */
#define SAVED_RAM     CAGE_VM "/ram"         /* of a saved guest, read-only */
#define PRELOAD       CAGE_VM "/preload.so"  /* QEMU's user could not follow every path to it */
#define BLANK_SCRATCH CAGE_VM "/" CAGE_BLANK /* in the places of a run's disks */
#define BLANK_INPUT   CAGE_VM "/blank-input"
#define TEMPLATE_DIR  CAGE_TEMPLATE /* a file system of its own, as large as the memory */
#define TEMPLATE_RAM  TEMPLATE_DIR "/" CAGE_RAM
#define CHANNEL       CAGE_VM "/template-channel"
#define CONSOLE       CAGE_VM "/template-console"
#define NET           CAGE_VM "/template-net"

/* In a shape's XML in place of what is of one run: everything else in it counts. */
#define SHAPE_NAME "lazaret-template"
#define SHAPE_UUID "00000000-0000-4000-8000-000000000000"

static char *warm_dir(const struct keeper *k)
{
    return str_printf("%s/warm", k->data);
}

/* The key with what it borrows. */
struct shape {
    struct warm_key key;
    char *xml, *emulator, *host, *program;
    struct hv_versions versions;
};

static void shape_done(struct shape *s)
{
    free(s->xml);
    free(s->emulator);
    free(s->host);
    free(s->program);
}
#define own_shape __attribute__((cleanup(shape_done)))

/* `f` is what the guest that is saved is made of, `of` what it has in it, or "". */
static int make_shape(struct keeper *k, const struct domain_files *f, const char *of,
                      struct shape *ret, struct err *e)
{
    struct domain_files fixed = *f;

    fixed.uuid = SHAPE_UUID;
    fixed.genid = SHAPE_UUID;
    if (up_format_domain(k, &fixed, &ret->xml, e) < 0 ||
        warm_file_identity(WRAP_QEMU, &ret->emulator, e) < 0 ||
        warm_host_identity(&ret->host, e) < 0 || hv_get_versions(k->hv, &ret->versions, e) < 0)
        return -1;
    ret->program = str_printf("%s, protocol %u%s", LZ_VERSION, WIRE_VERSION, of);
    ret->key = (struct warm_key){
        .image = k->image->digest,
        .domain = ret->xml,
        .emulator = ret->emulator,
        .libvirt = ret->versions.libvirt,
        .host = ret->host,
        .program = ret->program,
    };
    return 0;
}

/* A file of zeros that QEMU's user may read and write. */
static int make_file(const char *path, uint64_t bytes, int *ret_fd, struct err *e)
{
    own_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    uid_t uid;
    gid_t gid;

    if (hv_qemu_owner(NULL, &uid, &gid, e) < 0)
        return -1;
    if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0 || (uid != geteuid() && fchown(fd, uid, gid) < 0))
        return err_sys(e, ERR_HOST, errno, "cannot make '%s'", path);
    if (ret_fd)
        *ret_fd = own_steal_fd(fd);
    return 0;
}

/* The cage's own file system is small; this one holds what the template's guest uses. */
static int make_memory(const struct keeper *k, int *ret_fd, struct err *e)
{
    if (cage_memory(TEMPLATE_DIR, k->plan->guest_bytes + BLANK_BYTES, e) < 0)
        return err_wrap(e, "a template's memory");
    return make_file(TEMPLATE_RAM, k->plan->guest_bytes, ret_fd, e);
}

const char *start_input(const struct keeper *k)
{
    return k->blank_input ? BLANK_INPUT : NULL;
}

static const struct domain_files template_files = {
    .start = DOMAIN_TEMPLATE,
    .name = SHAPE_NAME,
    .scratch = BLANK_SCRATCH,
    .input = BLANK_INPUT,
    .channel = CHANNEL,
    .console = CONSOLE,
    .net = NET,
    .ram = TEMPLATE_RAM,
};

/* A guest that boots and parks. */
static int boot_template(struct keeper *k, int state_fd, int log_fd, int *ret_ram_fd, struct err *e)
{
    own_free char *xml = NULL;

    if (make_memory(k, ret_ram_fd, e) < 0 || make_file(BLANK_SCRATCH, BLANK_BYTES, NULL, e) < 0 ||
        up_format_domain(k, &template_files, &xml, e) < 0)
        return -1;
    return template_save(&(struct template){.hv = k->hv,
                                            .xml = xml,
                                            .relay_path = k->c->relay_path,
                                            .channel = CHANNEL,
                                            .console = CONSOLE,
                                            .net = k->plan->egress ? NET : NULL,
                                            .console_log_fd = log_fd,
                                            .console_max_bytes = UP_CONSOLE_MAX,
                                            .boot_ms = work_boot_ms(k)},
                         state_fd, e);
}

static struct domain_files transfer_files(const struct keeper *k)
{
    return (struct domain_files){
        .start = DOMAIN_TRANSFER,
        .name = SHAPE_NAME,
        .input = start_input(k),
        .channel = CHANNEL,
        .console = CONSOLE,
        .net = NET,
        .ram = TEMPLATE_RAM,
    };
}

/* A mark's state, with the memory in it, becomes one with the memory apart. It never runs. */
static int transfer_mark(struct keeper *k, int state_fd, int log_fd, int *ret_ram_fd, struct err *e)
{
    const struct domain_files f = transfer_files(k);
    own_free char *xml = NULL;
    own_close int mark = -1;
    struct err late;
    int rc;

    (void)log_fd;
    if (fork_open_state(k->data, k->c->from, &mark, e) < 0 || make_memory(k, ret_ram_fd, e) < 0 ||
        up_format_domain(k, &f, &xml, e) < 0 ||
        hv_create_incoming(k->hv, xml, mark, HV_RAM_IN_STATE, TRANSFER_MS, e) < 0)
        return -1;
    rc = hv_save_state(k->hv, state_fd, HV_RAM_APART, TRANSFER_MS, e);
    if (hv_destroy(k->hv, &late) < 0) {
        *e = late;
        return -1;
    }
    template_wait_gone(k->hv);
    return rc;
}

/* Writes devices to `state_fd` and has the memory in a file. */
typedef int (*fill_fn)(struct keeper *k, int state_fd, int log_fd, int *ret_ram_fd, struct err *e);

/* 1: there is one now; 0: somebody else is making it. */
static int make_saved(struct keeper *k, const char *dir, const struct shape *s, fill_fn fill,
                      int log_fd, struct err *e)
{
    own_warm_save struct warm_save save = WARM_SAVE_INIT;
    own_close int ram = -1;
    int r = warm_begin(dir, &s->key, &save, e);

    if (r <= 0)
        return r;
    r = fill(k, save.state_fd, log_fd, &ram, e);
    if (r == 0)
        r = warm_commit(&save, &s->key, ram, e);
    own_close_p(&ram);
    ram = -1;
    (void)umount2(TEMPLATE_DIR, MNT_DETACH);
    return r < 0 ? -1 : 1;
}

/* What was bound for a guest that was not restored. */
static void unbind(const char *path)
{
    (void)umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
    (void)unlink(path);
}

/*
 * QEMU starts while the memory is read. 1: it may run; 0: the memory is not what was saved, which
 * is the reason whatever QEMU made of it.
 */
static int take_in(struct keeper *k, const struct warm *w, const char *xml, struct err *e)
{
    struct memory_sum read;
    struct err why;
    bool created, read_well, same;

    if (checker_ask(&k->checker, w->ram_fd, e) < 0)
        return -1;
    created = hv_create_incoming(k->hv, xml, w->state_fd, HV_RAM_APART, RESTORE_MS, e) == 0;
    timing_note(&k->result.timing, TIMING_QEMU);
    read_well = checker_answer(&k->checker, &read, &why) == 0;
    timing_note(&k->result.timing, TIMING_SAVED);
    same = read_well && warm_check(w, &read, &why) == 0;
    if (created && same)
        return 1;
    if (!same)
        *e = why;
    if (created && hv_destroy(k->hv, &why) < 0) {
        *e = why;
        read_well = false;
    }
    template_wait_gone(k->hv);
    return read_well && !same ? 0 : -1;
}

/* As take_in(). */
static int restore(struct keeper *k, const struct warm *w, struct err *e)
{
    own_close int preload = open(k->c->preload_path, O_RDONLY | O_CLOEXEC);
    own_free char *xml = NULL;
    int r;
    const struct domain_files f = {
        .start = DOMAIN_RESTORE,
        .input = start_input(k),
        .ram = SAVED_RAM,
        .preload = PRELOAD,
    };

    if (preload < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s' (is lazaret installed whole?)",
                       k->c->preload_path);
    if (cage_bind(preload, PRELOAD, true, e) < 0 || cage_bind(w->ram_fd, SAVED_RAM, true, e) < 0 ||
        up_format_domain(k, &f, &xml, e) < 0 ||
        file_write_brief(k->folder->fd, UP_DOMAIN_XML, xml, strlen(xml), 0600, e) < 0)
        return -1;
    r = take_in(k, w, xml, e);
    if (r == 1) {
        free(k->xml);
        k->xml = own_steal_ptr(xml);
    } else {
        unbind(SAVED_RAM);
        unbind(PRELOAD);
    }
    return r;
}

/* 1: restored; 0: there is none; -1: not restored. *ret_refused: because it is not what was saved.
 */
static int restore_found(struct keeper *k, const char *dir, const struct shape *s,
                         bool *ret_refused, struct err *e)
{
    own_warm struct warm w = WARM_INIT;
    int r = warm_find(dir, &s->key, &w, e);

    *ret_refused = r < 0;
    if (r <= 0)
        return r;
    timing_note(&k->result.timing, TIMING_SAVED);
    r = restore(k, &w, e);
    *ret_refused = r == 0;
    if (r == 1)
        memcpy(k->warm_key, w.key, sizeof(k->warm_key));
    else if (r < 0)
        (void)warm_remove(dir, w.key, &(struct err){0});
    return r == 1 ? 1 : -1;
}

/* 1: restored; 0: it has to boot, and there is no domain. */
static int start_warm(struct keeper *k, int log_fd, struct err *e)
{
    own_shape struct shape s = {0};
    own_free char *dir = warm_dir(k);
    uint64_t removed, bytes;
    bool refused;
    int r;

    k->blank_input = k->plan->inputs.n == 0;
    if (make_file(BLANK_INPUT, BLANK_BYTES, NULL, e) < 0 ||
        make_shape(k, &template_files, "", &s, e) < 0)
        return -1;
    r = restore_found(k, dir, &s, &refused, e);
    if (r == 1 || (r < 0 && !refused))
        return r;
    if (r < 0)
        run_note(&k->result, "%s: it is made anew", e->text);
    r = make_saved(k, dir, &s, boot_template, log_fd, e);
    if (r <= 0)
        return r;
    (void)warm_prune(dir, WARM_MAX_BYTES, &removed, &bytes, &(struct err){0});
    return restore_found(k, dir, &s, &refused, e);
}

/* There is no other way to begin: what is wrong with the mark is an error. */
static int start_fork(struct keeper *k, int log_fd, struct err *e)
{
    const struct run_from *from = k->c->from;
    own_free char *dir = fork_saved_dir(k->data, from);
    own_free char *of = str_printf(", of mark %s", from->mark.sha256);
    own_warm struct warm w = WARM_INIT;
    own_shape struct shape s = {0};
    struct domain_files f;

    k->blank_input = from->blank_input;
    k->secret_delivered = from->mark.secret;
    f = transfer_files(k);
    if ((k->blank_input && make_file(BLANK_INPUT, BLANK_BYTES, NULL, e) < 0) ||
        make_shape(k, &f, of, &s, e) < 0)
        return -1;
    for (uint64_t until = clock_mono_ms() + TRANSFER_MS;;) {
        int r = warm_find(dir, &s.key, &w, e);

        if (r == 1) {
            timing_note(&k->result.timing, TIMING_SAVED);
            return restore(k, &w, e) == 1 ? 0 : -1;
        }
        if (r < 0 || make_saved(k, dir, &s, transfer_mark, log_fd, e) < 0)
            return -1;
        if (clock_mono_ms() >= until) /* somebody else makes it, and does not get done */
            return err_set(e, ERR_HOST, "mark '%s' could not be made ready", from->mark.name);
        poll(NULL, 0, 10);
    }
}

static int start_cold(struct keeper *k, struct err *e)
{
    if (file_write_brief(k->folder->fd, UP_DOMAIN_XML, k->xml, strlen(k->xml), 0600, e) < 0)
        return -1;
    return hv_create(k->hv, k->xml, false, e);
}

int start_guest(struct keeper *k, int console_log_fd, struct err *e)
{
    struct err why;
    int r = 0;

    if (checker_image(&k->checker, e) < 0)
        return -1;
    timing_note(&k->result.timing, TIMING_IMAGE);
    if (k->c->from)
        return start_fork(k, console_log_fd, e);
    if (k->c->warm && !k->c->uri)
        r = start_warm(k, console_log_fd, &why);
    if (r == 1)
        return 0;
    k->blank_input = false;
    if (r < 0)
        run_note(&k->result, "no warm start, the guest boots: %s", why.text);
    return start_cold(k, e);
}

bool start_may_boot(const struct keeper *k, const struct err *why)
{
    return k->warm_key[0] && (why->class == ERR_GUEST || why->class == ERR_PROTOCOL);
}

int start_again(struct keeper *k, const struct err *why, struct err *e)
{
    own_free char *xml = NULL;
    own_free char *dir = warm_dir(k);

    run_note(&k->result, "the saved guest is of no use, it is removed and the guest boots: %s",
             why->text);
    (void)warm_remove(dir, k->warm_key, &(struct err){0});
    k->warm_key[0] = '\0';
    k->blank_input = false;
    if (hv_destroy(k->hv, e) < 0 || up_format_domain(k, NULL, &xml, e) < 0)
        return -1;
    template_wait_gone(k->hv);
    free(k->xml);
    k->xml = own_steal_ptr(xml);
    return start_cold(k, e);
}
