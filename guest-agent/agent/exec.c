/* exec: one job: its container, its states, its end. The streams are in stream.c, what it says
 * to the host in tell.c. See exec.h. */
#include "agent/exec.h"

#include "agent/armor.h"
#include "agent/boot.h"
#include "agent/facts.h"
#include "agent/link.h"
#include "agent/say.h"
#include "agent/stream.h"
#include "agent/tell.h"
#include "agent/trace.h"
#include "shared/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXEC_START_MS 60000 /* for the runtime to make a container; generous: slow emulation */
#define EXEC_CLEAN_MS 60000 /* ... and to remove it */
#define EXEC_COUNT_MS 10000 /* for the kernel to tell what a job that has ended was refused */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Everything but the number, the paths and the cleaner. */
static void forget(struct exec *x)
{
    x->state = WIRE_IN_NONE;
    x->config_fd = x->link = x->console = x->network = -1;
    x->made = x->here = x->probe = false;
    x->stdio[0] = x->stdio[1] = x->stdio[2] = -1;
    x->runtime = x->init = 0;
    x->reaped = x->begun = x->ended = false;
    x->wrong = 0;
    x->text[0] = '\0';
    x->deadline_ms = x->count_deadline_ms = 0;
    denials_init(&x->denials);
    x->counted = false;
    x->mark = 0;
    seen_done(&x->seen);
    stream_init(x);
}

void exec_init(struct exec *x, unsigned number, const struct container_paths *paths,
               struct audit *audit, const struct secrets_config *secrets,
               const struct egress *egress)
{
    x->number = number;
    x->paths = *paths;
    x->audit = audit;
    x->egress = egress;
    x->known = x->armored = false;
    x->cleaner = 0;
    eyes_init(&x->eyes);
    seen_init(&x->seen, 0);
    secrets_init(&x->secrets, secrets, number);
    forget(x);
}

static void close_all(struct exec *x)
{
    close_fd(&x->config_fd);
    close_fd(&x->link);
    close_fd(&x->console);
    close_fd(&x->network);
    eyes_close(&x->eyes);
    for (int i = 0; i < 3; i++)
        close_fd(&x->stdio[i]);
    stream_done(x);
}

static void remove_bundle(const struct exec *x)
{
    static const char *const names[] = {CONTAINER_CONFIG, CONTAINER_PIDFILE, CONTAINER_LOG,
                                        CONTAINER_CONSOLE, CONTAINER_PROFILE};
    int fd = open(x->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; fd >= 0 && i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlinkat(fd, names[i], 0);
    close_fd(&fd);
    (void)rmdir(x->bundle);
}

/* The job is over for the host: what is left of it goes in the background. */
static void finish(struct exec *x)
{
    bool made = x->state == WIRE_IN_STARTING || x->state == WIRE_IN_RUNNING;

    if (x->runtime > 0)
        (void)kill(x->runtime, SIGKILL);
    if (made) {
        container_kill(&x->paths, x->number);
        if (x->init > 0 && !x->reaped)
            (void)kill(x->init, SIGKILL);
    }
    close_all(x);
    if (made)
        egress_forget(x->egress, x->number);
    secrets_drop(&x->secrets);
    remove_bundle(x);
    /* A job that was still waiting for the cleaner has made nothing. */
    if (made && x->cleaner == 0) {
        pid_t pid = container_delete(&x->paths, x->id);

        if (pid < 0)
            say("exec %u: cannot remove the container: %s", x->number, strerror(-pid));
        x->cleaner = pid > 0 ? pid : 0;
        x->clean_deadline_ms = boot_now_ms() + EXEC_CLEAN_MS;
    }
    forget(x);
}

void exec_abort(struct exec *x)
{
    if (x->state != WIRE_IN_NONE)
        finish(x);
    x->known = false;
}

bool exec_keep(struct exec *x)
{
    if (x->state != WIRE_IN_RUNNING)
        return false;
    stream_keep(x);
    denials_untold(&x->denials);
    seen_untold(&x->seen);
    return true;
}

/* The job will not run: UNSTARTED follows from exec_pump(). The first reason stays. */
static void fail(struct exec *x, enum wire_unstarted_why why, const char *text)
{
    if (x->wrong)
        return;
    x->wrong = (uint32_t)why;
    (void)snprintf(x->text, sizeof(x->text), "%s", text);
}

static void fail_errno(struct exec *x, const char *what, int error)
{
    char text[WIRE_TEXT_MAX];

    (void)snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
    fail(x, WIRE_WHY_RUNTIME, text);
}

static void begin_file(struct exec *x, const char *name, size_t size)
{
    char path[CONTAINER_PATH_MAX + 16];

    (void)snprintf(path, sizeof(path), "%s/%s", x->bundle, name);
    x->file_left = size;
    x->config_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (x->config_fd < 0)
        fail_errno(x, "make the bundle", errno);
}

void exec_open(struct exec *x, const struct wire_exec *ask, const char *run_dir, unsigned serial)
{
    x->state = ask->secrets ? WIRE_IN_SECRETS : WIRE_IN_CONFIG;
    x->secrets.due = ask->secrets;
    x->known = true;
    x->ask = *ask;
    x->config_left = (size_t)ask->config_size + ask->profile_size;
    x->owner = serial + 1;
    seen_init(&x->seen, ask->flags & WIRE_EXEC_LEARN ? WIRE_SEEN_LEARN_MAX : WIRE_SEEN_MAX);
    (void)snprintf(x->id, sizeof(x->id), "lazaret-%u-%u", x->number, serial);
    (void)snprintf(x->bundle, sizeof(x->bundle), "%s/bundle-%u-%u", run_dir, x->number, serial);
    if (mkdir(x->bundle, 0700) < 0)
        fail_errno(x, "make the bundle", errno);
    else
        begin_file(x, CONTAINER_CONFIG, ask->config_size - ask->canaries * WIRE_CANARY_SIZE);
}

int exec_secret(struct exec *x, const struct wire_secret *m)
{
    char what[WIRE_SECRET_NAME_MAX + 32];
    int rc = 0;

    (void)snprintf(what, sizeof(what), "secret '%s'", m->name);
    if (m->value_len == 0)
        fail(x, WIRE_WHY_RUNTIME, "a secret did not arrive");
    else if (!x->wrong)
        rc = secrets_put(&x->secrets, m);
    if (rc == -EPROTO)
        return rc;
    if (rc < 0)
        fail_errno(x, what, -rc);
    if (--x->secrets.due == 0)
        x->state = WIRE_IN_CONFIG;
    return 0;
}

/* A container that is to have a profile does not start without. */
static bool put_on_armor(struct exec *x)
{
    int rc = x->ask.profile_size == 0 ? 0 : armor_load(x->bundle);

    x->armored = x->ask.profile_size > 0 && rc == 0;
    if (rc == -ENOENT)
        fail(x, WIRE_WHY_RUNTIME, "the guest's kernel has no AppArmor");
    else if (rc < 0)
        fail_errno(x, "load the job's AppArmor profile", -rc);
    return rc == 0;
}

/* Makes the container; its first process then waits for GO. */
static void start(struct exec *x)
{
    struct container_start s = {.id = x->id,
                                .bundle = x->bundle,
                                .tty = x->ask.flags & WIRE_EXEC_TTY,
                                .owner = x->audit->fd < 0 ? 0 : x->owner};
    int link[2];
    pid_t pid;

    if (!put_on_armor(x))
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0 ||
        fcntl(link[0], F_SETFL, O_NONBLOCK) < 0 || stream_open(x) < 0) {
        fail_errno(x, "make the job's streams", errno);
        return;
    }
    x->link = link[0];
    s.link = link[1];
    memcpy(s.stdio, x->stdio, sizeof(s.stdio));
    pid = container_start(&x->paths, &s);
    close_fd(&link[1]);
    for (int i = 0; i < 3; i++)
        close_fd(&x->stdio[i]);
    if (pid < 0)
        fail_errno(x, "start the container runtime", -pid);
    else
        x->runtime = pid;
}

int exec_config(struct exec *x, const uint8_t *p, size_t len)
{
    ssize_t canaries;

    if (len > x->config_left)
        return -EPROTO;
    x->config_left -= len;
    canaries = eyes_take_config(&x->eyes, &x->ask, p, len);
    if (canaries < 0)
        return -EPROTO;
    p += canaries;
    len -= (size_t)canaries;
    for (size_t at = 0; x->config_fd >= 0 && at < len;) {
        size_t want = len - at < x->file_left ? len - at : x->file_left;
        ssize_t n = write(x->config_fd, p + at, want);

        if (n < 0) {
            fail_errno(x, "write the bundle", errno);
            close_fd(&x->config_fd);
            break;
        }
        at += (size_t)n;
        x->file_left -= (size_t)n;
        if (x->file_left > 0 || (at == len && x->config_left == 0))
            continue;
        close_fd(&x->config_fd);
        begin_file(x, CONTAINER_PROFILE, x->ask.profile_size);
    }
    if (x->config_left > 0)
        return 0;
    close_fd(&x->config_fd);
    x->state = WIRE_IN_STARTING;
    x->deadline_ms = boot_now_ms() + EXEC_START_MS;
    if (!x->wrong && x->cleaner == 0)
        start(x);
    return 0;
}

void exec_signal(struct exec *x, int signo)
{
    const struct link_record r = {.kind = LINK_KILL, .value = signo};

    if (x->reaped)
        return;
    if (signo == SIGKILL) {
        container_kill(&x->paths, x->number);
        if (x->init > 0)
            (void)kill(x->init, SIGKILL);
    } else if (x->link >= 0 && send(x->link, &r, sizeof(r), MSG_NOSIGNAL) < 0) {
        say("exec %u: signal %d is lost: %s", x->number, signo, strerror(errno));
    }
}

/* GO, with what its environment gets beyond its configuration. */
static int send_go(struct exec *x)
{
    struct link_record go = {.kind = LINK_GO};
    const int *env_fd = &x->secrets.env_fd;

    if (x->probe)
        facts_take(&x->paths, x->number, go.text);
    if (fds_send(x->link, &go, sizeof(go), env_fd, *env_fd >= 0, 0) < 0)
        return -1;
    close_fd(&x->secrets.env_fd); /* it wipes it */
    return 0;
}

/* GO, once the container is there, and its way out, if it gets one. Until its first process is our
 * program it is the runtime's, which nobody may look into. */
static void go(struct exec *x)
{
    int rc = 0;

    if (!x->made || x->wrong || !x->here)
        return;
    x->made = false;
    if (egress_is_on(x->egress))
        rc = egress_serve(x->egress, x->number, x->network);
    close_fd(&x->network);
    if (rc == -EAFNOSUPPORT)
        fail(x, WIRE_WHY_RUNTIME, "the guest's kernel has no IP, which network rules need");
    else if (rc < 0)
        fail_errno(x, "the job's way out", -rc);
    else if (x->ask.flags & WIRE_EXEC_TRACE && (rc = trace_start(x->init, x->number)) < 0)
        fail_errno(x, "trace the container's first process", -rc);
    if (!x->wrong)
        eyes_open(&x->eyes, &x->ask, x->init, &x->seen);
    if (!x->wrong && send_go(x) < 0)
        fail_errno(x, "the container's first process", errno);
}

/* The runtime has ended: the container is there, or it is not. */
static void on_runtime(struct exec *x, int status)
{
    char text[WIRE_TEXT_MAX];

    x->runtime = 0;
    if (x->init == 0)
        x->init = container_pid(x->bundle);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || x->init == 0) {
        container_log(x->bundle, text, sizeof(text));
        /* What it says before it has read --log, it says to the job's stderr. */
        if (!text[0])
            stream_first_line(x, text, sizeof(text));
        fail(x, WIRE_WHY_RUNTIME, text[0] ? text : "the container runtime failed");
    } else if (x->console >= 0 && stream_take_console(x) < 0) {
        fail_errno(x, "receive the terminal", errno);
    } else {
        x->made = true;
        go(x);
    }
}

bool exec_reaped(struct exec *x, pid_t pid, int status)
{
    if (pid == x->cleaner) {
        x->cleaner = 0;
        container_scrub(&x->paths, x->number);
        if (x->armored)
            armor_remove(x->number);
        x->armored = false;
        if (x->state == WIRE_IN_STARTING && !x->wrong)
            start(x);
        return true;
    }
    if (x->state != WIRE_IN_STARTING && x->state != WIRE_IN_RUNNING)
        return false;
    if (x->runtime > 0 && pid == x->runtime) {
        on_runtime(x, status);
        return true;
    }
    /* It may end before the runtime does; its pid is on file by then. */
    if (x->runtime > 0 && x->init == 0)
        x->init = container_pid(x->bundle);
    if (x->reaped || x->init == 0 || pid != x->init)
        return false;
    x->reaped = true;
    x->init_status = status;
    return true;
}

void exec_rearm(struct exec *x)
{
    uint64_t now = boot_now_ms();

    x->deadline_ms = now + EXEC_START_MS;
    x->clean_deadline_ms = now + EXEC_CLEAN_MS;
    x->count_deadline_ms = now + EXEC_COUNT_MS;
}

/* Of two deadlines, of which 0 is none. */
static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

uint64_t exec_deadline(const struct exec *x)
{
    uint64_t start_ms = x->state == WIRE_IN_STARTING && !x->wrong ? x->deadline_ms : 0;
    uint64_t clean_ms = x->cleaner > 0 ? x->clean_deadline_ms : 0;

    if (x->mark > 0 && !x->counted)
        start_ms = x->count_deadline_ms; /* never both */
    return sooner(sooner(start_ms, clean_ms), eyes_deadline(&x->eyes));
}

/* All that the kernel tells is in: what is left are the job's cgroup files. */
static void count_limits(struct exec *x)
{
    container_limits(&x->paths, x->number, &x->denials);
    x->counted = true;
}

static void check_deadlines(struct exec *x)
{
    uint64_t now = boot_now_ms();

    eyes_wake(&x->eyes, now);
    if (x->cleaner > 0 && now >= x->clean_deadline_ms) {
        say("exec %u: removing the container took too long", x->number);
        (void)kill(x->cleaner, SIGKILL);
        x->clean_deadline_ms = now + EXEC_CLEAN_MS;
    }
    if (x->state == WIRE_IN_STARTING && !x->begun && now >= x->deadline_ms)
        fail(x, WIRE_WHY_RUNTIME, "the container did not start in time");
    if (x->mark > 0 && !x->counted && now >= x->count_deadline_ms) {
        denials_add(&x->denials, WIRE_DENIED_UNHEARD, 1);
        count_limits(x);
    }
}

/* Nothing of it runs or writes any more. */
static bool is_still(const struct exec *x)
{
    return x->state == WIRE_IN_RUNNING && x->reaped && x->link < 0 && stream_is_drained(x);
}

/* A mark behind all that the job was refused. */
static void ask_for_all(struct exec *x)
{
    uint32_t number = audit_new_mark(x->audit);

    if (audit_mark(x->audit, number) < 0) {
        count_limits(x);
        return;
    }
    x->mark = number;
    x->count_deadline_ms = boot_now_ms() + EXEC_COUNT_MS;
}

void exec_take_denial(struct exec *x, const struct audit_event *ev)
{
    bool waits = x->mark > 0 && !x->counted;

    if (x->state != WIRE_IN_RUNNING)
        return;
    if (ev->what == AUDIT_MARKED || ev->what == AUDIT_BROKEN) {
        if (waits && (ev->what == AUDIT_BROKEN || ev->number == x->mark))
            count_limits(x);
    } else if (ev->what == AUDIT_LOST) {
        denials_add(&x->denials, WIRE_DENIED_UNHEARD, 1);
        if (waits) /* its mark may have been among them */
            (void)audit_mark(x->audit, x->mark);
    } else if (ev->what == AUDIT_FILE || ev->what == AUDIT_ARMOR) {
        if (ev->exec == x->number && ev->what == AUDIT_FILE)
            denials_add_file(&x->denials, ev->name, ev->access);
        else if (ev->exec == x->number)
            denials_add(&x->denials, WIRE_DENIED_ARMOR, 1);
    } else if (ev->owner != x->owner) {
        return;
    } else if (ev->foreign) {
        denials_add(&x->denials, WIRE_DENIED_FOREIGN, 1);
    } else if (ev->number != SYS_clone3) {
        /* The filter answers that one so that the C library takes clone in its place, at each
         * thread that it makes. */
        denials_add_call(&x->denials, ev->number);
    }
}

static void on_cannot(struct exec *x, int error)
{
    bool missing = error == ENOENT || error == ENOTDIR;

    fail(x, missing ? WIRE_WHY_NOT_FOUND : WIRE_WHY_NOT_EXEC, strerror(error));
}

/* The container's first process runs, and shows its network: where nobody serves that, it is not
 * kept. */
static void take_here(struct exec *x, int *fd, const struct link_record *r)
{
    if (x->here)
        return;
    x->here = true;
    x->probe = strncmp(r->text, FACTS_WISH, sizeof(FACTS_WISH)) == 0;
    if (egress_is_on(x->egress)) {
        x->network = *fd;
        *fd = -1;
        if (x->network < 0)
            fail_errno(x, "the job's network", -r->value);
    }
    go(x);
}

/* Reads what the container's first process has to say, until it has no more. */
static void hear(struct exec *x)
{
    struct link_record r;
    struct fds with;
    ssize_t n;

    while (x->link >= 0 && (n = fds_receive(x->link, &r, sizeof(r), &with, 0)) >= 0) {
        int fd = fds_one(&with);

        if (n != sizeof(r)) {
            close_fd(&x->link);
        } else if (r.kind == LINK_HERE) {
            take_here(x, &fd, &r);
        } else if (r.kind == LINK_BEGUN) {
            x->begun = true;
        } else if (r.kind == LINK_CANNOT) {
            on_cannot(x, r.value);
        } else if (r.kind == LINK_UNCONFINED) {
            r.text[sizeof(r.text) - 1] = '\0';
            fail(x, WIRE_WHY_RUNTIME, r.text);
        } else if (r.kind == LINK_ENDED) {
            x->ended = true;
            x->status = r.value;
        }
        close_fd(&fd);
    }
    if (x->link >= 0 && errno != EAGAIN)
        close_fd(&x->link);
    if (x->link < 0 && x->state == WIRE_IN_STARTING && !x->begun && x->runtime == 0)
        fail(x, WIRE_WHY_RUNTIME, "the container's first process ended early");
}

void exec_fill(const struct exec *x, bool room, struct pollfd fds[EXEC_SLOTS])
{
    fds[EXEC_LINK] = (struct pollfd){.fd = x->link, .events = POLLIN};
    fds[EXEC_FILES].fd = fds[EXEC_CANARIES].fd = -1;
    if (x->state == WIRE_IN_RUNNING)
        eyes_fill(&x->eyes, &fds[EXEC_FILES], &fds[EXEC_CANARIES]);
    stream_fill(x, room, fds);
}

void exec_pump(struct exec *x, const struct pollfd fds[EXEC_SLOTS], struct outbox *o)
{
    bool last, looks;

    check_deadlines(x);
    if (x->link >= 0 && fds[EXEC_LINK].fd == x->link && fds[EXEC_LINK].revents)
        hear(x);
    if (x->state == WIRE_IN_STARTING) {
        if (x->wrong) {
            if (tell_unstarted(x, o))
                finish(x);
        } else if (x->begun &&
                   outbox_put(o, WIRE_STARTED, wire_stream(x->number, WIRE_CONTROL), NULL, 0)) {
            x->state = WIRE_IN_RUNNING;
        }
        return;
    }
    if (x->state != WIRE_IN_RUNNING)
        return;
    stream_pump(x, fds, o);
    if (is_still(x) && !x->counted && x->mark == 0)
        ask_for_all(x);
    last = is_still(x) && x->counted;
    looks = fds[EXEC_FILES].revents || fds[EXEC_CANARIES].revents;
    if (tell_denials(x, last, o) && tell_seen(x, looks, last, o) && last && tell_exit(x, o))
        finish(x);
}
