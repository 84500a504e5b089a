/* cmd_stats: `lazaret stats`: what sandboxes have used and use, once or again and again. */
#include "base/clock.h"
#include "base/own.h"
#include "cli/cli.h"
#include "cli/live.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_MS     2000u
#define INTERVAL_MAX_MS 3600000u

const char help_stats[] =
    "usage: lazaret stats [--json] [--watch] [--interval TIME] [NAME]\n"
    "\n"
    "Prints what a sandbox has used, by the host's count: processor time, memory, disks. Then,\n"
    "apart, what the guest says, which may be a lie: memory, disk, and each command's use. "
    "Without\n"
    "NAME, or with --watch, a line for each sandbox that is up.\n"
    "\n"
    "  --watch          again and again until interrupted, with the share of processors since "
    "then\n"
    "  --interval TIME  how often (2 s)\n"
    "  --json           one JSON object on stdout; of several sandboxes an array of them, each "
    "time\n";

static void print_stats(const struct doc *d)
{
    const struct doc *disks = NULL;
    char memory[32], resident[32];
    struct err missing;

    printf("cpu       %.2f s (user %.2f, system %.2f), %" PRIu64 " virtual\n",
           (double)cli_number(d, "cpu_ns") / 1e9, (double)cli_number(d, "user_ns") / 1e9,
           (double)cli_number(d, "system_ns") / 1e9, cli_number(d, "vcpus"));
    printf("memory    %s of the guest, %s resident\n",
           str_format_size(memory, sizeof(memory), cli_number(d, "memory_bytes")),
           str_format_size(resident, sizeof(resident), cli_number(d, "resident_bytes")));
    doc_get_array(d, "disks", &disks, &missing);
    for (size_t i = 0; disks && i < doc_len(disks); i++) {
        const struct doc *disk = doc_at(disks, i);
        printf("disk %-4s %" PRIu64 " bytes on the host, %" PRIu64 " read, %" PRIu64 " written\n",
               cli_text(disk, "target"), cli_number(disk, "physical_bytes"),
               cli_number(disk, "read_bytes"), cli_number(disk, "written_bytes"));
    }
}

static void print_execs(const struct doc *list)
{
    char memory[32], peak[32];

    printf("  %-5s %9s %11s %11s %s\n", "EXEC", "CPU", "MEMORY", "PEAK", "PIDS");
    for (size_t i = 0; i < doc_len(list); i++) {
        const struct doc *row = doc_at(list, i);

        printf("  %-5" PRIu64 " %7.2f s %11s %11s %" PRIu64 "\n", cli_number(row, "exec"),
               (double)cli_number(row, "cpu_us") / 1e6,
               str_format_size(memory, sizeof(memory), cli_number(row, "memory_bytes")),
               str_format_size(peak, sizeof(peak), cli_number(row, "peak_bytes")),
               cli_number(row, "pids"));
    }
}

/* Under a heading of its own: none of it is the host's knowledge. */
static void print_guest(const struct doc *d)
{
    const struct doc *list = NULL;
    char spare[32], total[32];
    struct err missing;

    if (strcmp(cli_text(d, "state"), "told") != 0) {
        printf("the guest says nothing: it %s\n", strcmp(cli_text(d, "state"), "paused") == 0
                                                      ? "is paused"
                                                      : "did not answer within a second");
        return;
    }
    printf("as the guest says:\n");
    printf("  memory  %s free of %s\n",
           str_format_size(spare, sizeof(spare), cli_number(d, "memory_free_bytes")),
           str_format_size(total, sizeof(total), cli_number(d, "memory_total_bytes")));
    printf("  disk    %s free of %s\n",
           str_format_size(spare, sizeof(spare), cli_number(d, "disk_free_bytes")),
           str_format_size(total, sizeof(total), cli_number(d, "disk_total_bytes")));
    doc_get_array(d, "execs", &list, &missing);
    if (list && doc_len(list) > 0)
        print_execs(list);
}

/* What the numbers before this were, for shares. */
struct before {
    struct doc *list;
    uint64_t ms;
};

/* Of what processors could have given since then; below 0: not known yet. */
static double share(const struct before *b, const struct doc *row, uint64_t now_ms)
{
    const char *name = cli_text(row, "name");

    for (size_t i = 0; b->list && i < doc_len(b->list); i++) {
        const struct doc *old = doc_at(b->list, i);
        uint64_t was = cli_number(old, "cpu_ns"), is = cli_number(row, "cpu_ns");

        if (strcmp(cli_text(old, "name"), name) == 0 && now_ms > b->ms && is >= was)
            return (double)(is - was) / 1e6 / (double)(now_ms - b->ms);
    }
    return -1;
}

static uint64_t disk_bytes(const struct doc *row)
{
    const struct doc *disks = NULL;
    uint64_t sum = 0;

    if (doc_get_array(row, "disks", &disks, &(struct err){0}) < 0)
        return 0;
    for (size_t i = 1; i < doc_len(disks); i++) /* the first is the image */
        sum += cli_number(doc_at(disks, i), "physical_bytes");
    return sum;
}

static void print_row(const struct before *b, const struct doc *row, uint64_t now_ms)
{
    double used = share(b, row, now_ms);
    char cpu[16] = "-", resident[32], disks[32];

    if (used >= 0)
        (void)snprintf(cpu, sizeof(cpu), "%.0f %%", used * 100);
    printf(
        "%-24s %-8s %6s %9.2f s %11s %11s\n", cli_text(row, "name"), cli_text(row, "state"), cpu,
        (double)cli_number(row, "cpu_ns") / 1e9,
        str_format_size(resident, sizeof(resident), cli_number(row, "resident_bytes") >> 20 << 20),
        str_format_size(disks, sizeof(disks), disk_bytes(row) >> 20 << 20));
}

static void print_table(const struct before *b, const struct doc *list, uint64_t now_ms)
{
    printf("%-24s %-8s %6s %11s %11s %11s\n", "NAME", "STATE", "CPU", "CPU TIME", "RESIDENT",
           "DISKS");
    for (size_t i = 0; i < doc_len(list); i++)
        print_row(b, doc_at(list, i), now_ms);
}

/* Once, or until stdout is gone or a signal ends us. */
static int watch(const char *data_dir, const char *only, bool again, uint64_t interval_ms,
                 bool json)
{
    struct before before = {0};
    struct err e;
    int status = 0;

    do {
        own_doc struct doc *all = NULL;
        struct doc *list = NULL;
        uint64_t now_ms = clock_mono_ms();

        if (run_list(data_dir, false, &all, &e) < 0 ||
            live_stats(data_dir, all, only, &list, &e) < 0) {
            status = cli_fail(&e);
            break;
        }
        if (json)
            cli_print_doc(list);
        else if (again && isatty(STDOUT_FILENO))
            fputs("\033[H\033[J", stdout);
        if (!json)
            print_table(&before, list, now_ms);
        doc_free(before.list);
        before = (struct before){.list = list, .ms = now_ms};
        status = cli_flush();
        if (again && status == 0)
            (void)poll(NULL, 0, (int)interval_ms);
    } while (again && status == 0);
    doc_free(before.list);
    return status;
}

int cmd_stats(int argc, char **argv)
{
    bool json = false, again = false;
    const char *interval = NULL;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json},
                                         {.name = "--watch", .ret_flag = &again},
                                         {.name = "--interval", .ret_value = &interval},
                                         {0}};
    own_paths struct cli_paths paths = {0};
    own_doc struct doc *d = NULL;
    const struct doc *guest = NULL;
    uint64_t interval_ms = INTERVAL_MS;
    struct err e;
    int status = cli_parse(&argc, argv, options, help_stats);

    if (status >= 0)
        return status;
    if (argc > 2)
        return cli_misuse(argv[0], "unexpected argument '%s'", argv[2]);
    if (interval && !again)
        return cli_misuse(argv[0], "--interval is for --watch");
    if ((interval &&
         str_parse_duration(interval, "--interval", INTERVAL_MAX_MS, &interval_ms, &e) < 0) ||
        cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    if (interval_ms == 0)
        return cli_misuse(argv[0], "--interval: not without a pause");
    if (again || argc < 2)
        return watch(paths.data_dir, argc < 2 ? NULL : argv[1], again, interval_ms, json);
    if (sandbox_stats(paths.data_dir, argv[1], &d, &e) < 0)
        return cli_fail(&e);
    if (json) {
        cli_print_doc(d);
    } else {
        print_stats(d);
        if (doc_get_object(d, "guest", &guest, &e) == 0)
            print_guest(guest);
    }
    return cli_flush();
}
