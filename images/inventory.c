/* inventory: finds out which packages an image's root file system has. */
#include "images/inventory.h"

#include "base/own.h"
#include "base/str.h"
#include "images/packages.h"

#include <fnmatch.h>
#include <search.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Bytes of a list's entry beside its texts, written with indentation. */
#define ENTRY_BYTES 160

struct inventory {
    void *tree; /* tsearch(3) of struct kept */
    size_t list_bytes, read_bytes;
    size_t skipped;
    bool has_os;
};

struct kept {
    struct package p; /* first: the tree compares it */
    char *texts[5];   /* what it borrows */
};

/* A field of a paragraph, or a variable of os-release; value is NULL where it is not there. */
struct field {
    const char *name;
    char *value;
};

static void *allocate(size_t size)
{
    void *p = calloc(1, size);

    if (!p) {
        fputs("lazaret: out of memory\n", stderr);
        abort();
    }
    return p;
}

static void kept_free(void *node)
{
    struct kept *en = node;

    for (size_t i = 0; i < sizeof(en->texts) / sizeof(en->texts[0]); i++)
        free(en->texts[i]);
    free(en);
}

struct inventory *inventory_new(void)
{
    return allocate(sizeof(struct inventory));
}

void inventory_free(struct inventory *inv)
{
    if (!inv)
        return;
    tdestroy(inv->tree, kept_free);
    free(inv);
}

void inventory_skip(struct inventory *inv)
{
    inv->skipped++;
}

size_t inventory_skipped(const struct inventory *inv)
{
    return inv->skipped;
}

static int order(const void *a, const void *b)
{
    return package_order(a, b);
}

/* Keeps a copy of `p`, unless it is there already. */
static void keep(struct inventory *inv, const struct package *p)
{
    const char *const from[] = {p->name, p->version, p->architecture, p->source, p->source_version};
    size_t bytes = ENTRY_BYTES;
    struct kept *en;

    if (!package_is_valid(p)) {
        inv->skipped++;
        return;
    }
    if (tfind(p, &inv->tree, order))
        return;
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
        bytes += from[i] ? strlen(from[i]) : 0;
    if (bytes > INVENTORY_LIST_MAX - inv->list_bytes) {
        inv->skipped++;
        return;
    }
    inv->list_bytes += bytes;
    en = allocate(sizeof(*en));
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
        en->texts[i] = from[i] ? str_dup(from[i]) : NULL;
    en->p = (struct package){p->type,      en->texts[0], en->texts[1],
                             en->texts[2], en->texts[3], en->texts[4]};
    if (!tsearch(en, &inv->tree, order))
        abort(); /* out of memory, as above */
}

/* Cuts spaces off both ends. */
static char *trim(char *text)
{
    size_t len;

    text += strspn(text, " \t\r");
    len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]))
        text[--len] = '\0';
    return text;
}

enum paragraph { PARAGRAPH_END, PARAGRAPH_GOOD, PARAGRAPH_TWICE /* a field that is there twice */ };

/*
 * Takes the next paragraph off `*rest` (deb822(5), RFC 822): lines "Name: value" up to an empty
 * one. Lines that start with a space continue a value that nobody here asks for.
 */
static enum paragraph take_paragraph(char **rest, struct field *fields, size_t n)
{
    enum paragraph ret = PARAGRAPH_END;

    for (size_t i = 0; i < n; i++)
        fields[i].value = NULL;
    while (*rest) {
        char *line = strsep(rest, "\n");
        char *value = strchr(line, ':');

        if (line[strspn(line, " \t\r")] == '\0') {
            if (ret != PARAGRAPH_END)
                break;
            continue;
        }
        if (ret == PARAGRAPH_END)
            ret = PARAGRAPH_GOOD;
        if (!value || line[0] == ' ' || line[0] == '\t')
            continue;
        *value++ = '\0';
        for (size_t i = 0; i < n; i++) {
            if (strcasecmp(fields[i].name, line) != 0)
                continue;
            if (fields[i].value)
                ret = PARAGRAPH_TWICE;
            fields[i].value = trim(value);
        }
    }
    return ret;
}

/* "NAME (VERSION)" or "NAME": the source package of a binary whose version is not the same. */
static void read_source(char *text, struct package *p)
{
    char *open = strchr(text, '(');
    char *close = open ? strchr(open, ')') : NULL;

    if (open) {
        *open = '\0';
        p->source_version = "";
        if (close && close[1] == '\0') {
            *close = '\0';
            p->source_version = trim(open + 1);
        }
    }
    p->source = trim(text);
}

/* True for what dpkg knows of, but has not on disk. */
static bool is_absent(const char *status)
{
    const char *state = strrchr(status, ' ');

    return state &&
           (strcmp(state + 1, "not-installed") == 0 || strcmp(state + 1, "config-files") == 0);
}

static void add_dpkg(struct inventory *inv, char *text)
{
    enum { NAME, VERSION, ARCHITECTURE, STATUS, SOURCE, FIELDS };
    struct field f[FIELDS] = {{"Package", NULL},
                              {"Version", NULL},
                              {"Architecture", NULL},
                              {"Status", NULL},
                              {"Source", NULL}};
    enum paragraph found;

    while ((found = take_paragraph(&text, f, FIELDS)) != PARAGRAPH_END) {
        struct package p = {.type = PACKAGE_DEB,
                            .name = f[NAME].value,
                            .version = f[VERSION].value,
                            .architecture = f[ARCHITECTURE].value,
                            .source = f[NAME].value,
                            .source_version = f[VERSION].value};

        if (f[STATUS].value && is_absent(f[STATUS].value))
            continue;
        if (found == PARAGRAPH_TWICE || !p.name || !p.version || !p.architecture) {
            inv->skipped++;
            continue;
        }
        if (f[SOURCE].value)
            read_source(f[SOURCE].value, &p);
        keep(inv, &p);
    }
}

static void add_python(struct inventory *inv, char *text)
{
    struct field f[] = {{"Name", NULL}, {"Version", NULL}};

    if (take_paragraph(&text, f, 2) != PARAGRAPH_GOOD || !f[0].value || !f[1].value)
        inv->skipped++;
    else
        keep(inv,
             &(struct package){.type = PACKAGE_PYTHON, .name = f[0].value, .version = f[1].value});
}

static void add_npm(struct inventory *inv, const char *text, size_t len)
{
    own_doc struct doc *d = NULL;
    struct package p = {.type = PACKAGE_NPM};
    struct err unused;

    if (doc_parse(text, len, "package.json", &d, &unused) < 0 ||
        doc_get_str(d, "name", &p.name, &unused) < 0 ||
        doc_get_str(d, "version", &p.version, &unused) < 0)
        inv->skipped++;
    else
        keep(inv, &p);
}

/* NAME=VALUE lines; the values that count here have no need for a shell's escapes. */
static void add_os(struct inventory *inv, char *text)
{
    enum { NAME, VERSION, CODENAME, FIELDS };
    struct field f[FIELDS] = {{"ID", NULL}, {"VERSION_ID", NULL}, {"VERSION_CODENAME", NULL}};

    if (inv->has_os)
        return;
    inv->has_os = true;
    while (text) {
        char *line = strsep(&text, "\n");
        char *value = strchr(line, '=');

        if (!value)
            continue;
        *value++ = '\0';
        value = trim(value);
        if ((*value == '"' || *value == '\'') && value[1] && value[strlen(value) - 1] == *value) {
            value[strlen(value) - 1] = '\0';
            value++;
        }
        for (size_t i = 0; i < FIELDS; i++)
            if (strcmp(f[i].name, line) == 0)
                f[i].value = value;
    }
    if (!f[VERSION].value)
        f[VERSION].value = f[CODENAME].value; /* Debian's next release has no number yet */
    if (!f[NAME].value || !f[VERSION].value)
        inv->skipped++;
    else
        keep(inv, &(struct package){
                      .type = PACKAGE_OS, .name = f[NAME].value, .version = f[VERSION].value});
}

enum list { LIST_NONE, LIST_DPKG, LIST_NPM, LIST_OS, LIST_PYTHON };

/* The first that fits counts. `tail` > 0: the pattern is for so many names at the path's end. */
static const struct row {
    const char *pattern;
    unsigned tail;
    enum list list;
    size_t max;
} rows[] = {
    {"etc/os-release", 0, LIST_OS, INVENTORY_OS_MAX},
    {"usr/lib/os-release", 0, LIST_OS, INVENTORY_OS_MAX},
    {"var/lib/dpkg/status", 0, LIST_DPKG, INVENTORY_DPKG_MAX},
    {"var/lib/dpkg/status.d/*.md5sums", 0, LIST_NONE, 0},
    {"var/lib/dpkg/status.d/*", 0, LIST_DPKG, INVENTORY_DPKG_MAX},
    {"node_modules/*/package.json", 3, LIST_NPM, INVENTORY_NPM_MAX},
    {"node_modules/@*/*/package.json", 4, LIST_NPM, INVENTORY_NPM_MAX},
    {"*.dist-info/METADATA", 2, LIST_PYTHON, INVENTORY_PYTHON_MAX},
    {"*.egg-info/PKG-INFO", 2, LIST_PYTHON, INVENTORY_PYTHON_MAX},
    {"EGG-INFO/PKG-INFO", 2, LIST_PYTHON, INVENTORY_PYTHON_MAX},
    {"*.egg-info", 1, LIST_PYTHON, INVENTORY_PYTHON_MAX},
};

/* The last `n` names of a path, or all of it if it has not so many; 0: all of it. */
static const char *path_tail(const char *path, unsigned n)
{
    const char *at = path + strlen(path);

    while (n > 0 && at > path)
        if (*--at == '/' && --n == 0)
            return at + 1;
    return path;
}

static const struct row *find_row(const char *path)
{
    static const struct row none = {.list = LIST_NONE};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (fnmatch(rows[i].pattern, path_tail(path, rows[i].tail), FNM_PATHNAME) == 0)
            return &rows[i];
    return &none;
}

size_t inventory_wants(const char *path)
{
    return find_row(path)->max;
}

void inventory_add(struct inventory *inv, const char *path, char *text, size_t len)
{
    const struct row *r = find_row(path);

    if (len > r->max || len > INVENTORY_READ_MAX - inv->read_bytes || strlen(text) != len) {
        inv->skipped++;
        return;
    }
    inv->read_bytes += len;
    switch (r->list) {
    case LIST_DPKG:
        add_dpkg(inv, text);
        break;
    case LIST_NPM:
        add_npm(inv, text, len);
        break;
    case LIST_OS:
        add_os(inv, text);
        break;
    case LIST_PYTHON:
        add_python(inv, text);
        break;
    case LIST_NONE:
        break;
    }
}

static void format_entry(const void *node, VISIT visit, void *list)
{
    if (visit == postorder || visit == leaf)
        doc_add(list, package_format(*(const struct package *const *)node));
}

struct doc *inventory_format(const struct inventory *inv)
{
    struct doc *list = doc_new_array();

    twalk_r(inv->tree, format_entry, list);
    return list;
}

struct reading {
    const struct rootfs *rootfs;
    struct inventory *inv;
};

static int read_entry(void *arg, const char *path, const struct rootfs_entry *en, struct err *e)
{
    struct reading *reading = arg;
    struct inventory *inv = reading->inv;
    size_t max = S_ISREG(en->mode) ? inventory_wants(path) : 0;
    own_free char *text = NULL;
    struct err unused;
    size_t len;

    (void)e;
    if (max == 0)
        return 0;
    /* Before it is read: a million links may lead to one file. */
    if (en->size > INVENTORY_READ_MAX - inv->read_bytes ||
        rootfs_read(reading->rootfs, path, max, &text, &len, &unused) < 0)
        inventory_skip(inv);
    else
        inventory_add(inv, path, text, len);
    return 0;
}

int inventory_read(const struct rootfs *r, struct doc **ret_packages, size_t *ret_skipped,
                   struct err *e)
{
    own_inventory struct inventory *inv = inventory_new();
    struct reading reading = {.rootfs = r, .inv = inv};

    if (rootfs_each(r, read_entry, &reading, e) < 0)
        return -1;
    *ret_packages = inventory_format(inv);
    *ret_skipped = inv->skipped;
    return 0;
}
