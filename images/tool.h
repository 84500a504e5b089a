/*
 * tool: runs Debian's own tools for the image builder, in an environment that does not vary.
 *
 * C locale (their output is parsed), no questions, sbin in PATH (an ordinary user's has none) and
 * SOURCE_DATE_EPOCH, so that two builds from the same packages agree byte for byte.
 */
#ifndef LZ_IMAGES_TOOL_H
#define LZ_IMAGES_TOOL_H

#include "base/err.h"
#include "base/spawn.h"

#include <stdint.h>

#define TOOL_EPOCH 1700000000 /* seconds; newer file times in an image become this */

struct tool {
    const char *const *argv;
    const char *package; /* Debian's package that has argv[0] */
    const char *cwd;     /* NULL: ours */
    int in, out;         /* fds, or SPAWN_NULL; out is ignored by tool_capture */
    unsigned timeout_s;
};

/* A file that a build needs, and Debian's package that has it. */
struct tool_file {
    const char *path, *package;
};
/* Returns new: " gcc make", the packages of the files that are not there; NULL: all are. */
char *tool_find_missing(const struct tool_file *files, size_t n);

/* ERR_HOST with the tool's last line. */
int tool_run(const struct tool *t, struct err *e);
/* Returns new what it wrote to stdout. */
int tool_capture(const struct tool *t, char **ret_out, struct err *e);
/* Feeds it by `fill`: see spawn_feed_tool(). `in` is ignored. */
int tool_feed(const struct tool *t, int (*fill)(void *arg, struct spawn_feed *f, struct err *e),
              void *arg, struct err *e);

#endif
