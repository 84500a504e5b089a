/*
 * keeper: the table of steps of a run or sandbox, and the loop that notes what happens meanwhile.
 *
 * How it works
 *   Going up is a loop over `steps`: the journal is written, the step goes. The first step that
 *   fails ends the way up. Going down is the same loop backwards over every step that was begun,
 *   always: success, failure, deadline and Ctrl-C share it. An undo accepts half-done work.
 *   Where a guest failed, the image is looked at once more before the way down.
 *   Then the result is sent to the launcher, which has the last word.
 */
#include "run/keeper.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "run/alarm.h"
#include "run/amnesia.h"
#include "run/cage.h"
#include "run/changes.h"
#include "run/control.h"
#include "run/fork.h"
#include "run/observe.h"
#include "run/recording.h"
#include "run/seen.h"
#include "run/serve.h"
#include "run/slot.h"
#include "run/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#define GUEST_LINES_MAX 4

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int prepare(struct keeper *k, struct err *e)
{
    return k->folder->kind == FOLDER_SANDBOX ? serve_prepare(k, e) : 0;
}

static int take_turn(struct keeper *k, struct err *e)
{
    own_free char *path = str_printf("%s/cache/" SLOT_FILE, k->data);

    (void)e;
    k->slot_fd = slot_take(&(struct slots){
        .path = path, .n = slot_count(), .held_ms = SLOT_HELD_MS, .patience_ms = SLOT_PATIENCE_MS});
    return 0;
}

static void give_turn(struct keeper *k)
{
    slot_give(&k->slot_fd);
}

int keeper_tell_begun(struct keeper *k, struct err *e)
{
    const struct control m = {.type = CONTROL_STARTED, .result = k->result};

    give_turn(k);
    if (control_send(k->control_fd, &m) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot tell that the guest has begun");
    return 0;
}

/* The way up of every guest. */
static const struct step {
    const char *name;
    enum timing_step timing; /* what is left of its time; TIMING_STEPS: it notes all itself */
    int (*go)(struct keeper *k, struct err *e);
    void (*undo)(struct keeper *k);
} steps[] = {
    {"prepare", TIMING_BEGIN, prepare, serve_undo},
    {"turn", TIMING_TURN, take_turn, give_turn},
    {"image", TIMING_IMAGE, up_image, up_image_undo},
    {"scratch", TIMING_DISKS, up_scratch, up_scratch_undo},
    {"input", TIMING_DISKS, up_input, up_input_undo},
    {"domain", TIMING_XML, up_domain, NULL},
    {"up", TIMING_QEMU, up_guest, up_guest_undo},
    {"meet", TIMING_HELLO, work_meet, NULL},
    {"record", TIMING_RECORD, recording_up, NULL},
};

/* What the guest is for: the last steps. */
static const struct step run_steps[] = {
    {"work", TIMING_STEPS, work_job, NULL},
    {"collect", TIMING_COLLECT, work_collect, work_collect_undo},
};
static const struct step sandbox_steps[] = {{"serve", TIMING_JOB, serve_go, NULL}};

static size_t count_steps(const struct keeper *k)
{
    return COUNT(steps) +
           (k->folder->kind == FOLDER_SANDBOX ? COUNT(sandbox_steps) : COUNT(run_steps));
}

static const struct step *step_at(const struct keeper *k, size_t i)
{
    if (i < COUNT(steps))
        return &steps[i];
    return (k->folder->kind == FOLDER_SANDBOX ? sandbox_steps : run_steps) + (i - COUNT(steps));
}

/* The archive and the key to it: both are read later, when there is memory to open it into. */
static int open_sealed_input(struct keeper *k, struct err *e)
{
    const char *path = k->plan->inputs.items[0];
    struct stat st;

    k->identity_fd =
        file_open_real(AT_FDCWD, k->plan->in_identity, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (k->identity_fd < 0)
        return err_sys(e, ERR_USAGE, errno, "--in-identity: cannot open '%s'",
                       k->plan->in_identity);
    k->input_fds[0] = file_open_real(AT_FDCWD, path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (k->input_fds[0] < 0 || fstat(k->input_fds[0], &st) < 0)
        return err_sys(e, ERR_USAGE, errno, "--in: cannot open '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "--in: '%s' is not a file, which --in-identity is for", path);
    k->n_inputs = 1;
    return 0;
}

int keeper_before(struct keeper *k, struct err *e)
{
    k->data_fd = open(k->c->data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (k->data_fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", k->c->data_dir);
    if (k->plan->in_identity)
        return open_sealed_input(k, e);
    for (size_t i = 0; i < k->plan->inputs.n && !k->c->from; i++) {
        const char *path = k->plan->inputs.items[i];

        /* What a policy allowed is this path; a link in it is somebody's later doing. */
        k->input_fds[i] = file_open_real(AT_FDCWD, path, O_PATH | O_DIRECTORY);
        if (k->input_fds[i] < 0)
            return err_sys(e, ERR_USAGE, errno, "--in: cannot open folder '%s'", path);
        k->n_inputs++;
    }
    return 0;
}

static int place_state(struct keeper *k, struct err *e)
{
    if (!k->plan->amnesic) {
        k->state_path = str_dup(k->run_path);
        k->state_fd = k->folder->fd;
        return 0;
    }
    k->state_path = str_dup(CAGE_DIR "/state");
    if (amnesia_mount(k->state_path, 0, e) < 0 || file_open_dir(k->state_path, &k->state_fd, e) < 0)
        return -1;
    return k->c->from ? fork_attach(k->c->from, CAGE_DIR "/from", e) : 0;
}

/* Where things are, as seen from inside the cage (or outside, with a daemon). */
static int place(struct keeper *k, struct err *e)
{
    if (k->c->uri) {
        k->data = str_dup(k->c->data_dir);
        k->run_path = str_dup(k->folder->path);
        k->vm_path = str_dup(k->folder->path);
        return place_state(k, e);
    }
    k->data = str_dup(CAGE_DIR "/data");
    k->run_path = str_printf("%s/%s/%s", k->data, folder_place(k->folder->kind), k->folder->id);
    k->vm_path = str_dup(CAGE_VM);
    return cage_bind(k->data_fd, k->data, false, e) < 0 ? -1 : place_state(k, e);
}

static int go_up(struct keeper *k, size_t *ret_begun, struct err *e)
{
    const size_t n = count_steps(k);

    for (*ret_begun = 0; *ret_begun < n;) {
        const struct step *s = step_at(k, (*ret_begun)++);

        int rc;

        if (folder_journal(k->folder, s->name, "begin", e) < 0)
            return -1;
        rc = s->go(k, e);
        if (s->timing < TIMING_STEPS)
            timing_note(&k->result.timing, s->timing);
        if (rc < 0) {
            folder_journal(k->folder, s->name, "failed", &(struct err){0});
            return -1;
        }
        if (folder_journal(k->folder, s->name, "done", e) < 0)
            return -1;
    }
    return 0;
}

static void go_down(struct keeper *k, size_t begun)
{
    while (begun-- > 0) {
        const struct step *s = step_at(k, begun);

        if (!s->undo)
            continue;
        s->undo(k);
        folder_journal(k->folder, s->name, "undone", &(struct err){0});
    }
}

/*
 * A damaged block of the root panics the guest, and a damaged kernel may do anything: the guest
 * cannot say so, and is not asked. The host looks at the very files that it booted.
 */
static void blame_image(struct keeper *k, struct err *e)
{
    struct err why;

    if (e->class != ERR_GUEST || !k->image || image_recheck(k->image, &why) == 0 ||
        why.class != ERR_IMAGE)
        return;
    run_note(&k->result, "%s", e->text);
    *e = why;
}

/* What the launcher has said of alerts while nobody listened. */
static void hear_last(struct keeper *k)
{
    struct control m;

    while (control_receive(k->control_fd, &m) == 1)
        if (m.type == CONTROL_UNTOLD)
            alarm_untold(k, m.alert, m.text);
}

int keeper_main(struct keeper *k)
{
    struct control last = {.type = CONTROL_RESULT};
    struct err *e = &k->result.err;
    size_t begun = 0;

    k->slot_fd = -1;
    memcpy(k->result.id, k->folder->id, sizeof(k->result.id));
    if (place(k, e) == 0 && recording_begin(k, e) == 0 && go_up(k, &begun, e) < 0)
        blame_image(k, e);
    changes_settle(k);
    go_down(k, begun);
    hear_last(k);
    alarm_done(k);
    observe_free(k->observing);
    seen_done(k);
    (void)refused_tell(k, true);
    recording_end(k);
    recording_free(k);
    last.result = k->result;
    return control_send(k->control_fd, &last) < 0 ? 1 : 0;
}

int keeper_note_denied(struct keeper *k, uint32_t serial, const struct wire_denied *row,
                       bool is_new, struct err *e)
{
    struct doc *what;

    if (recording_has_content(k))
        refused_add_call(&k->refused, serial ? serial : 1, row);
    if (k->plan->amnesic || !is_new)
        return 0;
    what = denied_row_to_doc(row);
    if (serial)
        doc_set_u64(what, "exec", serial);
    return folder_journal_event(k->folder, "denied", what, e);
}

void keeper_read_fence(const struct keeper *k, enum fence_of of, struct fence *ret)
{
    /* In the cage these are what QEMU was given, and libvirt's own; some of the system are what the
     * wrapper's list has, for its libraries. A mark that it was given to write or read it closes a
     * moment after it has said that it is done. */
    own_free char *marks = str_printf("%s/" FOLDER_MARKS "/", k->folder->path);
    static const char cage[] = CAGE_DIR "/";
    const char *const files[] = {cage,  "/usr/", "/etc/localtime", "/sys/devices/system",
                                 marks, NULL};
    const char *const logs[] = {k->folder->path, k->run_path, k->state_path, NULL};
    struct fence_process qemu = {
        .who = "qemu", .pid = hv_qemu_pid(k->hv), .filters = 2, .host = &k->host, .files = files};
    const struct fence_process relay = {.who = "relay",
                                        .pid = channel_relay_pid(k->channel),
                                        .not_uid = (uid_t)-1,
                                        .filters = 1,
                                        .host = &k->host,
                                        .files = logs,
                                        .any_file = of == FENCE_OF_A_RUN};

    *ret = (struct fence){0};
    if (qemu.pid == 0) {
        fence_add(ret, 5, "qemu", FENCE_ABSENT, "it belongs to the libvirt daemon");
    } else {
        qemu.not_uid = geteuid() == 0 ? 0 : (uid_t)-1;
        fence_read_process(&qemu, ret);
        /* Not each second; and one that is stopped answers nothing. */
        fence_read_guards(qemu.pid, of == FENCE_AT_REST && !k->held ? k->hv : NULL, ret);
        fence_read_process(&relay, ret);
    }
    fence_read_devices(k->hv, k->xml, of == FENCE_AT_REST, ret);
    ret->gateway = k->gateway_pid;
}

/* The guest is gone. Libvirt usually knows why a moment later than the channel. */
static int say_why_stopped(struct keeper *k, const struct hv_event *ev, struct err *e)
{
    const char *when = k->serving                        ? "while the sandbox was up"
                       : k->jobs[0].state > JOB_STARTING ? "before the job ended"
                                                         : "before the job started";

    if (ev->type == HV_IO_ERROR)
        return err_set(e, ERR_HOST,
                       "a disk of the guest failed on the host (is there space left?)");
    if (ev->type == HV_LOST)
        return err_set(e, ERR_HOST, "the connection to the libvirt daemon was lost");
    if (ev->type == HV_STOPPED && hv_was_late(k->hv))
        return err_set(e, ERR_HOST, "QEMU did not answer for %u s %s and was killed",
                       (unsigned)(hv_was_late(k->hv) / 1000), when);
    if (ev->type == HV_STOPPED && (ev->why == HV_WHY_FAILED || ev->why == HV_WHY_DESTROYED))
        return err_set(e, ERR_HOST, "QEMU ended unexpectedly %s (killed, or out of memory?)", when);
    return err_set(e, ERR_GUEST,
                   "the guest stopped %s: panic, reboot or power-off "
                   "(its console is in the run's folder with --keep-logs)",
                   when);
}

static int take_hv_events(struct keeper *k, bool *ret_stopped, struct err *e)
{
    struct hv_event ev;

    while (hv_next_event(k->hv, &ev) == 1) {
        if (ev.type == HV_STARTED || ev.type == HV_RESUMED || ev.type == HV_PAUSED)
            continue;
        *ret_stopped = true;
        return say_why_stopped(k, &ev, e);
    }
    return 0;
}

/* QEMU closed the channel: gives libvirt a second to say why. */
static int lost_channel(struct keeper *k, const char *text, struct err *e)
{
    uint64_t until = clock_mono_ms() + 1000;
    bool stopped = false;

    while (!stopped && clock_mono_ms() < until) {
        struct pollfd p = {.fd = hv_event_fd(k->hv), .events = POLLIN};

        poll(&p, 1, clock_poll_timeout(until));
        if (take_hv_events(k, &stopped, e) < 0)
            return -1;
    }
    return err_set(e, ERR_HOST, "the channel to the guest broke: %s", text);
}

void keeper_forget_guest(struct keeper *k)
{
    k->ready = k->synced = k->release = false;
}

static int let_go_on(struct keeper *k, struct err *e)
{
    k->release = false;
    return channel_resume(k->channel, e);
}

static int take_channel_event(struct keeper *k, const struct channel_event *ev, struct err *e)
{
    switch (ev->type) {
    case CHANNEL_READY:
        k->ready = true;
        k->watch_ms = 0;
        return 0;
    case CHANNEL_PARKED:
        k->parked = true;
        return 0;
    case CHANNEL_SYNCED:
        k->synced = true;
        k->synced_how = ev->how;
        return k->release ? let_go_on(k, e) : 0;
    case CHANNEL_STARTED:
    case CHANNEL_UNSTARTED:
    case CHANNEL_DENIED:
    case CHANNEL_EXIT:
    case CHANNEL_GONE:
    case CHANNEL_MOVED:
        if (ev->type == CHANNEL_EXIT)
            seen_end(k, ev->exec);
        observe_event(k, ev);
        job_take_event(&k->jobs[ev->exec - 1], ev);
        if (ev->type == CHANNEL_STARTED || ev->type == CHANNEL_EXIT)
            alarm_job(k, ev->exec, ev->type == CHANNEL_EXIT);
        return 0;
    case CHANNEL_SEEN:
        seen_take(k, ev);
        observe_event(k, ev);
        return 0;
    case CHANNEL_COLLECTED:
        k->collected = true;
        k->collected_how = ev->how;
        alarm_output(k, ev->bytes);
        return 0;
    case CHANNEL_USED:
        k->used_new = true;
        k->used = ev->used;
        return 0;
    case CHANNEL_LOG:
        recording_words(k, ev->text);
        /* A few, or the guest could crowd out what the host has to say. */
        if (k->guest_lines++ < GUEST_LINES_MAX)
            run_note(&k->result, "guest: %.200s", ev->text);
        return 0;
    case CHANNEL_FAILED:
        return err_set(e, ERR_GUEST, "the guest could not be brought up: %s", ev->text);
    case CHANNEL_HOST_FAILED:
        if (ev->exec == 0)
            return err_set(e, ERR_HOST, "%s", ev->text);
        job_take_event(&k->jobs[ev->exec - 1], ev);
        return 0;
    case CHANNEL_TAMPERED:
        return err_set(e, ERR_PROTOCOL, "the guest broke the protocol: %s", ev->text);
    case CHANNEL_LOST:
        return lost_channel(k, ev->text, e);
    }
    return err_set(e, ERR_HOST, "unknown event from the relay");
}

/* Signals are the job's while it runs, and the end of a sandbox; before, the launcher ends it. */
static int take_control(struct keeper *k, struct err *e)
{
    struct control m;
    int n;

    while ((n = control_receive(k->control_fd, &m)) == 1) {
        if (m.type == CONTROL_RESIZE && !k->serving && job_is_running(&k->jobs[0]) &&
            channel_resize(k->channel, 1, m.rows, m.cols, e) < 0)
            return -1;
        if (m.type == CONTROL_UNTOLD)
            alarm_untold(k, m.alert, m.text);
        if (m.type != CONTROL_SIGNAL)
            continue;
        if (k->serving) {
            k->ending = true;
            continue;
        }
        if (k->jobs[0].state == JOB_ENDED) {
            k->result.signal = m.signo;
            return err_set(e, ERR_INTERRUPTED, "interrupted");
        }
        if (channel_signal(k->channel, 1, (uint32_t)m.signo, e) < 0)
            return -1;
    }
    /* To those whose commands run in a sandbox it is no end that they asked for. */
    if (n < 0 && k->serving)
        return err_set(e, ERR_HOST, "the supervisor of the sandbox was killed");
    if (n < 0)
        return err_set(e, ERR_INTERRUPTED, "the launcher is gone");
    return 0;
}

static int pump(struct keeper *k, uint64_t until_ms, struct pollfd *own, size_t n_own,
                struct err *e)
{
    enum { CONTROL, HV, CHANNEL, EGRESS, OWN };
    struct pollfd p[OWN + KEEPER_POLLS_MAX] = {
        [CONTROL] = {.fd = k->control_fd, .events = POLLIN},
        [HV] = {.fd = hv_event_fd(k->hv), .events = POLLIN},
        [CHANNEL] = {.fd = channel_fd(k->channel), .events = POLLIN},
        [EGRESS] = egress_poll(k),
    };
    struct channel_event ev;
    bool stopped = false;

    for (size_t i = 0; i < n_own; i++)
        p[OWN + i] = own[i];
    if (watch_due_ms(k) < until_ms)
        until_ms = watch_due_ms(k);
    if (alarm_due_ms(k) < until_ms)
        until_ms = alarm_due_ms(k);
    if (poll(p, OWN + n_own, clock_poll_timeout(until_ms)) < 0 && errno != EINTR)
        return err_sys(e, ERR_HOST, errno, "cannot wait for the guest");
    for (size_t i = 0; i < n_own; i++)
        own[i].revents = p[OWN + i].revents;
    /* The channel first: what the guest said before it stopped counts. */
    for (int n = 0; n < CHANNEL_TURN && channel_next(k->channel, &ev) == 1; n++)
        if (take_channel_event(k, &ev, e) < 0)
            return -1;
    if (egress_take(k, e) < 0)
        return -1;
    if (p[CONTROL].revents && take_control(k, e) < 0)
        return -1;
    if (take_hv_events(k, &stopped, e) < 0)
        return -1;
    alarm_turn(k);
    if (!k->serving && alarm_act(k, e) < 0) /* a sandbox's loop does it: a mark may be under way */
        return -1;
    return watch_turn(k, e);
}

int keeper_pump(struct keeper *k, uint64_t until_ms, struct pollfd *own, size_t n_own,
                struct err *e)
{
    const uint64_t refused = refused_tell(k, false), record = recording_tick(k);
    const uint64_t due = refused < record ? refused : record;

    if (pump(k, due < until_ms ? due : until_ms, own, n_own, e) == 0 && recording_check(k, e) == 0)
        return 0;
    k->lost = true;
    return -1;
}
