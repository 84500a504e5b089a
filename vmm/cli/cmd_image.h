/*
 * cmd_image: the verbs of `lazaret image`, one row each in cmd_image.c.
 *
 * A verb gets its own words: argv[0] is "image VERB", for cli_parse() and cli_misuse(). Its help
 * text stands beside it, in the same file.
 */
#ifndef LZ_CLI_CMD_IMAGE_H
#define LZ_CLI_CMD_IMAGE_H

#include "cli/cli.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* cmd_image_audit.c */
int cmd_image_audit(int argc, char **argv);
extern const char help_image_audit[];

/* cmd_image_build.c */
int cmd_image_build(int argc, char **argv);
extern const char help_image_build[];

/* cmd_image_move.c */
int cmd_image_export(int argc, char **argv);
int cmd_image_import(int argc, char **argv);
extern const char help_image_export[], help_image_import[];
/* cmd_image_kernel.c */
int cmd_image_kernel(int argc, char **argv);
extern const char help_image_kernel[];

/* cmd_image_store.c */
int cmd_image_ls(int argc, char **argv);
int cmd_image_inspect(int argc, char **argv);
int cmd_image_tag(int argc, char **argv);
int cmd_image_rm(int argc, char **argv);
int cmd_image_prune(int argc, char **argv);
extern const char help_image_ls[], help_image_inspect[], help_image_tag[], help_image_rm[],
    help_image_prune[];

/* cmd_image_trust.c */
int cmd_image_verify(int argc, char **argv);
int cmd_image_sign(int argc, char **argv);
int cmd_image_keygen(int argc, char **argv);
extern const char help_image_verify[], help_image_sign[], help_image_keygen[];

/* What most verbs begin with: the options are taken out of argv, at least `min` and at most `max`
 * arguments are left behind argv[0], and it is known where the store is. Returns -1 to go on, else
 * the exit status. */
struct cmd_image {
    struct cli_paths paths;
    char *store;
};
int cmd_image_begin(int *argc, char **argv, const struct cli_option *options, int min, int max,
                    struct cmd_image *ret);
void cmd_image_done(struct cmd_image *c);
#define own_cmd_image __attribute__((cleanup(cmd_image_done)))

/* A size for people, "77.4 M", into `out`. Returns out. */
const char *cmd_image_size(char *out, size_t out_size, uint64_t bytes);

/* Progress of long work: one line on stderr; `arg` is not used. */
void cmd_image_progress(void *arg, const char *line);

#endif
