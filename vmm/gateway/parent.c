/* parent: how the host's own proxy is asked for a connection. See parent.h. */
#include "gateway/parent.h"

#include "base/own.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <string.h>

char *parent_question(const char *host, uint16_t port, const char *login)
{
    own_free char *to = str_printf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);

    return str_printf("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", to, to, login ? login : "");
}

char *parent_login(const char *login)
{
    size_t len = strlen(login), size = 4 * ((len + 2) / 3) + 1;
    own_free char *coded = malloc(size);
    char *line;

    if (!coded)
        abort();
    EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)login, (int)len);
    line = str_printf("Proxy-Authorization: Basic %s\r\n", coded);
    explicit_bzero(coded, size);
    return line;
}

/* A byte of "HTTP/1.1 200" and what ends the number. */
static int take_first(struct parent_answer *a, uint8_t c)
{
    static const char begin[] = "HTTP/1.";
    const size_t digit = sizeof(begin) - 1, blank = digit + 1, status = blank + 1;

    if (a->len < digit)
        return c == (uint8_t)begin[a->len] ? 0 : -1;
    if (a->len == digit)
        return c == '0' || c == '1' ? 0 : -1;
    if (a->len == blank)
        return c == ' ' ? 0 : -1;
    if (a->len < status + 3) {
        a->status = a->status * 10 + (unsigned)(c - '0');
        return c >= '0' && c <= '9' ? 0 : -1;
    }
    if (a->len == status + 3)
        return (c == ' ' || c == '\r' || c == '\n') && a->status >= 100 && a->status <= 599 ? 0
                                                                                            : -1;
    return 0;
}

int parent_feed(struct parent_answer *a, const uint8_t *data, size_t n, size_t *ret_used)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = data[i];

        if (a->len == PARENT_HEAD_MAX || c == '\0' || take_first(a, c) < 0)
            return -1;
        a->len++;
        if (c == '\n')
            a->newlines++;
        else if (c != '\r')
            a->newlines = 0;
        if (a->newlines == 2) {
            *ret_used = i + 1;
            return 1;
        }
    }
    *ret_used = n;
    return 0;
}
