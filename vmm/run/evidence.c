/* evidence: the memory and the disk of a guest that was frozen. See evidence.h. */
#include "run/evidence.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/own.h"
#include "run/alarm.h"
#include "run/recording.h"

#include <errno.h>
#include <fcntl.h>

#define SAVE_MS 120000u

static int check(const struct keeper *k, struct err *e)
{
    if (k->plan->amnesic)
        return err_set(e, ERR_REFUSED, "nothing of an amnesic guest goes to a disk");
    if (k->secret_delivered)
        return err_set(e, ERR_REFUSED, "the guest was given a secret, which would be in it");
    return k->c->uri ? err_set(e, ERR_REFUSED, "the guest belongs to the libvirt daemon") : 0;
}

/* "evidence/ID", made. */
static int open_dir(struct keeper *k, int *ret_fd, struct err *e)
{
    own_free char *path = str_printf("%s/" ALARM_DIR "/%s", k->data,
                                     k->recording ? k->folder->record : k->folder->id);

    return file_make_dirs(path, 0700, e) < 0 ? -1 : file_open_dir(path, ret_fd, e);
}

/* What was there of an earlier alert gives way: its digest stays in the record. */
static int make_file(int dir, const char *name, int *ret_fd, struct err *e)
{
    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
        return err_sys(e, ERR_HOST, errno, "cannot replace the evidence's '%s'", name);
    *ret_fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *ret_fd < 0 ? err_sys(e, ERR_HOST, errno, "cannot make the evidence's '%s'", name) : 0;
}

static int put_on_record(struct keeper *k, const char *name, int fd, struct err *e)
{
    char sha256[DIGEST_HEX_SIZE];
    struct doc *d;
    uint64_t bytes;

    if (fsync(fd) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write the evidence");
    if (digest_fd(fd, sha256, &bytes, e) < 0)
        return -1;
    d = doc_new_object();
    doc_set_str(d, "name", name);
    doc_set_u64(d, "bytes", bytes);
    doc_set_str(d, "sha256", sha256);
    recording_add(k, "evidence", d);
    return 0;
}

static int save_file(struct keeper *k, int dir, const char *file, const char *name, struct err *e)
{
    own_close int from = openat(k->state_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    own_close int to = -1;

    if (from < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open the guest's disk");
    if (make_file(dir, name, &to, e) < 0)
        return -1;
    if (file_copy_sparse(from, to) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot copy the guest's disk");
    return put_on_record(k, name, to, e);
}

/* A fork's disk is what it changed, over the one of its parent's mark. */
static int save_disk(struct keeper *k, int dir, struct err *e)
{
    if (save_file(k, dir, up_scratch_name(k), ALARM_DISK, e) < 0)
        return -1;
    return k->c->from ? save_file(k, dir, FOLDER_BASE, ALARM_BASE, e) : 0;
}

static int save(struct keeper *k, struct err *e)
{
    own_close int dir = -1, memory = -1;

    if (check(k, e) < 0 || open_dir(k, &dir, e) < 0 ||
        make_file(dir, ALARM_MEMORY, &memory, e) < 0 ||
        hv_save_state(k->hv, memory, HV_RAM_IN_STATE, SAVE_MS, e) < 0 ||
        put_on_record(k, ALARM_MEMORY, memory, e) < 0)
        return -1;
    return save_disk(k, dir, e);
}

int evidence_take(struct keeper *k, uint64_t met_ms, struct err *e)
{
    struct doc *d = doc_new_object();
    int rc;

    /* A sandbox stands still already. */
    if (!k->serving && hv_pause(k->hv, e) < 0) {
        doc_free(d);
        return -1;
    }
    doc_set_u64(d, "frozen_ms", clock_mono_ms() - met_ms);
    rc = save(k, e);
    if (rc < 0)
        doc_set_str(d, "error", e->text);
    recording_add(k, "frozen", d);
    return rc;
}
