/* up: the steps that bring a guest up: image, disks, domain, QEMU. Nothing of the guest is read. */
#include "run/keeper.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/landlock.h"
#include "base/own.h"
#include "domain/domain.h"
#include "images/pack.h"
#include "images/sealed_tar.h"
#include "run/amnesia.h"
#include "run/cage.h"
#include "run/changes.h"
#include "run/fork.h"
#include "run/recording.h"
#include "run/start.h"
#include "run/template.h"
#include "shared/guest.h"
#include "snapshots/qcow2.h"
#include "snapshots/scratch.h"
#include "snapshots/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>

/*
 * The very image that the plan was made for, whatever its name means by now. Whether the store's
 * policy allows it was asked when its digest was looked up: in the namespaces that we are in now,
 * nobody could say whether the policy and its keys belong to root. What a build goes on with is
 * signed by nobody yet.
 */
static int open_image(const char *data_dir, const struct plan *plan, struct image **ret,
                      struct err *e)
{
    own_free char *store = str_printf("%s/images", data_dir);
    own_free char *digest = plan->image_digest ? str_printf("sha256:%s", plan->image_digest) : NULL;
    int rc;

    if (digest || plan->build)
        rc = image_open_unsigned(store, digest ? digest : plan->image, ret, e);
    else
        rc = image_open(store, plan->image, ret, e);
    if (rc < 0)
        return -1;
    free((*ret)->ref);
    (*ret)->ref = str_dup(plan->image); /* in messages */
    return 0;
}

int up_image(struct keeper *k, struct err *e)
{
    if (open_image(k->data, k->plan, &k->image, e) < 0 || image_open_unread(k->image, e) < 0 ||
        checker_start(k->image, &k->checker, e) < 0)
        return -1;
    recording_image(k);
    if (k->c->uri)
        return 0;
    /* What was looked at is what QEMU will open: the very files behind the fds. */
    for (int i = 0; i < IMAGE_PARTS; i++) {
        own_free char *path = str_printf("%s/%s", k->vm_path, image_part_name((enum image_part)i));

        if (cage_bind(k->image->fds[i], path, true, e) < 0)
            return -1;
    }
    return 0;
}

void up_image_undo(struct keeper *k)
{
    checker_end(&k->checker);
    image_free(k->image);
    k->image = NULL;
}

/* Hands a disk of the run to QEMU: to its user, and to its place. */
static int hand_over(struct keeper *k, const char *file, const char *name, bool read_only,
                     struct err *e)
{
    own_free char *from = str_printf("%s/%s", k->state_path, file);
    own_free char *path = str_printf("%s/%s", k->vm_path, name);
    /* By its path in this mount namespace: another namespace's cannot be bound. */
    own_close int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uid_t uid;
    gid_t gid;

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", file);
    if (k->c->uri)
        return 0;
    if (hv_qemu_owner(k->c->uri, &uid, &gid, e) < 0)
        return -1;
    if (uid != geteuid() && fchown(fd, uid, gid) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot hand '%s' to QEMU's user", file);
    return cage_bind(fd, path, read_only, e);
}

static bool keeps_marks(const struct keeper *k)
{
    return k->folder->kind == FOLDER_SANDBOX || k->c->from;
}

/* A run's disk is the file itself; a sandbox's one keeps marks. */
const char *up_scratch_name(const struct keeper *k)
{
    return keeps_marks(k) ? FOLDER_DISK : FOLDER_SCRATCH;
}

static void remove_file(struct keeper *k, const char *name)
{
    own_free char *path = str_printf("%s/%s", k->state_path, name);
    struct err e;

    if (k->plan->amnesic) /* of a fork: bound, not linked */
        (void)umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (file_remove_tree(k->state_fd, name, &e) < 0)
        run_note(&k->result, "%s", e.text);
}

static int fork_scratch(struct keeper *k, struct err *e)
{
    own_free char *path = str_printf("%s/" FOLDER_BASE, k->state_path);
    own_close int base = -1;

    if (fork_disk(k->data, k->c->from, k->state_path, e) < 0)
        return -1;
    base = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    if (base < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", path);
    if (cage_bind(base, CAGE_VM "/" FOLDER_BASE, true, e) < 0)
        return -1;
    return hand_over(k, FOLDER_DISK, FOLDER_DISK, false, e);
}

int up_scratch(struct keeper *k, struct err *e)
{
    own_free char *raw = str_printf("%s/" FOLDER_SCRATCH, k->state_path);
    own_free char *disk = str_printf("%s/" FOLDER_DISK, k->state_path);

    if (k->c->from)
        return fork_scratch(k, e);
    if (scratch_create(raw, k->plan->disk_bytes, e) < 0)
        return -1;
    if (keeps_marks(k)) {
        if (qcow2_from_raw(raw, disk, e) < 0)
            return -1;
        remove_file(k, FOLDER_SCRATCH);
    }
    return hand_over(k, up_scratch_name(k), up_scratch_name(k), false, e);
}

void up_scratch_undo(struct keeper *k)
{
    changes_put(k);
    remove_file(k, FOLDER_SCRATCH);
    remove_file(k, FOLDER_DISK);
    remove_file(k, FOLDER_BASE);
    if (k->plan->amnesic) /* with what is mounted below it */
        (void)umount2(k->state_path, MNT_DETACH);
    remove_file(k, FOLDER_MARKS);
}

/* The folders as the packer shall see them: bound read-only under their own names. */
static int place_inputs(struct keeper *k, struct strv *ret_folders, struct err *e)
{
    for (size_t i = 0; i < k->n_inputs; i++) {
        const char *given = k->plan->inputs.items[i];
        const char *slash = strrchr(given, '/');
        own_free char *dir = str_printf(CAGE_IN "/%zu", i);
        own_free char *path = str_printf("%s/%s", dir, slash && slash[1] ? slash + 1 : "input");

        if (k->c->uri) {
            strv_add(ret_folders, given);
            continue;
        }
        if (mkdir(dir, 0755) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot make '%s'", dir);
        if (cage_bind(k->input_fds[i], path, true, e) < 0)
            return err_wrap(e, "--in '%s'", given);
        strv_add(ret_folders, path);
    }
    return 0;
}

/* From the sealed archive into memory; the key is there no longer than that takes. */
static int open_input(struct keeper *k, const char *path, struct err *e)
{
    own_seal_identity struct seal_identity *id = NULL;

    if (seal_identity_read(k->identity_fd, k->plan->in_identity, &id, e) < 0)
        return err_wrap(e, "--in-identity");
    if (sealed_tar_pack(k->input_fds[0], id, k->plan->in_max_bytes, path,
                        GUEST_ID_BASE + k->plan->uid, GUEST_ID_BASE + k->plan->gid, e) < 0)
        return err_wrap(e, "--in '%s'", k->plan->inputs.items[0]);
    return hand_over(k, FOLDER_INPUT, FOLDER_INPUT, true, e);
}

static int make_input(struct keeper *k, struct err *e)
{
    own_free char *path = str_printf("%s/" FOLDER_INPUT, k->state_path);
    own_strv struct strv folders = {0};

    if (k->c->from && k->plan->inputs.n > 0 &&
        fork_input(k->data, k->c->from, k->state_path, e) < 0)
        return -1;
    if (k->c->from && k->plan->inputs.n > 0)
        return hand_over(k, FOLDER_INPUT, FOLDER_INPUT, true, e);
    if (k->n_inputs == 0)
        return 0;
    if (k->plan->in_identity)
        return open_input(k, path, e);
    if (place_inputs(k, &folders, e) < 0)
        return -1;
    if (pack_folders(&folders, k->plan->in_max_bytes, path, GUEST_ID_BASE + k->plan->uid,
                     GUEST_ID_BASE + k->plan->gid, e) < 0)
        return err_wrap(e, "--in");
    return hand_over(k, FOLDER_INPUT, FOLDER_INPUT, true, e);
}

/* From here on the guest decides how much it is. */
static int bound(const struct keeper *k, struct err *e)
{
    struct stat st = {0};

    if (fstatat(k->state_fd, FOLDER_INPUT, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
        return err_sys(e, ERR_HOST, errno, "cannot look at the input disk");
    return amnesia_bound(k->state_path, k->plan->amnesic_bytes + (uint64_t)st.st_size, e);
}

int up_input(struct keeper *k, struct err *e)
{
    if (make_input(k, e) < 0)
        return -1;
    return k->plan->amnesic ? bound(k, e) : 0;
}

void up_input_undo(struct keeper *k)
{
    remove_file(k, FOLDER_INPUT);
}

static int make_uuid(char out[37], struct err *e)
{
    uint8_t b[16];

    if (getrandom(b, sizeof(b), 0) != sizeof(b))
        return err_sys(e, ERR_HOST, errno, "getrandom");
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 4122: random, version 4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
    return 0;
}

/* Where QEMU finds a part of the image: bound in the cage, or in the store. */
static char *part_path(const struct image *im, bool caged, enum image_part part)
{
    if (!caged)
        return store_blob_path(&im->store, im->m.parts[part].sha256);
    return str_printf(CAGE_VM "/%s", image_part_name(part));
}

/*
 * The domain XML of run `id`, whose disks and sockets are in `vm_path`. What `want` says is so;
 * what it leaves out is the run's own.
 */
static int format_domain(const struct plan *plan, const struct image *im, const char *id,
                         const char *vm_path, bool caged, const struct domain_files *w,
                         char **ret_xml, struct err *e)
{
    own_free char *name = str_printf("lazaret-%s", id);
    own_free char *kernel = part_path(im, caged, IMAGE_KERNEL);
    own_free char *initrd = part_path(im, caged, IMAGE_INITRAMFS);
    own_free char *root = part_path(im, caged, IMAGE_ROOT);
    own_free char *scratch = str_printf("%s/" FOLDER_SCRATCH, vm_path);
    own_free char *input = str_printf("%s/" FOLDER_INPUT, vm_path);
    own_free char *channel = str_printf("%s/" UP_CHANNEL, vm_path);
    own_free char *console = str_printf("%s/" UP_CONSOLE, vm_path);
    own_free char *net = str_printf("%s/" EGRESS_SOCKET, vm_path);
    char uuid[37], genid[37];
    struct domain_files f = {
        .start = w->start,
        .name = w->name ? w->name : name,
        .uuid = w->uuid ? w->uuid : uuid,
        .genid = w->genid ? w->genid : genid,
        .emulator = caged ? CAGE_EMULATOR : WRAP_QEMU,
        .kernel = kernel,
        .initrd = initrd,
        .root = root,
        .verity = {.root_hash = im->m.verity.root_hash,
                   .salt = im->m.verity.salt,
                   .data_blocks = im->m.verity.data_blocks,
                   .hash_start = im->m.verity.hash_start},
        .scratch = w->scratch ? w->scratch : scratch,
        .marks = w->marks,
        .base = w->base,
        .input = w->input         ? w->input
                 : plan->inputs.n ? input
                                  : NULL,
        .channel = w->channel ? w->channel : channel,
        .console = w->console ? w->console : console,
        .net = !plan->egress ? NULL
               : w->net      ? w->net
                             : net,
        .cmdline = im->m.cmdline,
        .ram = w->ram,
        .preload = w->preload,
    };

    if (make_uuid(uuid, e) < 0 || make_uuid(genid, e) < 0)
        return -1;
    return domain_format(plan, &f, ret_xml, e);
}

int up_format_domain(const struct keeper *k, const struct domain_files *want, char **ret_xml,
                     struct err *e)
{
    own_free char *disk = str_printf("%s/" FOLDER_DISK, k->vm_path);
    struct domain_files w = {0};

    if (want)
        w = *want;
    if (keeps_marks(k) && !w.scratch) {
        w.scratch = disk;
        w.marks = true;
        w.base = k->c->from ? CAGE_VM "/" FOLDER_BASE : NULL;
    }
    return format_domain(k->plan, k->image, k->folder->id, k->vm_path, !k->c->uri, &w, ret_xml, e);
}

int up_domain(struct keeper *k, struct err *e)
{
    return up_format_domain(k, NULL, &k->xml, e);
}

int run_preview(const struct plan *plan, const char *data_dir, char **ret_xml, struct err *e)
{
    own_image struct image *im = NULL;

    if (open_image(data_dir, plan, &im, e) < 0)
        return -1;
    return format_domain(plan, im, "preview", CAGE_VM, true, &(struct domain_files){0}, ret_xml, e);
}

static int place_emulator(const struct keeper *k, struct err *e)
{
    own_close int fd = open(k->c->wrap_path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s' (is lazaret installed whole?)",
                       k->c->wrap_path);
    return cage_bind(fd, CAGE_EMULATOR, true, e);
}

/*
 * What libvirt knows of QEMU goes by the emulator's file, which is ours: another QEMU behind it
 * would not be noticed. So there is a folder for each two of them; an old one is 200 KB.
 */
static int cache_dir(const struct keeper *k, char **ret, struct err *e)
{
    own_free char *qemu = NULL, *emulator = NULL, *both = NULL;
    char hex[DIGEST_HEX_SIZE];

    if (warm_file_identity(WRAP_QEMU, &qemu, e) < 0 ||
        warm_file_identity(k->c->wrap_path, &emulator, e) < 0)
        return -1;
    both = str_printf("%s\n%s", qemu, emulator);
    if (digest_bytes(both, strlen(both), hex, e) < 0)
        return -1;
    *ret = str_printf("%s/cache/libvirt/%.16s", k->data, hex);
    return 0;
}

static int open_hv(struct keeper *k, struct err *e)
{
    own_free char *log = str_printf("%s/hv.log", k->state_path);
    own_free char *cache = NULL;

    if (!k->c->uri && (place_emulator(k, e) < 0 || cache_dir(k, &cache, e) < 0))
        return -1;
    return hv_open(&(struct hv_config){.uri = k->c->uri,
                                       .root = k->c->uri ? NULL : CAGE_ROOT,
                                       .cache_dir = cache,
                                       .log_path = log},
                   &k->hv, e);
}

/* The relay between the guest and us, before the guest has executed an instruction. */
static int open_channel(struct keeper *k, int log_fd, struct err *e)
{
    own_free char *channel_path = str_printf("%s/" UP_CHANNEL, k->vm_path);
    own_free char *console_path = str_printf("%s/" UP_CONSOLE, k->vm_path);
    own_close int channel = -1, console = -1;

    if (template_connect(channel_path, &channel, e) < 0 ||
        template_connect(console_path, &console, e) < 0 || egress_open(k, e) < 0)
        return -1;
    return channel_open(&(struct channel_config){.relay_path = k->c->relay_path,
                                                 .channel_fd = channel,
                                                 .console_fd = console,
                                                 .console_log_fd = log_fd,
                                                 .console_max_bytes = UP_CONSOLE_MAX},
                        &k->channel, e);
}

static int open_log(const struct keeper *k, int *ret_fd, struct err *e)
{
    *ret_fd = openat(k->state_fd, FOLDER_CONSOLE,
                     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*ret_fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the console's log");
    return 0;
}

int up_channel(struct keeper *k, struct err *e)
{
    own_close int log = -1;

    if (open_log(k, &log, e) < 0)
        return -1;
    return open_channel(k, log, e);
}

/* As root QEMU has a user of its own. */
static void note_open_files(struct keeper *k)
{
    if (!k->c->uri && geteuid() != 0 && landlock_abi() == 0)
        run_note(&k->result, "QEMU is not kept from your files: this kernel has no Landlock "
                             "(see 'lazaret doctor')");
}

int up_let_run(struct keeper *k, struct err *e)
{
    const struct plan *p = k->plan;

    if ((p->disk_rate_bytes || p->disk_iops) &&
        hv_disk_throttle(k->hv, p->disk_rate_bytes, p->disk_iops, e) < 0)
        return -1;
    return hv_resume(k->hv, e);
}

int up_guest(struct keeper *k, struct err *e)
{
    own_close int log = -1;

    k->up_ms = clock_mono_ms();
    note_open_files(k);
    if (open_log(k, &log, e) < 0 || open_hv(k, e) < 0)
        return -1;
    timing_note(&k->result.timing, TIMING_LIBVIRT);
    if (folder_journal(k->folder, "up", FOLDER_CREATING, e) < 0 || start_guest(k, log, e) < 0)
        return -1;
    checker_end(&k->checker);
    if (open_channel(k, log, e) < 0)
        return -1;
    return up_let_run(k, e);
}

int up_again(struct keeper *k, const struct err *why, struct err *e)
{
    channel_close(k->channel);
    k->channel = NULL;
    keeper_forget_guest(k);
    k->first_fence.n = 0; /* it has other devices */
    k->seen_stopped = 0;
    if (start_again(k, why, e) < 0 || up_channel(k, e) < 0)
        return -1;
    return up_let_run(k, e);
}

void up_guest_undo(struct keeper *k)
{
    struct err e;

    recording_sample(k);
    channel_close(k->channel);
    k->channel = NULL;
    egress_undo(k);
    if (k->hv && hv_destroy(k->hv, &e) < 0)
        run_note(&k->result, "%s", e.text);
    hv_close(k->hv);
    k->hv = NULL;
    free(k->xml);
    k->xml = NULL;
}
