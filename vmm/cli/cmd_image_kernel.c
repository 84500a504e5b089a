/* cmd_image_kernel: `lazaret image kernel`: build, list and remove kernels of our own. */
#include "base/own.h"
#include "base/str.h"
#include "cli/cmd_image.h"
#include "images/kernel_build.h"
#include "images/kernel_config.h"
#include "images/kernel_record.h"

#include <stdio.h>
#include <string.h>

const char help_image_kernel[] =
    "usage: lazaret image kernel build [--flavour NAME] [--jobs N]\n"
    "       lazaret image kernel ls [--json]\n"
    "       lazaret image kernel rm FLAVOUR\n"
    "\n"
    "Kernels of our own for guests: whole, without modules, with the devices of a guest only.\n"
    "Images that are built afterwards get one. build takes minutes; cut off, it goes on where it\n"
    "was. Images keep the kernel that they have.\n"
    "\n"
    "  --flavour NAME  airgap (default): no IP at all; net: IP on the container's loopback\n"
    "  --jobs N        compile N files at once (default: one a CPU)\n"
    "  --json          one JSON array on stdout\n";

static int build(int argc, char **argv)
{
    const char *flavour = KERNEL_AIRGAP, *jobs_text = "0";
    const struct cli_option options[] = {{.name = "--flavour", .ret_value = &flavour},
                                         {.name = "--jobs", .ret_value = &jobs_text},
                                         {0}};
    own_paths struct cli_paths paths = {0};
    own_free char *store = NULL;
    own_free char *cache = NULL;
    uint64_t jobs = 0;
    struct err e;
    int status = cli_parse(&argc, argv, options, NULL);

    if (status >= 0)
        return status;
    if (argc > 1)
        return cli_misuse(argv[0], "unexpected argument '%s'", argv[1]);
    if (!kernel_is_flavour(flavour))
        return cli_misuse(argv[0], "there is no flavour '%s' (airgap or net)", flavour);
    if (str_parse_u64(jobs_text, "--jobs", 0, KERNEL_JOBS_MAX, &jobs, &e) < 0 ||
        cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    store = str_printf("%s/images", paths.data_dir);
    cache = str_printf("%s/cache/kernel", paths.data_dir);
    if (kernel_build(&(struct kernel_build){.store_dir = store,
                                            .cache_dir = cache,
                                            .flavour = flavour,
                                            .jobs = (unsigned)jobs,
                                            .progress = {.line = cmd_image_progress}},
                     &e) < 0)
        return cli_fail(&e);
    return cli_flush();
}

static void print_row(const struct doc *row)
{
    const char *flavour = "?", *release = "-", *sha256 = "-", *error = NULL;
    uint64_t size = 0;
    struct err missing;

    doc_get_str(row, "flavour", &flavour, &missing);
    doc_get_str(row, "release", &release, &missing);
    doc_get_str(row, "sha256", &sha256, &missing);
    doc_get_u64(row, "size", &size, &missing);
    doc_get_str(row, "error", &error, &missing);
    if (error)
        printf("%-10s damaged: %s\n", flavour, error);
    else
        printf("%-10s %-24s %-14.12s %8.1f M\n", flavour, release, sha256,
               (double)size / 1048576.0);
}

static int ls(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    own_paths struct cli_paths paths = {0};
    own_free char *store = NULL;
    own_doc struct doc *list = NULL;
    struct err e;
    int status = cli_parse(&argc, argv, options, NULL);

    if (status >= 0)
        return status;
    if (argc > 1)
        return cli_misuse(argv[0], "unexpected argument '%s'", argv[1]);
    if (cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    store = str_printf("%s/images", paths.data_dir);
    if (kernel_record_list(store, &list, &e) < 0)
        return cli_fail(&e);
    if (json) {
        cli_print_doc(list);
        return cli_flush();
    }
    printf("%-10s %-24s %-14s %10s\n", "FLAVOUR", "RELEASE", "SHA256", "SIZE");
    for (size_t i = 0; i < doc_len(list); i++)
        print_row(doc_at(list, i));
    return cli_flush();
}

static int rm(int argc, char **argv)
{
    const struct cli_option options[] = {{0}};
    own_paths struct cli_paths paths = {0};
    own_free char *dir = NULL;
    own_store struct store s = STORE_INIT;
    struct err e;
    int status = cli_parse(&argc, argv, options, NULL);

    if (status >= 0)
        return status;
    if (argc != 2)
        return cli_misuse(argv[0], argc < 2 ? "which flavour?" : "unexpected argument '%s'",
                          argc < 2 ? "" : argv[2]);
    if (cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    dir = str_printf("%s/images", paths.data_dir);
    if (store_open(dir, STORE_REMOVE, &s, &e) < 0)
        return cli_fail(&e);
    if (!store_has_name(&s, STORE_KERNELS, argv[1])) {
        err_set(&e, ERR_IMAGE, "there is no kernel '%s' (see 'lazaret image kernel ls')", argv[1]);
        return cli_fail(&e);
    }
    if (store_name_remove(&s, STORE_KERNELS, argv[1], &e) < 0)
        return cli_fail(&e);
    return cli_flush();
}

static const struct verb {
    const char *name, *words;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"build", "image kernel build", build},
    {"ls", "image kernel ls", ls},
    {"rm", "image kernel rm", rm},
};

int cmd_image_kernel(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, argv[1]) == 0) {
            own_free char *words = str_dup(verbs[i].words);

            argv[1] = words;
            return verbs[i].run(argc - 1, argv + 1);
        }
    if (argc < 2)
        return cli_misuse(argv[0], "build, ls or rm?");
    return cli_misuse(argv[0], "there is no '%s'", argv[1]);
}
