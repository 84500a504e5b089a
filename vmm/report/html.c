/* html: the only way that text gets into a page. See html.h. */
#include "report/html.h"

#include "base/own.h"

#include <stdarg.h>
#include <string.h>

void html_raw(struct str *page, const char *markup)
{
    str_add(page, markup);
}

/* The code point at `p`, and its length; 0: not UTF-8. */
static size_t decode(const unsigned char *p, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));

    if ((p[0] & 0xc0) == 0x80 || p[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    *ret = c;
    return c < least[n] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ? 0 : n;
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
    const unsigned char *p = (const unsigned char *)text;

    while (*p) {
        uint32_t c = 0;
        size_t n = decode(p, &c);

        if (n == 0)
            str_addf(page, "\\x%02x", *p);
        else if (entity(c))
            str_add(page, entity(c));
        else if (is_hidden(c))
            str_addf(page, "\\u{%x}", c);
        else
            str_add_bytes(page, p, n);
        p += n ? n : 1;
    }
}

void html_textf(struct str *page, const char *fmt, ...)
{
    own_free char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = str_dup("");
    va_end(ap);
    html_text(page, text);
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
