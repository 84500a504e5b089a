/* secret: what the user gives to one job and to nobody else. See secret.h. */
#include "run/secret.h"

#include "base/file.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char fd_prefix[] = "fd:";

/* The name in front of '='. Returns new. */
static char *name_of(const char *text)
{
    struct str name = {0};

    str_add_bytes(&name, text, strcspn(text, "="));
    return str_steal(&name);
}

static int take_one(const char *text, const struct strv *env, bool for_env, struct secrets *ret,
                    struct err *e)
{
    own_free char *name = name_of(text);
    const char *source = strchr(text, '=');

    if (!wire_is_secret_name(name, strlen(name)) || !source || !source[1])
        return err_set(e, ERR_USAGE,
                       "--secret: the form is NAME=FILE, NAME=fd:N or NAME=-, and NAME is up to "
                       "%u letters, digits and '_'",
                       WIRE_SECRET_NAME_MAX);
    if (strv_has(env, name) != for_env)
        return 0;
    if (strv_has(&ret->files, name) || strv_has(&ret->env, name))
        return err_set(e, ERR_USAGE, "--secret: '%s' is given twice", name);
    strv_add(for_env ? &ret->env : &ret->files, name);
    strv_add(&ret->sources, source + 1);
    return 0;
}

/* Those that are for the environment, or those that are not. */
static int take(const struct strv *asked, const struct strv *env, bool for_env, struct secrets *ret,
                struct err *e)
{
    for (size_t i = 0; i < asked->n; i++)
        if (take_one(asked->items[i], env, for_env, ret, e) < 0)
            return -1;
    return 0;
}

int secrets_parse(const struct strv *asked, const struct strv *env, struct secrets *ret,
                  struct err *e)
{
    if (asked->n > WIRE_SECRETS_MAX)
        return err_set(e, ERR_USAGE, "--secret: more than %u", WIRE_SECRETS_MAX);
    if (take(asked, env, false, ret, e) < 0 || take(asked, env, true, ret, e) < 0)
        return -1;
    for (size_t i = 0; i < env->n; i++)
        if (!strv_has(&ret->env, env->items[i]))
            return err_set(e, ERR_USAGE, "--secret-env: there is no --secret '%.64s'",
                           str_is_printable(env->items[i], 4096) ? env->items[i] : "?");
    return 0;
}

bool secrets_use_stdin(const struct secrets *s)
{
    return strv_has(&s->sources, "-") || strv_has(&s->sources, "fd:0");
}

static const char *name_at(const struct secrets *s, size_t i)
{
    return i < s->files.n ? s->files.items[i] : s->env.items[i - s->files.n];
}

/* One of the files, to the end of all. */
static void move_to_env(struct secrets *s, size_t at)
{
    const size_t last = s->sources.n - 1;
    own_free char *source = str_dup(s->sources.items[at]);

    strv_add(&s->env, s->files.items[at]);
    strv_drop(&s->files, at);
    strv_drop(&s->sources, at);
    strv_add(&s->sources, source);
    if (s->n_fds == s->sources.n) {
        int fd = s->fds[at];

        memmove(&s->fds[at], &s->fds[at + 1], (last - at) * sizeof(fd));
        s->fds[last] = fd;
    }
}

void secrets_follow(struct secrets *s, const struct strv *env)
{
    for (size_t i = 0; i < s->files.n;) {
        if (strv_has(env, s->files.items[i]))
            move_to_env(s, i);
        else
            i++;
    }
}

/* An fd of the caller's, a second time: the first one goes with what else they left. */
static int take_fd(const char *text, int *ret_fd, struct err *e)
{
    uint64_t number = 0;

    if (strcmp(text, "-") != 0 &&
        str_parse_u64(text + strlen(fd_prefix), "--secret", 0, INT32_MAX, &number, e) < 0)
        return -1;
    if (number == STDOUT_FILENO || number == STDERR_FILENO)
        return err_set(e, ERR_USAGE, "--secret: fd 1 and 2 are for output");
    *ret_fd = fcntl((int)number, F_DUPFD_CLOEXEC, 3);
    if (*ret_fd < 0)
        return err_sys(e, ERR_USAGE, errno, "--secret: fd %d", (int)number);
    return 0;
}

/* Others' eyes on a file that is named: said, as a shell's umask leaves it so easily. */
static int check_mode(const struct stat *st, const char *source, struct err *e)
{
    if (!S_ISREG(st->st_mode) || !(st->st_mode & (S_IRGRP | S_IROTH)))
        return 0;
    return err_set(e, ERR_REFUSED,
                   "others may read '%s', mode %04o (make it 0600: 'chmod go= FILE'; or open it "
                   "yourself: NAME=fd:3 3<FILE)",
                   source, st->st_mode & 07777);
}

static int check_kind(int fd, struct stat *ret, struct err *e)
{
    if (fstat(fd, ret) < 0)
        return err_sys(e, ERR_USAGE, errno, "fstat");
    if (!S_ISREG(ret->st_mode) && !S_ISFIFO(ret->st_mode))
        return err_set(e, ERR_USAGE, "it is neither a regular file nor a pipe");
    if (S_ISREG(ret->st_mode) && ret->st_size == 0)
        return err_set(e, ERR_USAGE, "it is empty");
    if (S_ISREG(ret->st_mode) && ret->st_size > WIRE_SECRET_MAX)
        return err_set(e, ERR_USAGE, "it is over %u bytes", WIRE_SECRET_MAX);
    return 0;
}

static int open_one(const char *source, int *ret_fd, struct err *e)
{
    bool given = strcmp(source, "-") == 0 || str_starts_with(source, fd_prefix);
    own_close int fd = -1;
    struct stat st;

    if (given && take_fd(source, &fd, e) < 0)
        return -1;
    /* What opening a device would do is not wanted. */
    if (!given && stat(source, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
        return err_set(e, ERR_USAGE, "'%s' is neither a regular file nor a pipe", source);
    if (!given) {
        fd = open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
            return err_sys(e, ERR_USAGE, errno, "cannot open '%s'", source);
    }
    if (check_kind(fd, &st, e) < 0 || (!given && check_mode(&st, source, e) < 0))
        return -1;
    *ret_fd = own_steal_fd(fd);
    return 0;
}

int secrets_open(struct secrets *s, struct err *e)
{
    for (size_t i = 0; i < s->sources.n; i++) {
        if (open_one(s->sources.items[i], &s->fds[s->n_fds], e) < 0)
            return err_wrap(e, "--secret '%s'", name_at(s, i));
        s->n_fds++;
    }
    file_close_others(s->fds, s->n_fds);
    return 0;
}

/* `at`: among the files. */
static void move(struct secrets *s, size_t at, struct secrets *to)
{
    strv_add(&to->files, s->files.items[at]);
    strv_add(&to->sources, s->sources.items[at]);
    strv_drop(&s->files, at);
    strv_drop(&s->sources, at);
    if (at >= s->n_fds)
        return;
    to->fds[to->n_fds++] = s->fds[at];
    s->n_fds--;
    memmove(&s->fds[at], &s->fds[at + 1], (s->n_fds - at) * sizeof(s->fds[0]));
}

void secrets_split(struct secrets *s, const struct strv *names, struct secrets *ret)
{
    for (size_t i = 0; i < names->n; i++)
        for (size_t k = 0; k < s->files.n; k++)
            if (strcmp(s->files.items[k], names->items[i]) == 0) {
                move(s, k, ret);
                break;
            }
}

void secrets_close(struct secrets *s)
{
    while (s && s->n_fds > 0)
        close(s->fds[--s->n_fds]);
}

void secrets_done(struct secrets *s)
{
    secrets_close(s);
    strv_done(&s->files);
    strv_done(&s->env);
    strv_done(&s->sources);
}
