/* secrets: what the host gave to one job, and to nobody else. See secrets.h. */
#include "agent/secrets.h"

#include "agent/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* With a page for each that is not full. */
#define SECRETS_BYTES (WIRE_SECRETS_MAX * (WIRE_SECRET_MAX + 4096u))

void secrets_init(struct secrets *s, const struct secrets_config *config, unsigned exec)
{
    s->config = config;
    s->exec = exec;
    s->due = 0;
    s->made = false;
    s->env_fd = -1;
    s->n = 0;
}

static void folder_path(const struct secrets *s, char ret[SECRETS_PATH_MAX])
{
    (void)snprintf(ret, SECRETS_PATH_MAX, "%s/%u", s->config->dir, s->exec);
}

/* The container's root passes through the outer folder; only the job itself reads the inner one. */
static int make_folder(struct secrets *s, uid_t uid, gid_t gid)
{
    char path[SECRETS_PATH_MAX], options[128];

    folder_path(s, path);
    (void)snprintf(options, sizeof(options), "mode=0500,uid=%u,gid=%u,size=%u,nr_inodes=%u", uid,
                   gid, SECRETS_BYTES, 2 * WIRE_SECRETS_MAX);
    if ((mkdir(s->config->dir, 0711) < 0 && errno != EEXIST) ||
        (mkdir(path, 0700) < 0 && errno != EEXIST))
        return -errno;
    if (s->config->own_filesystem &&
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0)
        return -errno;
    s->made = true;
    return 0;
}

static int write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int put_file(struct secrets *s, const struct wire_secret *m)
{
    const uid_t uid = s->config->id_base + m->uid;
    const gid_t gid = s->config->id_base + m->gid;
    char path[SECRETS_PATH_MAX];
    int dir, fd = -1, rc = s->made ? 0 : make_folder(s, uid, gid);

    if (rc < 0)
        return rc;
    folder_path(s, path);
    dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir >= 0)
        fd = openat(dir, m->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
    rc = dir < 0 || fd < 0 || fchown(fd, uid, gid) < 0 ? -errno : 0;
    if (rc == 0)
        rc = write_all(fd, m->value, m->value_len);
    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    return rc;
}

static int put_env(struct secrets *s, const struct wire_secret *m)
{
    int rc;

    if (memchr(m->value, 0, m->value_len))
        return -EINVAL;
    if (s->env_fd < 0)
        s->env_fd = memfd_create("secrets", MFD_CLOEXEC);
    if (s->env_fd < 0)
        return -errno;
    rc = write_all(s->env_fd, m->name, strlen(m->name));
    if (rc == 0)
        rc = write_all(s->env_fd, "=", 1);
    if (rc == 0)
        rc = write_all(s->env_fd, m->value, m->value_len);
    return rc < 0 ? rc : write_all(s->env_fd, "", 1);
}

int secrets_put(struct secrets *s, const struct wire_secret *m)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->names[i], m->name) == 0)
            return -EPROTO;
    if (s->n == WIRE_SECRETS_MAX)
        return -EPROTO;
    memcpy(s->names[s->n++], m->name, sizeof(m->name));
    return m->flags & WIRE_SECRET_ENV ? put_env(s, m) : put_file(s, m);
}

/* A page that is freed is not cleared before somebody needs it. */
static void wipe(int fd)
{
    static const uint8_t zeros[4096];
    struct stat st;

    if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return;
    for (off_t at = 0; at < st.st_size; at += (off_t)sizeof(zeros)) {
        size_t left = (size_t)(st.st_size - at);

        if (write_all(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros)) < 0)
            return;
    }
}

static void drop_files(struct secrets *s)
{
    char path[SECRETS_PATH_MAX];
    int dir;

    folder_path(s, path);
    dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    for (size_t i = 0; dir >= 0 && i < s->n; i++) {
        int fd = openat(dir, s->names[i], O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
            continue; /* in the environment */
        wipe(fd);
        close(fd);
        (void)unlinkat(dir, s->names[i], 0);
    }
    if (dir >= 0)
        close(dir);
    if (s->config->own_filesystem && umount2(path, MNT_DETACH) < 0)
        say("exec %u: the folder of its secrets stays: %s", s->exec, strerror(errno));
    (void)rmdir(path);
}

void secrets_drop(struct secrets *s)
{
    if (s->made)
        drop_files(s);
    if (s->env_fd >= 0) {
        wipe(s->env_fd);
        close(s->env_fd);
    }
    secrets_init(s, s->config, s->exec);
}
