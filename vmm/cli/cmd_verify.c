/* cmd_verify: `lazaret verify`: is a record, or a bundle with one, whole and what its host wrote?
 */
#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "cli/cli.h"
#include "record/bundle.h"
#include "record/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char help_verify[] =
    "usage: lazaret verify [OPTION]... RUN|FILE\n"
    "\n"
    "Looks whether a record is whole, and what its host wrote: of a run or sandbox of this data\n"
    "folder, or a FILE (with a '/' in its name): a record, or a bundle that `lazaret record "
    "export`\n"
    "made. Needs neither a network nor libvirt. Prints one line; exit status 0: whole, 1: "
    "refused,\n"
    "2: incomplete (its writer was killed, or works still), 3: whole or incomplete, by a key that\n"
    "nothing but the bundle itself vouches for.\n"
    "\n"
    "  --trusted KEY      the public key, a file, that must have signed it (default: this host's)\n"
    "  --ledger FILE      the ledger of heads to look in (default: this host's, or the bundle's)\n"
    "  --json             one JSON object on stdout\n"
    "\nSee lazaret-verify(1).\n";

#define UNKNOWN_KEY_STATUS 3

struct asked {
    const char *what, *trusted, *ledger;
    bool json;
};

/* Whose word the key is. */
enum vouched { BY_USER, BY_HOST, BY_BUNDLE };

static int read_key(const char *path, struct sign_public *ret, struct err *e)
{
    own_free char *pem = NULL;
    size_t len;

    if (file_read(AT_FDCWD, path, SIGN_FILE_MAX, &pem, &len, e) < 0 ||
        sign_public_parse(pem, len, path, ret, e) < 0)
        return err_wrap(e, "--trusted");
    return 0;
}

/* The key that was named, else this host's. */
static int find_key(const struct asked *a, const char *data_dir, struct sign_public *ret,
                    enum vouched *ret_by, struct err *e)
{
    own_free char *pem = NULL;

    *ret_by = a->trusted ? BY_USER : BY_HOST;
    return a->trusted ? read_key(a->trusted, ret, e) : ledger_public(data_dir, &pem, ret, e);
}

static int read_ledger(const struct asked *a, const char *data_dir, char **ret, size_t *ret_len,
                       struct err *e)
{
    return a->ledger ? file_read(AT_FDCWD, a->ledger, LEDGER_MAX, ret, ret_len, e)
                     : ledger_read(data_dir, ret, ret_len, e);
}

static int verify_in_ledger(const struct asked *a, const char *data_dir, int fd, const char *id,
                            const struct sign_public *key, struct verify_report *ret, struct err *e)
{
    own_free char *ledger = NULL;
    size_t len;

    if (read_ledger(a, data_dir, &ledger, &len, e) < 0)
        return -1;
    return verify_record(
        &(struct verify_from){
            .record_fd = fd, .ledger = ledger, .ledger_len = len, .trusted = key, .id = id},
        ret, e);
}

static int verify_bundle(const struct asked *a, const char *data_dir, int fd,
                         struct verify_report *ret, enum vouched *ret_by, struct err *e)
{
    own_bundle struct bundle b = {.record_fd = -1};
    struct sign_public key, host;
    enum vouched by;
    struct err none;

    if (bundle_open(fd, &b, e) < 0)
        return err_wrap(e, "%s", a->what);
    key = b.key;
    *ret_by = BY_BUNDLE;
    if (a->trusted && find_key(a, data_dir, &key, ret_by, e) < 0)
        return -1;
    if (!a->trusted && find_key(a, data_dir, &host, &by, &none) == 0 &&
        strcmp(host.id, key.id) == 0)
        *ret_by = BY_HOST;
    if (a->ledger && verify_in_ledger(a, data_dir, b.record_fd, NULL, &key, ret, e) < 0)
        return -1;
    if (a->ledger && ret->verdict == VERIFY_REFUSED)
        return 0;
    return bundle_verify(&b, &key, ret, e);
}

/* A record begins with '{', and a tar archive with a name. */
static int verify_file(const struct asked *a, const char *data_dir, struct verify_report *ret,
                       enum vouched *ret_by, struct err *e)
{
    own_close int fd = open(a->what, O_RDONLY | O_CLOEXEC);
    struct sign_public key;
    char first = '{';

    if (fd < 0)
        return err_sys(e, ERR_USAGE, errno, "cannot open '%s'", a->what);
    if (pread(fd, &first, 1, 0) < 0)
        return err_sys(e, ERR_USAGE, errno, "cannot read '%s'", a->what);
    if (first != '{')
        return verify_bundle(a, data_dir, fd, ret, ret_by, e);
    if (find_key(a, data_dir, &key, ret_by, e) < 0)
        return -1;
    return verify_in_ledger(a, data_dir, fd, NULL, &key, ret, e);
}

/* What the ledger says of one that has no file. */
static void explain_missing(const struct asked *a, const char *data_dir, struct err *e)
{
    own_free char *ledger = NULL;
    const char *at, *newline;
    struct err none;
    size_t len;

    if (read_ledger(a, data_dir, &ledger, &len, &none) < 0)
        return;
    for (at = ledger; (newline = strchr(at, '\n')); at = newline + 1) {
        struct ledger_line h;

        if (ledger_line_parse(at, (size_t)(newline - at), &h, &none) < 0 ||
            strcmp(h.record, a->what) != 0)
            continue;
        if (h.state == LEDGER_REMOVED)
            err_set(e, ERR_USAGE, "the record of '%s' was removed by gc at %s", h.record, h.time);
        else
            err_set(e, ERR_REFUSED, "the record of '%s' is missing: the ledger has heads of it",
                    h.record);
    }
}

static int verify_run(const struct asked *a, const char *data_dir, struct verify_report *ret,
                      enum vouched *ret_by, struct err *e)
{
    char id[RECORD_ID_SIZE];
    own_close int fd = -1;
    struct sign_public key;

    if (record_find(data_dir, a->what, id, e) < 0) {
        explain_missing(a, data_dir, e);
        return -1;
    }
    if (record_open(data_dir, id, &fd, e) < 0 || find_key(a, data_dir, &key, ret_by, e) < 0)
        return -1;
    return verify_in_ledger(a, data_dir, fd, id, &key, ret, e);
}

static const char *const verdicts[] = {
    [VERIFY_WHOLE] = "whole", [VERIFY_REFUSED] = "refused", [VERIFY_INCOMPLETE] = "incomplete"};

static void print_json(const struct verify_report *r, enum vouched by)
{
    static const char *const words[] = {
        [BY_USER] = "user", [BY_HOST] = "host", [BY_BUNDLE] = "bundle"};
    own_doc struct doc *d = doc_new_object();

    doc_set_str(d, "verdict", verdicts[r->verdict]);
    doc_set_str(d, "record", r->id);
    doc_set_u64(d, "lines", r->lines);
    doc_set_u64(d, "signed_lines", r->signed_lines);
    doc_set_u64(d, "heads", r->heads);
    doc_set_str(d, "key", r->key);
    doc_set_str(d, "key_from", words[by]);
    doc_set_str(d, "why", r->why);
    cli_print_doc(d);
}

static int tell(const struct asked *a, const struct verify_report *r, enum vouched by)
{
    bool good = r->verdict != VERIFY_REFUSED;
    int status;

    if (a->json)
        print_json(r, by);
    else if (r->verdict == VERIFY_WHOLE)
        printf("whole: %s, %" PRIu64 " lines, signed by %.16s%s\n", r->id, r->lines, r->key,
               by == BY_BUNDLE ? ", for which only the bundle itself vouches" : "");
    else
        printf("%s: %s: %s%s\n", verdicts[r->verdict], r->id[0] ? r->id : a->what, r->why,
               good && by == BY_BUNDLE ? "; only the bundle itself vouches for its key" : "");
    status = cli_flush();
    if (status)
        return status;
    return good && by == BY_BUNDLE ? UNKNOWN_KEY_STATUS : (int)r->verdict;
}

int cmd_verify(int argc, char **argv)
{
    struct asked a = {0};
    const struct cli_option options[] = {{.name = "--trusted", .ret_value = &a.trusted},
                                         {.name = "--ledger", .ret_value = &a.ledger},
                                         {.name = "--json", .ret_flag = &a.json},
                                         {0}};
    own_paths struct cli_paths paths = {0};
    struct verify_report r;
    enum vouched by = BY_HOST;
    struct err e;
    int status = cli_parse(&argc, argv, options, help_verify), rc;

    if (status >= 0)
        return status;
    if (argc != 2)
        return cli_misuse(argv[0], "which record?");
    a.what = argv[1];
    if (cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    if (strchr(a.what, '/'))
        rc = verify_file(&a, paths.data_dir, &r, &by, &e);
    else
        rc = verify_run(&a, paths.data_dir, &r, &by, &e);
    if (rc < 0) {
        if (e.class != ERR_REFUSED)
            return cli_fail(&e);
        log_err(&e); /* a record that is gone is not what its host wrote */
        return VERIFY_REFUSED;
    }
    return tell(&a, &r, by);
}
