/* cmd_image_audit: `lazaret image audit`: an image's packages against Debian's security tracker. */
#include "base/own.h"
#include "base/str.h"
#include "cli/cmd_image.h"
#include "images/audit.h"
#include "images/boot.h"
#include "images/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

const char help_image_audit[] =
    "usage: lazaret image audit IMAGE --tracker FILE [--suite NAME] [--all] [--json]\n"
    "\n"
    "Says which packages of an image are old, and which have issues that Debian has not fixed, by\n"
    "the data of Debian's security tracker: "
    "https://security-tracker.debian.org/tracker/data/json,\n"
    "fetched by you, so that this works without a network.\n"
    "\n"
    "  --tracker FILE  the data, not compressed; may be a pipe\n"
    "  --suite NAME    compare with this release of Debian (default: the image's own)\n"
    "  --all           also list what Debian calls unimportant\n"
    "  --json          one JSON object on stdout, with everything\n"
    "\n"
    "Exit status: 0 nothing is known, 1 something is old (build the image again), 2 nothing is\n"
    "old, but something is open, 125 it could not be found out.\n";

/* Stable: lazaret-image(1) lists them. */
enum { STATUS_NOTHING = 0, STATUS_OLD = 1, STATUS_OPEN = 2 };

struct options {
    const char *ref, *tracker, *suite;
    bool all, json;
};

static void print_findings(const struct audit *a, bool all)
{
    bool head = false;

    for (size_t i = 0; i < a->n_findings; i++) {
        const struct audit_finding *f = &a->findings[i];

        if (audit_is_unimportant(f) && !all)
            continue;
        if (!head)
            printf("%-12s %-20s %-24s %-20s %-16s %s\n", "STATE", "SOURCE", "INSTALLED", "ISSUE",
                   "URGENCY", "FIXED IN");
        head = true;
        printf("%-12s %-20s %-24s %-20s %-16s %s\n", audit_state_name(f->state), f->source,
               f->installed, f->issue, f->urgency, f->fixed ? f->fixed : "-");
    }
}

static void print_summary(const struct audit *a, const struct options *o, const char *suite)
{
    size_t old = audit_count(a, AUDIT_OLD), open = audit_count(a, AUDIT_OPEN);
    size_t undetermined = audit_count(a, AUDIT_UNDETERMINED);

    printf("image '%s', %zu source packages, %s: %zu old, %zu open, %zu undetermined, "
           "%zu unimportant\n",
           o->ref, a->n_targets, suite, old, open, undetermined,
           a->n_findings - old - open - undetermined);
    if (a->n_python + a->n_npm > 0 || !a->has_kernel || !a->has_runtime)
        printf("not looked up: Python packages (%zu), npm packages (%zu)%s%s\n", a->n_python,
               a->n_npm, a->has_kernel ? "" : ", the kernel",
               a->has_runtime ? "" : ", the container runtime");
}

static void print_json(const struct audit *a, const struct image *im, const char *suite)
{
    own_doc struct doc *d = doc_new_object();

    doc_set_str(d, "format", "lazaret-audit");
    doc_set_u64(d, "version", 1);
    doc_set_str(d, "image", im->ref);
    doc_set_str(d, "digest", im->digest);
    doc_set_str(d, "suite", suite);
    audit_to_doc(a, d);
    cli_print_doc(d);
}

static int status_of(const struct audit *a)
{
    if (audit_count(a, AUDIT_OLD) > 0)
        return STATUS_OLD;
    return audit_count(a, AUDIT_OPEN) + audit_count(a, AUDIT_UNDETERMINED) > 0 ? STATUS_OPEN
                                                                               : STATUS_NOTHING;
}

static int audit(const struct options *o, const struct image *im, int *ret_status, struct err *e)
{
    own_packages struct packages packages = {0}, runtime = {0};
    const struct doc *runtime_list = boot_packages(&im->m);
    own_audit struct audit a = {0};
    own_close int fd = open(o->tracker, O_RDONLY | O_CLOEXEC);
    const char *suite = o->suite;

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", o->tracker);
    if (packages_parse(im->m.packages, &packages, e) < 0 ||
        (runtime_list && packages_parse(runtime_list, &runtime, e) < 0) ||
        (!suite && audit_find_suite(&im->m, &packages, &suite, e) < 0))
        return err_wrap(e, "image '%s'", im->ref);
    if (audit_run(&(struct audit_query){.packages = &packages,
                                        .runtime = &runtime,
                                        .kernel_release = im->m.kernel_release,
                                        .suite = suite,
                                        .fd = fd,
                                        .what = o->tracker},
                  &a, e) < 0)
        return e->class == ERR_IMAGE ? err_wrap(e, "image '%s'", im->ref) : -1;
    if (o->json) {
        print_json(&a, im, suite);
    } else {
        print_findings(&a, o->all);
        print_summary(&a, o, suite);
    }
    *ret_status = status_of(&a);
    return 0;
}

int cmd_image_audit(int argc, char **argv)
{
    struct options o = {0};
    const struct cli_option options[] = {{.name = "--tracker", .ret_value = &o.tracker},
                                         {.name = "--suite", .ret_value = &o.suite},
                                         {.name = "--all", .ret_flag = &o.all},
                                         {.name = "--json", .ret_flag = &o.json},
                                         {0}};
    own_cmd_image struct cmd_image c = {0};
    own_image struct image *im = NULL;
    struct err e;
    int status = cmd_image_begin(&argc, argv, options, 1, 1, &c);

    if (status >= 0)
        return status;
    if (!o.tracker)
        return cli_misuse(argv[0], "--tracker FILE is needed");
    if (o.suite && !str_is_name(o.suite))
        return cli_misuse(argv[0], "--suite: '%s' is not a name", o.suite);
    o.ref = argv[1];
    if (image_look(c.store, o.ref, &im, &e) < 0 || audit(&o, im, &status, &e) < 0)
        return cli_fail(&e);
    return cli_flush() == 0 ? status : err_class_status(ERR_HOST);
}
