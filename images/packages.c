/* packages: the package list of an image's manifest: what is in it, and in which form. */
#include "images/packages.h"

#include "base/own.h"
#include "images/debian.h"

#include <string.h>

static const char *const type_names[PACKAGE_TYPES] = {
    [PACKAGE_DEB] = "deb", [PACKAGE_NPM] = "npm", [PACKAGE_OS] = "os", [PACKAGE_PYTHON] = "python"};

void packages_done(struct packages *p)
{
    free(p->items);
    *p = (struct packages){0};
}

const char *package_type_name(enum package_type type)
{
    return type_names[type];
}

static bool is_text(const char *text)
{
    size_t n = 0;

    while (text[n] > ' ' && text[n] < 0x7f && text[n] != '"' && text[n] != '\\')
        if (++n > PACKAGE_TEXT_MAX)
            return false;
    return n > 0 && text[n] == '\0';
}

bool package_is_valid(const struct package *p)
{
    if (!is_text(p->name) || !is_text(p->version))
        return false;
    if (p->type != PACKAGE_DEB)
        return true;
    return is_text(p->architecture) && is_text(p->source) && is_text(p->source_version) &&
           debian_version_is_valid(p->version) && debian_version_is_valid(p->source_version);
}

int package_order(const struct package *a, const struct package *b)
{
    int order = (int)a->type - (int)b->type;

    if (order == 0)
        order = strcmp(a->name, b->name);
    if (order == 0)
        order = strcmp(a->version, b->version);
    if (order == 0 && a->type == PACKAGE_DEB)
        order = strcmp(a->architecture, b->architecture);
    return order;
}

struct doc *package_format(const struct package *p)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "type", type_names[p->type]);
    doc_set_str(d, "name", p->name);
    doc_set_str(d, "version", p->version);
    if (p->type == PACKAGE_DEB) {
        doc_set_str(d, "architecture", p->architecture);
        doc_set_str(d, "source", p->source);
        doc_set_str(d, "source_version", p->source_version);
    }
    return d;
}

static int read_entry(const struct doc *d, struct package *ret, struct err *e)
{
    static const char *const deb_keys[] = {"type",   "name",           "version", "architecture",
                                           "source", "source_version", NULL};
    static const char *const keys[] = {"type", "name", "version", NULL};
    struct package p = {.type = PACKAGE_DEB};
    const char *type;

    if (doc_get_str(d, "type", &type, e) < 0 || doc_get_str(d, "name", &p.name, e) < 0 ||
        doc_get_str(d, "version", &p.version, e) < 0)
        return -1;
    while (strcmp(type_names[p.type], type) != 0)
        if (++p.type == PACKAGE_TYPES)
            return err_set(e, ERR_IMAGE, "'%.32s' is not a type of packages", type);
    if (doc_only_keys(d, p.type == PACKAGE_DEB ? deb_keys : keys, e) < 0)
        return -1;
    if (p.type == PACKAGE_DEB && (doc_get_str(d, "architecture", &p.architecture, e) < 0 ||
                                  doc_get_str(d, "source", &p.source, e) < 0 ||
                                  doc_get_str(d, "source_version", &p.source_version, e) < 0))
        return -1;
    if (!package_is_valid(&p))
        return err_set(e, ERR_IMAGE, "its name, version or source cannot be one");
    *ret = p;
    return 0;
}

int packages_parse(const struct doc *list, struct packages *ret, struct err *e)
{
    own_packages struct packages p = {.n = doc_len(list)};

    p.items = calloc(p.n ? p.n : 1, sizeof(*p.items));
    if (!p.items)
        return err_set(e, ERR_HOST, "out of memory");
    for (size_t i = 0; i < p.n; i++) {
        struct err why;

        if (read_entry(doc_at(list, i), &p.items[i], &why) < 0)
            /* cppcheck-suppress memleak ; cleanup frees it */
            return err_set(e, ERR_IMAGE, "packages: entry %zu: %s", i, why.text);
        if (i > 0 && package_order(&p.items[i - 1], &p.items[i]) >= 0)
            return err_set(e, ERR_IMAGE, "packages: entry %zu: out of order, or there twice", i);
    }
    *ret = p;
    p = (struct packages){0};
    return 0;
}

const struct package *packages_os(const struct packages *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].type == PACKAGE_OS)
            return &p->items[i];
    return NULL;
}
