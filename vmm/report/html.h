/*
 * html: the only way that text gets into a page. What html_raw() adds is ours, a literal;
 * everything else goes through html_text(), whoever it is from.
 */
#ifndef LZ_REPORT_HTML_H
#define LZ_REPORT_HTML_H

#include "base/str.h"

/* Markup of our own. */
void html_raw(struct str *page, const char *markup);
/* Text, safe as content and in a quoted attribute: & < > " ' become entities. Control characters,
 * and those that reorder or hide text (bidirectional marks, zero width), are shown as their number;
 * what is not UTF-8 as \xNN. */
void html_text(struct str *page, const char *text);
/* <tag>text</tag> */
void html_element(struct str *page, const char *tag, const char *text);
/* The same with a class of ours. */
void html_span(struct str *page, const char *class, const char *text);

#endif
