/* audit: what Debian's security tracker knows against the packages of an image. */
#include "images/audit.h"

#include "base/own.h"
#include "base/str.h"
#include "images/apt.h"
#include "images/debian.h"
#include "images/tracker.h"

#include <string.h>

/* Sources that only carry signatures; what they sign comes from another, which is tracked. */
#define SIGNED_KERNEL "linux-signed-"

static const char *const state_names[AUDIT_STATES] = {
    [AUDIT_OLD] = "old", [AUDIT_OPEN] = "open", [AUDIT_UNDETERMINED] = "undetermined"};

const char *audit_state_name(enum audit_state state)
{
    return state_names[state];
}

void audit_done(struct audit *a)
{
    for (size_t i = 0; i < a->n_targets; i++) {
        free(a->targets[i].source);
        free(a->targets[i].version);
    }
    for (size_t i = 0; i < a->n_findings; i++) {
        free(a->findings[i].issue);
        free(a->findings[i].fixed);
        free(a->findings[i].urgency);
    }
    free(a->targets);
    free(a->findings);
    *a = (struct audit){0};
}

/* ---- what is looked up ---- */

int audit_find_suite(const struct manifest *m, const struct packages *p, const char **ret,
                     struct err *e)
{
    const struct package *os = packages_os(p);
    const struct debian_suite *suite = NULL;
    const char *kind;

    if (os && strcmp(os->name, "debian") == 0)
        suite = debian_suite_by_version(os->version);
    if (suite) {
        *ret = suite->codename;
        return 0;
    }
    if (os)
        return err_set(e, ERR_IMAGE,
                       "its system is %s %s, which is no release of Debian that is known here (say "
                       "what to compare it with by --suite)",
                       os->name, os->version);
    if (doc_get_str(m->created_from, "kind", &kind, e) < 0)
        return -1;
    if (strcmp(kind, "recipe") != 0)
        return err_set(e, ERR_IMAGE,
                       "it does not say which release of Debian it has (say it by --suite)");
    *ret = APT_SUITE;
    return 0;
}

static int order_targets(const void *a, const void *b)
{
    const struct audit_target *x = a, *y = b;
    int order = strcmp(x->source, y->source);

    return order != 0 ? order : strcmp(x->version, y->version);
}

static void sort_targets(struct audit *a)
{
    size_t n = 0;

    qsort(a->targets, a->n_targets, sizeof(*a->targets), order_targets);
    for (size_t i = 0; i < a->n_targets; i++) {
        if (n > 0 && order_targets(&a->targets[n - 1], &a->targets[i]) == 0) {
            free(a->targets[i].source);
            free(a->targets[i].version);
        } else {
            a->targets[n++] = a->targets[i];
        }
    }
    a->n_targets = n;
}

static int find_targets(const struct audit_query *q, struct audit *a, struct err *e)
{
    a->targets = calloc(q->packages->n + q->runtime->n + 1, sizeof(*a->targets));
    if (!a->targets)
        return err_set(e, ERR_HOST, "out of memory");
    for (size_t i = 0; i < q->packages->n; i++) {
        const struct package *p = &q->packages->items[i];
        bool is_signed = p->type == PACKAGE_DEB && str_starts_with(p->source, SIGNED_KERNEL);

        a->n_npm += p->type == PACKAGE_NPM;
        a->n_python += p->type == PACKAGE_PYTHON;
        if (p->type != PACKAGE_DEB)
            continue;
        a->targets[a->n_targets++] = (struct audit_target){
            .source = is_signed ? debian_kernel_source(q->suite, p->version) : str_dup(p->source),
            .version = str_dup(is_signed ? p->version : p->source_version)};
    }
    /* Kernels and runtimes come from APT_SUITE, whatever the root is made of. */
    a->has_kernel = strcmp(q->suite, APT_SUITE) == 0 && debian_version_is_valid(q->kernel_release);
    if (a->has_kernel) {
        a->targets[a->n_targets++] =
            (struct audit_target){.source = debian_kernel_source(q->suite, q->kernel_release),
                                  .version = str_dup(q->kernel_release)};
    }
    a->has_runtime = strcmp(q->suite, APT_SUITE) == 0 && q->runtime->n > 0;
    for (size_t i = 0; a->has_runtime && i < q->runtime->n; i++)
        if (q->runtime->items[i].type == PACKAGE_DEB)
            a->targets[a->n_targets++] =
                (struct audit_target){.source = str_dup(q->runtime->items[i].source),
                                      .version = str_dup(q->runtime->items[i].source_version)};
    if (a->n_targets == 0)
        return err_set(e, ERR_IMAGE,
                       "it lists no Debian packages, and Debian's data is about no "
                       "others");
    sort_targets(a);
    return 0;
}

/* The first target of a source, or NULL; the others of it follow. */
static const struct audit_target *first_target(const struct audit *a, const char *source)
{
    size_t low = 0, high = a->n_targets;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (strcmp(a->targets[mid].source, source) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < a->n_targets && strcmp(a->targets[low].source, source) == 0 ? &a->targets[low]
                                                                             : NULL;
}

/* ---- what is found ---- */

static bool is_wanted(void *arg, const char *source)
{
    return first_target(arg, source) != NULL;
}

static int add_finding(struct audit *a, const struct audit_target *target,
                       const struct tracker_issue *issue, enum audit_state state, struct err *e)
{
    if (a->n_findings == AUDIT_FINDINGS_MAX)
        return err_set(e, ERR_HOST, "more than %u findings", AUDIT_FINDINGS_MAX);
    if ((a->n_findings & (a->n_findings - 1)) == 0) { /* full: it doubles */
        size_t room = a->n_findings ? 2 * a->n_findings : 1;
        struct audit_finding *larger = reallocarray(a->findings, room, sizeof(*larger));

        if (!larger)
            return err_set(e, ERR_HOST, "out of memory");
        a->findings = larger;
    }
    a->findings[a->n_findings++] =
        (struct audit_finding){.source = target->source,
                               .installed = target->version,
                               .issue = str_dup(issue->id),
                               .state = state,
                               .fixed = state == AUDIT_OLD ? str_dup(issue->fixed_version) : NULL,
                               .urgency = str_dup(issue->urgency)};
    return 0;
}

/* Compares one installed version; false if the issue is none of it. */
static bool judge(const struct audit_target *target, const struct tracker_issue *issue,
                  enum audit_state *ret)
{
    switch (issue->status) {
    case TRACKER_OPEN:
        *ret = AUDIT_OPEN;
        return true;
    case TRACKER_RESOLVED:
        *ret = issue->fixed_version ? AUDIT_OLD : AUDIT_UNDETERMINED;
        return !issue->fixed_version ||
               (strcmp(issue->fixed_version, "0") != 0 &&
                debian_version_compare(target->version, issue->fixed_version) < 0);
    case TRACKER_UNDETERMINED:
        break;
    }
    *ret = AUDIT_UNDETERMINED;
    return true;
}

static int take_issue(void *arg, const struct tracker_issue *issue, struct err *e)
{
    struct audit *a = arg;
    const struct audit_target *end = a->targets + a->n_targets;

    for (const struct audit_target *t = first_target(a, issue->source);
         t && t < end && strcmp(t->source, issue->source) == 0; t++) {
        enum audit_state state;

        if (judge(t, issue, &state) && add_finding(a, t, issue, state, e) < 0)
            return -1;
    }
    return 0;
}

static int order_findings(const void *a, const void *b)
{
    const struct audit_finding *x = a, *y = b;
    int order = strcmp(x->source, y->source);

    if (order == 0)
        order = strverscmp(x->issue, y->issue);
    return order != 0 ? order : strcmp(x->installed, y->installed);
}

int audit_run(const struct audit_query *q, struct audit *ret, struct err *e)
{
    own_audit struct audit a = {0};
    struct tracker_query tq = {
        .suite = q->suite, .want = is_wanted, .issue = take_issue, .arg = &a};

    if (find_targets(q, &a, e) < 0 || tracker_read(&tq, q->fd, q->what, e) < 0)
        return -1;
    if (a.n_findings > 0)
        qsort(a.findings, a.n_findings, sizeof(*a.findings), order_findings);
    *ret = a;
    a = (struct audit){0};
    return 0;
}

/* ---- what is said ---- */

bool audit_is_unimportant(const struct audit_finding *f)
{
    return strcmp(f->urgency, "unimportant") == 0;
}

size_t audit_count(const struct audit *a, enum audit_state state)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n_findings; i++)
        n += a->findings[i].state == state && !audit_is_unimportant(&a->findings[i]);
    return n;
}

static struct doc *finding_to_doc(const struct audit_finding *f)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "source", f->source);
    doc_set_str(d, "installed", f->installed);
    doc_set_str(d, "issue", f->issue);
    doc_set_str(d, "state", state_names[f->state]);
    if (f->fixed)
        doc_set_str(d, "fixed", f->fixed);
    doc_set_str(d, "urgency", f->urgency);
    return d;
}

void audit_to_doc(const struct audit *a, struct doc *d)
{
    struct doc *uncovered = doc_new_object();
    struct doc *findings = doc_new_array();
    size_t counted = 0;

    doc_set_u64(d, "sources", a->n_targets);
    for (int s = 0; s < AUDIT_STATES; s++) {
        size_t n = audit_count(a, (enum audit_state)s);

        doc_set_u64(d, state_names[s], n);
        counted += n;
    }
    doc_set_u64(d, "unimportant", a->n_findings - counted);
    doc_set_u64(uncovered, "npm", a->n_npm);
    doc_set_u64(uncovered, "python", a->n_python);
    doc_set_bool(uncovered, "kernel", !a->has_kernel);
    doc_set_bool(uncovered, "runtime", !a->has_runtime);
    doc_set(d, "not_covered", uncovered);
    for (size_t i = 0; i < a->n_findings; i++)
        doc_add(findings, finding_to_doc(&a->findings[i]));
    doc_set(d, "findings", findings);
}
