/* cmd_unseal: `lazaret keygen` and `unseal`: keys for sealed files, and opening those. */
#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "channel/unpack.h"
#include "cli/cli.h"
#include "images/sealed_tar.h"
#include "run/run.h"
#include "seal/key.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNPACK_MS 3600000u

const char help_keygen[] =
    "usage: lazaret keygen [--json] FILE\n"
    "\n"
    "Makes a key that opens sealed files: FILE, which only you can read and which may not be\n"
    "there. Prints the public key, to seal to. age takes both, and we take age's.\n"
    "\n"
    "  --json  one JSON object on stdout: file, public\n";

const char help_unseal[] =
    "usage: lazaret unseal --identity FILE [--json] SEALED DIR\n"
    "       lazaret unseal --identity FILE SEALED -\n"
    "\n"
    "Opens SEALED, such as the out.tar.age of a run with --out-recipient, and unpacks the archive\n"
    "in it into DIR, which must be empty or new; or writes what is in it to stdout.\n"
    "\n"
    "  --identity FILE  the key, a file that only you can read\n"
    "  --json           one JSON object on stdout: files, folders, bytes, refused\n";

int cmd_keygen(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    char public[SEAL_PUBLIC_SIZE];
    struct seal_public p;
    struct err e;
    int status = cli_parse(&argc, argv, options, help_keygen);

    if (status >= 0)
        return status;
    if (argc != 2)
        return cli_misuse(argv[0], "which file shall the key be in?");
    if (seal_identity_make(argv[1], &p, &e) < 0)
        return cli_fail(&e);
    seal_public_format(&p, public);
    if (json) {
        own_doc struct doc *d = doc_new_object();

        doc_set_str(d, "file", argv[1]);
        doc_set_str(d, "public", public);
        cli_print_doc(d);
    } else {
        puts(public);
    }
    return cli_flush();
}

static int open_file(const char *path, int *ret_fd, struct err *e)
{
    own_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, ERR_USAGE, errno, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "'%s' is not a file", path);
    *ret_fd = own_steal_fd(fd);
    return 0;
}

static void say_refused(const struct doc *list)
{
    for (size_t i = 0; i < doc_len(list); i++)
        log_msg(LOG_WARN, "refused: '%s': %s", cli_text(doc_at(list, i), "name"),
                cli_text(doc_at(list, i), "why"));
}

/* Nothing has a name in the folder before all of the archive was opened. */
static int unseal_to_dir(int sealed, const struct seal_identity *id, const char *path, bool json,
                         struct err *e)
{
    own_paths struct cli_paths paths = {0};
    own_close int dir = -1, plain = -1, tree = -1;
    struct unpack_result u = {0};
    own_doc struct doc *d = NULL;

    if (cli_paths_find(&paths, e) < 0 || run_open_out(path, false, &dir, e) < 0 ||
        file_open_unnamed(path, &plain, e) < 0 || file_open_unnamed(path, &tree, e) < 0 ||
        sealed_tar_to_tree(sealed, id, plain, tree, e) < 0 ||
        unpack_run(paths.unpack, tree, dir, UINT64_MAX, UNPACK_MS, &u, e) < 0)
        return -1;
    say_refused(u.refused_list);
    doc_free(u.refused_list);
    if (!json)
        return 0;
    d = doc_new_object();
    doc_set_u64(d, "files", u.files);
    doc_set_u64(d, "folders", u.folders);
    doc_set_u64(d, "bytes", u.bytes);
    doc_set_u64(d, "refused", u.refused);
    cli_print_doc(d);
    return 0;
}

int cmd_unseal(int argc, char **argv)
{
    bool json = false;
    const char *identity = NULL;
    const struct cli_option options[] = {
        {.name = "--json", .ret_flag = &json}, {.name = "--identity", .ret_value = &identity}, {0}};
    own_seal_identity struct seal_identity *id = NULL;
    own_close int key = -1, sealed = -1;
    struct err e;
    int status = cli_parse(&argc, argv, options, help_unseal), rc;
    bool to_stdout;

    if (status >= 0)
        return status;
    if (argc != 3 || !identity)
        return cli_misuse(argv[0], "an --identity, a sealed file, and a folder or '-' are needed");
    to_stdout = strcmp(argv[2], "-") == 0;
    if (to_stdout && (json || isatty(STDOUT_FILENO)))
        return cli_misuse(argv[0], "'-' is for a file or pipe: what a guest wrote goes neither to "
                                   "a terminal nor with --json");
    if (open_file(identity, &key, &e) < 0 || seal_identity_read(key, identity, &id, &e) < 0 ||
        open_file(argv[1], &sealed, &e) < 0)
        return cli_fail(&e);
    rc = to_stdout ? sealed_to_fd(sealed, id, STDOUT_FILENO, &e)
                   : unseal_to_dir(sealed, id, argv[2], json, &e);
    if (rc < 0) {
        err_wrap(&e, "'%s'", argv[1]);
        return cli_fail(&e);
    }
    return cli_flush();
}
