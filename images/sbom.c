/* sbom: an image's packages as a bill of materials: CycloneDX 1.5, JSON. */
#include "images/sbom.h"

#include "base/own.h"
#include "base/str.h"
#include "images/apt.h"
#include "images/debian.h"

#include <string.h>

/* What a purl may hold as it is; everything else becomes %XX. */
#define PURL_PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~:"

static void add_encoded(struct str *s, const char *text)
{
    for (; *text; text++) {
        if (strchr(PURL_PLAIN, *text))
            str_add_bytes(s, text, 1);
        else
            str_addf(s, "%%%02X", (unsigned char)*text);
    }
}

static void add_deb_purl(struct str *s, const struct package *p, const struct package *os)
{
    str_add(s, "pkg:deb/");
    add_encoded(s, os ? os->name : "debian");
    str_add(s, "/");
    add_encoded(s, p->name);
    str_add(s, "@");
    add_encoded(s, p->version);
    str_add(s, "?arch=");
    add_encoded(s, p->architecture);
    if (os) {
        str_add(s, "&distro=");
        add_encoded(s, os->name);
        str_add(s, "-");
        add_encoded(s, os->version);
    }
}

/* PyPI takes upper for lower case, and '_' for '-'. */
static void add_python_purl(struct str *s, const struct package *p)
{
    own_free char *name = str_dup(p->name);

    for (char *c = name; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c |= 0x20;
        else if (*c == '_')
            *c = '-';
    }
    str_add(s, "pkg:pypi/");
    add_encoded(s, name);
    str_add(s, "@");
    add_encoded(s, p->version);
}

/* The slash of @scope/name stays one. */
static void add_npm_purl(struct str *s, const struct package *p)
{
    own_free char *name = str_dup(p->name);
    char *slash = name[0] == '@' ? strchr(name, '/') : NULL;

    str_add(s, "pkg:npm/");
    if (slash)
        *slash = '\0';
    add_encoded(s, name);
    if (slash) {
        str_add(s, "/");
        add_encoded(s, slash + 1);
    }
    str_add(s, "@");
    add_encoded(s, p->version);
}

static void add_property(struct doc *list, const char *name, const char *value)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "name", name);
    doc_set_str(d, "value", value);
    doc_add(list, d);
}

static struct doc *new_component(const char *type, const char *name, const char *version)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "type", type);
    doc_set_str(d, "name", name);
    doc_set_str(d, "version", version);
    return d;
}

static void set_sha256(struct doc *component, const char *sha256)
{
    struct doc *list = doc_new_array();
    struct doc *hash = doc_new_object();

    doc_set_str(hash, "alg", "SHA-256");
    doc_set_str(hash, "content", sha256);
    doc_add(list, hash);
    doc_set(component, "hashes", list);
}

static struct doc *package_component(const struct package *p, const struct package *os)
{
    struct doc *d =
        new_component(p->type == PACKAGE_OS ? "operating-system" : "library", p->name, p->version);
    own_str struct str purl = {0};

    switch (p->type) {
    case PACKAGE_DEB:
        add_deb_purl(&purl, p, os);
        break;
    case PACKAGE_NPM:
        add_npm_purl(&purl, p);
        break;
    case PACKAGE_PYTHON:
        add_python_purl(&purl, p);
        break;
    case PACKAGE_OS:
    case PACKAGE_TYPES:
        break;
    }
    if (purl.data)
        doc_set_str(d, "purl", purl.data);
    if (p->type == PACKAGE_DEB) {
        struct doc *properties = doc_new_array();

        add_property(properties, "lazaret:deb:source", p->source);
        add_property(properties, "lazaret:deb:source_version", p->source_version);
        doc_set(d, "properties", properties);
    }
    return d;
}

/* The kernel is in no package list: its package is unpacked or built, not installed. */
static struct doc *kernel_component(const struct sbom *s)
{
    struct doc *d = new_component("operating-system", "linux", s->kernel_release);
    own_free char *source = debian_kernel_source(APT_SUITE, s->kernel_release);
    const struct debian_suite *suite = debian_suite_by_codename(APT_SUITE);
    const struct package os = {
        .type = PACKAGE_OS, .name = "debian", .version = suite ? suite->version : APT_SUITE};
    const struct package p = {.type = PACKAGE_DEB,
                              .name = source,
                              .version = s->kernel_release,
                              .architecture = "source"};
    own_str struct str purl = {0};

    add_deb_purl(&purl, &p, &os);
    set_sha256(d, s->kernel_sha256);
    doc_set_str(d, "purl", purl.data);
    return d;
}

/* From APT_SUITE, as the kernel, whatever the root is made of. */
static void add_runtime(const struct sbom *s, struct doc *components)
{
    const struct debian_suite *suite = debian_suite_by_codename(APT_SUITE);
    const struct package os = {
        .type = PACKAGE_OS, .name = "debian", .version = suite ? suite->version : APT_SUITE};

    for (size_t i = 0; i < s->runtime->n; i++)
        doc_add(components, package_component(&s->runtime->items[i], &os));
}

static struct doc *metadata(const struct sbom *s)
{
    own_free char *version = str_printf("sha256:%s", s->digest);
    struct doc *d = doc_new_object();
    struct doc *tools = doc_new_object();
    struct doc *list = doc_new_array();
    struct doc *image = new_component("container", s->name, version);

    doc_add(list, new_component("application", "lazaret", LZ_VERSION));
    doc_set(tools, "components", list);
    doc_set(d, "tools", tools);
    set_sha256(image, s->digest);
    doc_set(d, "component", image);
    return d;
}

struct doc *sbom_cyclonedx(const struct sbom *s)
{
    struct doc *d = doc_new_object();
    struct doc *components = doc_new_array();
    const struct package *os = packages_os(s->packages);

    doc_set_str(d, "bomFormat", "CycloneDX");
    doc_set_str(d, "specVersion", "1.5");
    doc_set_u64(d, "version", 1);
    doc_set(d, "metadata", metadata(s));
    for (size_t i = 0; i < s->packages->n; i++)
        doc_add(components, package_component(&s->packages->items[i], os));
    add_runtime(s, components);
    doc_add(components, kernel_component(s));
    doc_set(d, "components", components);
    return d;
}
