/* redact: takes out of texts what a policy does not want on record. */
#include "record/redact.h"

#include "base/own.h"

#include <string.h>

int redact_check(const char *pattern, struct err *e)
{
    size_t len = strlen(pattern);

    if (len >= 2 && len <= REDACT_PATTERN_MAX && pattern[0] != '*' && pattern[1] != '*' &&
        str_is_utf8(pattern))
        return 0;
    return err_set(e, ERR_USAGE, "a pattern is 2 to %d bytes, and its first two are not '*'",
                   REDACT_PATTERN_MAX);
}

/* What a '*' may stand for ends there. */
static size_t run_length(const char *text)
{
    size_t n = 0;

    while ((unsigned char)text[n] > ' ' && text[n] != '"' && text[n] != '\'' && text[n] != 0x7f)
        n++;
    return n;
}

/* Where `part` is first in the run that `text` begins with; it may reach beyond the run. */
static const char *find(const char *text, const char *part, size_t len)
{
    size_t run = run_length(text);

    for (size_t i = 0; i <= run; i++)
        if (strncmp(text + i, part, len) == 0)
            return text + i;
    return NULL;
}

/* The length of what the pattern matches at the beginning of `text`; 0: nothing. */
static size_t match(const char *pattern, const char *text)
{
    const char *at = text;
    size_t len = strcspn(pattern, "*");

    if (strncmp(at, pattern, len) != 0)
        return 0;
    at += len;
    for (pattern += len; *pattern == '*'; pattern += len) {
        pattern += strspn(pattern, "*");
        len = strcspn(pattern, "*");
        if (len == 0) /* the last one takes all of its run */
            return (size_t)(at - text) + run_length(at);
        at = find(at, pattern, len);
        if (!at)
            return 0;
        at += len;
    }
    return (size_t)(at - text);
}

static size_t match_any(const struct strv *patterns, const char *text)
{
    size_t longest = 0;

    for (size_t i = 0; i < patterns->n; i++) {
        size_t n = match(patterns->items[i], text);

        if (n > longest)
            longest = n;
    }
    return longest;
}

char *redact_text(const struct strv *patterns, const char *text)
{
    own_str struct str out = {0};
    bool found = false;

    if (!patterns || patterns->n == 0)
        return NULL;
    while (*text) {
        size_t n = match_any(patterns, text);

        if (n > 0)
            str_add(&out, REDACTED);
        else
            str_add_bytes(&out, text, 1);
        found |= n > 0;
        text += n > 0 ? n : 1;
    }
    return found ? str_steal(&out) : NULL;
}
