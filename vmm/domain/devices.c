/*
 * devices: the children of <devices> as a sorted list of "kind:detail".
 *
 * Reads our own XML, or libvirt's view of a live domain; never anything that a guest wrote.
 */
#include "domain/domain.h"

#include "domain/devices.h"
#include "domain/text.h"

#include "base/own.h"

#include <libxml/parser.h>
#include <limits.h>
#include <string.h>

static const xmlNode *child(const xmlNode *parent, const char *name)
{
    const xmlNode *n = parent->children;

    while (n && !(n->type == XML_ELEMENT_NODE && xmlStrEqual(n->name, xml_text(name))))
        n = n->next;
    return n;
}

/* Returns new or NULL: the attribute `attr` of the first `element` in `n`, or its text. */
static xmlChar *value_in(const xmlNode *n, const char *element, const char *attr)
{
    const xmlNode *at = child(n, element);

    if (!at)
        return NULL;
    return attr ? xmlGetProp(at, xml_text(attr)) : xmlNodeGetContent(at);
}

/* What tells two devices of one kind apart: see domain.h. */
char *devices_name(const xmlNode *n)
{
    const char *kind = (const char *)n->name;
    own_xml xmlChar *own = NULL, *type = NULL, *model = NULL;

    if (strcmp(kind, "emulator") == 0)
        own = xmlNodeGetContent(n);
    else if (strcmp(kind, "disk") == 0)
        own = value_in(n, "serial", NULL);
    else if (strcmp(kind, "channel") == 0)
        own = value_in(n, "target", "name");
    else if (strcmp(kind, "serial") == 0)
        own = value_in(n, "target", "type");
    if (own)
        return str_printf("%s:%s", kind, (const char *)own);
    type = xmlGetProp(n, xml_text("type"));
    model = xmlGetProp(n, xml_text("model"));
    return str_printf("%s:%s%s%s", kind, type ? (const char *)type : "", type && model ? "/" : "",
                      model ? (const char *)model : "");
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int devices_read(const char *xml, xmlDocPtr *ret, struct err *e)
{
    own_xml_doc xmlDocPtr doc = NULL;
    size_t len = strlen(xml);
    const xmlNode *root;

    if (len < INT_MAX)
        doc = xmlReadMemory(xml, (int)len, "domain.xml", NULL,
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    root = doc ? xmlDocGetRootElement(doc) : NULL;
    if (!root || !xmlStrEqual(root->name, xml_text("domain")) || !child(root, "devices"))
        return err_set(e, ERR_HOST, "domain XML: no <devices> in a <domain>");
    *ret = doc;
    doc = NULL;
    return 0;
}

int domain_devices(const char *xml, struct strv *ret, struct err *e)
{
    own_xml_doc xmlDocPtr doc = NULL;
    const xmlNode *list;

    if (devices_read(xml, &doc, e) < 0)
        return -1;
    list = child(xmlDocGetRootElement(doc), "devices");
    for (const xmlNode *n = list ? list->children : NULL; n; n = n->next)
        if (n->type == XML_ELEMENT_NODE) {
            own_free char *name = devices_name(n);

            strv_add(ret, name);
        }
    if (ret->n)
        qsort(ret->items, ret->n, sizeof(ret->items[0]), compare);
    return 0;
}
