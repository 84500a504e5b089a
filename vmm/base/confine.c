/* confine: takes from this process every right that its duty does not need. See confine.h. */
#include "base/confine.h"

#include "base/landlock.h"
#include "base/own.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* Of a tool: plenty for one that ends at once. */
#define TOOL_FILE_BYTES   (16u << 20)
#define TOOL_MEMORY_BYTES (512u << 20)
#define TOOL_CPU_S        10

/* The one folder may get files and folders. */
static int confine_files(int dir_fd, bool network, struct err *e)
{
    own_close int fd = -1;

    if ((network ? landlock_begin_files(&fd, e) : landlock_begin(&fd, e)) < 0)
        return -1;
    if (fd < 0) /* not built in, or not switched on */
        return 0;
    if (dir_fd >= 0 &&
        landlock_allow(fd, dir_fd,
                       LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                           LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE,
                       e) < 0)
        return -1;
    return landlock_restrict(fd, e);
}

static int confine_capabilities(struct err *e)
{
    /* The bounding set can be emptied only by somebody who has the right to. */
    capng_select_t set =
        capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS;

    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(set) != 0)
        return err_set(e, ERR_HOST, "cannot drop capabilities");
    return 0;
}

static int set_limit(int what, uint64_t max, struct err *e)
{
    struct rlimit r;

    if (getrlimit(what, &r) < 0)
        return err_sys(e, ERR_HOST, errno, "getrlimit");
    if (max < r.rlim_max)
        r.rlim_max = max;
    if (r.rlim_cur > r.rlim_max)
        r.rlim_cur = r.rlim_max;
    if (setrlimit(what, &r) < 0)
        return err_sys(e, ERR_HOST, errno, "setrlimit");
    return 0;
}

/* What the sanitizers' runtime does in our name; not in any other build. */
static int allow_sanitizer(scmp_filter_ctx ctx)
{
#ifdef CONFINE_SANITIZED
    static const int nrs[] = {
        SCMP_SYS(mmap),     SCMP_SYS(munmap),      SCMP_SYS(madvise),
        SCMP_SYS(mprotect), SCMP_SYS(sigaltstack), SCMP_SYS(futex),
        SCMP_SYS(getpid),   SCMP_SYS(gettid),      SCMP_SYS(rt_sigprocmask),
    };

    for (size_t i = 0; i < sizeof(nrs) / sizeof(nrs[0]); i++)
        if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nrs[i], 0) < 0)
            return -1;
#else
    (void)ctx;
#endif
    return 0;
}

static int confine_calls(const struct confine *c, struct err *e)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int r = ctx ? allow_sanitizer(ctx) : -ENOMEM;

    for (size_t i = 0; i < c->n_calls && r >= 0; i++) {
        const struct confine_call *call = &c->calls[i];
        const struct scmp_arg_cmp args[] = {
            SCMP_CMP((unsigned)call->arg, SCMP_CMP_EQ, call->value),
            SCMP_CMP(call->also, SCMP_CMP_MASKED_EQ, ~call->also_flags, call->also_value),
        };

        r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call->nr,
                                   call->arg == CONFINE_ANY_ARG ? 0 : 1 + (call->also > 0), args);
    }
    if (r >= 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    return r < 0 ? err_sys(e, ERR_HOST, -r, "seccomp") : 0;
}

int confine_self(const struct confine *c, struct err *e)
{
    /* Signals are the keeper's business; it ends us with SIGKILL. What the terminal sends is not.
     */
    static const int ignored[] = {SIGINT,  SIGQUIT, SIGTERM, SIGHUP, SIGPIPE,
                                  SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ};

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(e, ERR_HOST, errno, "prctl");
    if (confine_capabilities(e) < 0)
        return -1;
    if (set_limit(RLIMIT_NOFILE, c->max_fds, e) < 0 || set_limit(RLIMIT_NPROC, 0, e) < 0 ||
        set_limit(RLIMIT_CORE, 1, e) < 0 || /* with 0 a program would still get it: core(5) */
        set_limit(RLIMIT_FSIZE, c->max_file_bytes, e) < 0)
        return -1;
    if (c->max_cpu_s > 0 && set_limit(RLIMIT_CPU, c->max_cpu_s, e) < 0)
        return -1;
#ifndef CONFINE_SANITIZED
    if ((c->max_data_bytes > 0 && set_limit(RLIMIT_DATA, c->max_data_bytes, e) < 0) ||
        (c->max_address_bytes > 0 && set_limit(RLIMIT_AS, c->max_address_bytes, e) < 0))
        return -1;
#endif
    if (confine_files(c->dir_fd, c->network, e) < 0)
        return -1;
    return confine_calls(c, e);
}

static int allow_only(const char *const *only, struct err *e)
{
    own_close int fd = -1;

    if (landlock_begin(&fd, e) < 0)
        return -1;
    for (; fd >= 0 && *only; only++) {
        own_close int at = open(*only, O_PATH | O_CLOEXEC);

        if (at >= 0 && landlock_allow(fd, at,
                                      LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                                          LANDLOCK_ACCESS_FS_EXECUTE,
                                      e) < 0)
            return -1;
    }
    return fd < 0 ? 0 : landlock_restrict(fd, e);
}

int confine_tool(const char *const *only)
{
    struct err e;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && confine_capabilities(&e) == 0 &&
        set_limit(RLIMIT_CORE, 1, &e) == 0 && set_limit(RLIMIT_FSIZE, TOOL_FILE_BYTES, &e) == 0 &&
        set_limit(RLIMIT_AS, TOOL_MEMORY_BYTES, &e) == 0 &&
        set_limit(RLIMIT_CPU, TOOL_CPU_S, &e) == 0 && allow_only(only, &e) == 0)
        return 0;
    errno = EPERM;
    return -1;
}
