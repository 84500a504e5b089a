/* recipe: what an image is to be made of, as its author wrote it down. */
#include "images/recipe.h"

#include "base/file.h"
#include "base/own.h"
#include "images/apt.h"

#include <fcntl.h>
#include <string.h>

#define RECIPE_MAX    (1u << 20) /* bytes of the file */
#define RECIPE_ID_MAX 65535u
#define RECIPE_USER   1000u

void recipe_done(struct recipe *r)
{
    for (size_t i = 0; i < r->n_files; i++) {
        free(r->files[i].path);
        free(r->files[i].value);
    }
    free(r->files);
    free(r->name);
    free(r->dir);
    free(r->description);
    strv_done(&r->packages);
    strv_done(&r->run);
    image_config_done(&r->config);
    doc_free(r->doc);
    *r = (struct recipe){0};
}

/* An optional array of strings, each not empty. */
static int read_strings(const struct doc *d, const char *key, struct strv *ret, struct err *e)
{
    const struct doc *list;

    if (!doc_has(d, key))
        return 0;
    if (doc_get_array(d, key, &list, e) < 0)
        return -1;
    for (size_t i = 0; i < doc_len(list); i++) {
        const char *text = doc_str_at(list, i);

        if (!text || !text[0])
            return err_set(e, ERR_USAGE, "'%s' has an entry that is not a text", key);
        strv_add(ret, text);
    }
    return 0;
}

/* An optional text; *ret stays as it is without one. */
static int read_text(const struct doc *d, const char *key, const char **ret, struct err *e)
{
    return doc_has(d, key) ? doc_get_str(d, key, ret, e) : 0;
}

/* Names of packages go to apt's command line: what dpkg allows in one, and nothing else. */
static int read_packages(const struct doc *d, struct strv *ret, struct err *e)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789+-.";

    if (read_strings(d, "packages", ret, e) < 0)
        return -1;
    for (size_t i = 0; i < ret->n; i++) {
        const char *name = ret->items[i];

        if (strlen(name) < 2 || name[strspn(name, allowed)] != '\0' || !strchr(allowed, name[0]) ||
            strchr("+-.", name[0]) || name[strlen(name) - 1] == '-')
            return err_set(e, ERR_USAGE, "packages: '%s' is not a package's name", name);
    }
    return 0;
}

static int read_mode(const struct doc *d, mode_t normal, mode_t *ret, struct err *e)
{
    const char *text = NULL;
    mode_t mode = 0;

    *ret = normal;
    if (read_text(d, "mode", &text, e) < 0)
        return -1;
    if (!text)
        return 0;
    if (strlen(text) < 3 || strlen(text) > 4 || text[strspn(text, "01234567")] != '\0')
        return err_set(e, ERR_USAGE, "mode: '%s' is not like \"0755\"", text);
    for (; *text; text++)
        mode = mode * 8 + (mode_t)(*text - '0');
    if (mode & ~01777u)
        return err_set(e, ERR_USAGE, "mode: set-id bits are not kept in an image");
    *ret = mode;
    return 0;
}

static int read_file(struct recipe *r, const struct doc *d, struct recipe_file *f, struct err *e)
{
    static const char *const keys[] = {"path", "mode", "text", "source", "link", "folder", NULL};
    static const char *const kinds[] = {"text", "source", "link", "folder"};
    const char *path, *value = NULL;
    int kind = -1;
    bool yes;

    if (!doc_is_object(d))
        return err_set(e, ERR_USAGE, "is not an object");
    if (doc_only_keys(d, keys, e) < 0 || doc_get_str(d, "path", &path, e) < 0)
        return -1;
    f->path = str_dup(path);
    if (path[0] != '/' || !str_is_utf8(path))
        return err_set(e, ERR_USAGE, "'path' is not an absolute path");
    for (int i = 0; i < 4; i++) {
        if (!doc_has(d, kinds[i]))
            continue;
        if (kind >= 0)
            return err_set(e, ERR_USAGE, "'%s' and '%s' exclude each other", kinds[kind], kinds[i]);
        kind = i;
    }
    if (kind < 0)
        return err_set(e, ERR_USAGE, "needs one of text, source, link, folder");
    f->kind = (enum recipe_kind)kind;
    if (f->kind == RECIPE_FOLDER) {
        if (doc_get_bool(d, "folder", &yes, e) < 0)
            return -1;
        return yes ? read_mode(d, 0755, &f->mode, e)
                   : err_set(e, ERR_USAGE, "'folder' can only be true");
    }
    if (doc_get_str(d, kinds[kind], &value, e) < 0)
        return -1;
    if (f->kind != RECIPE_TEXT && !value[0])
        return err_set(e, ERR_USAGE, "'%s' is empty", kinds[kind]);
    if (f->kind == RECIPE_LINK && doc_has(d, "mode"))
        return err_set(e, ERR_USAGE, "a link has no mode");
    f->value = f->kind == RECIPE_SOURCE && value[0] != '/' ? str_printf("%s/%s", r->dir, value)
                                                           : str_dup(value);
    return read_mode(d, 0644, &f->mode, e);
}

static int read_files(struct recipe *r, struct err *e)
{
    const struct doc *list;

    if (!doc_has(r->doc, "files"))
        return 0;
    if (doc_get_array(r->doc, "files", &list, e) < 0)
        return -1;
    r->files = calloc(doc_len(list) + 1, sizeof(*r->files));
    if (!r->files)
        return err_set(e, ERR_HOST, "out of memory");
    for (size_t i = 0; i < doc_len(list); i++) {
        r->n_files++;
        if (read_file(r, doc_at(list, i), &r->files[i], e) < 0)
            return err_wrap(e, "files: entry %zu", i + 1);
    }
    return 0;
}

/* "UID" or "UID:GID" */
static int read_user(const char *text, uid_t *ret_uid, gid_t *ret_gid, struct err *e)
{
    own_free char *copy = str_dup(text);
    char *colon = strchr(copy, ':');
    uint64_t uid, gid;

    if (colon)
        *colon++ = '\0';
    if (str_parse_u64(copy, "user", 1, RECIPE_ID_MAX, &uid, e) < 0)
        return -1;
    gid = uid;
    if (colon && str_parse_u64(colon, "user", 1, RECIPE_ID_MAX, &gid, e) < 0)
        return -1;
    *ret_uid = (uid_t)uid;
    *ret_gid = (gid_t)gid;
    return 0;
}

static int read_config(const struct doc *d, struct image_config *c, struct err *e)
{
    const char *workdir = "/work", *user = NULL;

    c->uid = RECIPE_USER;
    c->gid = RECIPE_USER;
    if (read_strings(d, "entrypoint", &c->entrypoint, e) < 0 ||
        read_strings(d, "command", &c->command, e) < 0 || read_strings(d, "env", &c->env, e) < 0 ||
        read_text(d, "workdir", &workdir, e) < 0 || read_text(d, "user", &user, e) < 0)
        return -1;
    for (size_t i = 0; i < c->env.n; i++)
        if (c->env.items[i][0] == '=' || !strchr(c->env.items[i], '='))
            return err_set(e, ERR_USAGE, "env: '%s' is not NAME=VALUE", c->env.items[i]);
    if (workdir[0] != '/')
        return err_set(e, ERR_USAGE, "workdir: '%s' is not an absolute path", workdir);
    c->workdir = str_dup(workdir);
    return user ? read_user(user, &c->uid, &c->gid, e) : 0;
}

static int read_variant(const struct doc *d, enum recipe_variant *ret, struct err *e)
{
    const char *suite = APT_SUITE, *variant = "minbase";

    if (read_text(d, "suite", &suite, e) < 0 || read_text(d, "variant", &variant, e) < 0)
        return -1;
    if (strcmp(suite, APT_SUITE) != 0)
        return err_set(e, ERR_USAGE, "suite: '%s' is not supported (only " APT_SUITE " is)", suite);
    if (strcmp(variant, "minbase") == 0)
        *ret = RECIPE_MINBASE;
    else if (strcmp(variant, "extract") == 0)
        *ret = RECIPE_EXTRACT;
    else
        return err_set(e, ERR_USAGE, "variant: '%s' is not minbase or extract", variant);
    return 0;
}

static int read_recipe(struct recipe *r, struct err *e)
{
    static const char *const keys[] = {"format",   "version", "description", "suite", "variant",
                                       "packages", "files",   "run",         "env",   "workdir",
                                       "user",     "command", "entrypoint",  NULL};
    const struct doc *d = r->doc;
    const char *format, *description = "";
    uint64_t version;

    if (!doc_is_object(d))
        return err_set(e, ERR_USAGE, "not an object");
    if (doc_get_str(d, "format", &format, e) < 0 || doc_get_u64(d, "version", &version, e) < 0)
        return -1;
    if (strcmp(format, RECIPE_FORMAT) != 0 || version != RECIPE_VERSION)
        return err_set(e, ERR_USAGE, "not a '" RECIPE_FORMAT "' of version %u", RECIPE_VERSION);
    if (doc_only_keys(d, keys, e) < 0 || read_text(d, "description", &description, e) < 0 ||
        read_variant(d, &r->variant, e) < 0 || read_packages(d, &r->packages, e) < 0 ||
        read_files(r, e) < 0 || read_strings(d, "run", &r->run, e) < 0 ||
        read_config(d, &r->config, e) < 0)
        return -1;
    if (r->variant == RECIPE_EXTRACT && r->packages.n == 0 && r->n_files == 0)
        return err_set(e, ERR_USAGE, "it has neither packages nor files");
    r->description = str_dup(description);
    return 0;
}

/* Its own words are wrong, so whatever the reader called it, it is the user's mistake. */
static int wrong(const char *path, struct err *e)
{
    struct err why = *e;

    return err_set(e, ERR_USAGE, "recipe '%s': %s (see lazaret-recipe(5))", path, why.text);
}

int recipe_read(const char *path, struct recipe *ret, struct err *e)
{
    own_recipe struct recipe r = {0};
    own_free char *text = NULL;
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t len;

    r.dir =
        slash ? str_printf("%.*s", slash == path ? 1 : (int)(slash - path), path) : str_dup(".");
    r.name = str_printf("%.*s", dot ? (int)(dot - base) : (int)strlen(base), base);
    if (file_read(AT_FDCWD, path, RECIPE_MAX, &text, &len, e) < 0 ||
        doc_parse(text, len, path, &r.doc, e) < 0 || read_recipe(&r, e) < 0)
        return wrong(path, e);
    *ret = r;
    r = (struct recipe){0};
    return 0;
}
