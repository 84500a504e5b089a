/* channel: the keeper's end of the relay. See channel.h. */
#include "channel/channel.h"

#include "base/clock.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "channel/program.h"
#include "channel/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* A relay that takes no command for so long has a guest that does not read. */

struct channel {
    pid_t pid;
    int control;                               /* SOCK_SEQPACKET to the relay */
    bool over;                                 /* TAMPERED or LOST was handed out */
    bool collecting;                           /* COLLECT sent, its end not seen */
    enum { NOT_SYNCED, SYNCING, SYNCED } sync; /* SYNCED: until RESUME */
    bool asked;                                /* USAGE sent, USED not seen */
    bool greeted;                              /* channel_hello() was called */
    uint32_t adopted;                          /* bit exec - 1: HELLO will ask for it */
    uint32_t busy;                             /* bit exec - 1: the job's end was not seen */
};

int channel_open(const struct channel_config *c, struct channel **ret, struct err *e)
{
    char max[24];
    const char *const argv[] = {c->relay_path, max, NULL};
    own_close int ours = -1, theirs = -1;
    struct channel *ch;
    int pair[2];
    pid_t pid;

    snprintf(max, sizeof(max), "%" PRIu64, c->console_max_bytes);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_HOST, errno, "socketpair");
    ours = pair[0];
    theirs = pair[1];
    const int fds[] = {theirs, c->channel_fd, c->console_fd, c->console_log_fd};
    const struct spawn s = program_spawn(argv, fds, sizeof(fds) / sizeof(fds[0]));
    if (spawn_start(&s, &pid, e) < 0)
        return err_wrap(e, "relay");
    ch = calloc(1, sizeof(*ch));
    if (!ch) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return err_set(e, ERR_HOST, "out of memory");
    }
    ch->pid = pid;
    ch->control = own_steal_fd(ours);
    *ret = ch;
    return 0;
}

void channel_close(struct channel *ch)
{
    if (!ch)
        return;
    close(ch->control);
    kill(ch->pid, SIGKILL);
    while (waitpid(ch->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    free(ch);
}

pid_t channel_relay_pid(const struct channel *ch)
{
    return ch->pid;
}

int channel_fd(const struct channel *ch)
{
    return ch->control;
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool is_busy(const struct channel *ch, uint32_t exec)
{
    return exec >= 1 && exec <= WIRE_EXEC_MAX && (ch->busy & wire_exec_bit(exec));
}

static bool used_is_sane(const struct wire_used *u)
{
    uint8_t raw[WIRE_USED_SIZE];
    struct wire_used again;

    /* What is out of range does not come back as it was. */
    wire_used_format(raw, u);
    return wire_used_parse(raw, sizeof(raw), &again) == 0 && memcmp(u, &again, sizeof(again)) == 0;
}

static bool seen_is_sane(const struct channel_event *ev)
{
    const struct channel_seen *m = &ev->seen;

    return m->kind >= WIRE_SEEN_WRITTEN && m->kind < WIRE_SEEN_KIND_END &&
           m->detail <= WIRE_CANARY_SOME && m->size <= WIRE_BYTES_MAX &&
           wire_seen_has_path(m->kind) == (ev->text[0] == '/');
}

/* Can a relay that does its duty have sent this? It may have been taken over by the guest. */
static bool event_is_sane(const struct channel *ch, const struct channel_event *ev)
{
    if (!str_is_printable(ev->text, sizeof(ev->text)))
        return false;
    switch (ev->type) {
    case CHANNEL_READY:
    case CHANNEL_PARKED:
    case CHANNEL_FAILED:
    case CHANNEL_LOG:
    case CHANNEL_TAMPERED:
    case CHANNEL_LOST:
        return ev->exec == 0;
    case CHANNEL_HOST_FAILED:
        return ev->exec == 0 || is_busy(ch, ev->exec);
    case CHANNEL_STARTED:
    case CHANNEL_GONE:
        return is_busy(ch, ev->exec);
    case CHANNEL_MOVED:
        return is_busy(ch, ev->exec) && ev->wrote <= ev->bytes;
    case CHANNEL_UNSTARTED:
        return is_busy(ch, ev->exec) && ev->why >= WIRE_WHY_NOT_FOUND &&
               ev->why <= WIRE_WHY_RUNTIME;
    case CHANNEL_DENIED:
        return is_busy(ch, ev->exec) && ev->denied.kind >= WIRE_DENIED_CALL &&
               ev->denied.kind < WIRE_DENIED_KIND_END &&
               wire_denied_is_detail(ev->denied.kind, ev->denied.detail) &&
               str_is_printable(ev->denied.name, sizeof(ev->denied.name));
    case CHANNEL_SEEN:
        return is_busy(ch, ev->exec) && seen_is_sane(ev);
    case CHANNEL_EXIT:
        return is_busy(ch, ev->exec) && ev->wrote <= ev->bytes && ev->exit.signaled <= 1 &&
               (ev->exit.signaled ? ev->exit.code >= 1 && ev->exit.code <= 64
                                  : ev->exit.code <= 255);
    case CHANNEL_COLLECTED:
        return ev->exec == 0 && ch->collecting && ev->how <= WIRE_COLLECT_ERROR;
    case CHANNEL_SYNCED:
        return ev->exec == 0 && ch->sync == SYNCING && ev->how <= WIRE_SYNC_ERROR;
    case CHANNEL_USED:
        return ev->exec == 0 && ch->asked && used_is_sane(&ev->used);
    default:
        return false;
    }
}

static void end_with(struct channel *ch, struct channel_event *ev, enum channel_event_type type,
                     const char *text)
{
    memset(ev, 0, sizeof(*ev));
    ev->type = type;
    snprintf(ev->text, sizeof(ev->text), "%s", text);
    ch->over = true;
}

int channel_next(struct channel *ch, struct channel_event *ret)
{
    struct channel_event ev;
    ssize_t n;

    if (ch->over)
        return 0;
    n = spawn_hear(ch->control, &ev, sizeof(ev));
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n < 0) {
        own_free char *why = str_printf("cannot hear the relay: %s", strerror(errno));

        end_with(ch, &ev, CHANNEL_LOST, why);
    } else if (n == 0) {
        end_with(ch, &ev, CHANNEL_LOST, "the relay ended");
    } else if ((size_t)n != sizeof(ev) || !event_is_sane(ch, &ev)) {
        end_with(ch, &ev, CHANNEL_TAMPERED, "the relay sent what is not an event");
    } else if (ev.type == CHANNEL_TAMPERED || ev.type == CHANNEL_LOST) {
        ch->over = true;
    } else if (ev.type == CHANNEL_EXIT || ev.type == CHANNEL_UNSTARTED || ev.type == CHANNEL_GONE) {
        ch->busy &= ~wire_exec_bit(ev.exec);
    } else if (ev.type == CHANNEL_COLLECTED) {
        ch->collecting = false;
    } else if (ev.type == CHANNEL_SYNCED) {
        ch->sync = SYNCED;
    } else if (ev.type == CHANNEL_USED) {
        ch->asked = false;
    }
    *ret = ev;
    return 1;
}

/* ---- commands -------------------------------------------------------------------------------- */

static int send_command(struct channel *ch, const struct relay_command *c, const int *fds,
                        size_t n_fds, struct err *e)
{
    int rc;

    if (ch->over)
        return err_set(e, ERR_HOST, "the relay has ended");
    rc = spawn_tell(ch->control, c, sizeof(*c), fds, n_fds);
    if (rc == -ETIMEDOUT)
        return err_set(e, ERR_GUEST, "the guest agent does not read its channel");
    return rc < 0 ? err_sys(e, ERR_HOST, -rc, "cannot tell the relay") : 0;
}

int channel_hello(struct channel *ch, const struct channel_hello *m, struct err *e)
{
    struct relay_command c = {.type = RELAY_HELLO,
                              .hello = {.version = WIRE_VERSION,
                                        .flags = m->park    ? WIRE_HELLO_PARK
                                                 : m->input ? WIRE_HELLO_INPUT
                                                            : 0,
                                        .uid = m->uid,
                                        .gid = m->gid,
                                        .keep = ch->adopted}};

    if (m->park && ch->adopted)
        return err_set(e, ERR_HOST, "a guest with jobs cannot be parked");
    if (ch->busy & ~ch->adopted || ch->collecting || ch->sync != NOT_SYNCED)
        return err_set(e, ERR_HOST, "cannot greet the guest while jobs run in it or it is held");
    if (getrandom(c.hello.nonce, sizeof(c.hello.nonce), 0) != sizeof(c.hello.nonce) ||
        getrandom(c.hello.seed, sizeof(c.hello.seed), 0) != sizeof(c.hello.seed))
        return err_sys(e, ERR_HOST, errno, "getrandom");
    c.hello.time_ns = clock_real_ns();
    if (send_command(ch, &c, NULL, 0, e) < 0)
        return -1;
    ch->greeted = true;
    ch->adopted = 0;
    return 0;
}

/*
 * How the relay is to use this fd. Pipes and terminals are opened anew where the kernel lets us, as
 * O_NONBLOCK belongs to the open file and the user's shell shares theirs: *ret_own is that fd or
 * -1.
 */
static enum relay_fd_kind prepare(int fd, int access, int *ret_own)
{
    char path[32];
    struct stat st;

    if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
        return RELAY_FD_FILE;
    if (S_ISSOCK(st.st_mode))
        return RELAY_FD_SOCKET;
    if (!S_ISFIFO(st.st_mode) && !isatty(fd))
        return RELAY_FD_FILE;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    *ret_own = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return *ret_own >= 0 ? RELAY_FD_NONBLOCK : RELAY_FD_SHARED;
}

/* Appends one of a job's fds: the borrowed one, or *ret_own, which is it opened anew. */
static void put_fd(struct relay_command *c, int role, int fd, int access, int *fds, size_t *n,
                   int *ret_own)
{
    c->kinds[role] = prepare(fd, access, ret_own);
    fds[(*n)++] = *ret_own >= 0 ? *ret_own : fd;
}

static int check_job(const struct channel *ch, uint32_t exec, int stdout_fd, int stderr_fd,
                     bool tty, size_t n_secrets, struct err *e)
{
    if (exec < 1 || exec > WIRE_EXEC_MAX || is_busy(ch, exec))
        return err_set(e, ERR_HOST, "job number %" PRIu32 " is not free", exec);
    if (n_secrets > WIRE_SECRETS_MAX)
        return err_set(e, ERR_HOST, "more than %u secrets", WIRE_SECRETS_MAX);
    if (stdout_fd < 0 || (stderr_fd < 0) != tty)
        return err_set(e, ERR_HOST, "a job needs stdout, and stderr or a terminal");
    return 0;
}

/* In front of EXEC. A pipe is opened anew where that is allowed: the relay must not wait for it. */
static int send_secrets(struct channel *ch, const struct channel_exec *x, struct err *e)
{
    for (size_t i = 0; i < x->n_secrets; i++) {
        const struct channel_secret *s = &x->secrets[i];
        struct relay_command c = {.type = RELAY_SECRET,
                                  .exec = x->exec,
                                  .index = (uint32_t)i,
                                  .secret_flags = s->env ? WIRE_SECRET_ENV : 0};
        own_close int own = -1;
        int fd;

        snprintf(c.name, sizeof(c.name), "%s", s->name);
        (void)prepare(s->fd, O_RDONLY, &own);
        fd = own >= 0 ? own : s->fd;
        if (send_command(ch, &c, &fd, 1, e) < 0)
            return -1;
    }
    return 0;
}

/* `size` of all that CONFIG carries. */
static struct wire_exec how_of(const struct channel_exec *x, size_t size)
{
    return (struct wire_exec){
        .flags = (x->tty ? WIRE_EXEC_TTY : 0) | (x->stdin_fd >= 0 ? WIRE_EXEC_STDIN : 0) |
                 (x->trace ? WIRE_EXEC_TRACE : 0) | (x->watch ? WIRE_EXEC_WATCH : 0) |
                 (x->learn ? WIRE_EXEC_LEARN : 0),
        .rows = x->tty ? x->rows : 0,
        .cols = x->tty ? x->cols : 0,
        .config_size = (uint32_t)x->config_size,
        .secrets = (uint32_t)x->n_secrets,
        .canaries = x->canaries,
        .profile_size = (uint32_t)(size - x->config_size),
    };
}

int channel_exec(struct channel *ch, const struct channel_exec *x, struct err *e)
{
    struct relay_command c = {.type = RELAY_EXEC,
                              .exec = x->exec,
                              .cap_bytes = x->sink_max_bytes,
                              .uid = x->uid,
                              .gid = x->gid};
    own_close int own_out = -1, own_err = -1, own_in = -1;
    int fds[RELAY_FD_MAX];
    size_t n = 0;
    struct stat st;

    if (check_job(ch, x->exec, x->stdout_fd, x->stderr_fd, x->tty, x->n_secrets, e) < 0)
        return -1;
    if (fstat(x->config_fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "container configuration");
    if (x->config_size < 2 || x->config_size > WIRE_CONFIG_MAX ||
        (size_t)st.st_size < x->config_size)
        return err_set(e, ERR_HOST, "container configuration: %zu bytes, must be 2 to %u",
                       x->config_size, WIRE_CONFIG_MAX);
    if ((size_t)st.st_size - x->config_size > WIRE_PROFILE_MAX)
        return err_set(e, ERR_HOST, "AppArmor profile: %zu bytes, must be up to %u",
                       (size_t)st.st_size - x->config_size, WIRE_PROFILE_MAX);
    c.how = how_of(x, (size_t)st.st_size);
    fds[n++] = x->config_fd;
    put_fd(&c, RELAY_FD_STDOUT, x->stdout_fd, O_WRONLY, fds, &n, &own_out);
    if (!x->tty)
        put_fd(&c, RELAY_FD_STDERR, x->stderr_fd, O_WRONLY, fds, &n, &own_err);
    if (x->stdin_fd >= 0)
        put_fd(&c, RELAY_FD_STDIN, x->stdin_fd, O_RDONLY, fds, &n, &own_in);
    if (send_secrets(ch, x, e) < 0 || send_command(ch, &c, fds, n, e) < 0)
        return -1;
    ch->busy |= wire_exec_bit(x->exec);
    return 0;
}

int channel_adopt(struct channel *ch, uint32_t exec, int stdout_fd, int stderr_fd, bool tty,
                  uint64_t sink_max_bytes, struct err *e)
{
    struct relay_command c = {.type = RELAY_ADOPT, .exec = exec, .cap_bytes = sink_max_bytes};
    own_close int own_out = -1, own_err = -1;
    int fds[2];
    size_t n = 0;

    if (ch->greeted)
        return err_set(e, ERR_HOST, "the guest was greeted: its jobs are known");
    if (check_job(ch, exec, stdout_fd, stderr_fd, tty, 0, e) < 0)
        return -1;
    c.how.flags = tty ? WIRE_EXEC_TTY : 0;
    put_fd(&c, RELAY_FD_STDOUT, stdout_fd, O_WRONLY, fds, &n, &own_out);
    if (!tty)
        put_fd(&c, RELAY_FD_STDERR, stderr_fd, O_WRONLY, fds, &n, &own_err);
    if (send_command(ch, &c, fds, n, e) < 0)
        return -1;
    ch->busy |= wire_exec_bit(exec);
    ch->adopted |= wire_exec_bit(exec);
    return 0;
}

int channel_signal(struct channel *ch, uint32_t exec, uint32_t signo, struct err *e)
{
    const struct relay_command c = {.type = RELAY_SIGNAL, .exec = exec, .signo = signo};

    if (signo < 1 || signo > 64)
        return err_set(e, ERR_HOST, "%" PRIu32 " is not a signal", signo);
    return is_busy(ch, exec) ? send_command(ch, &c, NULL, 0, e) : 0;
}

int channel_resize(struct channel *ch, uint32_t exec, uint16_t rows, uint16_t cols, struct err *e)
{
    const struct relay_command c = {
        .type = RELAY_RESIZE, .exec = exec, .how = {.rows = rows, .cols = cols}};

    return is_busy(ch, exec) ? send_command(ch, &c, NULL, 0, e) : 0;
}

int channel_drop(struct channel *ch, uint32_t exec, struct err *e)
{
    const struct relay_command c = {.type = RELAY_DROP, .exec = exec};

    return is_busy(ch, exec) ? send_command(ch, &c, NULL, 0, e) : 0;
}

int channel_collect(struct channel *ch, int spool_fd, uint64_t cap_bytes, struct err *e)
{
    const struct relay_command c = {.type = RELAY_COLLECT, .cap_bytes = cap_bytes};

    if (ch->collecting)
        return err_set(e, ERR_HOST, "a collection is under way");
    if (send_command(ch, &c, &spool_fd, 1, e) < 0)
        return -1;
    ch->collecting = true;
    return 0;
}

int channel_sync(struct channel *ch, struct err *e)
{
    const struct relay_command c = {.type = RELAY_SYNC};

    if (ch->sync != NOT_SYNCED)
        return err_set(e, ERR_HOST, "the guest is held already");
    if (send_command(ch, &c, NULL, 0, e) < 0)
        return -1;
    ch->sync = SYNCING;
    return 0;
}

int channel_resume(struct channel *ch, struct err *e)
{
    const struct relay_command c = {.type = RELAY_RESUME};

    if (ch->sync != SYNCED)
        return err_set(e, ERR_HOST, "the guest is not held");
    if (send_command(ch, &c, NULL, 0, e) < 0)
        return -1;
    ch->sync = NOT_SYNCED;
    return 0;
}

int channel_usage(struct channel *ch, struct err *e)
{
    const struct relay_command c = {.type = RELAY_USAGE};

    if (ch->sync != NOT_SYNCED)
        return err_set(e, ERR_HOST, "the guest is held");
    if (ch->asked)
        return 0;
    if (send_command(ch, &c, NULL, 0, e) < 0)
        return -1;
    ch->asked = true;
    return 0;
}

int channel_moved(struct channel *ch, uint32_t exec, struct err *e)
{
    const struct relay_command c = {.type = RELAY_MOVED, .exec = exec};

    return is_busy(ch, exec) ? send_command(ch, &c, NULL, 0, e) : 0;
}
