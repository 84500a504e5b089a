/* html: the only way that text gets into a page. See html.h. */
#include "report/html.h"

#include "shared/utf8.h"

#include <string.h>

void html_raw(struct str *page, const char *markup)
{
    str_add(page, markup);
}

/* It could make a page show something else than what is there. */
static bool is_hidden(uint32_t c)
{
    return (c < ' ' && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || c == 0xad ||
           c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

static const char *entity(uint32_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_text(struct str *page, const char *text)
{
    const uint8_t *p = (const uint8_t *)text;

    for (size_t left = strlen(text), len; left > 0; left -= len, p += len) {
        uint32_t c;
        int n = utf8_decode(p, left, &c);

        len = n > 0 ? (size_t)n : 1;
        if (n <= 0)
            str_addf(page, "\\x%02x", *p);
        else if (entity(c))
            str_add(page, entity(c));
        else if (is_hidden(c))
            str_addf(page, "\\u{%x}", c);
        else
            str_add_bytes(page, p, len);
    }
}

void html_element(struct str *page, const char *tag, const char *text)
{
    str_addf(page, "<%s>", tag);
    html_text(page, text);
    str_addf(page, "</%s>", tag);
}

void html_span(struct str *page, const char *class, const char *text)
{
    str_addf(page, "<span class=\"%s\">", class);
    html_text(page, text);
    html_raw(page, "</span>");
}
