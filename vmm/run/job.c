/* job: one exec in the guest: its container, its deadlines, its result. */
#include "run/job.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "oci/oci.h"
#include "run/armor.h"
#include "run/seen.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define START_MS      60000u /* the container's start */
#define KILL_GRACE_MS 1500u  /* from SIGKILL by us to EXIT */
#define BLIND_MAX     20u    /* looks at QEMU that may fail: it may just have ended */

/* In memory: nobody needs it once the guest has it. The canaries are in front of the configuration
 * and of its size, the profile, if there is one, is behind both. */
static int make_config(const struct plan *plan, unsigned number, const struct strv *canaries,
                       int *ret_fd, size_t *ret_size, struct err *e)
{
    own_doc struct doc *d = oci_config(plan, number);
    own_free char *text = doc_format(d, false);
    own_close int fd = memfd_create("lazaret-config", MFD_CLOEXEC);
    int rc = fd < 0 ? -1 : 0;

    for (size_t i = 0; rc == 0 && i < canaries->n; i++) {
        char path[WIRE_CANARY_SIZE] = "";

        memcpy(path, canaries->items[i], strnlen(canaries->items[i], sizeof(path) - 1));
        rc = file_write_all(fd, path, sizeof(path));
    }
    if (rc < 0 || file_write_all(fd, text, strlen(text)) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the container's configuration");
    if (plan->apparmor && armor_compile(plan, number, fd, e) < 0)
        return -1;
    *ret_fd = own_steal_fd(fd);
    *ret_size = canaries->n * WIRE_CANARY_SIZE + strlen(text);
    return 0;
}

int job_start(struct job *j, unsigned number, const struct plan *plan, const struct job_io *io,
              struct run_result *result, struct channel *ch, struct err *e)
{
    struct channel_secret secrets[WIRE_SECRETS_MAX];
    const size_t n_files = plan->secrets.n, n_secrets = n_files + plan->secret_env.n;
    own_strv struct strv canaries = {0};
    own_close int config = -1;
    size_t config_size;

    alert_rules_files(&plan->alerts, &canaries);
    if (make_config(plan, number, &canaries, &config, &config_size, e) < 0)
        return -1;
    for (size_t i = 0; i < n_secrets; i++)
        secrets[i] = (struct channel_secret){
            .name = i < n_files ? plan->secrets.items[i] : plan->secret_env.items[i - n_files],
            .fd = io->secret_fds[i],
            .env = i >= n_files};
    const struct channel_exec x = {
        .exec = number,
        .config_fd = config,
        .config_size = config_size,
        .stdin_fd = io->stdin_fd,
        .stdout_fd = io->stdout_fd,
        .stderr_fd = plan->tty ? -1 : io->stderr_fd,
        .sink_max_bytes = io->max_bytes,
        .tty = plan->tty,
        .trace = plan->trace,
        .watch = seen_is_wanted(plan) || plan->learn,
        .learn = plan->learn,
        .canaries = (uint32_t)canaries.n,
        .rows = io->rows,
        .cols = io->cols,
        .secrets = secrets,
        .n_secrets = n_secrets,
        .uid = plan->uid,
        .gid = plan->gid,
    };

    if (channel_exec(ch, &x, e) < 0)
        return -1;
    result->egress.on = plan->egress; /* a run's */
    *j = (struct job){
        .number = number,
        .state = JOB_STARTING,
        .plan = plan,
        .result = result,
        .until_ms = clock_mono_ms() + START_MS,
    };
    return 0;
}

/* At the deadline, or for the budget. */
static void look_again(struct job *j, uint64_t now_ms)
{
    uint64_t next = budget_next_ms(&j->budget, now_ms);

    j->until_ms = next < j->deadline_ms ? next : j->deadline_ms;
}

static void run_from_now(struct job *j)
{
    j->state = JOB_RUNNING;
    j->started_ms = clock_mono_ms();
    j->deadline_ms = j->plan->timeout_ms ? j->started_ms + j->plan->timeout_ms : UINT64_MAX;
    budget_begin(&j->budget, j->plan->idle_time_ms, j->plan->job_cpu_time_ms, j->plan->cpus);
    look_again(j, j->started_ms);
}

void job_go_on(struct job *j, unsigned number, const struct plan *plan, struct run_result *result)
{
    *j = (struct job){.number = number, .plan = plan, .result = result, .adopted = true};
    run_from_now(j);
}

static void end(struct job *j)
{
    j->state = JOB_ENDED;
    j->until_ms = UINT64_MAX;
}

static void judge_memory(struct job *j)
{
    struct run_result *r = j->result;
    char size[32];

    if (r->oom_kills == 0)
        return;
    str_format_size(size, sizeof(size), j->plan->memory_bytes);
    if (r->end == RUN_ENDED_SIGNAL && r->signal == SIGKILL) {
        r->end = RUN_ENDED_OOM;
        run_note(r, "the job was killed by its memory limit of %s (raise it with --memory)", size);
    } else {
        run_note(r,
                 "the memory limit of %s killed %u of the job's processes (raise it with --memory)",
                 size, r->oom_kills);
    }
}

static void note_denials(struct run_result *r, const struct plan *plan)
{
    char line[256];

    if (denied_line(&r->denied, line, sizeof(line)))
        run_note(r, "%s", line);
    if (denied_count(&r->denied, WIRE_DENIED_PIDS) > 0)
        run_note(r, "the job was at its limit of %" PRIu64 " processes (raise it with --pids)",
                 plan->pids);
}

/* The signals of the limits of each process, and what the guest says of its CPU time fits. */
static void judge_limits(struct job *j)
{
    const struct plan *p = j->plan;
    struct run_result *r = j->result;
    char limit[48];

    if (r->end != RUN_ENDED_SIGNAL)
        return;
    if (r->signal == SIGXCPU && p->cpu_time_ms && r->cpu_us / 1000 >= p->cpu_time_ms)
        err_set(&r->err, ERR_LIMIT,
                "the job was killed by its limit of CPU time, %s (raise it with --cpu-time)",
                key_format(KEY_CPU_TIME, p->cpu_time_ms, limit, sizeof(limit)));
    else if (r->signal == SIGXFSZ && p->file_size_bytes)
        err_set(&r->err, ERR_LIMIT,
                "the job was killed by its limit of file size, %s (raise it with --file-size)",
                key_format(KEY_FILE_SIZE, p->file_size_bytes, limit, sizeof(limit)));
}

static void take_exit(struct job *j, const struct channel_event *ev)
{
    const struct wire_exit *m = &ev->exit;
    struct run_result *r = j->result;

    r->stream_bytes = j->moved = ev->bytes;
    j->wrote = ev->wrote;
    r->job_ms = clock_mono_ms() - j->started_ms;
    r->end = m->signaled ? RUN_ENDED_SIGNAL : RUN_ENDED_EXIT;
    if (m->signaled)
        r->signal = (int)m->code;
    else
        r->exit_code = (int)m->code;
    r->oom_kills = m->oom;
    r->cpu_us = m->cpu_us;
    r->peak_bytes = m->peak_bytes;
    if (j->state == JOB_RUNNING)
        judge_memory(j);
    if (j->state == JOB_RUNNING)
        judge_limits(j);
    note_denials(r, j->plan);
    end(j);
}

static void take_unstarted(struct job *j, const struct channel_event *ev)
{
    struct err *e = &j->result->err;

    if (ev->why == WIRE_WHY_NOT_FOUND)
        err_set(e, ERR_NOT_FOUND, "'%s' is not in the image '%s'", j->plan->argv.items[0],
                j->plan->image);
    else if (ev->why == WIRE_WHY_NOT_EXEC)
        err_set(e, ERR_NOT_EXEC, "'%s' cannot be executed", j->plan->argv.items[0]);
    else
        err_set(e, ERR_GUEST, "the container could not be started: %s", ev->text);
    end(j);
}

void job_take_event(struct job *j, const struct channel_event *ev)
{
    bool ended = j->state == JOB_ENDED; /* given up: its result has been told */

    if (ev->type == CHANNEL_EXIT || ev->type == CHANNEL_UNSTARTED || ev->type == CHANNEL_GONE)
        j->over = true;
    if (ended)
        return;
    if (ev->type == CHANNEL_STARTED) {
        if (j->state == JOB_STARTING) /* once: a relay that says it again moves no deadline */
            run_from_now(j);
    } else if (ev->type == CHANNEL_MOVED) {
        j->moved = ev->bytes;
        j->wrote = ev->wrote;
    } else if (ev->type == CHANNEL_DENIED) {
        denied_add(&j->result->denied, &ev->denied);
    } else if (ev->type == CHANNEL_EXIT) {
        take_exit(j, ev);
    } else if (ev->type == CHANNEL_UNSTARTED) {
        take_unstarted(j, ev);
    } else if (ev->type == CHANNEL_GONE) {
        err_set(&j->result->err, ERR_GUEST, "it had just ended when the mark was made");
        end(j);
    } else if (ev->type == CHANNEL_HOST_FAILED) {
        err_set(&j->result->err, ERR_HOST, "%s", ev->text);
        end(j);
    }
}

/* What it wrote until now counts, if the guest still answers. */
static int kill_job(struct job *j, struct channel *ch, struct err *e)
{
    j->state = JOB_KILLED;
    j->until_ms = clock_mono_ms() + KILL_GRACE_MS;
    return channel_signal(ch, j->number, SIGKILL, e);
}

static int end_over(struct job *j, struct channel *ch, enum budget_over over, struct err *e)
{
    struct err *why = &j->result->err;
    char limit[48];

    if (over == BUDGET_IDLE)
        err_set(why, ERR_LIMIT,
                "the job was killed: for %s it had neither written, read nor used CPU time "
                "(raise it with --idle-time)",
                key_format(KEY_IDLE_TIME, j->plan->idle_time_ms, limit, sizeof(limit)));
    else
        err_set(why, ERR_LIMIT,
                "the job was killed when QEMU had used %s of CPU time for it "
                "(raise it with --job-cpu-time)",
                key_format(KEY_JOB_CPU_TIME, j->plan->job_cpu_time_ms, limit, sizeof(limit)));
    return kill_job(j, ch, e);
}

static int look_at_budget(struct job *j, struct channel *ch, struct hv *hv, struct err *e)
{
    uint64_t now = clock_mono_ms(), cpu_ns;
    enum budget_over over;

    if (hv_get_cpu(hv, &cpu_ns, e) < 0) {
        look_again(j, now);
        return ++j->blind > BLIND_MAX ? -1 : 0;
    }
    j->blind = 0;
    over = budget_look(&j->budget, now, cpu_ns, j->moved);
    if (over != BUDGET_FINE)
        return end_over(j, ch, over, e);
    look_again(j, now);
    return j->plan->idle_time_ms ? channel_moved(ch, j->number, e) : 0;
}

int job_tick(struct job *j, struct channel *ch, struct hv *hv, struct err *e)
{
    struct err *why;

    if (clock_mono_ms() < j->until_ms || j->state == JOB_NONE || j->state == JOB_ENDED)
        return 0;
    why = &j->result->err;
    if (j->state == JOB_STARTING) {
        err_set(why, ERR_GUEST, "the container did not start in time");
        end(j);
        return 0;
    }
    if (j->state == JOB_KILLED) {
        end(j); /* without the guest's word */
        return 0;
    }
    if (clock_mono_ms() < j->deadline_ms)
        return look_at_budget(j, ch, hv, e);
    err_set(why, ERR_TIMEOUT, "the job was killed at its deadline of %" PRIu64 ".%03" PRIu64 " s",
            j->plan->timeout_ms / 1000, j->plan->timeout_ms % 1000);
    return kill_job(j, ch, e);
}

void job_shift(struct job *j, uint64_t ms)
{
    if (j->until_ms != UINT64_MAX)
        j->until_ms += ms;
    if (j->deadline_ms != UINT64_MAX)
        j->deadline_ms += ms;
}

const struct wire_denied *job_next_denied(struct job *j, bool *ret_new)
{
    const struct run_denied *d = &j->result->denied;

    for (uint32_t i = 0; i < d->n; i++) {
        uint64_t *told = &j->denied_told[i];

        if (*told > d->rows[i].count / 2)
            continue;
        *ret_new = *told == 0;
        *told = d->rows[i].count;
        return &d->rows[i];
    }
    return NULL;
}
