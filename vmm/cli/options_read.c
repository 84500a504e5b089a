/* options_read: the files and folders that options name: manifest, policies, inputs, output. */
#include "cli/options.h"

#include "base/file.h"
#include "base/own.h"
#include "wrap/wrap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Returns new: a path as it is written in `base`, a file in whose folder it is looked for, or NULL.
 */
static char *beside(const char *base, const char *path)
{
    const char *slash = base ? strrchr(base, '/') : NULL;

    if (!slash || path[0] == '/')
        return str_dup(path);
    return str_printf("%.*s/%s", (int)(slash - base), base, path);
}

/* Returns new: the real path. The last part of an output may not exist yet: its parent must. */
static char *find_folder(const char *path, bool may_miss)
{
    own_free char *copy = str_dup(path), *parent = NULL;
    char *real = realpath(path, NULL), *slash;
    size_t len = strlen(copy);

    if (real || !may_miss || len == 0)
        return real;
    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    slash = strrchr(copy, '/');
    if (slash)
        *slash = '\0';
    parent = realpath(slash ? (slash == copy ? "/" : copy) : ".", NULL);
    if (!parent || (slash && !slash[1]))
        return NULL;
    return str_printf("%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash ? slash + 1 : copy);
}

static int find_folders(struct request *r, enum key k, struct err *e)
{
    struct strv *v = &r->of[k].texts;
    char what[REQUEST_PLACE];

    for (size_t i = 0; i < v->n; i++) {
        own_free char *path = beside(r->file, v->items[i]);
        char *real = find_folder(path, k == KEY_OUTPUT);

        if (!real)
            return err_sys(e, ERR_USAGE, errno, "%s: %s'%s'", request_what(r, k, what),
                           k == KEY_INPUT_IDENTITY ? "" : "folder ", path);
        free(v->items[i]);
        v->items[i] = real;
    }
    return 0;
}

int options_read_request(const char *path, struct request *ret, char **ret_text, struct err *e)
{
    own_free char *text = NULL;
    size_t len;

    if (file_read(AT_FDCWD, path, REQUEST_MAX, &text, &len, e) < 0 ||
        request_parse(text, len, path, ret, e) < 0) {
        e->class = ERR_USAGE;
        return -1;
    }
    if (ret_text)
        *ret_text = own_steal_ptr(text);
    return 0;
}

static int read_manifest(struct options *o, struct err *e)
{
    own_free char *text = NULL;

    if (!o->manifest_file)
        return 0;
    if (options_read_request(o->manifest_file, &o->manifest, &text, e) < 0)
        return -1;
    recording_files_add(&o->files, "manifest", o->manifest_file, text);
    o->wish.manifest = &o->manifest;
    return 0;
}

/* A standing policy belongs to root or to us, and nobody else can write it. What cannot be read or
 * is wrong lets nothing run. */
static int add_policy(struct options *o, const char *path, bool standing, struct err *e)
{
    struct policy *grown;
    own_free char *text = NULL;
    size_t len;

    if (standing && access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    if ((standing ? file_read_ours(AT_FDCWD, path, REQUEST_MAX, 022, &text, &len, e)
                  : file_read(AT_FDCWD, path, REQUEST_MAX, &text, &len, e)) < 0)
        return err_wrap(e, "policy");
    grown = reallocarray(o->policies, o->wish.policies.n + 1, sizeof(*grown));
    if (!grown)
        return err_set(e, ERR_HOST, "out of memory");
    o->policies = grown;
    o->wish.policies.items = grown;
    grown[o->wish.policies.n] = (struct policy){0};
    if (policy_parse(text, len, path, &grown[o->wish.policies.n], e) < 0) {
        e->class = standing ? ERR_HOST : ERR_USAGE;
        return -1;
    }
    o->wish.policies.n++;
    recording_files_add(&o->files, "policy", path, text);
    return 0;
}

int options_read_policies(struct options *o, struct err *e)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    own_free char *own = xdg && xdg[0] == '/' ? str_printf("%s/lazaret/policy.json", xdg)
                         : home && home[0] == '/'
                             ? str_printf("%s/.config/lazaret/policy.json", home)
                             : NULL;

    if (add_policy(o, OPTIONS_HOST_POLICY, true, e) < 0 || (own && add_policy(o, own, true, e) < 0))
        return -1;
    for (size_t i = 0; i < o->policy_files.n; i++)
        if (add_policy(o, o->policy_files.items[i], false, e) < 0)
            return -1;
    return 0;
}

/* What this host will put around QEMU and jobs. */
static void look_at_layers(struct options *o)
{
    struct wrap_layer layers[WRAP_LAYERS];

    wrap_look(o->uri, layers);
    for (size_t i = 0; i < WRAP_LAYERS; i++)
        if (layers[i].holds)
            strv_add(&o->layers, layers[i].name);
    o->wish.layers = &o->layers;
}

int options_read(struct options *o, struct err *e)
{
    struct request *both[] = {&o->given, &o->manifest};

    look_at_layers(o);
    if (read_manifest(o, e) < 0 || options_read_policies(o, e) < 0)
        return -1;
    for (size_t i = 0; i < 2; i++)
        if (find_folders(both[i], KEY_INPUTS, e) < 0 || find_folders(both[i], KEY_OUTPUT, e) < 0 ||
            find_folders(both[i], KEY_INPUT_IDENTITY, e) < 0)
            return -1;
    if (!o->egress_proxy)
        return 0;
    o->wish.egress_proxy = &o->way.proxy;
    return way_find(&o->way, e);
}
