/* initramfs: the guest's first file system: lazaret-agent as /init and what it needs. */
#include "images/initramfs.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "images/elf_facts.h"
#include "images/tool.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define AGENT_MAX (32u << 20) /* bytes */

static const char *const empty_dirs[] = {"dev", "proc", "run", "sys", "tmp"};

static int read_agent(const char *path, char **ret_data, size_t *ret_len, struct err *e)
{
    own_elf_facts struct elf_facts facts = {0};
    own_free char *data = NULL;
    size_t len;

    if (file_read(AT_FDCWD, path, AGENT_MAX, &data, &len, e) < 0)
        return err_wrap(e, "the guest agent");
    if (elf_facts_read(data, len, &facts, e) < 0)
        return err_wrap(e, "the guest agent '%s'", path);
    if (facts.interp || facts.needed.n > 0)
        return err_set(e, ERR_HOST, "the guest agent '%s' is not linked statically", path);
    *ret_data = own_steal_ptr(data);
    *ret_len = len;
    return 0;
}

/* An index entry per file; `from` owns the data. */
struct item {
    char *path;
    mode_t mode;
    const char *data;
    size_t len;
};

struct list {
    struct item *items;
    size_t n;
};

static void list_done(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].path);
    free(l->items);
}

static bool has(const struct list *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->items[i].path, path) == 0)
            return true;
    return false;
}

static void list_add(struct list *l, const char *path, mode_t mode, const char *data, size_t len)
{
    struct item *items = reallocarray(l->items, l->n + 1, sizeof(*items));

    if (!items)
        abort(); /* as in base/str: the host itself is out of memory */
    l->items = items;
    items[l->n++] = (struct item){str_dup(path), mode, data, len};
}

static void add_with_parents(struct list *l, const struct fileset_entry *f)
{
    for (const char *slash = strchr(f->path, '/'); slash; slash = strchr(slash + 1, '/')) {
        own_free char *parent = str_printf("%.*s", (int)(slash - f->path), f->path);

        if (!has(l, parent))
            list_add(l, parent, S_IFDIR | 0755, NULL, 0);
    }
    list_add(l, f->path, f->mode, f->data, f->len);
}

static int by_path(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return strcmp(x->path, y->path);
}

static int write_item(struct archive *a, const struct item *f, struct err *e)
{
    struct archive_entry *entry = archive_entry_new();
    int rc = ARCHIVE_FATAL;

    if (!entry)
        return err_set(e, ERR_HOST, "out of memory");
    archive_entry_set_pathname(entry, f->path);
    archive_entry_set_mode(entry, f->mode);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    archive_entry_set_nlink(entry, 1);
    archive_entry_set_mtime(entry, TOOL_EPOCH, 0);
    archive_entry_set_size(entry, (la_int64_t)f->len);
    if (archive_write_header(a, entry) == ARCHIVE_OK &&
        (f->len == 0 || archive_write_data(a, f->data, f->len) == (la_ssize_t)f->len))
        rc = archive_write_finish_entry(a);
    archive_entry_free(entry);
    if (rc != ARCHIVE_OK)
        return err_set(e, ERR_HOST, "cannot write '%s': %s", f->path, archive_error_string(a));
    return 0;
}

static int write_list(struct archive *a, int fd, const struct list *l, struct err *e)
{
    if (archive_write_set_format_cpio_newc(a) != ARCHIVE_OK ||
        archive_write_add_filter_none(a) != ARCHIVE_OK ||
        archive_write_open_fd(a, fd) != ARCHIVE_OK)
        return err_set(e, ERR_HOST, "%s", archive_error_string(a));
    for (size_t i = 0; i < l->n; i++)
        if (write_item(a, &l->items[i], e) < 0)
            return -1;
    if (archive_write_close(a) != ARCHIVE_OK)
        return err_set(e, ERR_HOST, "%s", archive_error_string(a));
    return 0;
}

int image_write_initramfs(int fd, const char *agent_path, const struct fileset *const *sets,
                          size_t n, struct err *e)
{
    __attribute__((cleanup(list_done))) struct list list = {0};
    own_free char *agent = NULL;
    struct archive *a;
    size_t agent_len;
    int rc;

    if (read_agent(agent_path, &agent, &agent_len, e) < 0)
        return -1;
    list_add(&list, "init", S_IFREG | 0555, agent, agent_len);
    for (size_t i = 0; i < sizeof(empty_dirs) / sizeof(empty_dirs[0]); i++)
        list_add(&list, empty_dirs[i], S_IFDIR | 0755, NULL, 0);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < sets[i]->n; j++)
            add_with_parents(&list, &sets[i]->items[j]);
    qsort(list.items, list.n, sizeof(*list.items), by_path);
    a = archive_write_new();
    if (!a)
        return err_set(e, ERR_HOST, "out of memory");
    rc = write_list(a, fd, &list, e);
    archive_write_free(a);
    return rc < 0 ? err_wrap(e, "initramfs") : 0;
}
