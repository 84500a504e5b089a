/* cmd_diff: `lazaret diff`: which files of a sandbox were added, changed or removed. */
#include "base/log.h"
#include "base/own.h"
#include "channel/unpack.h"
#include "cli/cli.h"
#include "run/diff.h"
#include "run/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct asked {
    const char *out, *out_max;
    bool json;
};

static int parse(int argc, char **argv, struct asked *ret, struct diff *d)
{
    const struct cli_option options[] = {{.name = "--out", .ret_value = &ret->out},
                                         {.name = "--out-max", .ret_value = &ret->out_max},
                                         {.name = "--json", .ret_flag = &ret->json},
                                         {0}};
    int status;

    status = cli_parse_sandbox(&argc, argv, options, help_diff, 2);
    if (status >= 0)
        return status;
    if (ret->out_max && !ret->out)
        return cli_misuse(argv[0], "--out-max needs --out");
    d->sandbox = argv[1];
    d->earlier = argc > 2 ? argv[2] : NULL;
    d->later = argc > 3 ? argv[3] : NULL;
    return -1;
}

/* One row after another: there may be 100,000. */
static int print_rows(int fd, bool json, struct err *e)
{
    own_free struct look_rows *rows = calloc(1, sizeof(*rows));
    char line[LOOK_TEXT_SIZE];
    struct look_row row;
    bool more = true, first = true;

    if (!rows)
        return err_set(e, ERR_HOST, "out of memory");
    rows->fd = fd;
    for (;;) {
        if (look_rows_next(rows, &row, &more, e) < 0)
            return -1;
        if (!more)
            return 0;
        if (json) {
            own_doc struct doc *d = look_row_doc(&row);
            own_free char *text = doc_format(d, false);

            printf("%s%s", first ? "" : ",", text);
        } else {
            printf("%s\n", look_row_format_text(line, &row));
        }
        first = false;
    }
}

static int print(const struct asked *a, int rows_fd, const struct look_result *r,
                 const struct unpack_result *out, struct err *e)
{
    if (a->json)
        printf("{\"changes\":[");
    if (print_rows(rows_fd, a->json, e) < 0)
        return -1;
    if (a->json) {
        printf("],\"added\":%" PRIu64 ",\"changed\":%" PRIu64 ",\"removed\":%" PRIu64
               ",\"unread\":%" PRIu64 ",\"whole\":%s",
               r->added, r->changed, r->removed, r->unread,
               r->cut || r->spent || r->unread ? "false" : "true");
        if (a->out)
            printf(",\"out_files\":%" PRIu64 ",\"out_bytes\":%" PRIu64 ",\"out_refused\":%" PRIu64,
                   out->files, out->bytes, out->refused);
        printf("}\n");
        return 0;
    }
    if (r->cut)
        log_msg(LOG_WARN, "there are more differences than these");
    if (r->spent)
        log_msg(LOG_WARN, "the disk is damaged, or lies: not all of it was compared");
    if (out->refused)
        log_msg(LOG_WARN, "%" PRIu64 " entries were not written to '%s'", out->refused, a->out);
    return 0;
}

int cmd_diff(int argc, char **argv)
{
    own_paths struct cli_paths paths = {0};
    own_close int out_fd = -1, rows = -1;
    struct diff d = {.out_fd = -1, .out_max_bytes = PLAN_OUT_MAX_DEFAULT};
    struct unpack_result out = {0};
    struct look_result r = {0};
    struct asked a = {0};
    struct err e;
    int status = parse(argc, argv, &a, &d), rc;

    if (status >= 0)
        return status;
    if ((a.out_max &&
         str_parse_size(a.out_max, "--out-max", 0, PLAN_DISK_MAX, &d.out_max_bytes, &e) < 0) ||
        cli_paths_find(&paths, &e) < 0 || (a.out && run_open_out(a.out, false, &out_fd, &e) < 0))
        return cli_fail(&e);
    rows = memfd_create("lazaret-rows", MFD_CLOEXEC);
    if (rows < 0) {
        err_sys(&e, ERR_HOST, errno, "memfd_create");
        return cli_fail(&e);
    }
    d.data_dir = paths.data_dir;
    d.look_path = paths.look;
    d.unpack_path = paths.unpack;
    d.out_fd = out_fd;
    rc = diff_make(&d, rows, &r, &out, &e);
    if (rc == 0)
        rc = print(&a, rows, &r, &out, &e);
    doc_free(out.refused_list);
    return rc < 0 ? cli_fail(&e) : cli_flush();
}
