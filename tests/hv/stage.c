/* stage: the surroundings that the keeper gives libvirt, for tests of the embedded driver. */
#include "tests/hv/stage.h"

#include "base/dev.h"
#include "base/own.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static int bail(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));
    fflush(stdout);
    return 1;
}

static bool write_text(const char *path, const char *text)
{
    own_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool map_one_id(uid_t uid, gid_t gid)
{
    char uids[64], gids[64];

    snprintf(uids, sizeof(uids), "%u %u 1", uid, uid);
    snprintf(gids, sizeof(gids), "%u %u 1", gid, gid);
    return write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/uid_map", uids) &&
           write_text("/proc/self/gid_map", gids);
}

static bool become_nobody(void)
{
    /* Undumpable after a change of uid, /proc/self belongs to root and the maps cannot be written.
     */
    return setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0 &&
           prctl(PR_SET_DUMPABLE, 1) == 0;
}

/* A copy of an account file with a line more, in our mount namespace only. */
static bool extend(const char *path, const char *copy, const char *line)
{
    own_fclose FILE *in = fopen(path, "re");
    own_fclose FILE *out = fopen(copy, "we");
    int c;

    if (!in || !out)
        return false;
    while ((c = fgetc(in)) != EOF)
        fputc(c, out);
    fputs(line, out);
    return fflush(out) == 0 && chmod(copy, 0644) == 0 &&
           mount(copy, path, NULL, MS_BIND, NULL) == 0;
}

/* Debian's libvirt-daemon-system makes the account; where it is missing the test brings it along.
 */
static bool have_qemu_account(void)
{
    if (getpwnam("libvirt-qemu"))
        return true;
    return extend("/etc/passwd", STAGE_DIR "/passwd",
                  "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin\n") &&
           extend("/etc/group", STAGE_DIR "/group", "libvirt-qemu:x:64055:\n");
}

static bool mount_all(void)
{
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 &&
           mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=256m") == 0 &&
           mkdir(STAGE_DIR, 0755) == 0;
}

/* Pid 1: reaps orphans until the body ends. */
static int reap_until(pid_t body)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, 0)) != body)
        if (pid < 0 && errno != EINTR)
            return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int init_main(bool as_user, bool kvm, int (*body)(void))
{
    struct err why;
    pid_t pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!mount_all() || (!as_user && !have_qemu_account()) ||
        (!kvm && !as_user && access("/dev/kvm", F_OK) == 0 && dev_without_kvm(&why) < 0))
        return bail("cannot mount in own namespaces");
    pid = fork();
    if (pid < 0)
        return bail("fork");
    if (pid == 0)
        exit(body());
    return reap_until(pid);
}

static int wait_for(pid_t pid)
{
    int status;

    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return bail("cannot start a process");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int enter(bool as_user, bool kvm, int (*body)(void))
{
    const int flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    uid_t uid;
    gid_t gid;
    pid_t pid;

    if (as_user && geteuid() == 0 && !become_nobody())
        return bail("cannot become an ordinary user");
    uid = geteuid();
    gid = getegid();
    if (unshare(flags | (as_user ? CLONE_NEWUSER : 0)) < 0)
        return bail("cannot make own namespaces");
    if (as_user && !map_one_id(uid, gid))
        return bail("cannot map one uid");
    pid = fork();
    if (pid == 0)
        _exit(init_main(as_user, kvm, body));
    return wait_for(pid);
}

/* A process between, for after unshare() the leak checker of ASan can start no thread at exit. */
int stage_run(bool as_user, bool kvm, int (*body)(void))
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(enter(as_user, kvm, body));
    return wait_for(pid);
}

/* True for "Name: qemu..." in a state that is not Z (nobody waited yet) or X. */
static bool is_living_qemu(const char *pid)
{
    char path[300], line[256];
    own_fclose FILE *f = NULL;
    bool qemu = false, living = false;

    snprintf(path, sizeof(path), "/proc/%s/status", pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "Name:\tqemu", 10) == 0)
            qemu = true;
        if (strncmp(line, "State:\t", 7) == 0)
            living = line[7] != 'Z' && line[7] != 'X';
    }
    return qemu && living;
}

int stage_count_qemu(void)
{
    own_closedir DIR *d = opendir("/proc");
    const struct dirent *ent;
    int n = 0;

    while (d && (ent = readdir(d)))
        if (isdigit((unsigned char)ent->d_name[0]) && is_living_qemu(ent->d_name))
            n++;
    return n;
}
