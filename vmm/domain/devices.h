/* devices: reading a domain XML, our own or libvirt's view of a live domain. Internal. */
#ifndef LZ_DOMAIN_DEVICES_H
#define LZ_DOMAIN_DEVICES_H

#include "base/err.h"

#include <libxml/tree.h>

static inline void devices_free_xml(xmlDocPtr *d)
{
    xmlFreeDoc(*d);
}
#define own_xml_doc __attribute__((cleanup(devices_free_xml)))

static inline void devices_free_text(xmlChar **s)
{
    if (*s)
        xmlFree(*s);
}
#define own_xml __attribute__((cleanup(devices_free_text)))

/* Returns new: a <domain> with <devices>. ERR_HOST. */
int devices_read(const char *xml, xmlDocPtr *ret, struct err *e);
/* Returns new: "kind:detail" of a child of <devices>. */
char *devices_name(const xmlNode *n);

#endif
