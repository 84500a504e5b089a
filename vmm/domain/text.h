/* text: what may be written into a domain XML: names, paths and kernel arguments. Internal. */
#ifndef LZ_DOMAIN_TEXT_H
#define LZ_DOMAIN_TEXT_H

#include "domain/domain.h"

#include <libxml/xmlstring.h>

#define TEXT_PATH_MAX    4095 /* bytes, as PATH_MAX without the NUL */
#define TEXT_SOCKET_MAX  107  /* bytes, as sun_path without the NUL: unix(7) */
#define TEXT_CMDLINE_MAX 2047 /* bytes, as COMMAND_LINE_SIZE of x86 without the NUL */

/* The same bytes as libxml2 calls them; its own BAD_CAST drops the const. */
static inline const xmlChar *xml_text(const char *text)
{
    return (const xmlChar *)text;
}

/* Each field is there, of its own form, and carried by XML unchanged; ERR_USAGE names it.
 * ERR_IMAGE: the image's arguments speak to the agent. */
int text_check_files(const struct domain_files *f, struct err *e);
/* Printable ASCII, as long as the kernel reads it. */
int text_check_cmdline(const char *cmdline, struct err *e);

#endif
