/* key: the table of what a run can be asked for. */
#include "plan/key.h"

#include "base/str.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RUN        KEY_OF_RUN
#define UP         KEY_OF_UP
#define FORK       KEY_OF_FORK
#define AT(member) .at = offsetof(struct plan, member)
#define WORDS(...)                                                                                 \
    .words = (const char *const[])                                                                 \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

#define TEXT   KEY_KIND_TEXT
#define WORD   KEY_KIND_WORD
#define FLAG   KEY_KIND_FLAG
#define RULES  KEY_KIND_RULES
#define LIST   KEY_KIND_LIST
#define SIZE   KEY_KIND_SIZE
#define TIME   KEY_KIND_TIME
#define NUMBER KEY_KIND_NUMBER

const struct key_row key_rows[KEYS] = {
    [KEY_NAME] = {"name", NULL, TEXT, RUN | UP | FORK,
                  "a name for people: it is on the record and in the result, and decides nothing"},
    [KEY_IMAGE] = {"image", "image", TEXT, RUN | UP, "the image to boot, by name or digest"},
    [KEY_ENTRYPOINT] = {"entrypoint", "entrypoint", TEXT, RUN,
                        "in place of the image's entrypoint and command; empty: none"},
    [KEY_COMMAND] = {"command", NULL, LIST, RUN | FORK, "the command and its arguments"},
    [KEY_ENV] = {"env", "env", LIST, RUN | UP | FORK, "variables, NAME=VALUE"},
    [KEY_WORKDIR] = {"workdir", "workdir", TEXT, RUN | UP | FORK, "where the job starts"},
    [KEY_USER] = {"user", "user", TEXT, RUN | UP | FORK,
                  "UID or UID:GID inside the container, never 0"},
    [KEY_SECRETS] = {"secrets", NULL, LIST, RUN | FORK,
                     "names of secrets that the job needs, as files in /run/secrets"},
    [KEY_SECRET_ENV] = {"secret_env", NULL, LIST, RUN | FORK,
                        "names of those that it needs in its environment"},
    [KEY_INPUTS] = {"inputs", "in", LIST, RUN | UP, "folders that go in as read-only copies"},
    [KEY_INPUT_MAX] = {"input_max", "in-max", SIZE, RUN | UP, "the most that may go in",
                       .max = PLAN_DISK_MAX, AT(in_max_bytes)},
    [KEY_INPUT_IDENTITY] = {"input_identity", "in-identity", TEXT, RUN,
                            "the file of keys that opens the one input, a sealed archive"},
    [KEY_OUTPUT] = {"output", "out", TEXT, RUN | FORK,
                    "the folder that gets what the job wrote under /out"},
    [KEY_OUTPUT_MAX] = {"output_max", "out-max", SIZE, RUN | FORK, "the most that may come out",
                        .max = PLAN_DISK_MAX, AT(out_max_bytes)},
    [KEY_OUTPUT_RECIPIENTS] = {"output_recipients", "out-recipient", LIST, RUN,
                               "public keys of age that the output is sealed to"},
    [KEY_NETWORK] = {"network", "allow", RULES, RUN | UP | FORK,
                     "where the job may connect to, through the gateway on the host"},
    [KEY_READ] = {"read", "read", LIST, RUN | UP, "paths in the container that may be read"},
    [KEY_WRITE] = {"write", "write", LIST, RUN | UP, "paths in the container that may be changed"},
    [KEY_EXEC] = {"exec", "exec", LIST, RUN | UP, "paths in the container that may be executed"},
    [KEY_MEMORY] = {"memory", "memory", SIZE, RUN | UP, "what the job may use, /tmp included",
                    PLAN_MEMORY_MIN, PLAN_MEMORY_MAX, AT(memory_bytes)},
    [KEY_CPUS] = {"cpus", "cpus", NUMBER, RUN | UP, "virtual CPUs", 1, PLAN_CPUS_MAX, AT(cpus)},
    [KEY_DISK] = {"disk", "disk", SIZE, RUN | UP, "the scratch disk: /work and /out", PLAN_DISK_MIN,
                  PLAN_DISK_MAX, PLAN_MIB, AT(disk_bytes)},
    [KEY_DISK_RATE] = {"disk_rate", "disk-rate", SIZE, RUN | UP,
                       "bytes a second that are read and written of the scratch disk", PLAN_MIB,
                       PLAN_DISK_MAX, .optional = true, AT(disk_rate_bytes)},
    [KEY_DISK_IOPS] = {"disk_iops", "disk-iops", NUMBER, RUN | UP,
                       "requests a second to the scratch disk", PLAN_IOPS_MIN, PLAN_IOPS_MAX,
                       .optional = true, AT(disk_iops)},
    [KEY_TMP] = {"tmp", "tmp", SIZE, RUN | UP, "/tmp, which is memory", PLAN_TMP_MIN,
                 PLAN_MEMORY_MAX, PLAN_TMP_MIN, AT(tmp_bytes)},
    [KEY_PIDS] = {"pids", "pids", NUMBER, RUN | UP, "processes and threads at once", 2,
                  PLAN_PIDS_MAX, AT(pids)},
    [KEY_TIMEOUT] = {"timeout", "timeout", TIME, RUN | FORK, "wall time of the job", 1,
                     PLAN_TIMEOUT_MAX_MS, .optional = true, AT(timeout_ms)},
    [KEY_IDLE_TIME] = {"idle_time", "idle-time", TIME, RUN | UP,
                       "how long the job may neither write, read nor use CPU time", 1,
                       PLAN_TIMEOUT_MAX_MS, .optional = true, AT(idle_time_ms)},
    [KEY_JOB_CPU_TIME] = {"job_cpu_time", "job-cpu-time", TIME, RUN | UP,
                          "CPU time of QEMU while the job runs", 1, PLAN_TIMEOUT_MAX_MS,
                          .optional = true, AT(job_cpu_time_ms)},
    [KEY_CPU_TIME] = {"cpu_time", "cpu-time", TIME, RUN | UP, "CPU time of each process", 1000,
                      PLAN_TIMEOUT_MAX_MS, 1000, true, AT(cpu_time_ms)},
    [KEY_ADDRESS_SPACE] = {"address_space", "address-space", SIZE, RUN | UP,
                           "address space of each process", PLAN_MEMORY_MIN, PLAN_MEMORY_MAX,
                           .optional = true, AT(address_space_bytes)},
    [KEY_FILE_SIZE] = {"file_size", "file-size", SIZE, RUN | UP,
                       "the largest file that a process may write", PLAN_FILE_MIN, PLAN_DISK_MAX,
                       .optional = true, AT(file_size_bytes)},
    [KEY_OPEN_FILES] = {"open_files", "open-files", NUMBER, RUN | UP,
                        "files that each process may have open", PLAN_FILES_MIN, PLAN_FILES_MAX,
                        AT(open_files)},
    [KEY_WRITABLE] = {"writable", "writable", FLAG, RUN | UP,
                      "the root takes writes, on the scratch disk"},
    [KEY_AMNESIC] = {"amnesic", "amnesic", FLAG, RUN | UP,
                     "what the guest may change is in memory, and nowhere else"},
    [KEY_DEBUG] = {"debug", "debug", FLAG, RUN | UP, "the job may trace its processes"},
    [KEY_TRACE] = {"trace", "trace", FLAG, RUN | UP,
                   "with debug: the job's system calls are on the console"},
    [KEY_MACHINE] = {"machine", "machine", WORD, RUN | UP, "the kind of virtual machine",
                     WORDS("microvm", "q35")},
    [KEY_ACCEL] = {"accel", "accel", WORD, RUN | UP | FORK, "how it is accelerated",
                   WORDS("auto", "kvm", "tcg")},
    [KEY_AFTER] = {"after", "after", WORD, RUN, "with run --keep: the sandbox afterwards",
                   WORDS("revert", "keep", "discard")},
    [KEY_MARK_EACH_EXEC] = {"mark_each_exec", "mark-each-exec", FLAG, UP,
                            "a mark before each command"},
    [KEY_MAX_MARKS] = {"max_marks", "max-marks", NUMBER, UP, "how many marks are kept", 1,
                       PLAN_MARKS_MAX, AT(max_marks)},
};

enum key key_find(const char *name)
{
    enum key k = 0;

    while (k < KEYS && strcmp(key_rows[k].name, name) != 0)
        k++;
    return k;
}

static int parse(const struct key_row *row, const char *text, const char *what, uint64_t *ret,
                 struct err *e)
{
    if (row->kind == KEY_KIND_SIZE)
        return str_parse_size(text, what, row->min, row->max, ret, e);
    if (row->kind == KEY_KIND_TIME)
        return str_parse_duration(text, what, row->max, ret, e);
    return str_parse_u64(text, what, row->min, row->max, ret, e);
}

int key_parse(enum key k, const char *text, const char *what, uint64_t *ret, struct err *e)
{
    const struct key_row *row = &key_rows[k];
    uint64_t value, over;

    if (parse(row, text, what, &value, e) < 0)
        return -1;
    over = row->step ? value % row->step : 0;
    *ret = over ? value + (row->step - over) : value;
    return 0;
}

const char *key_text(enum key k, uint64_t value, char *out, size_t out_size)
{
    const enum key_kind kind = key_rows[k].kind;
    const bool whole = kind == KEY_KIND_TIME   ? value % 1000 == 0
                       : kind == KEY_KIND_SIZE ? value && value % PLAN_MIB == 0
                                               : false;
    const uint64_t unit = !whole ? 1 : kind == KEY_KIND_TIME ? 1000 : PLAN_MIB;
    const char *name = kind == KEY_KIND_TIME ? whole ? "s" : "ms" : whole ? "M" : "";

    (void)snprintf(out, out_size, "%" PRIu64 "%s", value / unit, name);
    return out;
}

const char *key_format(enum key k, uint64_t value, char *out, size_t out_size)
{
    const struct key_row *row = &key_rows[k];

    if (row->optional && value == 0)
        (void)snprintf(out, out_size, "none");
    else if (row->kind == KEY_KIND_SIZE)
        str_format_size(out, out_size, value);
    else if (row->kind == KEY_KIND_TIME)
        (void)snprintf(out, out_size, "%" PRIu64 ".%03" PRIu64 " s", value / 1000, value % 1000);
    else
        (void)snprintf(out, out_size, "%" PRIu64, value);
    return out;
}
