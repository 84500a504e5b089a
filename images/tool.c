/* tool: runs Debian's own tools for the image builder, in an environment that does not vary. */
#include "images/tool.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const fixed[] = {"LC_ALL", "LANGUAGE", "DEBIAN_FRONTEND", "SOURCE_DATE_EPOCH",
                                    "PATH"};

char *tool_find_missing(const struct tool_file *files, size_t n)
{
    struct str missing = {0};

    for (size_t i = 0; i < n; i++)
        if (access(files[i].path, R_OK) < 0)
            str_addf(&missing, " %s", files[i].package);
    return missing.len > 0 ? str_steal(&missing) : NULL;
}

static bool is_fixed(const char *assignment)
{
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        size_t len = strlen(fixed[i]);

        if (strncmp(assignment, fixed[i], len) == 0 && assignment[len] == '=')
            return true;
    }
    return false;
}

static void make_env(struct strv *env)
{
    const char *path = getenv("PATH");

    for (char **p = environ; *p; p++)
        if (!is_fixed(*p))
            strv_add(env, *p);
    strv_add(env, "LC_ALL=C.UTF-8");
    strv_add(env, "DEBIAN_FRONTEND=noninteractive");
    strv_addf(env, "SOURCE_DATE_EPOCH=%d", TOOL_EPOCH);
    strv_addf(env, "PATH=%s:/usr/sbin:/sbin", path && *path ? path : "/usr/bin:/bin");
}

static struct spawn prepare(const struct tool *t, struct strv *env)
{
    make_env(env);
    return (struct spawn){
        .argv = t->argv,
        .env = (const char *const *)env->items,
        .cwd = t->cwd,
        .stdio = {t->in, t->out, SPAWN_NULL},
    };
}

static int run(const struct tool *t, char **ret_out, struct err *e)
{
    own_strv struct strv env = {0};
    struct spawn s = prepare(t, &env);

    return spawn_tool(&s, t->package, (uint64_t)t->timeout_s * 1000, ret_out, e);
}

int tool_run(const struct tool *t, struct err *e)
{
    return run(t, NULL, e);
}

int tool_capture(const struct tool *t, char **ret_out, struct err *e)
{
    return run(t, ret_out, e);
}

int tool_feed(const struct tool *t, int (*fill)(void *arg, struct spawn_feed *f, struct err *e),
              void *arg, struct err *e)
{
    own_strv struct strv env = {0};
    struct spawn s = prepare(t, &env);

    return spawn_feed_tool(&s, t->package, (uint64_t)t->timeout_s * 1000, fill, arg, e);
}
