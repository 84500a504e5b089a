/*
 * key: the table of what a run can be asked for. One row drives the option of the command line, the
 * key of the manifest, the bound of the policy, both JSON schemas, and the line that `check`
 * prints.
 *
 * A row is here only if something enforces it: there is no key that does nothing.
 */
#ifndef LZ_PLAN_KEY_H
#define LZ_PLAN_KEY_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key {
    KEY_NAME,
    KEY_IMAGE,
    KEY_ENTRYPOINT,
    KEY_COMMAND,
    KEY_ENV,
    KEY_WORKDIR,
    KEY_USER,
    KEY_SECRETS,
    KEY_SECRET_ENV,
    KEY_INPUTS,
    KEY_INPUT_MAX,
    KEY_INPUT_IDENTITY,
    KEY_OUTPUT,
    KEY_OUTPUT_MAX,
    KEY_OUTPUT_RECIPIENTS,
    KEY_NETWORK,
    KEY_READ,
    KEY_WRITE,
    KEY_EXEC,
    KEY_MEMORY,
    KEY_CPUS,
    KEY_DISK,
    KEY_DISK_RATE,
    KEY_DISK_IOPS,
    KEY_TMP,
    KEY_PIDS,
    KEY_TIMEOUT,
    KEY_IDLE_TIME,
    KEY_JOB_CPU_TIME,
    KEY_CPU_TIME,
    KEY_ADDRESS_SPACE,
    KEY_FILE_SIZE,
    KEY_OPEN_FILES,
    KEY_WRITABLE,
    KEY_AMNESIC,
    KEY_DEBUG,
    KEY_TRACE,
    KEY_MACHINE,
    KEY_ACCEL,
    KEY_AFTER,
    KEY_MARK_EACH_EXEC,
    KEY_MAX_MARKS,
    KEYS
};

enum key_kind {
    KEY_KIND_TEXT,
    KEY_KIND_WORD,   /* one of `words` */
    KEY_KIND_FLAG,   /* an option without a value, true or false in a manifest */
    KEY_KIND_RULES,  /* of the network (net.h): as a list; of a manifest also objects */
    KEY_KIND_LIST,   /* texts; an option that may be repeated adds one */
    KEY_KIND_SIZE,   /* bytes */
    KEY_KIND_TIME,   /* milliseconds */
    KEY_KIND_NUMBER, /* anything else that is counted */
};

/* Who may be asked for it, as bits. */
enum key_use {
    KEY_OF_RUN = 1,
    KEY_OF_UP = 2,
    KEY_OF_FORK = 4, /* `run --fork-from`: what the guest is stays the sandbox's */
};

struct key_row {
    const char *name;   /* in a manifest, a policy and the plan that is printed */
    const char *option; /* without the dashes; NULL: there is none */
    enum key_kind kind;
    unsigned uses; /* enum key_use */
    const char *about;
    /* Of numbers, sizes and times: */
    uint64_t min, max;
    uint64_t step; /* it is rounded up to a multiple of this; 0: of 1 */
    bool optional; /* 0 in the plan is: no limit */
    size_t at;     /* offset of its uint64_t in struct plan */
    /* Of words: NULL-terminated, the default first. */
    const char *const *words;
};

extern const struct key_row key_rows[KEYS];

static inline bool key_is_number(enum key k)
{
    return key_rows[k].kind >= KEY_KIND_SIZE;
}

/* The key of a name in a manifest; KEYS: there is none. */
enum key key_find(const char *name);
/* Parses a number, size or time within the row's range, and rounds it. ERR_USAGE names `what`. */
int key_parse(enum key k, const char *text, const char *what, uint64_t *ret, struct err *e);
/* As a manifest has it, exactly: "64M", "60s", "1500ms", "64" into `out`. Returns out. */
const char *key_text(enum key k, uint64_t value, char *out, size_t out_size);
/* "2 GiB", "1.500 s", "64" or "none" into `out`. Returns out. */
const char *key_format(enum key k, uint64_t value, char *out, size_t out_size);

#endif
