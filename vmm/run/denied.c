/* denied: what the guest says that a job was refused. See denied.h. */
#include "run/denied.h"

#include "base/own.h"
#include "base/str.h"

#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 4 /* calls by name in a line */

static const char *const kinds[WIRE_DENIED_KIND_END] = {
    [WIRE_DENIED_CALL] = "seccomp",      [WIRE_DENIED_FOREIGN] = "seccomp-foreign",
    [WIRE_DENIED_MORE] = "seccomp-more", [WIRE_DENIED_UNHEARD] = "unheard",
    [WIRE_DENIED_MEMORY] = "memory",     [WIRE_DENIED_PIDS] = "pids",
    [WIRE_DENIED_FILES] = "files-more",  [WIRE_DENIED_ARMOR] = "apparmor",
    [WIRE_DENIED_FILE] = "file",
};

void denied_add(struct run_denied *d, const struct wire_denied *m)
{
    uint32_t i = 0;

    while (i < d->n && wire_denied_what(&d->rows[i]) != wire_denied_what(m))
        i++;
    if (i == WIRE_DENIED_MAX || m->kind < WIRE_DENIED_CALL || m->kind >= WIRE_DENIED_KIND_END)
        return;
    d->rows[i] = *m;
    if (i == d->n)
        d->n++;
}

/* Returns new, or NULL: a call that this host's libseccomp does not know. */
static char *call_name(const struct wire_denied *m)
{
    return seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, (int)m->detail);
}

/* What was refused a file; more than one of them at once is writing, mostly. */
static const char *access_of(const struct wire_denied *m)
{
    return m->detail & WIRE_FILE_WRITE ? "write" : m->detail & WIRE_FILE_EXEC ? "execute" : "read";
}

struct doc *denied_row_to_doc(const struct wire_denied *m)
{
    struct doc *row = doc_new_object();
    own_free char *name = m->kind == WIRE_DENIED_CALL ? call_name(m) : NULL;

    doc_set_str(row, "kind", kinds[m->kind]);
    if (name)
        doc_set_str(row, "call", name);
    else if (m->kind == WIRE_DENIED_CALL)
        doc_set_u64(row, "number", m->detail);
    if (m->kind == WIRE_DENIED_FILE) {
        doc_set_str(row, "access", access_of(m));
        doc_set_str(row, "path", m->name);
    }
    doc_set_u64(row, "count", m->count);
    return row;
}

struct doc *denied_to_doc(const struct run_denied *d)
{
    struct doc *list = doc_new_array();

    for (uint32_t i = 0; i < d->n; i++)
        doc_add(list, denied_row_to_doc(&d->rows[i]));
    return list;
}

/* Calls that ordinary programs try, and do without: no line for them. */
static bool is_probed(const char *name)
{
    static const char *const names[] = {
        "pkey_alloc",     /* V8, for the memory that it makes code in */
        "io_uring_setup", /* libuv, which then has threads of its own */
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* "3 calls of mount, 1 of bpf and 2 others"; false: none that is worth it. */
static bool name_calls(const struct run_denied *d, struct str *to)
{
    uint64_t others = 0;
    unsigned shown = 0;

    for (uint32_t i = 0; i < d->n; i++) {
        const struct wire_denied *m = &d->rows[i];
        own_free char *name = m->kind == WIRE_DENIED_CALL ? call_name(m) : NULL;

        if (m->kind > WIRE_DENIED_MORE || (name && is_probed(name)))
            continue;
        if (!name || shown == SHOWN) {
            others += m->count < UINT64_MAX - others ? m->count : UINT64_MAX - others;
            continue;
        }
        str_addf(to, "%s%" PRIu64 "%s of %s", shown ? ", " : "", m->count,
                 shown           ? ""
                 : m->count == 1 ? " call"
                                 : " calls",
                 name);
        shown++;
    }
    if (others > 0)
        str_addf(to, "%s%" PRIu64 " %s", shown ? " and " : "", others,
                 shown ? "others" : "system calls");
    return shown > 0 || others > 0;
}

bool denied_line(const struct run_denied *d, char *ret_text, size_t size)
{
    own_str struct str calls = {0};

    if (!name_calls(d, &calls))
        return false;
    snprintf(ret_text, size, "the job was refused %s (as the guest says)", calls.data);
    return true;
}

bool denied_first_line(const struct wire_denied *m, char *ret_text, size_t size)
{
    own_free char *name = m->kind == WIRE_DENIED_CALL ? call_name(m) : NULL;

    if (name && is_probed(name))
        return false;
    if (name)
        snprintf(ret_text, size, "the job is refused %s (as the guest says)", name);
    else if (m->kind == WIRE_DENIED_CALL)
        snprintf(ret_text, size, "the job is refused system call %" PRIu32 " (as the guest says)",
                 m->detail);
    else if (m->kind == WIRE_DENIED_FILE)
        snprintf(ret_text, size, "the job is refused to %s '%s' (as the guest says)", access_of(m),
                 m->name);
    else if (m->kind == WIRE_DENIED_FOREIGN)
        snprintf(ret_text, size,
                 "the job is refused system calls of another architecture (as the guest says)");
    else
        return false;
    return true;
}

uint64_t denied_count(const struct run_denied *d, enum wire_denied_kind kind)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < d->n; i++)
        if (d->rows[i].kind == kind)
            count = d->rows[i].count;
    return count;
}
