/* declared: what a job may read, write and execute, held by Landlock. See declared.h. */
#include "agent/declared.h"

#include "shared/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.2. Before it truncate(2) cannot be held, and a write that is not declared would pass. */
#define DECLARED_ABI 3
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14)
#endif

#define OF_FILES                                                                                   \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     LANDLOCK_ACCESS_FS_TRUNCATE)
#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE                                                                                      \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER |      \
     LANDLOCK_ACCESS_FS_TRUNCATE)
/* The kernel opens what it executes for reading, too. */
#define EXEC (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE)

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    const char *option;
    unsigned long long rights;
} kinds[] = {
    {GUEST_DECLARED_READ, READ},
    {GUEST_DECLARED_WRITE, WRITE},
    {GUEST_DECLARED_EXEC, EXEC},
};

/* What starting needs: guest.h. */
static const char *const starting_read[] = {GUEST_STARTING_READ};
static const char *const starting_exec[] = {GUEST_STARTING_EXEC};
static const char *const starting_devices[] = {GUEST_STARTING_DEVICES};

static const struct {
    const char *const *paths;
    size_t n;
    unsigned long long rights;
} starting[] = {
    {starting_read, COUNT(starting_read), READ},
    {starting_exec, COUNT(starting_exec), EXEC},
    {starting_devices, COUNT(starting_devices), READ | LANDLOCK_ACCESS_FS_WRITE_FILE},
};

/* The rights that an option stands for, 0: it is none. */
static unsigned long long rights_of(const char *option)
{
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(option, kinds[i].option) == 0)
            return kinds[i].rights;
    return 0;
}

char **declared_command(char **args)
{
    while (args[0] && rights_of(args[0]) && args[1])
        args += 2;
    return args[0] && strcmp(args[0], GUEST_DECLARED_END) == 0 && args[1] ? args + 1 : NULL;
}

bool declared_is_any(char *const args[])
{
    return args[0] && strcmp(args[0], GUEST_DECLARED_END) != 0;
}

/* `links`: those of the image are followed, which nobody but the guest's root can have made. */
static int look_up(const char *path, bool links)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

    if (fd < 0 && errno == ELOOP && links) {
        how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
        fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
    }
    return (int)fd;
}

/* 0 or -errno. */
static int allow(int ruleset, const char *path, unsigned long long rights, bool links)
{
    struct landlock_path_beneath_attr below = {.parent_fd = look_up(path, links)};
    struct stat st;
    int rc = 0;

    if (below.parent_fd < 0)
        return -errno;
    if (fstat(below.parent_fd, &st) < 0) {
        rc = -errno;
    } else {
        below.allowed_access = S_ISDIR(st.st_mode) ? rights : rights & OF_FILES;
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0)
            rc = -errno;
    }
    close(below.parent_fd);
    return rc;
}

static int fail(int rc, char ret_text[DECLARED_TEXT_MAX], const char *what)
{
    (void)snprintf(ret_text, DECLARED_TEXT_MAX, "%.120s: %s", what, strerror(-rc));
    return rc;
}

static int allow_all(int ruleset, char *const args[], const char *program,
                     char ret_text[DECLARED_TEXT_MAX])
{
    /* With a root that takes writes, links in folders of the job's user may be its own. */
    struct statvfs root;
    bool fixed = statvfs("/", &root) == 0 && (root.f_flag & ST_RDONLY);
    int rc;

    for (size_t i = 0; i < COUNT(starting); i++)
        for (size_t k = 0; k < starting[i].n; k++) {
            rc = allow(ruleset, starting[i].paths[k], starting[i].rights, true);
            if (rc < 0 && rc != -ENOENT && rc != -ENOTDIR)
                return fail(rc, ret_text, starting[i].paths[k]);
        }
    for (; declared_is_any(args); args += 2) {
        rc = allow(ruleset, args[1], rights_of(args[0]), fixed);
        if (rc < 0)
            return fail(rc, ret_text, args[1]);
    }
    /* One behind a link that leads nowhere stays refused, and is told as such when it starts. */
    if (program)
        (void)allow(ruleset, program, EXEC, true);
    return 0;
}

int declared_apply(char *const args[], const char *program, char ret_text[DECLARED_TEXT_MAX])
{
    const struct landlock_ruleset_attr all = {.handled_access_fs =
                                                  READ | WRITE | LANDLOCK_ACCESS_FS_EXECUTE};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int ruleset, rc;

    if (abi < DECLARED_ABI) {
        (void)snprintf(ret_text, DECLARED_TEXT_MAX,
                       "the guest's kernel cannot hold declared paths (its Landlock has version "
                       "%ld, %d is needed)",
                       abi < 0 ? 0 : abi, DECLARED_ABI);
        return -EOPNOTSUPP;
    }
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
    if (ruleset < 0)
        return fail(-errno, ret_text, "landlock");
    rc = allow_all(ruleset, args, program, ret_text);
    if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        rc = fail(-errno, ret_text, "landlock");
    close(ruleset);
    return rc;
}
