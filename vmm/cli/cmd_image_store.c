/* cmd_image_store: what `lazaret image` says of the store and does to it: ls inspect tag rm prune.
 */
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/cmd_image.h"
#include "images/boot.h"
#include "images/image.h"
#include "images/prune.h"
#include "images/sbom.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- ls ---- */

const char help_image_ls[] = "usage: lazaret image ls [--json]\n"
                             "\n"
                             "Lists the images by name.\n"
                             "\n"
                             "  --json  one JSON array on stdout\n";

static void print_row(const struct doc *row)
{
    const char *name = "?", *digest = "-", *release = "-", *from = "-", *tagged = "-",
               *error = NULL;
    uint64_t bytes = 0;
    char size[32];
    struct err missing;

    doc_get_str(row, "name", &name, &missing);
    doc_get_str(row, "error", &error, &missing);
    if (error) {
        printf("%-16s damaged: %s\n", name, error);
        return;
    }
    doc_get_str(row, "digest", &digest, &missing);
    doc_get_str(row, "release", &release, &missing);
    doc_get_str(row, "created_from", &from, &missing);
    doc_get_str(row, "tagged", &tagged, &missing);
    doc_get_u64(row, "size", &bytes, &missing);
    printf("%-16s %-14.12s %10s  %-20s %-10s %.16sZ\n", name, digest,
           cmd_image_size(size, sizeof(size), bytes), release, from, tagged);
}

int cmd_image_ls(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    own_cmd_image struct cmd_image c = {0};
    own_doc struct doc *list = NULL;
    struct err e;
    int status = cmd_image_begin(&argc, argv, options, 0, 0, &c);

    if (status >= 0)
        return status;
    if (image_list(c.store, &list, &e) < 0)
        return cli_fail(&e);
    if (json) {
        cli_print_doc(list);
        return cli_flush();
    }
    printf("%-16s %-14s %10s  %-20s %-10s %s\n", "NAME", "DIGEST", "SIZE", "KERNEL", "FROM",
           "TAGGED");
    for (size_t i = 0; i < doc_len(list); i++)
        print_row(doc_at(list, i));
    return cli_flush();
}

/* ---- inspect ---- */

const char help_image_inspect[] =
    "usage: lazaret image inspect [--json | --sbom] IMAGE\n"
    "\n"
    "Says what is known of an image: its parts, what it runs, where it is from, who signed it.\n"
    "Nothing is checked but the manifest: see `lazaret image verify`.\n"
    "\n"
    "  --json  one JSON object on stdout: digest, size, signatures, manifest\n"
    "  --sbom  its packages as a bill of materials: CycloneDX 1.5, JSON\n";

/* Words of the image's maker: as JSON, which moves no cursor. */
static void print_words(const char *label, const struct strv *words)
{
    own_doc struct doc *list = doc_new_array();
    own_free char *text = NULL;

    for (size_t i = 0; i < words->n; i++)
        doc_add_str(list, words->items[i]);
    text = doc_format(list, false);
    printf("%-12s %s\n", label, text);
}

static void print_origin(const struct doc *origin)
{
    const char *key;

    printf("%-12s", "from");
    for (size_t i = 0; (key = doc_key_at(origin, i)); i++) {
        const char *text;
        struct err e;

        if (doc_get_str(origin, key, &text, &e) == 0)
            printf("%s %s=%s", i ? "," : "", key, text);
    }
    putchar('\n');
}

static void print_image(const struct image *im, const struct strv *key_ids)
{
    const struct manifest *m = &im->m;
    char size[32], workdir[256];

    printf("%-12s sha256:%s\n", "digest", im->digest);
    for (int i = 0; i < IMAGE_PARTS; i++)
        printf("%-12s sha256:%s %s\n", image_part_name((enum image_part)i), m->parts[i].sha256,
               cmd_image_size(size, sizeof(size), m->parts[i].size_bytes));
    printf("%-12s %s\n", "root hash", m->verity.root_hash);
    printf("%-12s %s %s\n", "release", m->kernel_flavour, m->kernel_release);
    printf("%-12s %" PRIu64 "\n", "protocol", m->protocol);
    print_words("entrypoint", &m->config.entrypoint);
    print_words("command", &m->config.command);
    print_words("env", &m->config.env);
    str_escape(workdir, sizeof(workdir), m->config.workdir, strlen(m->config.workdir));
    printf("%-12s %s\n", "workdir", workdir);
    printf("%-12s %u:%u\n", "user", m->config.uid, m->config.gid);
    printf("%-12s %zu\n", "packages", doc_len(m->packages));
    print_origin(m->created_from);
    for (size_t i = 0; i < key_ids->n; i++)
        printf("%-12s %s\n", i ? "" : "signed by", key_ids->items[i]);
    if (key_ids->n == 0)
        printf("%-12s nobody\n", "signed by");
}

static int print_sbom(const struct image *im, struct err *e)
{
    own_packages struct packages packages = {0}, runtime = {0};
    const struct doc *runtime_list = boot_packages(&im->m);
    own_doc struct doc *sbom = NULL;

    if (packages_parse(im->m.packages, &packages, e) < 0 ||
        (runtime_list && packages_parse(runtime_list, &runtime, e) < 0))
        return err_wrap(e, "image '%s'", im->ref);
    sbom = sbom_cyclonedx(&(struct sbom){.name = im->ref,
                                         .digest = im->digest,
                                         .kernel_release = im->m.kernel_release,
                                         .kernel_sha256 = im->m.parts[IMAGE_KERNEL].sha256,
                                         .packages = &packages,
                                         .runtime = &runtime});
    cli_print_doc(sbom);
    return 0;
}

int cmd_image_inspect(int argc, char **argv)
{
    bool json = false, sbom = false;
    const struct cli_option options[] = {
        {.name = "--json", .ret_flag = &json}, {.name = "--sbom", .ret_flag = &sbom}, {0}};
    own_cmd_image struct cmd_image c = {0};
    own_image struct image *im = NULL;
    own_strv struct strv key_ids = {0};
    struct err e;
    int status = cmd_image_begin(&argc, argv, options, 1, 1, &c);

    if (status >= 0)
        return status;
    if (json && sbom)
        return cli_misuse(argv[0], "--json and --sbom exclude each other");
    if (image_look(c.store, argv[1], &im, &e) < 0 ||
        trust_list(&im->store, im->digest, &key_ids, &e) < 0 || (sbom && print_sbom(im, &e) < 0))
        return cli_fail(&e);
    if (sbom)
        return cli_flush();
    if (json) {
        own_doc struct doc *d = image_to_doc(im, &key_ids);

        cli_print_doc(d);
    } else {
        print_image(im, &key_ids);
    }
    return cli_flush();
}

/* ---- tag ---- */

const char help_image_tag[] =
    "usage: lazaret image tag [--json] IMAGE NAME\n"
    "\n"
    "Gives an image another name. An image that had the name loses it, and stays in the store\n"
    "without one until `lazaret image prune`.\n"
    "\n"
    "  --json  one JSON object on stdout: name, digest\n";

int cmd_image_tag(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    own_cmd_image struct cmd_image c = {0};
    char digest[DIGEST_HEX_SIZE];
    struct err e;
    int status = cmd_image_begin(&argc, argv, options, 2, 2, &c);

    if (status >= 0)
        return status;
    if (image_tag(c.store, argv[1], argv[2], digest, &e) < 0)
        return cli_fail(&e);
    if (json) {
        own_doc struct doc *d = doc_new_object();

        doc_set_str(d, "name", argv[2]);
        doc_set_str(d, "digest", digest);
        cli_print_doc(d);
    } else {
        printf("%s is sha256:%s\n", argv[2], digest);
    }
    return cli_flush();
}

/* ---- rm, prune ---- */

const char help_image_rm[] =
    "usage: lazaret image rm [--json] NAME...\n"
    "\n"
    "Removes the names, and what of the images nothing else needs. Runs that live keep what they\n"
    "have.\n"
    "\n"
    "  --json  one JSON object on stdout: names, blobs, signatures, leftovers, bytes\n";

const char help_image_prune[] =
    "usage: lazaret image prune [--json]\n"
    "\n"
    "Removes everything that no name needs: images that lost theirs, their signatures, what\n"
    "killed processes left.\n"
    "\n"
    "  --json  one JSON object on stdout: blobs, signatures, leftovers, bytes\n";

static void print_freed(const struct prune_freed *freed, const struct doc *names, bool json)
{
    char size[32];

    if (json) {
        own_doc struct doc *d = doc_new_object();

        if (names)
            doc_set(d, "names", doc_ref(names));
        doc_set_u64(d, "blobs", freed->blobs);
        doc_set_u64(d, "signatures", freed->signatures);
        doc_set_u64(d, "leftovers", freed->leftovers);
        doc_set_u64(d, "bytes", freed->bytes);
        cli_print_doc(d);
        return;
    }
    printf("%" PRIu64 " blob(s), %" PRIu64 " signature(s) and %" PRIu64 " leftover(s): %s freed\n",
           freed->blobs, freed->signatures, freed->leftovers,
           cmd_image_size(size, sizeof(size), freed->bytes));
}

int cmd_image_rm(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    own_cmd_image struct cmd_image c = {0};
    own_doc struct doc *names = doc_new_array();
    struct prune_freed sum = {0};
    int status = cmd_image_begin(&argc, argv, options, 1, INT_MAX - 1, &c);

    if (status >= 0)
        return status;
    status = 0;
    for (int i = 1; i < argc && status == 0; i++) {
        struct prune_freed freed;
        struct err e;

        if (image_remove(c.store, argv[i], &freed, &e) < 0) {
            status = cli_fail(&e);
            continue;
        }
        if (freed.kept.class != ERR_NONE)
            log_msg(LOG_WARN, "the blobs of '%s' stay in the store: %s", argv[i], freed.kept.text);
        doc_add_str(names, argv[i]);
        sum.blobs += freed.blobs;
        sum.signatures += freed.signatures;
        sum.leftovers += freed.leftovers;
        sum.bytes += freed.bytes;
    }
    /* What went before an error is still said. */
    if (doc_len(names))
        print_freed(&sum, names, json);
    return status ? status : cli_flush();
}

int cmd_image_prune(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    own_cmd_image struct cmd_image c = {0};
    struct prune_freed freed;
    struct err e;
    int status = cmd_image_begin(&argc, argv, options, 0, 0, &c);

    if (status >= 0)
        return status;
    if (image_prune(c.store, &freed, &e) < 0)
        return cli_fail(&e);
    print_freed(&freed, NULL, json);
    return cli_flush();
}
