/* store: the image store: files by their SHA-256 (blobs), and names for some of them. */
#include "images/store.h"

#include "base/file.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define BLOBS "blobs/sha256"
#define TMP   "tmp"
#define SIGN  "signatures"
#define LOCK  ".lock"

#define NAME_FILE_MAX 128 /* bytes; a good one has 72 */

static const struct {
    const char *folder;
    const char *what;
    const char *way_out;
} kinds[] = {
    [STORE_TAGS] = {"tags", "image",
                    "make it with 'lazaret image build' or 'lazaret image import'"},
    [STORE_KERNELS] = {"kernels", "kernel", "build it with 'lazaret image kernel build'"},
};

/* A step of writing failed; a full disk has a way out. */
static int cannot_write(const struct store *s, int errnum, struct err *e)
{
    err_sys(e, ERR_HOST, errnum, "cannot write to the image store '%s'", s->dir);
    if (errnum == ENOSPC || errnum == EDQUOT) {
        size_t len = strlen(e->text);

        snprintf(e->text + len, sizeof(e->text) - len,
                 " (make room; 'lazaret image prune' removes what no image needs)");
    }
    return -1;
}

/* ---- open and close ---- */

static int sync_folder(const struct store *s, const char *name, struct err *e)
{
    own_close int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || fsync(fd) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot sync '%s' in the image store", name);
    return 0;
}

/* Returns new: the folder that a relative path is in. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? str_printf("%.*s", (int)(slash - path), path) : str_dup(".");
}

int store_make_folder(const struct store *s, const char *path, struct err *e)
{
    own_free char *parent = folder_of(path);

    if (mkdirat(s->fd, path, 0700) == 0)
        return sync_folder(s, parent, e);
    return errno == EEXIST ? 0 : cannot_write(s, errno, e);
}

static int make_folders(const struct store *s, struct err *e)
{
    static const char *const names[] = {"blobs", BLOBS, "tags", "kernels", SIGN, TMP};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (store_make_folder(s, names[i], e) < 0)
            return -1;
    return 0;
}

int store_list(const struct store *s, const char *folder, bool (*wanted)(const char *name),
               struct strv *ret, struct err *e)
{
    own_close int dir = openat(s->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct dirent **entries = NULL;
    int n;

    if (dir < 0 && errno == ENOENT)
        return 0;
    n = dir < 0 ? -1 : scandirat(dir, ".", &entries, NULL, alphasort);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot list '%s' of the image store", folder);
    for (int i = 0; i < n; i++) {
        if (wanted(entries[i]->d_name))
            strv_add(ret, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static bool is_entry(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Only while the lock is ours alone: then nobody else can be writing there. */
static int sweep(struct store *s, struct err *e)
{
    own_strv struct strv left = {0};

    if (store_list(s, TMP, is_entry, &left, e) < 0)
        return -1;
    for (size_t i = 0; i < left.n; i++) {
        own_free char *path = str_printf(TMP "/%s", left.items[i]);
        struct stat st;

        s->swept_files++;
        if (fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
            s->swept_bytes += (uint64_t)st.st_size;
        if (file_remove_tree(s->fd, path, e) < 0)
            return -1;
    }
    return 0;
}

static int wait_for_lock(const struct store *s, bool shared, struct err *e)
{
    bool taken;

    if (file_wait_lock(s->lock_fd, shared, shared ? STORE_ADD_WAIT_MS : STORE_REMOVE_WAIT_MS,
                       &taken, e) < 0)
        return -1;
    if (!taken)
        return err_set(e, ERR_HOST, "another lazaret %s the image store '%s' (wait for it to end)",
                       shared ? "removes from" : "works in", s->dir);
    return 0;
}

static int take_lock(struct store *s, enum store_use use, struct err *e)
{
    bool alone;

    s->lock_fd = openat(s->fd, LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return cannot_write(s, errno, e);
    if (use == STORE_REMOVE)
        return wait_for_lock(s, false, e) < 0 ? -1 : sweep(s, e);
    /* Who adds is alone often enough for leftovers never to pile up. */
    if (file_try_lock(s->lock_fd, false, &alone, e) < 0 || (alone && sweep(s, e) < 0))
        return -1;
    return wait_for_lock(s, true, e);
}

int store_open(const char *dir, enum store_use use, struct store *ret, struct err *e)
{
    own_store struct store s = STORE_INIT;

    if (use != STORE_READ && file_make_dirs(dir, 0700, e) < 0)
        return -1;
    s.dir = realpath(dir, NULL);
    if (!s.dir && errno == ENOENT)
        return err_set(e, ERR_IMAGE, "there is no image store '%s' (%s)", dir,
                       kinds[STORE_TAGS].way_out);
    if (!s.dir)
        return err_sys(e, ERR_HOST, errno, "cannot open the image store '%s'", dir);
    if (file_open_dir(s.dir, &s.fd, e) < 0)
        return -1;
    if (use != STORE_READ && (make_folders(&s, e) < 0 || take_lock(&s, use, e) < 0))
        return -1;
    *ret = s;
    s = (struct store)STORE_INIT;
    return 0;
}

void store_close(struct store *s)
{
    free(s->dir);
    own_close_p(&s->fd);
    own_close_p(&s->lock_fd);
    *s = (struct store)STORE_INIT;
}

/* ---- blobs ---- */

int store_blob_begin(const struct store *s, struct store_blob *ret, struct err *e)
{
    own_store_blob struct store_blob b = STORE_BLOB_INIT;
    own_free char *file = NULL;
    uint64_t tag;

    if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
        return err_sys(e, ERR_HOST, errno, "getrandom");
    file = str_printf(TMP "/%016jx", (uintmax_t)tag);
    b.fd = openat(s->fd, file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (b.fd < 0)
        return cannot_write(s, errno, e);
    b.store = s;
    b.name = str_dup(file + strlen(TMP "/"));
    b.path = str_printf("%s/%s", s->dir, file);
    *ret = b;
    b = (struct store_blob)STORE_BLOB_INIT;
    return 0;
}

/* The last steps of everything that is written: read-only, on the disk, at its final path. */
static int give_name(struct store_blob *b, const char *to, struct err *e)
{
    const struct store *s = b->store;
    own_free char *from = str_printf(TMP "/%s", b->name);
    own_free char *folder = folder_of(to);
    struct stat open_one, named_one;

    if (fstat(b->fd, &open_one) < 0 || fstatat(s->fd, from, &named_one, AT_SYMLINK_NOFOLLOW) < 0)
        return cannot_write(s, errno, e);
    if (open_one.st_ino != named_one.st_ino || open_one.st_dev != named_one.st_dev)
        return err_set(e, ERR_HOST, "'%s' was replaced while it was written", b->path);
    if (renameat(s->fd, from, s->fd, to) < 0)
        return cannot_write(s, errno, e);
    free(own_steal_ptr(b->name));
    return sync_folder(s, folder, e);
}

int store_blob_write(const struct store_blob *b, const void *data, size_t len, struct err *e)
{
    return file_write_all(b->fd, data, len) < 0 ? cannot_write(b->store, errno, e) : 0;
}

int store_blob_seal(struct store_blob *b, const struct store_object *want, struct err *e)
{
    struct store_object o = {0};

    if (fchmod(b->fd, 0444) < 0 || fsync(b->fd) < 0)
        return cannot_write(b->store, errno, e);
    if (digest_fd(b->fd, o.sha256, &o.size_bytes, e) < 0)
        return -1;
    if (want && (strcmp(o.sha256, want->sha256) != 0 || o.size_bytes != want->size_bytes))
        return err_set(e, ERR_IMAGE, "blob sha256:%s: its SHA-256 is %s", want->sha256, o.sha256);
    b->object = o;
    return 0;
}

int store_blob_commit(struct store_blob *b, struct store_object *ret, struct err *e)
{
    own_free char *to = NULL;

    if (!b->object.sha256[0] && store_blob_seal(b, NULL, e) < 0)
        return -1;
    to = str_printf(BLOBS "/%s", b->object.sha256);
    if (give_name(b, to, e) < 0)
        return -1;
    own_close_p(&b->fd);
    b->fd = -1;
    *ret = b->object;
    return 0;
}

void store_blob_done(struct store_blob *b)
{
    if (b->name)
        unlink(b->path);
    free(b->name);
    free(b->path);
    own_close_p(&b->fd);
    *b = (struct store_blob)STORE_BLOB_INIT;
}

int store_put(const struct store *s, const void *data, size_t len, struct store_object *ret,
              struct err *e)
{
    own_store_blob struct store_blob b = STORE_BLOB_INIT;

    if (store_blob_begin(s, &b, e) < 0 || store_blob_write(&b, data, len, e) < 0)
        return -1;
    return store_blob_commit(&b, ret, e);
}

int store_file_put(const struct store *s, const char *path, const void *data, size_t len,
                   struct err *e)
{
    own_store_blob struct store_blob b = STORE_BLOB_INIT;

    if (store_blob_begin(s, &b, e) < 0 || store_blob_write(&b, data, len, e) < 0)
        return -1;
    if (fchmod(b.fd, 0444) < 0 || fsync(b.fd) < 0)
        return cannot_write(s, errno, e);
    return give_name(&b, path, e);
}

int store_get(const struct store *s, const char *sha256, int *ret_fd, uint64_t *ret_size_bytes,
              struct err *e)
{
    own_free char *path = str_printf(BLOBS "/%s", sha256);
    own_close int fd = openat(s->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_IMAGE, "blob sha256:%s is missing", sha256);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, ERR_IMAGE, errno, "cannot open blob sha256:%s", sha256);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_IMAGE, "blob sha256:%s is not a regular file", sha256);
    *ret_fd = own_steal_fd(fd);
    *ret_size_bytes = (uint64_t)st.st_size;
    return 0;
}

int store_read(const struct store *s, const char *sha256, size_t max, char **ret_data,
               size_t *ret_len, struct err *e)
{
    own_free char *path = str_printf(BLOBS "/%s", sha256);
    own_free char *data = NULL;
    char found[DIGEST_HEX_SIZE];
    own_close int fd = -1;
    uint64_t size_bytes;
    size_t len;

    if (store_get(s, sha256, &fd, &size_bytes, e) < 0)
        return -1;
    if (file_read(s->fd, path, max, &data, &len, e) < 0 || digest_bytes(data, len, found, e) < 0) {
        e->class = ERR_IMAGE;
        return err_wrap(e, "blob sha256:%s", sha256);
    }
    if (strcmp(found, sha256) != 0)
        return err_set(e, ERR_IMAGE, "blob sha256:%s is damaged: its SHA-256 differs", sha256);
    *ret_data = own_steal_ptr(data);
    *ret_len = len;
    return 0;
}

char *store_blob_path(const struct store *s, const char *sha256)
{
    return str_printf("%s/" BLOBS "/%s", s->dir, sha256);
}

int store_blob_list(const struct store *s, struct strv *ret, struct err *e)
{
    return store_list(s, BLOBS, digest_is_hex, ret, e);
}

int store_blob_remove(const struct store *s, const char *sha256, bool *ret_removed,
                      uint64_t *ret_size_bytes, struct err *e)
{
    own_free char *path = str_printf(BLOBS "/%s", sha256);
    struct stat st = {0};
    bool removed =
        fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && unlinkat(s->fd, path, 0) == 0;

    if (!removed && errno != ENOENT)
        return err_sys(e, ERR_HOST, errno, "cannot remove blob sha256:%s", sha256);
    *ret_removed = removed;
    *ret_size_bytes = removed ? (uint64_t)st.st_size : 0;
    return 0;
}

/* ---- names ---- */

bool store_is_name(const char *name)
{
    return str_is_name(name) && !digest_is_prefix(name);
}

int store_name_set(const struct store *s, enum store_names kind, const char *name,
                   const char *sha256, struct err *e)
{
    own_free char *path = str_printf("%s/%s", kinds[kind].folder, name);
    own_free char *text = str_printf("sha256:%s\n", sha256);
    own_close int fd = -1;
    uint64_t size_bytes;

    if (!store_is_name(name))
        return err_set(e, ERR_USAGE,
                       "the name of an image or kernel is 1 to 64 letters, digits, '.', '_' and "
                       "'-', does not start with '.' or '-', and is not a digest");
    if (store_get(s, sha256, &fd, &size_bytes, e) < 0)
        return -1;
    return store_file_put(s, path, text, strlen(text), e);
}

bool store_has_name(const struct store *s, enum store_names kind, const char *name)
{
    own_free char *path = str_printf("%s/%s", kinds[kind].folder, name);

    return store_is_name(name) && faccessat(s->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int store_name_get(const struct store *s, enum store_names kind, const char *name,
                   char ret_sha256[DIGEST_HEX_SIZE], struct err *e)
{
    own_free char *path = str_printf("%s/%s", kinds[kind].folder, name);
    own_free char *text = NULL;
    char *hex;
    size_t len;

    if (!store_is_name(name) ||
        (faccessat(s->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT))
        return err_set(e, ERR_IMAGE, "there is no %s '%s' (%s)", kinds[kind].what, name,
                       kinds[kind].way_out);
    if (file_read(s->fd, path, NAME_FILE_MAX, &text, &len, e) < 0) {
        e->class = ERR_IMAGE;
        return err_wrap(e, "%s '%s'", kinds[kind].what, name);
    }
    hex = text + strlen("sha256:");
    if (len != strlen("sha256:\n") + DIGEST_HEX_SIZE - 1 || !str_starts_with(text, "sha256:") ||
        text[len - 1] != '\n')
        hex = NULL;
    else
        text[len - 1] = '\0';
    if (!hex || !digest_is_hex(hex))
        return err_set(e, ERR_IMAGE, "%s '%s': the file '%s' is damaged (%s)", kinds[kind].what,
                       name, path, kinds[kind].way_out);
    memcpy(ret_sha256, hex, DIGEST_HEX_SIZE);
    return 0;
}

uint64_t store_name_time_ns(const struct store *s, enum store_names kind, const char *name)
{
    own_free char *path = str_printf("%s/%s", kinds[kind].folder, name);
    struct stat st;

    if (fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
}

int store_name_remove(const struct store *s, enum store_names kind, const char *name, struct err *e)
{
    own_free char *path = str_printf("%s/%s", kinds[kind].folder, name);

    if (unlinkat(s->fd, path, 0) < 0 && errno != ENOENT)
        return err_sys(e, ERR_HOST, errno, "cannot remove '%s'", path);
    return sync_folder(s, kinds[kind].folder, e);
}

int store_name_list(const struct store *s, enum store_names kind, struct strv *ret, struct err *e)
{
    return store_list(s, kinds[kind].folder, store_is_name, ret, e);
}
