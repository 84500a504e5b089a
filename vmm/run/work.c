/* work: the steps that need a living guest: meet it, let the job work, collect its output. */
#include "run/keeper.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "channel/unpack.h"
#include "run/alarm.h"
#include "run/control.h"
#include "run/fork.h"
#include "run/observe.h"
#include "run/recording.h"
#include "run/serve.h"
#include "run/start.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define BOOT_KVM_MS    30000u
#define BOOT_TCG_MS    120000u
#define RESTORE_PART   4u /* of the time for a boot, for a restored guest to become ready */
#define COLLECT_MIN_MS 10000u
#define COLLECT_RATE   4096u /* bytes a millisecond that collecting must reach */

uint64_t work_boot_ms(const struct keeper *k)
{
    return k->plan->accel == PLAN_KVM ? BOOT_KVM_MS : BOOT_TCG_MS;
}

static int wait_ready(struct keeper *k, uint64_t time_ms, struct err *e)
{
    uint64_t until = clock_mono_ms() + time_ms;

    if (channel_hello(k->channel,
                      &(struct channel_hello){
                          .input = k->plan->inputs.n > 0, .uid = k->plan->uid, .gid = k->plan->gid},
                      e) < 0)
        return -1;
    while (!k->ready || !egress_is_ready(k)) {
        if (clock_mono_ms() >= until)
            return err_set(e, ERR_GUEST,
                           "the guest was not ready in time "
                           "(its console is in the run's folder with --keep-logs)");
        if (keeper_pump(k, until, NULL, 0, e) < 0)
            return -1;
    }
    return 0;
}

int work_greet(struct keeper *k, struct err *e)
{
    return wait_ready(k, work_boot_ms(k) / RESTORE_PART, e);
}

int work_meet(struct keeper *k, struct err *e)
{
    struct err why;

    if (k->c->from && k->serve && serve_adopt_jobs(k, &k->c->from->mark, e) < 0)
        return -1;

    if ((k->warm_key[0] ? work_greet(k, &why) : wait_ready(k, work_boot_ms(k), &why)) < 0) {
        if (!start_may_boot(k, &why)) {
            *e = why;
            return -1;
        }
        if (up_again(k, &why, e) < 0 || wait_ready(k, work_boot_ms(k), e) < 0)
            return -1;
    }
    if (k->c->from)
        fork_let_go(k->c->from);
    k->result.boot_ms = clock_mono_ms() - k->up_ms;
    k->result.warm = k->warm_key[0] != '\0';
    alarm_begin(k);
    return 0;
}

static int open_spool(const struct keeper *k, const char *name, int *ret_fd, struct err *e)
{
    int fd = openat(k->state_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make '%s' in the run's folder", name);
    *ret_fd = fd;
    return 0;
}

static int start_job(struct keeper *k, struct err *e)
{
    struct job_io io = {
        .stdin_fd = k->stdin_fd,
        .stdout_fd = STDOUT_FILENO,
        .stderr_fd = STDERR_FILENO,
        .rows = k->c->rows,
        .cols = k->c->cols,
        .secret_fds = k->c->secrets ? k->c->secrets->fds : NULL,
    };
    int rc;

    if (k->c->capture) {
        io.stdout_fd = k->c->capture->stdout_fd;
        io.stderr_fd = k->c->capture->stderr_fd;
        io.max_bytes = RUN_CAPTURE_MAX + 1; /* one more shows that there was more */
    }
    k->secret_delivered |= k->plan->secrets.n + k->plan->secret_env.n > 0;
    recording_exec(k, 1, k->plan);
    rc = recording_check(k, e);
    if (rc == 0)
        rc = job_start(&k->jobs[0], 1, k->plan, &io, &k->result, k->channel, e);
    secrets_close(k->c->secrets);
    return rc;
}

/* As soon as it is known: the journal, and whoever started the run. */
static int tell_denied(struct keeper *k, struct err *e)
{
    struct control m = {.type = CONTROL_DENIED, .result.debug = k->plan->debug};
    const struct wire_denied *row;
    bool is_new;

    while ((row = job_next_denied(&k->jobs[0], &is_new))) {
        if (keeper_note_denied(k, 0, row, is_new, e) < 0)
            return -1;
        if (!is_new)
            continue;
        m.denied = *row;
        control_hint(k->control_fd, &m);
    }
    return 0;
}

static int let_work(struct keeper *k, bool *told, struct err *e)
{
    struct job *j = &k->jobs[0];

    observe_begin(k);
    if (start_job(k, e) < 0)
        return -1;
    for (;;) {
        if (job_tick(j, k->channel, k->hv, e) < 0)
            return -1;
        if (j->state == JOB_ENDED) /* by the tick too: a silent guest has nothing to wait for */
            break;
        if (keeper_pump(k, j->until_ms, NULL, 0, e) < 0 || tell_denied(k, e) < 0)
            return -1;
        if (!*told && j->state > JOB_STARTING && j->started_ms) {
            timing_note(&k->result.timing, TIMING_CONTAINER);
            if (keeper_tell_begun(k, e) < 0)
                return -1;
            *told = true;
        }
    }
    egress_finish(k);
    recording_exit(k, 1, &k->result);
    if (k->result.end == RUN_ENDED_EXIT && observe_end(k, e) < 0)
        return -1;
    /* A job that the guest has ended may have output, whatever killed it. */
    if (k->result.end != RUN_ENDED_NOT)
        return 0;
    *e = k->result.err;
    return -1;
}

int work_job(struct keeper *k, struct err *e)
{
    bool told = false;
    int rc = let_work(k, &told, e);

    timing_note(&k->result.timing, told ? TIMING_JOB : TIMING_CONTAINER);
    return rc;
}

/* Lists what was refused: the first few by name, all of them by number. */
static void note_refused(struct keeper *k, const struct doc *list)
{
    /* Names are a part of what nobody here may read. */
    const size_t shown = k->plan->out_recipients.n > 0 ? 0 : 10;

    for (size_t i = 0; i < doc_len(list) && i < shown; i++) {
        const struct doc *row = doc_at(list, i);
        const char *name = "?", *why = "?";
        struct err ignored;

        doc_get_str(row, "name", &name, &ignored);
        doc_get_str(row, "why", &why, &ignored);
        run_note(&k->result, "output refused: '%.100s': %s", name, why);
    }
    if (k->result.out_refused > shown)
        run_note(&k->result, "output refused: %" PRIu64 " entries in all", k->result.out_refused);
}

struct listed {
    struct keeper *k;
    uint64_t n;
};

static void take_made(void *arg, const char *name, uint64_t bytes, const char *sha256)
{
    struct listed *l = arg;

    l->n++;
    recording_add(l->k, "output", recording_output_doc(NULL, name, bytes, sha256));
}

/* Of a sealed archive the host knows its size and digest, and nothing of what is in it. */
static int record_sealed(struct keeper *k, struct err *e)
{
    own_close int fd = openat(k->out_fd, UNPACK_SEALED, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char sha256[DIGEST_HEX_SIZE];
    uint64_t bytes;

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open the sealed output");
    if (digest_fd(fd, sha256, &bytes, e) < 0)
        return -1;
    recording_add(k, "output", recording_output_doc("sealed", NULL, bytes, sha256));
    return 0;
}

static void record_sum(struct keeper *k, uint64_t listed)
{
    const struct run_result *r = &k->result;
    struct doc *d = recording_sum_doc(NULL, &(struct recording_sum){.files = r->out_files,
                                                                    .folders = r->out_folders,
                                                                    .bytes = r->out_bytes,
                                                                    .refused = r->out_refused,
                                                                    .listed = listed});

    doc_set_bool(d, "sealed", r->out_sealed);
    recording_add(k, "outputs", d);
}

static int unpack_spool(struct keeper *k, int spool, uint64_t time_ms, struct err *e)
{
    struct unpack_result u = {0};
    mode_t ours = umask(k->umask);
    struct listed listed = {.k = k};
    const struct unpack_list list = {.made = take_made, .arg = &listed};
    int rc = unpack_listed(k->c->unpack_path, spool, k->out_fd, &k->plan->out_recipients,
                           k->plan->out_max_bytes, time_ms, recording_has_content(k) ? &list : NULL,
                           &u, e);

    umask(ours);
    k->result.collected = true;
    k->result.out_sealed = rc == 0 && k->plan->out_recipients.n > 0;
    k->result.out_files = u.files;
    k->result.out_folders = u.folders;
    k->result.out_bytes = u.bytes;
    k->result.out_refused = u.refused;
    if (k->result.out_sealed && k->recording)
        rc = record_sealed(k, e);
    record_sum(k, listed.n);
    if (u.refused_list)
        note_refused(k, u.refused_list);
    doc_free(u.refused_list);
    return rc;
}

int work_collect(struct keeper *k, struct err *e)
{
    uint64_t time_ms = COLLECT_MIN_MS + k->plan->out_max_bytes / COLLECT_RATE;
    uint64_t until = clock_mono_ms() + time_ms;
    own_close int spool = -1;

    if (k->out_fd < 0)
        return 0;
    if (open_spool(k, FOLDER_TREE, &spool, e) < 0 ||
        channel_collect(k->channel, spool, k->plan->out_max_bytes, e) < 0)
        return -1;
    while (!k->collected) {
        if (clock_mono_ms() >= until)
            return err_set(e, ERR_GUEST, "the output could not be collected in time");
        if (keeper_pump(k, until, NULL, 0, e) < 0)
            return -1;
    }
    if (k->collected_how == WIRE_COLLECT_ERROR)
        return err_set(e, ERR_GUEST, "the guest could not read the job's output");
    if (unpack_spool(k, spool, time_ms, e) < 0)
        return -1;
    if (k->collected_how == WIRE_COLLECT_OVER) {
        char size[32];

        return err_set(e, ERR_LIMIT,
                       "the output is over %s: only what fitted was kept (raise it with --out-max)",
                       str_format_size(size, sizeof(size), k->plan->out_max_bytes));
    }
    return 0;
}

void work_collect_undo(struct keeper *k)
{
    struct err e;

    if (file_remove_tree(k->state_fd, FOLDER_TREE, &e) < 0)
        run_note(&k->result, "%s", e.text);
}
