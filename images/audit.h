/*
 * audit: what Debian's security tracker knows against the packages of an image.
 *
 * Debian tracks source packages, so each source of an installed package is looked up once for each
 * version of it that is installed, and the kernel by the source that it was made from. Python and
 * npm packages are not in the data; the counts say how many were therefore not looked at.
 */
#ifndef LZ_IMAGES_AUDIT_H
#define LZ_IMAGES_AUDIT_H

#include "base/doc.h"
#include "base/err.h"
#include "images/manifest.h"
#include "images/packages.h"

#include <stdbool.h>
#include <stddef.h>

#define AUDIT_FINDINGS_MAX 100000u

enum audit_state {
    AUDIT_OLD,          /* the suite has a version without it, newer than the installed one */
    AUDIT_OPEN,         /* the suite has no fix */
    AUDIT_UNDETERMINED, /* Debian has not found out whether the suite is affected */
    AUDIT_STATES
};
const char *audit_state_name(enum audit_state state); /* "old", "open", "undetermined" */

struct audit_finding {
    const char *source, *installed; /* borrowed from its target */
    char *issue;                    /* "CVE-2024-2961" */
    enum audit_state state;
    char *fixed;   /* AUDIT_OLD: the first version without it; else NULL */
    char *urgency; /* Debian's word: "low", "unimportant", "not yet assigned" ... */
};

/* A version of a source package that something in the image was made from. */
struct audit_target {
    char *source, *version;
};

struct audit {
    struct audit_target *targets; /* in order, none twice */
    size_t n_targets;
    struct audit_finding *findings; /* in order of source, issue and version */
    size_t n_findings;
    size_t n_npm, n_python; /* packages that were not looked up */
    bool has_kernel;        /* the kernel was */
    bool has_runtime;       /* the container runtime was */
};
void audit_done(struct audit *a);
#define own_audit __attribute__((cleanup(audit_done)))

/* Borrows everything. */
struct audit_query {
    const struct packages *packages;
    const struct packages *runtime; /* of the container runtime; looked up like the kernel */
    const char *kernel_release;     /* looked up where `suite` is the one that kernels come from */
    const char *suite;              /* "bookworm" */
    int fd;                         /* the tracker's data */
    const char *what;               /* its name, for errors */
};

/*
 * The suite that an image was made of, by its list, or because we made it. Borrows. ERR_IMAGE, with
 * the way out, if it is none of Debian's, or unknown.
 */
int audit_find_suite(const struct manifest *m, const struct packages *p, const char **ret,
                     struct err *e);

/* ERR_IMAGE if there is nothing to look up, ERR_HOST if the data cannot be used. */
int audit_run(const struct audit_query *q, struct audit *ret, struct err *e);

/* True for what Debian calls unimportant: known, and of no consequence for security. */
bool audit_is_unimportant(const struct audit_finding *f);
/* How many findings of a state count, leaving out unimportant ones. */
size_t audit_count(const struct audit *a, enum audit_state state);
/* Adds to `d` the counts and all findings, also unimportant ones. */
void audit_to_doc(const struct audit *a, struct doc *d);

#endif
