/* cmd_image_move: `lazaret image export` and `import`: images on their way from store to store. */
#include "base/own.h"
#include "base/str.h"
#include "cli/cmd_image.h"
#include "images/image.h"
#include "images/image_archive.h"
#include "images/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct progress progress_on_stderr = {.line = cmd_image_progress};

/* ---- export ---- */

const char help_image_export[] =
    "usage: lazaret image export [--json] IMAGE FILE\n"
    "\n"
    "Hashes every blob of the image, and writes it with its signatures to one file, which\n"
    "`lazaret image import` takes; the same image makes the same file. An older FILE is replaced\n"
    "as a whole; - is stdout.\n"
    "\n"
    "  --json  one JSON object on stdout: digest, file, bytes\n";

/* Into a new file beside `path`, which takes its place when it is complete and on the disk. */
static int export_to_file(struct image *im, const char *path, uint64_t *ret_size_bytes,
                          struct err *e)
{
    own_free char *temp = NULL;
    own_close int fd = -1;
    struct stat st;
    uint32_t tag;

    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "'%s' is there and is not a regular file", path);
    if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
        return err_sys(e, ERR_HOST, errno, "getrandom");
    temp = str_printf("%s.%08x.tmp", path, tag);
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write '%s'", path);
    if (image_archive_write(im, fd, &progress_on_stderr, ret_size_bytes, e) < 0) {
        unlink(temp);
        return err_wrap(e, "'%s'", path);
    }
    if (fsync(fd) < 0 || rename(temp, path) < 0) {
        int errnum = errno;

        unlink(temp);
        return err_sys(e, ERR_HOST, errnum, "cannot write '%s'", path);
    }
    return 0;
}

static int print_export(const struct image *im, const char *path, uint64_t bytes, bool json)
{
    char size[32];

    if (json) {
        own_doc struct doc *d = doc_new_object();

        doc_set_str(d, "digest", im->digest);
        doc_set_str(d, "file", path);
        doc_set_u64(d, "bytes", bytes);
        cli_print_doc(d);
    } else {
        printf("%s: sha256:%s, %s\n", path, im->digest, cmd_image_size(size, sizeof(size), bytes));
    }
    return cli_flush();
}

int cmd_image_export(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    own_cmd_image struct cmd_image c = {0};
    own_image struct image *im = NULL;
    uint64_t bytes;
    struct err e;
    int status = cmd_image_begin(&argc, argv, options, 2, 2, &c);
    bool to_stdout = status < 0 && strcmp(argv[2], "-") == 0;

    if (status >= 0)
        return status;
    if (to_stdout && json)
        return cli_misuse(argv[0], "--json and - exclude each other");
    if (to_stdout && isatty(STDOUT_FILENO))
        return cli_misuse(argv[0], "stdout is a terminal");
    if (image_look(c.store, argv[1], &im, &e) < 0)
        return cli_fail(&e);
    if (to_stdout)
        return image_archive_write(im, STDOUT_FILENO, &progress_on_stderr, &bytes, &e) < 0
                   ? cli_fail(&e)
                   : 0;
    if (export_to_file(im, argv[2], &bytes, &e) < 0)
        return cli_fail(&e);
    return print_export(im, argv[2], bytes, json);
}

/* ---- import ---- */

const char help_image_import[] =
    "usage: lazaret image import SOURCE --tag NAME [--base NAME] [--json]\n"
    "       lazaret image import [archive:]FILE [--tag NAME] [--json]\n"
    "\n"
    "Makes an image of lazaret from an image for docker or another OCI runtime, or takes one that\n"
    "`lazaret image export` wrote. Nothing of it is unpacked on the host, mounted or run. Prints "
    "the\n"
    "digest of the new image.\n"
    "\n"
    "SOURCE is one of\n"
    "  oci:DIR[:TAG]              an OCI image layout\n"
    "  docker-archive:FILE[:REF]  what 'docker save' writes; may be compressed\n"
    "  oci-archive:FILE[:TAG]     an OCI image layout in a tar; may be compressed\n"
    "  docker://REF               from a registry, by skopeo\n"
    "FILE may be - for stdin.\n"
    "\n"
    "  -t, --tag NAME  what to call it; an archive's image can do without a name, until\n"
    "                  `lazaret image prune`\n"
    "  --base NAME     the image whose kernel and guest agent it gets (default: default)\n"
    "  --json          print one JSON object\n";

/* The file of an archive of ours; NULL: the source is something else. Borrows. */
static const char *archive_of(const char *source)
{
    size_t word = strspn(source, "abcdefghijklmnopqrstuvwxyz-");

    if (str_starts_with(source, "archive:"))
        return source + strlen("archive:");
    return word > 0 && source[word] == ':' ? NULL : source;
}

static int import_archive(const struct cmd_image *c, const char *path, const char *name,
                          char ret_digest[DIGEST_HEX_SIZE], struct err *e)
{
    bool from_stdin = strcmp(path, "-") == 0;
    own_close int opened = from_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    own_store struct store s = STORE_INIT;

    if (name && !store_is_name(name))
        return err_set(e, ERR_USAGE, "'%s' is not a name for an image", name);
    if (!from_stdin && opened < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", path);
    if (store_open(c->store, STORE_ADD, &s, e) < 0)
        return -1;
    if (image_archive_read(&s, from_stdin ? STDIN_FILENO : opened, &progress_on_stderr, ret_digest,
                           e) < 0)
        return err_wrap(e, "'%s'", path);
    return name ? store_name_set(&s, STORE_TAGS, name, ret_digest, e) : 0;
}

static void print_import(const char *name, const char *digest, bool json)
{
    own_doc struct doc *d = NULL;

    if (!json) {
        printf("sha256:%s\n", digest);
        return;
    }
    d = doc_new_object();
    if (name)
        doc_set_str(d, "name", name);
    doc_set_str(d, "digest", digest);
    cli_print_doc(d);
}

int cmd_image_import(int argc, char **argv)
{
    const char *tag = NULL, *base = NULL, *archive;
    bool json = false;
    const struct cli_option options[] = {
        {.name = "--tag", .ret_value = &tag},
        {.name = "-t", .ret_value = &tag},
        {.name = "--base", .ret_value = &base},
        {.name = "--json", .ret_flag = &json},
        {0},
    };
    own_cmd_image struct cmd_image c = {0};
    char digest[DIGEST_HEX_SIZE];
    struct err e;
    int status = cmd_image_begin(&argc, argv, options, 1, 1, &c);
    int rc;

    if (status >= 0)
        return status;
    archive = archive_of(argv[1]);
    if (archive && base)
        return cli_misuse(argv[0], "an archive has its own kernel and agent, and takes no --base");
    if (!archive && !tag)
        return cli_misuse(argv[0], "what shall it be called? (--tag NAME)");
    if (archive)
        rc = import_archive(&c, archive, tag, digest, &e);
    else
        rc = image_import(&(struct image_import){.store_dir = c.store,
                                                 .source = argv[1],
                                                 .tag = tag,
                                                 .base = base ? base : "default",
                                                 .progress = progress_on_stderr},
                          digest, &e);
    if (rc < 0)
        return cli_fail(&e);
    print_import(tag, digest, json);
    return cli_flush();
}
