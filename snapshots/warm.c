/* warm: opening and making saved guests. See warm.h. */
#include "snapshots/warm.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "snapshots/warm_meta.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define STATE_MAX   (1ull << 30) /* bytes */
#define CPUINFO_MAX 65536

int warm_key_hex(const struct warm_key *k, char ret_hex[DIGEST_HEX_SIZE], struct err *e)
{
    own_free char *text = warm_meta_key_text(k);

    return digest_bytes(text, strlen(text), ret_hex, e);
}

int warm_file_identity(const char *path, char **ret, struct err *e)
{
    own_free char *real = realpath(path, NULL);
    struct stat st;

    if (!real || stat(real, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot look at '%s'", path);
    *ret = str_printf("%s %ju bytes, inode %ju, %jd.%09ld", real, (uintmax_t)st.st_size,
                      (uintmax_t)st.st_ino, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    return 0;
}

/* Of the first processor, without what changes by itself; the others are like it. */
int warm_host_identity(char **ret, struct err *e)
{
    static const char *const wanted[] = {"vendor_id", "cpu family", "model",      "stepping",
                                         "microcode", "flags",      "model name", "bugs"};
    own_fclose FILE *f = fopen("/proc/cpuinfo", "re");
    own_free char *line = malloc(CPUINFO_MAX);
    own_str struct str text = {0};
    char hex[DIGEST_HEX_SIZE];
    struct utsname u;

    if (!line)
        /* cppcheck-suppress resourceLeak ; cleanup closes it */
        return err_set(e, ERR_HOST, "out of memory");
    if (!f || uname(&u) < 0)
        /* cppcheck-suppress memleak ; cleanup frees it */
        return err_sys(e, ERR_HOST, errno, "cannot read what CPU this is");
    while (fgets(line, CPUINFO_MAX, f) && line[0] != '\n')
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
            if (str_starts_with(line, wanted[i]))
                str_add(&text, line);
    if (text.len == 0)
        return err_set(e, ERR_HOST, "cannot read what CPU this is");
    if (digest_bytes(text.data, text.len, hex, e) < 0)
        return -1;
    *ret = str_printf("%s %s, CPU %s", u.release, u.version, hex);
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int open_part(int folder, const char *name, uint64_t size_bytes, int *ret_fd, struct err *e)
{
    own_close int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "'%s'", name);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size_bytes)
        return err_set(e, ERR_HOST, "'%s' is not a file of %" PRIu64 " bytes", name, size_bytes);
    *ret_fd = own_steal_fd(fd);
    return 0;
}

static int check_state(const struct warm_meta *m, const struct warm *w, struct err *e)
{
    char hex[DIGEST_HEX_SIZE];
    uint64_t size;

    if (digest_fd(w->state_fd, hex, &size, e) < 0)
        return -1;
    if (size != m->state_bytes || strcmp(hex, m->state_sha256) != 0)
        return err_set(e, ERR_HOST, "'" WARM_STATE "' is not what was saved");
    return 0;
}

int warm_check(const struct warm *w, const struct memory_sum *read, struct err *e)
{
    if (read->size_bytes == w->ram.size_bytes && read->used_bytes == w->ram.used_bytes &&
        strcmp(read->sha256, w->ram.sha256) == 0)
        return 0;
    return err_set(e, ERR_HOST, "saved guest %.12s: '" WARM_RAM "' is not what was saved", w->key);
}

static int open_in(int folder, const struct warm_key *k, struct warm *ret, struct err *e)
{
    struct warm_meta m;

    if (warm_meta_read(folder, k, &m, NULL, e) < 0 ||
        open_part(folder, WARM_STATE, m.state_bytes, &ret->state_fd, e) < 0 ||
        open_part(folder, WARM_RAM, m.ram.size_bytes, &ret->ram_fd, e) < 0 ||
        check_state(&m, ret, e) < 0)
        return -1;
    ret->ram = m.ram;
    /* When it was used last; the order of what is pruned, so nothing depends on it. */
    (void)futimens(folder, NULL);
    return 0;
}

int warm_find(const char *dir, const struct warm_key *k, struct warm *ret, struct err *e)
{
    own_warm struct warm w = WARM_INIT;
    own_free char *path = NULL;
    own_close int folder = -1;

    if (warm_key_hex(k, w.key, e) < 0)
        return -1;
    path = str_printf("%s/%s", dir, w.key);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0 && errno == ENOENT)
        return 0;
    if (folder < 0)
        return err_sys(e, ERR_HOST, errno, "saved guest %.12s", w.key);
    if (open_in(folder, k, &w, e) < 0)
        return err_wrap(e, "saved guest %.12s", w.key);
    *ret = w;
    w.ram_fd = w.state_fd = -1;
    return 1;
}

void warm_close(struct warm *w)
{
    own_close_p(&w->ram_fd);
    own_close_p(&w->state_fd);
    w->ram_fd = w->state_fd = -1;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int open_dirs(const char *dir, struct warm_save *s, struct err *e)
{
    own_free char *tmp = str_printf("%s/tmp", dir);

    if (file_make_dirs(dir, 0700, e) < 0 || file_open_dir(dir, &s->dir_fd, e) < 0)
        return -1;
    if (mkdirat(s->dir_fd, "tmp", 0700) < 0 && errno != EEXIST)
        return err_sys(e, ERR_HOST, errno, "cannot make folder '%s'", tmp);
    return file_open_dir(tmp, &s->tmp_fd, e);
}

/* Is the folder that we locked still the one of that name? Its maker may have renamed it before. */
static bool is_still_there(int fd, int parent, const char *name)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && fstatat(parent, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

int warm_claim(const char *dir, struct warm_save *s, struct err *e)
{
    own_close int fd = -1;
    bool taken;

    if (open_dirs(dir, s, e) < 0)
        return -1;
    if (mkdirat(s->tmp_fd, s->key, 0700) < 0 && errno != EEXIST)
        return err_sys(e, ERR_HOST, errno, "cannot make a folder for a saved guest");
    fd = openat(s->tmp_fd, s->key, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(e, ERR_HOST, errno, "cannot save a guest");
    if (file_try_lock(fd, false, &taken, e) < 0)
        return -1;
    if (!taken || !is_still_there(fd, s->tmp_fd, s->key))
        return 0;
    s->fd = own_steal_fd(fd);
    return 1;
}

int warm_discard(const struct warm_save *s, struct err *e)
{
    char old[DIGEST_HEX_SIZE + sizeof(WARM_OLD)];

    snprintf(old, sizeof(old), "%s" WARM_OLD, s->key);
    /* What a crash left there has no name to be found by any more. */
    if (file_remove_tree(s->tmp_fd, old, e) < 0)
        return -1;
    if (renameat(s->dir_fd, s->key, s->tmp_fd, old) < 0)
        return errno == ENOENT ? 0 : err_sys(e, ERR_HOST, errno, "cannot remove a saved guest");
    return file_remove_tree(s->tmp_fd, old, e);
}

/* Who made it before died while doing so. */
static int empty_folder(int fd, struct err *e)
{
    static const char *const names[] = {WARM_RAM, WARM_STATE, WARM_META};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (file_remove_tree(fd, names[i], e) < 0)
            return -1;
    return 0;
}

int warm_begin(const char *dir, const struct warm_key *k, struct warm_save *ret, struct err *e)
{
    own_warm_save struct warm_save s = WARM_SAVE_INIT;
    int r;

    if (warm_key_hex(k, s.key, e) < 0)
        return -1;
    r = warm_claim(dir, &s, e);
    if (r <= 0)
        return r;
    if (empty_folder(s.fd, e) < 0)
        return -1;
    s.state_fd = openat(s.fd, WARM_STATE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    if (s.state_fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot save a guest");
    *ret = s;
    s = (struct warm_save)WARM_SAVE_INIT;
    return 1;
}

static int write_parts(const struct warm_save *s, int ram_fd, struct warm_meta *m, struct err *e)
{
    own_close int copy = openat(s->fd, WARM_RAM, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);

    if (copy < 0)
        return err_sys(e, ERR_HOST, errno, "cannot save a guest's memory");
    if (memory_copy(ram_fd, copy, &m->ram, e) < 0)
        return -1;
    /* QEMU has a user of its own when root starts it. */
    if (fchmod(copy, 0444) < 0 || fsync(copy) < 0 || fsync(s->state_fd) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot save a guest");
    if (digest_fd(s->state_fd, m->state_sha256, &m->state_bytes, e) < 0)
        return -1;
    if (m->state_bytes == 0 || m->state_bytes > STATE_MAX)
        return err_set(e, ERR_HOST, "a guest's state has %" PRIu64 " bytes", m->state_bytes);
    return 0;
}

int warm_commit(struct warm_save *s, const struct warm_key *k, int ram_fd, struct err *e)
{
    struct warm_meta m = {.created_s = clock_real_ns() / 1000000000u};

    if (write_parts(s, ram_fd, &m, e) < 0 || warm_meta_write(s->fd, k, &m, e) < 0 ||
        warm_discard(s, e) < 0)
        return -1;
    if (renameat(s->tmp_fd, s->key, s->dir_fd, s->key) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot give a saved guest its name");
    own_close_p(&s->fd); /* nothing of ours is in tmp/ any more */
    s->fd = -1;
    if (fsync(s->dir_fd) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot sync the folder of saved guests");
    return 0;
}

void warm_save_done(struct warm_save *s)
{
    struct err ignored;

    if (s->fd >= 0)
        (void)file_remove_tree(s->tmp_fd, s->key, &ignored);
    own_close_p(&s->state_fd);
    own_close_p(&s->fd);
    own_close_p(&s->tmp_fd);
    own_close_p(&s->dir_fd);
    *s = (struct warm_save)WARM_SAVE_INIT;
}
