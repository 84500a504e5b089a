/* kernel_make: the kernel's makefiles, in an environment that does not vary. */
#include "images/kernel_make.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "images/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TIMEOUT_MS (6 * 3600 * 1000ull) /* one core, much else to do */
#define PATH_DIRS  "/usr/sbin:/usr/bin:/sbin:/bin"
#define BUILD_TIME "Tue Nov 14 22:13:20 UTC 2023" /* TOOL_EPOCH; `uname -v` shows it */

/* By whom, where and when are part of the kernel's banner; "#1" counts the attempts otherwise. */
static const char *const environment[] = {
    "PATH=" PATH_DIRS,
    "LC_ALL=C",
    "KBUILD_BUILD_TIMESTAMP=" BUILD_TIME,
    "KBUILD_BUILD_USER=lazaret",
    "KBUILD_BUILD_HOST=lazaret",
    "KBUILD_BUILD_VERSION=1",
};

/* rustc and pahole would be noted in the configuration of a kernel that uses neither. */
static const char *const variables[] = {
    "ARCH=x86_64", "CC=gcc", "HOSTCC=gcc", "RUSTC=false", "PAHOLE=false",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What Debian 12 does not always have; perl and awk it has. */
static const struct tool_file tools[] = {
    {"/usr/bin/make", "make"},
    {"/usr/bin/gcc", "gcc"},
    {"/usr/bin/ld", "binutils"},
    {"/usr/include/stdio.h", "libc6-dev"},
    {"/usr/include/gelf.h", "libelf-dev"},
    {"/usr/bin/flex", "flex"},
    {"/usr/bin/bison", "bison"},
    {"/usr/bin/bc", "bc"},
    {"/usr/bin/lz4", "lz4"},
    {"/usr/bin/xz", "xz-utils"},
};

int kernel_make_check_tools(struct err *e)
{
    own_free char *missing = tool_find_missing(tools, COUNT(tools));

    if (!missing)
        return 0;
    return err_set(e, ERR_HOST,
                   "building a kernel needs more of Debian's packages (run as root: 'apt-get "
                   "install --no-install-recommends%s')",
                   missing);
}

char *kernel_make_recipe(void)
{
    struct str s = {0};

    for (size_t i = 0; i < COUNT(environment); i++)
        str_addf(&s, "%s\n", environment[i]);
    for (size_t i = 0; i < COUNT(variables); i++)
        str_addf(&s, "%s\n", variables[i]);
    return str_steal(&s);
}

/* One attempt: make's output on its way into the log. */
struct attempt {
    const struct kernel_make *make;
    int log_fd;
    unsigned lines, percent;
    struct str line;
    char complaint[400]; /* the first line that looks like one */
};

/* Lines of earlier attempts count: their objects are there. */
static int open_log(struct attempt *a, struct err *e)
{
    own_free char *path = str_printf("%s/" KERNEL_MAKE_LOG, a->make->objects);
    char buf[65536];
    ssize_t n;

    a->log_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (a->log_fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", path);
    while ((n = read(a->log_fd, buf, sizeof(buf))) > 0)
        for (ssize_t i = 0; i < n; i++)
            a->lines += buf[i] == '\n';
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read '%s'", path);
    return 0;
}

static bool is_complaint(const char *line)
{
    return strstr(line, "error:") || strstr(line, "*** ") || strstr(line, "undefined reference");
}

static void take_line(struct attempt *a)
{
    const struct kernel_make *m = a->make;
    unsigned percent;

    if (!a->complaint[0] && a->line.data && is_complaint(a->line.data))
        str_escape(a->complaint, sizeof(a->complaint), a->line.data, a->line.len);
    str_done(&a->line);
    a->lines++;
    if (!m->progress || m->steps == 0)
        return;
    percent = a->lines >= m->steps ? 99 : a->lines * 100 / m->steps;
    if (percent != a->percent)
        m->progress(m->progress_arg, percent);
    a->percent = percent;
}

static int take_output(struct attempt *a, const char *data, size_t len, struct err *e)
{
    if (file_write_all(a->log_fd, data, len) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write '%s/" KERNEL_MAKE_LOG "'",
                       a->make->objects);
    while (len > 0) {
        const char *end = memchr(data, '\n', len);
        size_t n = end ? (size_t)(end - data) : len;

        if (a->line.len < sizeof(a->complaint))
            str_add_bytes(&a->line, data, n);
        if (end)
            take_line(a);
        n += end != NULL;
        data += n;
        len -= n;
    }
    return 0;
}

/* Until make and all its children have closed the pipe. */
static int follow(struct attempt *a, int fd, uint64_t deadline_ms, struct err *e)
{
    char buf[16384];

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n = poll(&p, 1, clock_poll_timeout(deadline_ms));
        ssize_t len;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0; /* the wait that follows kills it and says so */
        len = read(fd, buf, sizeof(buf));
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return 0;
        if (take_output(a, buf, (size_t)len, e) < 0)
            return -1;
    }
}

static void make_argv(const struct kernel_make *m, struct strv *argv)
{
    static const char *const nice[] = {"nice", "-n", "19", "make", "--no-print-directory"};

    for (size_t i = 0; i < COUNT(nice); i++)
        strv_add(argv, nice[i]);
    strv_addf(argv, "-j%u", m->jobs);
    strv_add(argv, "-C");
    strv_add(argv, m->source);
    strv_addf(argv, "O=%s", m->objects);
    for (size_t i = 0; i < COUNT(variables); i++)
        strv_add(argv, variables[i]);
    strv_add(argv, m->target);
}

static int run(struct attempt *a, struct err *e)
{
    const struct kernel_make *m = a->make;
    uint64_t deadline = clock_mono_ms() + TIMEOUT_MS;
    own_strv struct strv argv = {0};
    own_strv struct strv env = {0};
    own_close int out_r = -1, out_w = -1;
    int out[2], status;
    struct spawn s = {.package = "coreutils", .die_with_parent = true};
    pid_t pid;

    make_argv(m, &argv);
    for (size_t i = 0; i < COUNT(environment); i++)
        strv_add(&env, environment[i]);
    strv_addf(&env, "KCONFIG_ALLCONFIG=%s/" KERNEL_MAKE_CONFIG, m->objects);
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(e, ERR_HOST, errno, "pipe");
    out_r = out[0];
    out_w = out[1];
    s.argv = (const char *const *)argv.items;
    s.env = (const char *const *)env.items;
    s.stdio[0] = SPAWN_NULL;
    s.stdio[1] = s.stdio[2] = out_w;
    if (spawn_start(&s, &pid, e) < 0)
        return -1;
    close(own_steal_fd(out_w));
    if (follow(a, out_r, deadline, e) < 0) {
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
        return -1;
    }
    if (spawn_wait(pid, "make", deadline, &status, e) < 0)
        return -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(e, ERR_HOST,
                   "'make %s' failed: %s (all that it said is in '%s/" KERNEL_MAKE_LOG
                   "'; remove that folder to start anew)",
                   m->target, a->complaint[0] ? a->complaint : "it does not say why", m->objects);
}

static void attempt_done(struct attempt *a)
{
    own_close_p(&a->log_fd);
    str_done(&a->line);
}

int kernel_make_run(const struct kernel_make *m, struct err *e)
{
    __attribute__((cleanup(attempt_done))) struct attempt a = {.make = m, .log_fd = -1};

    if (open_log(&a, e) < 0)
        return -1;
    return run(&a, e);
}
