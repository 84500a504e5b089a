/* cmd_report: `lazaret report` and `events`: what is on record, as a page, or line by line as it
 * comes. */
#include "base/own.h"
#include "cli/cli.h"
#include "cli/output_file.h"
#include "record/store.h"
#include "report/about.h"
#include "report/follow.h"
#include "report/report.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

const char help_report[] =
    "usage: lazaret report [-o FILE] RUN\n"
    "\n"
    "Shows what is on record of a run or sandbox as one page of HTML, which loads and runs "
    "nothing\n"
    "and can be printed: how it ended, whether the record is whole, what ran, what was refused,\n"
    "what left, what it used, what confined it. RUN is as in `lazaret record ls`.\n"
    "\n"
    "  -o FILE  write it to FILE, which may be there, and not to stdout\n";

const char help_events[] =
    "usage: lazaret events [--follow] [--json | --syslog] [NAME|RUN]\n"
    "\n"
    "Prints what is on record of all runs and sandboxes, or of one, a line each.\n"
    "\n"
    "  --follow  go on with what comes, until interrupted\n"
    "  --json    the lines of the records as they are, and \"record\", its id\n"
    "  --syslog  write to syslog(3) and not to stdout; alerts as warnings\n";

/* By the ledger and the key of this data folder. */
static int open_and_verify(const char *data_dir, const char *run, int *ret_fd,
                           struct verify_report *ret, struct err *e)
{
    own_close int fd = -1;
    char id[RECORD_ID_SIZE];

    if (record_find(data_dir, run, id, e) < 0 || record_open(data_dir, id, &fd, e) < 0 ||
        verify_own(data_dir, fd, id, ret, e) < 0)
        return -1;
    *ret_fd = own_steal_fd(fd);
    return 0;
}

int cmd_report(int argc, char **argv)
{
    const char *out = NULL;
    const struct cli_option options[] = {{.name = "-o", .ret_value = &out}, {0}};
    own_paths struct cli_paths paths = {0};
    own_report_lines struct report_lines lines = {0};
    own_str struct str page = {0};
    own_close int fd = -1;
    struct verify_report v;
    struct err e;
    int status = cli_parse(&argc, argv, options, help_report);

    if (status >= 0)
        return status;
    if (argc != 2)
        return cli_misuse(argv[0], "which run?");
    if (cli_paths_find(&paths, &e) < 0 ||
        open_and_verify(paths.data_dir, argv[1], &fd, &v, &e) < 0 ||
        report_lines_read(fd, &lines, &e) < 0)
        return cli_fail(&e);
    report_format(&lines, &v, &page);
    if (out && output_file(out, page.data, page.len, 0600, &e) < 0)
        return cli_fail(&e);
    if (!out)
        (void)fwrite(page.data, 1, page.len, stdout);
    return cli_flush();
}

struct printing {
    bool json, to_syslog;
};

static int print_json(const char *id, const struct report_line *line)
{
    own_doc struct doc *d = doc_copy(line->d);
    own_free char *text = NULL;

    doc_set_str(d, "record", id);
    text = doc_format(d, false);
    puts(text);
    return cli_flush();
}

static int print_event(const char *id, const struct report_line *line, void *arg, struct err *e)
{
    const struct printing *p = arg;
    own_str struct str about = {0};
    char words[600], guest[] = "(guest) ";

    if (p->json)
        return print_json(id, line) == 0 ? 0 : err_set(e, ERR_HOST, "cannot write to stdout");
    report_about(line, &about);
    str_escape(words, sizeof(words), about.data ? about.data : "", about.len);
    if (strcmp(line->by, "host") == 0)
        guest[0] = '\0';
    if (p->to_syslog) {
        syslog(report_mood(line) == REPORT_BAD ? LOG_WARNING : LOG_INFO, "%s: %s: %s%s", id,
               line->type, guest, words);
        return 0;
    }
    printf("%s %s %s: %s%s\n", line->time, id, line->type, guest, words);
    return cli_flush() == 0 ? 0 : err_set(e, ERR_HOST, "cannot write to stdout");
}

int cmd_events(int argc, char **argv)
{
    struct printing p = {0};
    bool follow = false;
    const struct cli_option options[] = {{.name = "--follow", .ret_flag = &follow},
                                         {.name = "--json", .ret_flag = &p.json},
                                         {.name = "--syslog", .ret_flag = &p.to_syslog},
                                         {0}};
    own_paths struct cli_paths paths = {0};
    own_follow struct follow *f = NULL;
    struct err e;
    int status = cli_parse(&argc, argv, options, help_events);

    if (status >= 0)
        return status;
    if (argc > 2)
        return cli_misuse(argv[0], "unexpected argument '%s'", argv[2]);
    if (p.json && p.to_syslog)
        return cli_misuse(argv[0], "--json and --syslog exclude each other");
    if (cli_paths_find(&paths, &e) < 0 ||
        follow_open(paths.data_dir, argc == 2 ? argv[1] : NULL, &f, &e) < 0)
        return cli_fail(&e);
    if (p.to_syslog)
        openlog("lazaret", LOG_PID, LOG_USER);
    do {
        struct pollfd more = {.fd = follow_fd(f), .events = POLLIN};

        if (follow_read(f, print_event, &p, &e) < 0)
            return cli_fail(&e);
        if (follow && poll(&more, 1, -1) < 0 && errno != EINTR)
            return cli_fail((err_sys(&e, ERR_HOST, errno, "cannot wait for the next record"), &e));
    } while (follow);
    return cli_flush();
}
