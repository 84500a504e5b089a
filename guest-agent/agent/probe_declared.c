/*
 * probe: what the plan declares, tried by a process that is held by it. See shared/probe.h.
 *
 * How it works
 *   access(2) asks neither Landlock nor AppArmor: where it says yes, what refuses is one of those
 *   two. So all that is declared, and access() grants, has to open; and of what nearly every image
 *   has, all that is not declared must not. A program is executed with no room for its first page:
 *   the kernel looks whether it may, and ends it before any of it has run.
 */
#include "agent/declared.h"
#include "agent/probe.h"
#include "agent/probe_private.h"
#include "shared/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OPEN     (O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define NO_ROOM  4096

/* What starting needs: guest.h. */
static const char *const starting_read[] = {GUEST_STARTING_READ, GUEST_STARTING_DEVICES};
static const char *const starting_exec[] = {GUEST_STARTING_EXEC, GUEST_JOB_INIT};

/* What is tried where it is not declared. */
static const char *const others_read[] = {
    "/",          "/etc",    "/etc/passwd",   "/etc/group", "/etc/hostname", "/etc/os-release",
    "/home",      "/opt",    "/srv",          "/var",       "/work",         "/tmp",
    "/out",       "/in",     "/usr/bin",      "/usr/share", "/bin/sh",       "/usr/bin/env",
    "/proc/stat", "/proc/1", "/proc/meminfo", "/sys/block", "/dev/shm",
};
static const char *const others_write[] = {"/work", "/tmp", "/out", "/dev/shm",
                                           "/",     "/etc", "/usr", "/var"};
static const char *const others_exec[] = {
    "/bin/sh",      "/bin/ls",          "/bin/cat",         "/bin/true",  "/usr/bin/env",
    "/usr/bin/id",  "/usr/bin/sleep",   "/bin/busybox",     "/sbin/init", "/usr/bin/find",
    "/usr/bin/sed", "/usr/bin/python3", "/usr/bin/openssl", "/bin/mount",
};

struct kind {
    const char *option;          /* of what is declared */
    const char *also;            /* an option that gives this right too, or NULL */
    const char *const *starting; /* not to be tried either */
    size_t n_starting;
    const char *const *others;
    size_t n_others;
    int mode; /* of access() */
    const char *verb;
};

static const struct kind kinds[PROBE_DECLARED_LOOKS] = {
    [PROBE_READS] = {GUEST_DECLARED_READ, GUEST_DECLARED_EXEC, starting_read, COUNT(starting_read),
                     others_read, COUNT(others_read), R_OK, "read"},
    [PROBE_WRITES] = {GUEST_DECLARED_WRITE, NULL, starting_read, COUNT(starting_read), others_write,
                      COUNT(others_write), W_OK, "written"},
    [PROBE_PROGRAMS] = {GUEST_DECLARED_EXEC, NULL, starting_exec, COUNT(starting_exec), others_exec,
                        COUNT(others_exec), X_OK, "executed"},
};

static bool is_below(const char *path, const char *dir)
{
    char real[PATH_MAX];
    size_t n;

    if (!realpath(dir, real))
        return false;
    n = strlen(real);
    return strncmp(path, real, n) == 0 && (path[n] == '\0' || path[n] == '/' || n == 1);
}

static bool is_declared(const struct kind *k, char *const declared[], const char *path)
{
    char real[PATH_MAX];

    if (!realpath(path, real))
        return true; /* it is not there */
    for (size_t i = 0; i < k->n_starting; i++)
        if (is_below(real, k->starting[i]))
            return true;
    for (; declared_is_any(declared); declared += 2)
        if ((strcmp(declared[0], k->option) == 0 ||
             (k->also && strcmp(declared[0], k->also) == 0)) &&
            is_below(real, declared[1]))
            return true;
    return false;
}

static int error_of(int fd)
{
    int error = fd < 0 ? errno : 0;

    if (fd >= 0)
        (void)close(fd);
    return error;
}

static int try_write(const char *path, bool folder)
{
    char name[PATH_MAX + 32];
    int fd;

    if (!folder)
        return error_of(open(path, O_WRONLY | OPEN));
    (void)snprintf(name, sizeof(name), "%s/.lazaret-probe-declared", path);
    fd = open(name, O_WRONLY | O_CREAT | O_EXCL | OPEN, 0600);
    if (fd >= 0)
        (void)unlink(name);
    return error_of(fd);
}

static int try_exec(const char *path)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        const struct rlimit r = {NO_ROOM, NO_ROOM};
        char name[] = "probe", *argv[] = {name, NULL}, *env[] = {NULL};

        if (setrlimit(RLIMIT_AS, &r) == 0)
            execve(path, argv, env);
        _exit(errno < 256 ? errno : 255);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return EAGAIN;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/* 0, or why it could not be done. */
static int try(const struct kind *k, const char *path, bool folder)
{
    if (k->mode == R_OK)
        return error_of(open(path, O_RDONLY | OPEN));
    return k->mode == W_OK ? try_write(path, folder) : try_exec(path);
}

/* Can it be tried: is it there, for this user, and of a kind that is? */
static bool is_for_trial(const struct kind *k, const char *path, bool *ret_folder)
{
    struct stat st;

    if (stat(path, &st) < 0 || access(path, k->mode) < 0)
        return false;
    *ret_folder = S_ISDIR(st.st_mode);
    return k->mode == X_OK ? S_ISREG(st.st_mode) : true;
}

/* To list a folder is to read it: what is declared as a program may be read as a file only. */
static bool look(struct probe *p, const struct kind *k, char *const all[])
{
    unsigned given = 0, refused = 0;
    bool folder;

    for (char *const *at = all; declared_is_any(at); at += 2) {
        int error;

        if (strcmp(at[0], k->option) != 0)
            continue;
        given++;
        if (is_for_trial(k, at[1], &folder) && (error = try(k, at[1], folder)) != 0)
            return probe_broken(p, "'%.60s' is declared and cannot be %s: %s", at[1], k->verb,
                                strerror(error));
    }
    for (size_t i = 0; i < k->n_others; i++) {
        int error;

        if (is_declared(k, all, k->others[i]) || !is_for_trial(k, k->others[i], &folder))
            continue;
        error = try(k, k->others[i], folder);
        if (error != EACCES)
            return probe_broken(p, "'%.60s' is not declared and can be %s%s%s", k->others[i],
                                k->verb, error ? ": " : "", error ? strerror(error) : "");
        refused++;
    }
    return probe_holds(p, "%u declared can be %s, %u that are not were refused", given, k->verb,
                       refused);
}

int probe_declared_main(char *const argv[])
{
    struct probe p = {.text = ""};
    char *const *declared = argv[0] ? argv + 1 : argv;
    unsigned long n = argv[0] ? strtoul(argv[0], NULL, 10) : 0, got = 0;
    int status = 0;

    for (char *const *at = declared; declared[0] && declared_is_any(at) && at[1]; at += 2)
        got++;
    for (uint32_t i = 0; i < PROBE_DECLARED_LOOKS; i++) {
        bool holds = n > 0 && got == n
                         ? look(&p, &kinds[i], declared)
                         : probe_broken(&p, "of %lu declared paths it is held to %lu", n, got);

        status |= !holds;
        if (!probe_say(&p, i, holds))
            return 2;
    }
    return status;
}
