/*
 * cmd_image_build: `lazaret image build`: from a recipe to an image.
 *
 * How it works: images makes the image and asks back when the recipe has commands; they run here,
 * by the same road as any other job, in a guest of the image under way. So neither library needs to
 * know the other.
 */
#include "base/own.h"
#include "base/str.h"
#include "cli/cmd_image.h"
#include "cli/options.h"
#include "images/build.h"
#include "images/kernel.h"
#include "images/store.h"
#include "run/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BUILD_MEMORY "1G"
#define BUILD_DISK   "16G" /* takes room only as it is written to */
#define BUILD_TIME   "2h"

const char help_image_build[] =
    "usage: lazaret image build [RECIPE] [--tag NAME] [--kernel KIND]\n"
    "\n"
    "Makes an image from a recipe: packages of Debian, files, commands. Nothing is installed or\n"
    "mounted on the host; commands run in a guest without a network.\n"
    "\n"
    "  RECIPE         minimal, python (the default), shell; or a file, with a '/' or '.json' in\n"
    "                 its name: see lazaret-recipe(5)\n"
    "  --tag NAME     what to call it (default: the recipe's name; without RECIPE: default)\n"
    "  --kernel KIND  debian: Debian's; airgap, net: one of ours (see 'image kernel'); auto (the\n"
    "                 default): airgap where it is built, else debian\n";

static int run_plan(const struct cli_paths *paths, const struct plan *plan, struct err *e)
{
    struct run_config c = options_run_config(paths);
    struct run_result r;

    if (run_job(plan, &c, &r, e) < 0)
        return -1;
    if (r.err.class != ERR_NONE) {
        *e = r.err;
        return -1;
    }
    if (r.end == RUN_ENDED_EXIT && r.exit_code == 0)
        return 0;
    if (r.end == RUN_ENDED_EXIT)
        return err_set(e, ERR_IMAGE, "one failed with status %d (what it said is above)",
                       r.exit_code);
    return err_set(e, ERR_IMAGE, "one was killed by signal %d%s", r.signal,
                   r.oom_kills ? ": out of memory (" BUILD_MEMORY ")" : "");
}

/* What the commands print is for people: our stdout is not theirs. */
static int run_quietly(const struct cli_paths *paths, const struct plan *plan, struct err *e)
{
    own_close int out = dup(STDOUT_FILENO);
    int rc;

    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return err_sys(e, ERR_HOST, errno, "dup");
    rc = run_plan(paths, plan, e);
    dup2(out, STDOUT_FILENO);
    return rc;
}

static int run_script(void *arg, const char *ref, const char *script, const char *out_dir,
                      struct err *e)
{
    const struct cli_paths *paths = arg;
    const struct {
        enum key k;
        const char *text;
    } asked[] = {{KEY_IMAGE, ref},
                 {KEY_COMMAND, "/bin/sh"},
                 {KEY_COMMAND, "-c"},
                 {KEY_COMMAND, script},
                 {KEY_MEMORY, BUILD_MEMORY},
                 {KEY_DISK, BUILD_DISK},
                 {KEY_OUTPUT_MAX, BUILD_DISK},
                 {KEY_TIMEOUT, BUILD_TIME},
                 {KEY_OUTPUT, out_dir}};
    own_plan struct plan *plan = NULL;
    own_request struct request r = {0};
    struct plan_wish w = {.command_line = &r, .build = true};

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        if (asked[i].text && (out_dir || asked[i].k != KEY_OUTPUT_MAX))
            request_add(&r, asked[i].k, asked[i].text);
    if (options_accel("auto", paths, &w, e) < 0 || plan_resolve(&w, &plan, e) < 0)
        return -1;
    return run_quietly(paths, plan, e);
}

/* Returns new: the file of one of our own recipes, or what was named as a file. */
static char *find_recipe(const struct cli_paths *paths, const char *name)
{
    size_t len = strlen(name);

    if (strchr(name, '/') || (len > 5 && strcmp(name + len - 5, ".json") == 0))
        return str_dup(name);
    return str_printf("%s/%s.json", paths->recipes, name);
}

static int build(const struct cli_paths *paths, const char *name, const char *tag,
                 const char *kernel, struct err *e)
{
    own_free char *store = str_printf("%s/images", paths->data_dir);
    own_free char *cache = str_printf("%s/cache/build", paths->data_dir);
    own_free char *path = find_recipe(paths, name);
    own_recipe struct recipe recipe = {0};
    char digest[DIGEST_HEX_SIZE];
    struct cli_paths for_run = *paths; /* borrowed */

    if (recipe_read(path, &recipe, e) < 0 ||
        image_build(&(struct image_build){.store_dir = store,
                                          .tag = tag ? tag : recipe.name,
                                          .recipe = &recipe,
                                          .kernel = kernel,
                                          .agent_path = paths->agent,
                                          .cache_dir = cache,
                                          .progress = {.line = cmd_image_progress},
                                          .run = run_script,
                                          .run_arg = &for_run},
                    digest, e) < 0)
        return -1;
    printf("sha256:%s\n", digest);
    return 0;
}

int cmd_image_build(int argc, char **argv)
{
    const char *tag = NULL, *kernel = "auto";
    const struct cli_option options[] = {
        {.name = "--tag", .ret_value = &tag}, {.name = "--kernel", .ret_value = &kernel}, {0}};
    own_paths struct cli_paths paths = {0};
    struct err e;
    int status = cli_parse(&argc, argv, options, NULL);

    if (status >= 0)
        return status;
    if (argc > 2)
        return cli_misuse(argv[0], "unexpected argument '%s'", argv[2]);
    if (argc < 2 && !tag)
        tag = "default";
    if (tag && !store_is_name(tag))
        return cli_misuse(argv[0], "'%s' is not a name for an image", tag);
    if (!kernel_is_choice(kernel))
        return cli_misuse(argv[0], "there is no kernel '%s'", kernel);
    if (cli_paths_find(&paths, &e) < 0 ||
        build(&paths, argc > 1 ? argv[1] : "python", tag, kernel, &e) < 0)
        return cli_fail(&e);
    return cli_flush();
}
