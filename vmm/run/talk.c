/* talk: what a client and a sandbox's keeper say to each other. See talk.h. */
#include "run/talk.h"

#include "base/file.h"
#include "base/own.h"
#include "shared/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG    32
#define CONNECT_MS 5000
#define SEALS      (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))

/* Legal requests: when, and with what. Fields that a row does not name are zero. */
enum {
    HAS_FLAGS = 1,
    HAS_SERIAL = 2,
    HAS_SIGNO = 4,
    HAS_SIZE = 8,
    HAS_COMMAND = 16,
    HAS_NAME = 32,
    HAS_RULES = 64,
    HAS_WORDS = 128
};
static const struct rule {
    uint32_t what;
    bool busy; /* the connection has its job; else it is the first request */
    unsigned has;
} rules[] = {
    {TALK_EXEC, false, HAS_FLAGS | HAS_SIZE | HAS_COMMAND | HAS_NAME},
    {TALK_SIGNAL, true, HAS_SIGNO},
    {TALK_RESIZE, true, HAS_SIZE},
    {TALK_LIST, false, 0},
    {TALK_KILL, false, HAS_SERIAL | HAS_SIGNO},
    {TALK_PAUSE, false, 0},
    {TALK_RESUME, false, 0},
    {TALK_DOWN, false, 0},
    {TALK_STATS, false, 0},
    {TALK_WAIT, false, HAS_SERIAL},
    {TALK_SNAPSHOT, false, HAS_NAME},
    {TALK_REVERT, false, HAS_NAME},
    {TALK_FORGET, false, HAS_NAME},
    {TALK_MARKS, false, 0},
    {TALK_FORK, false, HAS_NAME},
    {TALK_FENCE, false, 0},
    {TALK_FILES, false, 0},
    {TALK_NETWORK, false, HAS_RULES},
    {TALK_COUNTS, false, 0},
    {TALK_DRAIN, false, 0},
    {TALK_TOOK, false, HAS_WORDS},
};

static void address(int folder_fd, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/" TALK_SOCKET, folder_fd);
}

int talk_listen(int folder_fd, int *ret_fd, struct err *e)
{
    own_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un at;
    mode_t old;
    int rc;

    address(folder_fd, &at);
    old = umask(0177);
    rc = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&at, sizeof(at));
    umask(old);
    if (rc < 0 || listen(fd, BACKLOG) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the sandbox's socket");
    *ret_fd = own_steal_fd(fd);
    return 0;
}

int talk_connect(int folder_fd, int *ret_fd, struct err *e)
{
    own_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = CONNECT_MS / 1000};
    struct sockaddr_un at;

    address(folder_fd, &at);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot reach its keeper");
    *ret_fd = own_steal_fd(fd);
    return 0;
}

bool talk_peer_is_us(int fd)
{
    struct ucred who;
    socklen_t len = sizeof(who);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
}

/* ---- requests -------------------------------------------------------------------------------- */

int talk_ask(int fd, const struct talk_request *r, const int *fds, size_t n_fds, struct err *e)
{
    return fds_send(fd, r, sizeof(*r), fds, n_fds, 0) < 0
               ? err_sys(e, ERR_HOST, errno, "cannot ask its keeper")
               : 0;
}

static bool flags_fit(uint32_t flags)
{
    if (flags & ~TALK_FLAGS || (flags & TALK_DETACH && flags & (TALK_STDIN | TALK_TTY)))
        return false;
    if (flags & TALK_BACK && (!(flags & TALK_MARK) || flags & TALK_DISCARD))
        return false;
    if (flags & TALK_TAKE && (!(flags & TALK_DISCARD) || flags & (TALK_MARK | TALK_DETACH)))
        return false;
    return true;
}

/* "" or a name, and nothing behind it. */
static bool name_fits(const char name[MARK_NAME_SIZE], bool has)
{
    size_t len = strnlen(name, MARK_NAME_SIZE);

    for (size_t i = len; i < MARK_NAME_SIZE; i++)
        if (name[i])
            return false;
    return len < MARK_NAME_SIZE && (len == 0 || (has && str_is_name(name)));
}

static bool fits(const struct talk_request *r, const struct rule *u, size_t n_fds)
{
    bool tty = r->flags & TALK_TTY, detach = r->flags & TALK_DETACH;
    bool words = u->has & (HAS_COMMAND | HAS_RULES | HAS_WORDS);
    size_t want =
        detach || u->has & (HAS_RULES | HAS_WORDS) ? 1u : 3u - tty + !!(r->flags & TALK_STDIN);

    if (r->n_secrets > WIRE_SECRETS_MAX || r->n_secret_env > WIRE_SECRETS_MAX - r->n_secrets)
        return false;
    want += r->n_secrets + r->n_secret_env;
    if (n_fds != (words ? want : 0))
        return false;
    if (!flags_fit(r->flags) || !name_fits(r->name, u->has & HAS_NAME))
        return false;
    if ((r->flags && !(u->has & HAS_FLAGS)) || (r->serial && !(u->has & HAS_SERIAL)) ||
        (r->signo && !(u->has & HAS_SIGNO)) || ((r->rows || r->cols) && !(u->has & HAS_SIZE)))
        return false;
    if ((r->n_args && !words) ||
        ((r->n_env || r->n_secrets) && !(u->has & (HAS_COMMAND | HAS_RULES))))
        return false;
    if ((r->n_secret_env || r->timeout_ms || r->max_bytes) && !(u->has & HAS_COMMAND))
        return false;
    if (u->has & HAS_SERIAL && r->serial == 0)
        return false;
    if (u->has & HAS_SIGNO && (r->signo < 1 || r->signo > 64))
        return false;
    return r->n_args <= TALK_STRINGS_MAX && r->n_env <= TALK_STRINGS_MAX;
}

static bool is_legal(const struct talk_request *r, bool busy, size_t n_fds)
{
    if (r->version != TALK_VERSION)
        return false;
    for (size_t i = 0; i < COUNT(rules); i++)
        if (rules[i].what == r->what && rules[i].busy == busy)
            return fits(r, &rules[i], n_fds);
    return false;
}

_Static_assert(FDS_ROOM > TALK_FDS_MAX && FDS_ROOM > TALK_GIVEN_MAX, "too many are seen");

/*
 * One record of just `size` bytes with the fds that came with it, which are the caller's. Returns
 * 1, 0: none now (with MSG_DONTWAIT); -1: the other end is gone, or it was another record.
 */
static int receive_with(int fd, void *record, size_t size, int flags, struct fds *ret)
{
    ssize_t n = fds_receive(fd, record, size, ret, flags);

    if (n < 0)
        return flags & MSG_DONTWAIT && errno == EAGAIN ? 0 : -1;
    if (n == (ssize_t)size && !ret->cut)
        return 1;
    fds_close(ret);
    return -1;
}

int talk_take_request(int fd, bool busy, struct talk_request *ret, int fds[TALK_FDS_MAX],
                      size_t *ret_n_fds)
{
    struct talk_request r = {0};
    struct fds with;
    int rc = receive_with(fd, &r, sizeof(r), MSG_DONTWAIT, &with);

    if (rc <= 0)
        return rc;
    if (!is_legal(&r, busy, with.n)) {
        fds_close(&with);
        return -1;
    }
    memcpy(fds, with.fd, with.n * sizeof(int));
    *ret_n_fds = with.n;
    *ret = r;
    return 1;
}

/* ---- answers --------------------------------------------------------------------------------- */

bool talk_is_read(int fd)
{
    int left = 0;

    return ioctl(fd, SIOCOUTQ, &left) == 0 && left == 0;
}

int talk_answer_fds(int fd, const struct talk_answer *a, const int *fds, size_t n_fds)
{
    return fds_send(fd, a, sizeof(*a), fds, n_fds, MSG_DONTWAIT) == sizeof(*a) ? 0 : -1;
}

int talk_answer(int fd, const struct talk_answer *a)
{
    return talk_answer_fds(fd, a, NULL, 0);
}

int talk_hear(int fd, bool wait, struct talk_answer *ret)
{
    ssize_t n;

    do
        n = recv(fd, ret, sizeof(*ret), MSG_TRUNC | (wait ? 0 : MSG_DONTWAIT));
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    return n == sizeof(*ret) && ret->version == TALK_VERSION ? 1 : -1;
}

int talk_hear_fds(int fd, struct talk_answer *ret, int fds[TALK_GIVEN_MAX])
{
    struct fds with;

    for (size_t i = 0; i < TALK_GIVEN_MAX; i++)
        fds[i] = -1;
    if (receive_with(fd, ret, sizeof(*ret), 0, &with) <= 0)
        return -1;
    if (ret->version != TALK_VERSION || with.n > TALK_GIVEN_MAX) {
        fds_close(&with);
        return -1;
    }
    memcpy(fds, with.fd, with.n * sizeof(int));
    return 1;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void add_string(struct str *s, const char *text)
{
    str_add_bytes(s, text, strlen(text) + 1);
}

static void add_strings(struct str *s, const struct strv *v)
{
    for (size_t i = 0; v && i < v->n; i++)
        add_string(s, v->items[i]);
}

int talk_pack(const struct talk_words *w, int *ret_fd, struct err *e)
{
    own_close int fd = memfd_create("lazaret-command", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    own_str struct str s = {0};

    add_string(&s, w->workdir ? w->workdir : "");
    add_string(&s, w->user ? w->user : "");
    add_strings(&s, w->argv);
    add_strings(&s, w->env);
    add_strings(&s, w->secrets);
    add_strings(&s, w->secret_env);
    if (s.len > TALK_ARGS_MAX)
        return err_set(e, ERR_USAGE, "arguments and environment are over %d KiB",
                       PLAN_ARGS_MAX / 1024);
    if (fd < 0 || file_write_all(fd, s.data, s.len) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot pack the command");
    *ret_fd = own_steal_fd(fd);
    return 0;
}

void talk_command_done(struct talk_command *c)
{
    strv_done(&c->argv);
    strv_done(&c->env);
    strv_done(&c->secrets);
    strv_done(&c->secret_env);
    free(c->workdir);
    free(c->user);
    *c = (struct talk_command){0};
}

/* A memfd that nobody can change any more, of a legal size. */
static int read_sealed(int fd, char **ret, size_t *ret_len, struct err *e)
{
    int seals = fcntl(fd, F_GET_SEALS);
    own_free char *text = NULL;
    struct stat st;

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size < 2 ||
        st.st_size > TALK_ARGS_MAX)
        return err_set(e, ERR_USAGE, "the command is not a sealed memfd of a legal size");
    text = malloc((size_t)st.st_size);
    if (!text)
        return err_set(e, ERR_HOST, "out of memory");
    if (pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
        return err_sys(e, ERR_HOST, errno, "cannot read the command");
    *ret_len = (size_t)st.st_size;
    *ret = own_steal_ptr(text);
    return 0;
}

/* The next string; "" behind the last one, which the count of strings has excluded. */
static const char *next(const char *text, size_t len, size_t *at)
{
    const char *s = text + *at;

    if (*at >= len)
        return "";
    *at += strlen(s) + 1;
    return s;
}

int talk_unpack(int fd, const struct talk_request *r, struct talk_command *ret, struct err *e)
{
    own_free char *text = NULL;
    size_t len = 0, n = 0, at = 0;

    if (read_sealed(fd, &text, &len, e) < 0)
        return -1;
    for (size_t i = 0; i < len; i++)
        n += text[i] == '\0';
    if (text[len - 1] != '\0' ||
        n != (uint64_t)r->n_args + r->n_env + r->n_secrets + r->n_secret_env + 2)
        return err_set(e, ERR_USAGE, "the command's strings are not what was announced");
    ret->workdir = str_dup(next(text, len, &at));
    ret->user = str_dup(next(text, len, &at));
    for (uint32_t i = 0; i < r->n_args; i++)
        strv_add(&ret->argv, next(text, len, &at));
    for (uint32_t i = 0; i < r->n_env; i++)
        strv_add(&ret->env, next(text, len, &at));
    for (uint32_t i = 0; i < r->n_secrets; i++)
        strv_add(&ret->secrets, next(text, len, &at));
    for (uint32_t i = 0; i < r->n_secret_env; i++)
        strv_add(&ret->secret_env, next(text, len, &at));
    return 0;
}
