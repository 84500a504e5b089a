/*
 * shape: every element and attribute of a live domain against those that were written for it.
 *
 * How it works
 *   Both documents become sorted lists of lines: the path of an element, "PATH@NAME=VALUE" for an
 *   attribute and "PATH=TEXT" for its text. A device's step in a path is its name in
 *   domain_devices(), so that what is said of one disk is not taken for what is said of another. A
 *   line that only the live one has is libvirt's own and listed here, or it is no part of the plan;
 *   one that only the written one has was taken away.
 *
 * Must: list what libvirt adds as narrowly as it is; a device or option that we do not write is
 * never among it.
 */
#include "domain/domain.h"

#include "domain/devices.h"
#include "domain/text.h"

#include "base/own.h"

#include <fnmatch.h>
#include <string.h>

#define DEVICES "domain/devices/"

/* What libvirt 9.0 adds by itself, in the words of fnmatch(3). */
static const char *const own_lines[] = {
    "domain@id=[0-9]*",
    "domain/currentMemory",
    "domain/currentMemory@unit=KiB",
    "domain/currentMemory=[0-9]*",
    "domain/resource",
    "domain/resource/partition",
    "domain/resource/partition=/machine",
    /* Where a guest waits for a saved state nothing says what it boots from. */
    "domain/os/boot",
    "domain/os/boot@dev=hd",
    "domain/os/type@machine=pc-q35-[0-9]*", /* what "q35" stands for */
    "domain/cpu@migratable=o[nf]*",         /* of host-passthrough */
    /* Who QEMU is, or its label: dynamic, so of this guest only. */
    "domain/seclabel",
    "domain/seclabel@type=dynamic",
    "domain/seclabel@model=dac",
    "domain/seclabel@model=apparmor",
    "domain/seclabel@model=selinux",
    "domain/seclabel@relabel=yes",
    "domain/seclabel/label",
    "domain/seclabel/label=*",
    "domain/seclabel/imagelabel",
    "domain/seclabel/imagelabel=*",
    /* Names and numbers that it makes up. */
    DEVICES "*/alias",
    DEVICES "*/alias@name=*",
    DEVICES "disk:*/source@index=[0-9]*",
    DEVICES "disk:*/backingStore",
    DEVICES "disk:*/backingStore@index=[0-9]*",
    DEVICES "channel:lazaret.*/target@state=connected",
    DEVICES "channel:lazaret.*/target@state=disconnected",
    DEVICES "controller:usb/none@index=0",
    /* Parts of the board that neither machine has: README. */
    DEVICES "input:mouse",
    DEVICES "input:mouse@type=mouse",
    DEVICES "input:mouse@bus=ps2",
    DEVICES "input:keyboard",
    DEVICES "input:keyboard@type=keyboard",
    DEVICES "input:keyboard@bus=ps2",
    DEVICES "controller:sata",
    DEVICES "controller:sata@type=sata",
    DEVICES "controller:sata@index=0",
    DEVICES "controller:sata/address",
    DEVICES "controller:sata/address@type=pci",
    DEVICES "controller:sata/address@domain=0x0000",
    DEVICES "controller:sata/address@bus=0x00",
    DEVICES "controller:sata/address@slot=0x1f",
    DEVICES "controller:sata/address@function=0x2",
};

/* What libvirt 9.0 writes otherwise; how is above. */
static const char *const other_lines[] = {"domain/os/type@machine=q35"};

static bool is_among(const char *const *patterns, size_t n, const char *line)
{
    size_t i = 0;

    while (i < n && fnmatch(patterns[i], line, FNM_NOESCAPE) != 0)
        i++;
    return i < n;
}
#define AMONG(list, line) is_among((list), sizeof(list) / sizeof((list)[0]), (line))

/* Returns new: its step in a path. */
static char *step_of(const xmlNode *n)
{
    const xmlNode *in = n->parent;

    if (in && in->type == XML_ELEMENT_NODE && xmlStrEqual(in->name, xml_text("devices")) &&
        in->parent == xmlDocGetRootElement(n->doc))
        return devices_name(n);
    return n->ns && n->ns->prefix ? str_printf("%s:%s", n->ns->prefix, n->name)
                                  : str_dup((const char *)n->name);
}

/* Returns new. */
static char *path_of(const xmlNode *n)
{
    char *path = step_of(n);

    while ((n = n->parent) && n->type == XML_ELEMENT_NODE) {
        own_free char *step = step_of(n), *below = path;

        path = str_printf("%s/%s", step, below);
    }
    return path;
}

/* Elements and references apart, the text that is directly in it. */
static void add_text(struct strv *lines, const char *path, const xmlNode *n)
{
    for (const xmlNode *c = n->children; c; c = c->next)
        if (c->type != XML_ELEMENT_NODE && c->type != XML_COMMENT_NODE) {
            own_xml xmlChar *text = xmlNodeGetContent(c);

            if (text && text[strspn((const char *)text, " \t\r\n")])
                strv_addf(lines, "%s=%s", path, (const char *)text);
        }
}

static void add_lines(struct strv *lines, const xmlNode *n)
{
    own_free char *path = path_of(n);

    strv_add(lines, path);
    for (const xmlAttr *a = n->properties; a; a = a->next) {
        own_xml xmlChar *value = xmlNodeListGetString(n->doc, a->children, 1);

        strv_addf(lines, "%s@%s=%s", path, a->name, value ? (const char *)value : "");
    }
    add_text(lines, path, n);
}

/* The next element of the document, or NULL. */
static const xmlNode *next_of(const xmlNode *n)
{
    const xmlNode *to = n->children;

    for (;;) {
        while (to && to->type != XML_ELEMENT_NODE)
            to = to->next;
        if (to || !n->parent || n->parent->type != XML_ELEMENT_NODE)
            return to;
        to = n->next;
        n = n->parent;
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_lines(const char *xml, struct strv *ret, struct err *e)
{
    own_xml_doc xmlDocPtr doc = NULL;

    if (devices_read(xml, &doc, e) < 0)
        return -1;
    for (const xmlNode *n = xmlDocGetRootElement(doc); n; n = next_of(n))
        add_lines(ret, n);
    if (ret->n)
        qsort(ret->items, ret->n, sizeof(ret->items[0]), compare);
    return 0;
}

int domain_compare(const char *live, const char *xml, struct domain_shape *ret, struct err *e)
{
    own_strv struct strv have = {0}, want = {0};
    size_t h = 0, w = 0;

    if (read_lines(live, &have, e) < 0 || read_lines(xml, &want, e) < 0)
        return -1;
    *ret = (struct domain_shape){0};
    while ((h < have.n || w < want.n) && !ret->wrong[0]) {
        int order = h == have.n ? 1 : w == want.n ? -1 : strcmp(have.items[h], want.items[w]);

        if (order < 0 && !AMONG(own_lines, have.items[h]))
            snprintf(ret->wrong, sizeof(ret->wrong), "'%.200s' is not of its plan", have.items[h]);
        else if (order > 0 && !AMONG(other_lines, want.items[w]))
            snprintf(ret->wrong, sizeof(ret->wrong), "'%.200s' is missing", want.items[w]);
        ret->of_plan += order == 0;
        ret->of_libvirt += order < 0;
        h += order <= 0;
        w += order >= 0;
    }
    return 0;
}
