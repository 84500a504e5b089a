/* cmd_image: `lazaret image`: the table of its verbs. */
#include "cli/cmd_image.h"

#include "base/own.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} verbs[] = {
    {"audit", cmd_image_audit, help_image_audit},
    {"build", cmd_image_build, help_image_build},
    {"export", cmd_image_export, help_image_export},
    {"import", cmd_image_import, help_image_import},
    {"inspect", cmd_image_inspect, help_image_inspect},
    {"kernel", cmd_image_kernel, help_image_kernel},
    {"keygen", cmd_image_keygen, help_image_keygen},
    {"ls", cmd_image_ls, help_image_ls},
    {"prune", cmd_image_prune, help_image_prune},
    {"rm", cmd_image_rm, help_image_rm},
    {"sign", cmd_image_sign, help_image_sign},
    {"tag", cmd_image_tag, help_image_tag},
    {"verify", cmd_image_verify, help_image_verify},
};

static const struct verb *find(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

void cmd_image_progress(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

int cmd_image_begin(int *argc, char **argv, const struct cli_option *options, int min, int max,
                    struct cmd_image *ret)
{
    int status = cli_parse(argc, argv, options, NULL);
    struct err e;

    if (status >= 0)
        return status;
    if (*argc - 1 < min)
        return cli_misuse(argv[0], "an argument is missing");
    if (*argc - 1 > max)
        return cli_misuse(argv[0], "unexpected argument '%s'", argv[max + 1]);
    if (cli_paths_find(&ret->paths, &e) < 0)
        return cli_fail(&e);
    ret->store = str_printf("%s/images", ret->paths.data_dir);
    return -1;
}

void cmd_image_done(struct cmd_image *c)
{
    cli_paths_done(&c->paths);
    free(c->store);
}

const char *cmd_image_size(char *out, size_t out_size, uint64_t bytes)
{
    snprintf(out, out_size, "%.1f M", (double)bytes / 1048576.0);
    return out;
}

int cmd_image(int argc, char **argv)
{
    own_free char *words = NULL;
    const struct verb *v;

    if (argc < 2)
        return cli_misuse(argv[0], "which of its commands?");
    if (strcmp(argv[1], "--help") == 0) {
        fputs(help_image, stdout);
        return cli_flush();
    }
    v = find(argv[1]);
    if (!v)
        return cli_misuse(argv[0], "there is no '%s'", argv[1]);
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(v->help, stdout);
            return cli_flush();
        }
    }
    argv[1] = words = str_printf("image %s", v->name);
    return v->run(argc - 1, argv + 1);
}
