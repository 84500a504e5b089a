/* notify: tells whoever a rule of a policy names that it was met. See notify.h. */
#include "run/notify.h"

#include "base/clock.h"
#include "base/own.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int notify_command(struct notify *n, const struct alert_rule *r, const char *text, struct err *e)
{
    own_strv struct strv env = {0};
    size_t i = 0;

    while (i < NOTIFY_COMMANDS_MAX && n->commands[i] && waitpid(n->commands[i], NULL, WNOHANG) == 0)
        i++;
    if (i == NOTIFY_COMMANDS_MAX)
        return err_set(e, ERR_HOST, "%d of its commands run still", NOTIFY_COMMANDS_MAX);
    for (char **v = environ; *v; v++)
        if (!str_starts_with(*v, "LAZARET_ALERT_"))
            strv_add(&env, *v);
    strv_addf(&env, "LAZARET_ALERT_ID=%s", n->id);
    strv_addf(&env, "LAZARET_ALERT_RULE=%s", r->from);
    strv_addf(&env, "LAZARET_ALERT_TEXT=%s", text);
    return spawn_start(&(struct spawn){.argv = (const char *const *)r->command.items,
                                       .env = (const char *const *)env.items,
                                       .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}},
                       &n->commands[i], e);
}

static int check_owner(const char *path, const char *what, uid_t uid, struct err *e)
{
    if (uid == geteuid() || uid == 0)
        return 0;
    return err_set(e, ERR_HOST, "'%s': %s uid %u, neither us nor root", path, what, (unsigned)uid);
}

/* By what was looked at: its path may lead to something else by now, and may be longer than the
 * address of a socket. Who listens is who did when it began to. */
static int connect_to(const char *path, int *ret_fd, struct err *e)
{
    own_close int at = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW), fd = -1;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t size = sizeof(peer);
    struct stat st;

    if (at < 0 || fstat(at, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_HOST, "'%s' is no socket", path);
    if (check_owner(path, "it belongs to", st.st_uid, e) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", at);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot connect to '%s'", path);
    if (check_owner(path, "at it listens", peer.uid, e) < 0)
        return -1;
    *ret_fd = own_steal_fd(fd);
    return 0;
}

/* Returns new, with its newline. */
static char *line_of(const struct notify *n, const struct alert_rule *r, const char *text)
{
    own_doc struct doc *d = doc_new_object();
    own_free char *json = NULL;
    char when[36];

    doc_set_str(d, "format", NOTIFY_FORMAT);
    doc_set_u64(d, "version", NOTIFY_VERSION);
    doc_set_str(d, "time", clock_format_utc_ns(when, clock_real_ns()));
    doc_set_str(d, "id", n->id);
    doc_set_str(d, "rule", r->from);
    doc_set_str(d, "when", alert_when_name(r->when));
    doc_set_str(d, "text", text);
    json = doc_format(d, false);
    return str_printf("%s\n", json);
}

int notify_socket(const struct notify *n, const struct alert_rule *r, const char *text,
                  struct err *e)
{
    own_free char *line = line_of(n, r, text);
    own_close int fd = -1;
    size_t len = strlen(line);

    if (connect_to(r->socket, &fd, e) < 0)
        return -1;
    /* Far below what a new socket holds. */
    if (send(fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
        return err_sys(e, ERR_HOST, errno, "cannot write to '%s'", r->socket);
    return 0;
}
