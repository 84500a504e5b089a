/* copy: files and folders into a sandbox and out of it. See copy.h. */
#include "run/copy.h"

#include "base/file.h"
#include "base/own.h"
#include "channel/relay.h"
#include "channel/unpack.h"
#include "run/amnesia.h"
#include "run/copy_tar.h"
#include "run/folder.h"
#include "run/sandbox.h"
#include "run/taken.h"
#include "shared/guest.h"
#include "shared/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define UNPACK_MS 600000u

/* A file without a name, in the data folder: trees may be larger than memory. What an amnesic
 * sandbox has, and gets, is in memory all the same. */
static int open_spool(const struct copy *c, int *ret_fd, struct err *e)
{
    const char *data_dir = c->data_dir, *state;
    own_free char *path = str_printf("%s/copy-XXXXXX", data_dir);
    own_close int folder = -1;
    bool amnesic = false;

    if (sandbox_open(data_dir, c->sandbox, &folder, &state, e) < 0 ||
        folder_is_amnesic(folder, &amnesic, e) < 0)
        return -1;
    if (amnesic && amnesia_no_cores(e) < 0)
        return -1;
    if (amnesic) {
        *ret_fd = memfd_create("lazaret-copy", MFD_CLOEXEC);
        return *ret_fd < 0 ? err_sys(e, ERR_HOST, errno, "memfd_create") : 0;
    }
    *ret_fd = mkostemp(path, O_CLOEXEC);
    if (*ret_fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make a file in '%s'", data_dir);
    unlink(path);
    return 0;
}

/* The agent's binary with these arguments, as a command of the sandbox. */
static int run_agent(const struct copy *c, const struct strv *argv, int in, int out,
                     struct run_result *r, struct err *e)
{
    own_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct strv no_env = {0};
    const int streams[3] = {in, out >= 0 ? out : null, null};
    const struct sandbox_exec x = {
        .argv = argv,
        .env = &no_env,
        .workdir = "/",
        .streams = streams,
        .max_bytes = out >= 0 ? c->max_bytes + RELAY_TREE_OVERHEAD : 1,
    };

    if (null < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open /dev/null");
    if (sandbox_exec(c->data_dir, c->sandbox, &x, r, e) < 0)
        return -1;
    if (r->err.class != ERR_NONE) {
        *e = r->err;
        return -1;
    }
    if (r->end != RUN_ENDED_EXIT)
        return err_set(e, ERR_GUEST, "the copying in '%s' was killed", c->sandbox);
    return 0;
}

static int say_status(const struct copy *c, int status, struct err *e)
{
    char size[32];

    switch (status) {
    case GUEST_COPY_NO_FOLDER:
        return err_set(e, ERR_USAGE, "'%s:%s' is not a folder, which a tar is unpacked into",
                       c->sandbox, c->inside);
    case GUEST_COPY_NOT_FOUND:
        return err_set(e, ERR_USAGE, "'%s:%s': there is no such file or folder", c->sandbox,
                       c->inside);
    case GUEST_COPY_DENIED:
        return err_set(e, ERR_REFUSED, "'%s:%s': the sandbox's user may not do that", c->sandbox,
                       c->inside);
    case GUEST_COPY_OVER:
        return err_set(e, ERR_LIMIT, "'%s:%s' is over %s (raise it with --max)", c->sandbox,
                       c->inside, str_format_size(size, sizeof(size), c->max_bytes));
    case GUEST_COPY_FULL:
        return err_set(e, ERR_GUEST, "'%s:%s': no space is left there", c->sandbox, c->inside);
    default:
        return err_set(e, ERR_GUEST, "'%s:%s' could not be copied", c->sandbox, c->inside);
    }
}

/* ---- out ------------------------------------------------------------------------------------- */

/* The last part of a path, without slashes behind it. Returns new, or NULL: it has none. */
static char *last_part(const char *path)
{
    size_t end = strlen(path), at;

    while (end > 0 && path[end - 1] == '/')
        end--;
    for (at = end; at > 0 && path[at - 1] != '/'; at--)
        ;
    if (tree_name_check(path + at, end - at) != TREE_WHY_NONE)
        return NULL;
    return str_printf("%.*s", (int)(end - at), path + at);
}

/* Where it goes: into a folder that is there, under its own name; else under a new one. */
static int find_place(const struct copy *c, char **ret_dir, char **ret_name, struct err *e)
{
    own_free char *copy = str_dup(c->outside);
    struct stat st;
    char *slash;

    if (stat(c->outside, &st) == 0 && S_ISDIR(st.st_mode)) {
        *ret_name = last_part(c->inside);
        *ret_dir = own_steal_ptr(copy);
        if (!*ret_name)
            return err_set(e, ERR_USAGE, "'%s' has no name to copy it under (give a new one)",
                           c->inside);
        return 0;
    }
    *ret_name = last_part(c->outside);
    if (!*ret_name)
        return err_set(e, ERR_USAGE, "'%s' is no name for a copy", c->outside);
    slash = copy + strlen(copy);
    while (slash > copy && slash[-1] == '/')
        *--slash = '\0';
    slash = strrchr(copy, '/');
    if (slash)
        slash[slash == copy] = '\0';
    *ret_dir = slash ? own_steal_ptr(copy) : str_dup(".");
    return 0;
}

static void note_refused(struct run_result *r, const struct unpack_result *u)
{
    for (size_t i = 0; i < doc_len(u->refused_list) && i < COPY_SHOWN; i++) {
        const struct doc *row = doc_at(u->refused_list, i);
        const char *name = "?", *why = "?";
        struct err ignored;

        doc_get_str(row, "name", &name, &ignored);
        doc_get_str(row, "why", &why, &ignored);
        run_note(r, "not copied: '%.100s': %s", name, why);
    }
    if (u->refused > COPY_SHOWN)
        run_note(r, "not copied: %" PRIu64 " entries in all", u->refused);
}

/* The one entry of the new folder gets the name that was asked for. */
static int name_it(const struct copy *c, int temp_fd, int dir_fd, const char *name, struct err *e)
{
    own_close int again = openat(temp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_closedir DIR *d = again < 0 ? NULL : fdopendir(again);
    own_free char *only = NULL;
    struct dirent *en;

    if (!d)
        return err_sys(e, ERR_HOST, errno, "cannot read the copy");
    again = -1; /* the stream's now */
    while ((errno = 0, en = readdir(d))) {
        if (strcmp(en->d_name, ".") == 0 || strcmp(en->d_name, "..") == 0)
            continue;
        if (only)
            return err_set(e, ERR_PROTOCOL, "the guest sent more than it was asked for");
        only = str_dup(en->d_name);
    }
    if (errno)
        return err_sys(e, ERR_HOST, errno, "cannot read the copy");
    if (!only)
        return err_set(e, ERR_REFUSED, "'%s:%s' is neither a file nor a folder", c->sandbox,
                       c->inside);
    if (renameat(temp_fd, only, dir_fd, name) < 0)
        return err_sys(e, ERR_USAGE, errno, "cannot make '%s'", c->outside);
    return 0;
}

static int unpack(const struct copy *c, int spool, struct run_result *r, struct err *e)
{
    own_free char *dir = NULL, *name = NULL, *temp = NULL;
    own_close int dir_fd = -1, temp_fd = -1;
    struct unpack_result u = {0};
    own_taken struct taken t = {0};
    struct err late;
    int rc;

    if (find_place(c, &dir, &name, e) < 0)
        return -1;
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    temp = str_printf("%s/.lazaret-cp-XXXXXX", dir);
    if (dir_fd < 0 || !mkdtemp(temp))
        return err_sys(e, ERR_USAGE, errno, "cannot write to folder '%s'", dir);
    rc = file_open_dir(temp, &temp_fd, e);
    if (rc == 0)
        rc = unpack_listed(c->unpack_path, spool, temp_fd, &(struct strv){0}, c->max_bytes,
                           UNPACK_MS, &(struct unpack_list){.made = taken_add, .arg = &t}, &u, e);
    if (rc == 0)
        note_refused(r, &u);
    doc_free(u.refused_list);
    taken_sum(&t, &u);
    if (rc == 0)
        rc = taken_tell(c->data_dir, c->sandbox, TAKEN_COPY, &t, e);
    if (rc == 0)
        rc = name_it(c, temp_fd, dir_fd, name, e);
    if (file_remove_tree(AT_FDCWD, temp, &late) < 0)
        run_note(r, "%s", late.text);
    return rc;
}

/* To stdout, as a tar. */
static int give_tar(const struct copy *c, int spool, struct run_result *r, struct err *e)
{
    own_free char *top = last_part(c->inside);
    own_taken struct taken t = {0};
    struct copy_tar_made made;

    if (!top)
        return err_set(e, ERR_USAGE, "'%s' has no name for the top of the tar", c->inside);
    if (copy_tree_to_tar(spool, top, c->max_bytes, STDOUT_FILENO, &made, r, e) < 0)
        return err_wrap(e, "'%s:%s'", c->sandbox, c->inside);
    t.files = 1;
    t.bytes = made.bytes;
    taken_add(&t, "", made.bytes, made.sha256);
    return taken_tell(c->data_dir, c->sandbox, TAKEN_TAR, &t, e);
}

int copy_out(const struct copy *c, struct run_result *ret, struct err *e)
{
    own_strv struct strv argv = {0};
    own_close int spool = -1;
    bool as_tar = strcmp(c->outside, COPY_TAR) == 0;

    if (as_tar && isatty(STDOUT_FILENO))
        return err_set(e, ERR_USAGE, "a tar is not written to a terminal");
    if (open_spool(c, &spool, e) < 0)
        return -1;
    strv_add(&argv, GUEST_JOB_INIT);
    strv_add(&argv, "--collect");
    strv_add(&argv, c->inside);
    strv_addf(&argv, "%" PRIu64, c->max_bytes);
    if (run_agent(c, &argv, -1, spool, ret, e) < 0)
        return -1;
    if (ret->exit_code != GUEST_COPY_DONE)
        return say_status(c, ret->exit_code, e);
    return as_tar ? give_tar(c, spool, ret, e) : unpack(c, spool, ret, e);
}

/* ---- in -------------------------------------------------------------------------------------- */

static int fill_spool(const struct copy *c, int spool, struct run_result *r, struct err *e)
{
    static struct walk w; /* large */
    static uint8_t buf[65536];
    own_free char *real = realpath(c->outside, NULL);
    char *base = real ? strrchr(real, '/') : NULL;
    size_t n;

    if (!real)
        return err_sys(e, ERR_USAGE, errno, "cannot read '%s'", c->outside);
    if (!base[1])
        return err_set(e, ERR_USAGE, "'/' is not copied");
    *base++ = '\0';
    walk_init(&w);
    walk_open(&w, real[0] ? real : "/", base, UINT64_MAX);
    while ((n = walk_read(&w, buf, sizeof(buf))) > 0)
        if (file_write_all(spool, buf, n) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot write a file in '%s'", c->data_dir);
    if (w.how != WALK_DONE)
        return err_set(e, ERR_USAGE, "cannot read '%s' whole (at most %u entries)", c->outside,
                       TREE_ENTRIES_MAX);
    if (w.skipped > 0 && w.entries == 2)
        return err_set(e, ERR_USAGE, "'%s' is not a file or folder that may be read", c->outside);
    if (w.skipped > 0)
        run_note(r, "not copied: %u entries: links, devices, set-id files, or not readable",
                 w.skipped);
    return 0;
}

/* All of stdin, which may be no tar and never end. */
static int fill_tar(const struct copy *c, int tar, struct err *e)
{
    static uint8_t buf[65536];
    uint64_t left = c->max_bytes;
    char size[32];
    ssize_t n;

    while ((n = read(STDIN_FILENO, buf, sizeof(buf))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_USAGE, errno, "cannot read stdin");
        if ((uint64_t)n > left)
            return err_set(e, ERR_LIMIT, "the tar on stdin is over %s (raise it with --max)",
                           str_format_size(size, sizeof(size), c->max_bytes));
        left -= (uint64_t)n;
        if (file_write_all(tar, buf, (size_t)n) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot write a file in '%s'", c->data_dir);
    }
    return 0;
}

static int take_tar(const struct copy *c, int spool, struct run_result *r, struct err *e)
{
    own_close int tar = -1;

    if (isatty(STDIN_FILENO))
        return err_set(e, ERR_USAGE, "stdin is a terminal, and no tar");
    if (open_spool(c, &tar, e) < 0 || fill_tar(c, tar, e) < 0)
        return -1;
    return copy_tar_to_tree(tar, spool, r, e) < 0 ? err_wrap(e, "the tar on stdin") : 0;
}

int copy_in(const struct copy *c, struct run_result *ret, struct err *e)
{
    own_strv struct strv argv = {0};
    own_close int spool = -1;
    struct run_result notes = {0};
    bool as_tar = strcmp(c->outside, COPY_TAR) == 0;

    if (open_spool(c, &spool, e) < 0 ||
        (as_tar ? take_tar(c, spool, &notes, e) : fill_spool(c, spool, &notes, e)) < 0)
        return -1;
    if (lseek(spool, 0, SEEK_SET) < 0)
        return err_sys(e, ERR_HOST, errno, "lseek");
    strv_add(&argv, GUEST_JOB_INIT);
    strv_add(&argv, as_tar ? "--place-in" : "--place");
    strv_add(&argv, c->inside);
    if (run_agent(c, &argv, spool, -1, ret, e) < 0)
        return -1;
    if (notes.notes[0])
        run_note(ret, "%s", notes.notes);
    return ret->exit_code == GUEST_COPY_DONE ? 0 : say_status(c, ret->exit_code, e);
}
