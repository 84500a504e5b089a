/* fileset: some files of a package or an initramfs, in memory, by path. */
#include "images/fileset.h"

#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "images/tool.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

void fileset_done(struct fileset *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->items[i].path);
        free(s->items[i].data);
    }
    free(s->items);
    *s = (struct fileset){0};
}

void fileset_add(struct fileset *s, const char *path, mode_t mode, char *data, size_t len)
{
    struct fileset_entry *items = reallocarray(s->items, s->n + 1, sizeof(*items));

    if (!items)
        abort(); /* as in base/str: the host itself is out of memory */
    s->items = items;
    items[s->n++] =
        (struct fileset_entry){.path = str_dup(path), .mode = mode, .data = data, .len = len};
}

const struct fileset_entry *fileset_find(const struct fileset *s, const char *path)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->items[i].path, path) == 0)
            return &s->items[i];
    return NULL;
}

/* Returns new: where a link at `path` to `target` leads, as a path from the root. */
static char *join(const char *path, const char *target)
{
    const char *slash = strrchr(path, '/');
    own_free char *whole =
        target[0] == '/' ? str_dup(target)
                         : str_printf("%.*s/%s", slash ? (int)(slash - path) : 0, path, target);
    own_str struct str out = {0};
    char *rest = NULL;

    for (char *part = strtok_r(whole, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
        if (strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            while (out.len > 0 && out.data[--out.len] != '/')
                ;
            continue;
        }
        str_addf(&out, "%s%s", out.len > 0 ? "/" : "", part);
    }
    return str_steal(&out);
}

const struct fileset_entry *fileset_resolve(const struct fileset *s, const char *path)
{
    own_free char *at = str_dup(path);

    for (int links = 0; links <= 8; links++) {
        const struct fileset_entry *f = fileset_find(s, at);
        char *next;

        if (!f || S_ISREG(f->mode))
            return f;
        next = join(at, f->data);
        free(at);
        at = next;
    }
    return NULL;
}

static void free_reader(struct archive **a)
{
    if (*a)
        archive_read_free(*a);
}
#define own_reader __attribute__((cleanup(free_reader)))

/* Reads all of the current entry; `max` bounds it. */
static int read_data(struct archive *a, size_t max, char **ret_data, size_t *ret_len, struct err *e)
{
    own_str struct str data = {0};
    char buf[65536];

    for (;;) {
        la_ssize_t n = archive_read_data(a, buf, sizeof(buf));

        if (n < 0)
            return err_set(e, ERR_HOST, "%s", archive_error_string(a));
        if (n == 0)
            break;
        if ((size_t)n > max - data.len)
            return err_set(e, ERR_HOST, "over %zu bytes", max);
        str_add_bytes(&data, buf, (size_t)n);
    }
    *ret_len = data.len;
    *ret_data = str_steal(&data);
    return 0;
}

static bool is_plain_path(const char *path)
{
    return path[0] != '\0' && path[0] != '/' && strcmp(path, "..") != 0 &&
           !str_starts_with(path, "../") && !strstr(path, "/../");
}

static int read_entry(struct fileset *s, struct archive *a, struct archive_entry *entry,
                      bool (*want)(const char *path), struct err *e)
{
    const char *path = archive_entry_pathname(entry);
    mode_t type = archive_entry_filetype(entry);
    mode_t mode = type | (archive_entry_perm(entry) & 0777);
    char *data;
    size_t len;

    if (path && str_starts_with(path, "./"))
        path += 2;
    if (!path || !is_plain_path(path) || !want(path) || archive_entry_hardlink(entry))
        return 0;
    if (type == AE_IFLNK) {
        const char *target = archive_entry_symlink(entry);

        if (target)
            fileset_add(s, path, mode, str_dup(target), strlen(target));
        return 0;
    }
    if (type != AE_IFREG)
        return 0;
    if (read_data(a, FILESET_FILE_MAX, &data, &len, e) < 0)
        return err_wrap(e, "'%s'", path);
    fileset_add(s, path, mode, data, len);
    return 0;
}

static int read_tar(struct fileset *s, int fd, bool (*want)(const char *path), struct err *e)
{
    own_reader struct archive *a = archive_read_new();
    struct archive_entry *entry;
    int rc;

    if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_open_fd(a, fd, 65536) != ARCHIVE_OK)
        return err_set(e, ERR_HOST, "%s", a ? archive_error_string(a) : "out of memory");
    while ((rc = archive_read_next_header(a, &entry)) == ARCHIVE_OK || rc == ARCHIVE_WARN)
        if (read_entry(s, a, entry, want, e) < 0)
            return -1;
    if (rc != ARCHIVE_EOF)
        return err_set(e, ERR_HOST, "%s", archive_error_string(a));
    return 0;
}

int fileset_read_deb(struct fileset *s, const char *path, const char *temp_dir,
                     bool (*want)(const char *path), struct err *e)
{
    const char *const argv[] = {"dpkg-deb", "--fsys-tarfile", path, NULL};
    own_close int fd = -1;
    struct tool t = {.argv = argv, .package = "dpkg", .in = SPAWN_NULL, .timeout_s = 300};

    if (file_open_unnamed(temp_dir, &fd, e) < 0)
        return -1;
    t.out = fd;
    if (tool_run(&t, e) < 0)
        return -1;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(e, ERR_HOST, errno, "lseek");
    if (read_tar(s, fd, want, e) < 0)
        return err_wrap(e, "package '%s'", path);
    return 0;
}

int fileset_unxz(const struct fileset_entry *f, char **ret_data, size_t *ret_len, struct err *e)
{
    own_reader struct archive *a = archive_read_new();
    struct archive_entry *entry;

    if (!a || archive_read_support_filter_xz(a) != ARCHIVE_OK ||
        archive_read_support_format_raw(a) != ARCHIVE_OK ||
        archive_read_open_memory(a, f->data, f->len) != ARCHIVE_OK ||
        archive_read_next_header(a, &entry) != ARCHIVE_OK)
        return err_set(e, ERR_HOST, "'%s': %s", f->path,
                       a ? archive_error_string(a) : "out of memory");
    if (read_data(a, FILESET_FILE_MAX, ret_data, ret_len, e) < 0)
        return err_wrap(e, "'%s'", f->path);
    return 0;
}
