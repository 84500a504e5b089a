/* strip: covers a secret in a stream of bytes. See strip.h. */
#include "gateway/strip.h"

#include <string.h>

void strip_prepare(const uint8_t *secret, size_t len, uint16_t *back)
{
    size_t k = 0;

    if (len > 0)
        back[0] = 0;
    for (size_t i = 1; i < len; i++) {
        while (k > 0 && secret[i] != secret[k])
            k = back[k - 1];
        if (secret[i] == secret[k])
            k++;
        back[i] = (uint16_t)k;
    }
}

size_t strip_feed(struct strip *s, const uint8_t *in, size_t n, uint8_t *out)
{
    size_t given = 0;

    if (!s->secret || s->len == 0) {
        memcpy(out, in, n);
        return n;
    }
    for (size_t i = 0; i < n; i++) {
        while (s->held > 0 && in[i] != s->secret[s->held]) {
            size_t keep = s->back[s->held - 1];

            memcpy(out + given, s->secret, s->held - keep);
            given += s->held - keep;
            s->held = keep;
        }
        if (in[i] != s->secret[s->held]) {
            out[given++] = in[i];
            continue;
        }
        if (++s->held < s->len)
            continue;
        memset(out + given, '*', s->len);
        given += s->len;
        s->held = 0;
    }
    return given;
}

size_t strip_finish(struct strip *s, uint8_t *out)
{
    size_t n = s->held;

    if (n > 0)
        memcpy(out, s->secret, n);
    s->held = 0;
    return n;
}
