/* cmd_record: `lazaret record`: ls, show, export, statement, key. */
#include "base/own.h"
#include "cli/cli.h"
#include "record/bundle.h"
#include "record/read.h"
#include "record/statement.h"
#include "record/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char help_record[] =
    "usage: lazaret record ls [--json]\n"
    "       lazaret record show [--json] RUN\n"
    "       lazaret record export RUN -o FILE\n"
    "       lazaret record statement RUN\n"
    "       lazaret record key\n"
    "\n"
    "What runs and sandboxes did, as the host wrote it down. RUN is a run's id, the beginning of\n"
    "one, or a sandbox's name, whose last life it is.\n"
    "\n"
    "  ls          list them\n"
    "  show        print one, line by line\n"
    "  export      write one with all that it takes to check it elsewhere, a tar archive\n"
    "  statement   print an in-toto statement of one, signed (DSSE)\n"
    "  key         print this host's public key\n"
    "\n"
    "  -o FILE     where export writes to; it may not be there\n"
    "  --json      JSON on stdout: an array, or the lines as they are\n"
    "\nSee lazaret-record(1), lazaret-verify(1).\n";

struct asked {
    const char *data_dir, *run, *out;
    bool json;
};

static void print_row(const struct doc *row)
{
    const struct doc *argv = NULL;
    struct err none;
    char began[20];

    snprintf(began, sizeof(began), "%s", cli_text(row, "began"));
    printf("%-40s %-8s %-20s %8.1f K ", cli_text(row, "id"), cli_text(row, "state"), began,
           (double)cli_number(row, "bytes") / 1024.0);
    if (doc_has(row, "debug"))
        printf(" (debug, not confined)");
    if (doc_get_array(row, "command", &argv, &none) == 0)
        for (size_t i = 0; i < doc_len(argv) && i < 8; i++) {
            const char *word = doc_str_at(argv, i);
            char shown[64];

            str_escape(shown, sizeof(shown), word ? word : "?", word ? strlen(word) : 1);
            printf(" %s", shown);
        }
    putchar('\n');
}

static int list(const struct asked *a, struct err *e)
{
    own_doc struct doc *rows = NULL;

    if (record_list(a->data_dir, &rows, e) < 0)
        return -1;
    if (a->json) {
        cli_print_doc(rows);
        return 0;
    }
    printf("%-40s %-8s %-20s %10s  %s\n", "RECORD", "STATE", "BEGAN", "SIZE", "COMMAND");
    for (size_t i = 0; i < doc_len(rows); i++)
        print_row(doc_at(rows, i));
    return 0;
}

/* Finds and opens the record that was asked for. */
static int open_asked(const struct asked *a, char id[RECORD_ID_SIZE], int *ret_fd, struct err *e)
{
    if (record_find(a->data_dir, a->run, id, e) < 0)
        return -1;
    return record_open(a->data_dir, id, ret_fd, e);
}

static int print_line(const struct record_line *line, void *arg, struct err *e)
{
    static const char *const shown[] = {"seq", "time", "by", "type", "prev"};
    const struct asked *a = arg;
    own_doc struct doc *rest = NULL;
    own_free char *text = NULL;
    const char *by = "?";
    struct err none;

    (void)e;
    if (a->json) {
        printf("%.*s\n", (int)line->len, line->text);
        return 0;
    }
    doc_get_str(line->d, "by", &by, &none);
    rest = doc_copy(line->d);
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        doc_remove(rest, shown[i]);
    text = doc_format(rest, false);
    printf("%.23s %-5s %-9s %s\n", line->time, by, line->type, text);
    return 0;
}

static int show(const struct asked *a, struct err *e)
{
    char id[RECORD_ID_SIZE], why[256];
    own_close int fd = -1;
    enum record_ends ends;

    if (open_asked(a, id, &fd, e) < 0 ||
        record_read(fd, print_line, (void *)(uintptr_t)a, &ends, why, sizeof(why), e) < 0)
        return -1;
    return ends == RECORD_ENDS_WRONG ? err_set(e, ERR_HOST, "%s (see 'lazaret verify %s')", why, id)
                                     : 0;
}

static int export(const struct asked *a, struct err *e)
{
    own_free char *ledger = NULL, *pem = NULL;
    own_close int fd = -1, out = -1;
    char id[RECORD_ID_SIZE];
    struct sign_public key;
    size_t len;

    /* The ledger before the record: of one that is written to, the record may know more, and that
     * is no contradiction. */
    if (open_asked(a, id, &fd, e) < 0 || ledger_public(a->data_dir, &pem, &key, e) < 0 ||
        ledger_read(a->data_dir, &ledger, &len, e) < 0)
        return -1;
    out = open(a->out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (out < 0)
        return err_sys(e, ERR_USAGE, errno, "-o: cannot make '%s'", a->out);
    if (bundle_write(out, fd, id, ledger, len, pem, e) == 0) {
        if (fsync(out) == 0)
            return 0;
        err_sys(e, ERR_HOST, errno, "cannot write '%s'", a->out);
    }
    unlink(a->out);
    return -1;
}

/* Only of what is whole: a statement is for those who will not look again. */
static int check_whole(const struct asked *a, int fd, const char *id, struct err *e)
{
    struct verify_report r;

    if (verify_own(a->data_dir, fd, id, &r, e) < 0)
        return -1;
    return r.verdict == VERIFY_WHOLE
               ? 0
               : err_set(e, ERR_HOST, "the record of '%s' is not whole: %s", id, r.why);
}

static int statement(const struct asked *a, struct err *e)
{
    own_ledger struct ledger l = {.fd = -1};
    own_doc struct doc *d = NULL;
    char id[RECORD_ID_SIZE];
    own_close int fd = -1;

    if (open_asked(a, id, &fd, e) < 0 || check_whole(a, fd, id, e) < 0 ||
        ledger_open(a->data_dir, &l, e) < 0 || statement_make(fd, &l, &d, e) < 0)
        return -1;
    cli_print_doc(d);
    return 0;
}

static int print_key(const struct asked *a, struct err *e)
{
    own_free char *pem = NULL;
    struct sign_public key;

    if (ledger_prepare(a->data_dir, e) < 0 || ledger_public(a->data_dir, &pem, &key, e) < 0)
        return -1;
    fputs(pem, stdout);
    return 0;
}

static const struct verb {
    const char *name;
    int (*go)(const struct asked *a, struct err *e);
    bool run, json, out;
} verbs[] = {
    {"ls", list, .json = true},
    {"show", show, .run = true, .json = true},
    {"export", export, .run = true, .out = true},
    {"statement", statement, .run = true},
    {"key", print_key},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

int cmd_record(int argc, char **argv)
{
    struct asked a = {0};
    const struct cli_option options[] = {
        {.name = "-o", .ret_value = &a.out}, {.name = "--json", .ret_flag = &a.json}, {0}};
    own_paths struct cli_paths paths = {0};
    const struct verb *v;
    struct err e;
    int status = cli_parse(&argc, argv, options, help_record);

    if (status >= 0)
        return status;
    v = find_verb(argc > 1 ? argv[1] : "");
    if (!v)
        return cli_misuse(argv[0], "ls, show, export, statement or key");
    if (argc != 2 + v->run || (a.json && !v->json) || (a.out != NULL) != v->out)
        return cli_misuse(argv[0], "%s takes %s%s", v->name, v->run ? "a run" : "no argument",
                          v->out ? " and -o FILE" : "");
    if (cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    a.data_dir = paths.data_dir;
    a.run = argv[2];
    if (v->go(&a, &e) < 0)
        return cli_fail(&e);
    return cli_flush();
}
