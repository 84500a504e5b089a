/* lines: where each key of a JSON text stands, and that no key is there twice. */
#include "plan/lines.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What may come next. */
enum next { VALUE, VALUE_OR_END, KEY, KEY_OR_END, COMMA_OR_END, NOTHING };

struct scan {
    const char *at, *end;
    unsigned line;
    enum next next;
    size_t depth;
    struct {
        bool object;
        size_t path_len; /* of the path that leads to it */
        unsigned index;  /* of a list: of the value that comes next */
    } open[LINES_DEPTH];
    char path[LINES_NAME_MAX + 1]; /* of the value that comes next, or that is open */
    struct lines *lines;
    struct err *e;
};

static int wrong(struct scan *s, const char *what)
{
    return err_set(s->e, ERR_USAGE, "%u: %s", s->line, what);
}

static void skip_blanks(struct scan *s)
{
    for (; s->at < s->end && *s->at && strchr(" \t\r\n", *s->at); s->at++)
        s->line += *s->at == '\n';
}

/* Behind the opening quote; ends behind the closing one. */
static int skip_string(struct scan *s)
{
    for (; s->at < s->end && *s->at != '"'; s->at++) {
        if ((unsigned char)*s->at < 0x20)
            return wrong(s, "a control character inside a string");
        if (*s->at == '\\' && ++s->at == s->end)
            break;
    }
    if (s->at == s->end)
        return wrong(s, "a string that does not end");
    s->at++;
    return 0;
}

static int note(struct scan *s)
{
    struct lines *l = s->lines;

    if (l->n % 64 == 0) {
        void *grown = reallocarray(l->keys, l->n + 64, sizeof(*l->keys));

        if (!grown)
            return err_set(s->e, ERR_HOST, "out of memory");
        l->keys = grown;
    }
    memcpy(l->keys[l->n].path, s->path, strlen(s->path) + 1);
    l->keys[l->n++].line = s->line;
    return 0;
}

/* A value of a list comes next: "network[3]". Of long lists not every line is kept. */
static int take_place(struct scan *s)
{
    size_t at = s->open[s->depth - 1].path_len, room = sizeof(s->path) - at;
    int n = snprintf(s->path + at, room, "[%u]", s->open[s->depth - 1].index);

    if (n < 0 || (size_t)n >= room)
        return wrong(s, "a path of keys that is too long");
    return s->lines->n < LINES_PLACES_MAX ? note(s) : 0;
}

/* Behind the opening quote of a key. Its path becomes the scan's. */
static int take_key(struct scan *s)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    size_t at = s->open[s->depth - 1].path_len, start = at;
    struct lines *l = s->lines;

    if (at > 0 && at < LINES_NAME_MAX)
        s->path[at++] = '.';
    for (; s->at < s->end && *s->at && strchr(allowed, *s->at) && at < LINES_NAME_MAX; s->at++)
        s->path[at++] = *s->at;
    s->path[at] = '\0';
    if (at - start <= (start > 0) || s->at == s->end || *s->at != '"')
        return err_set(s->e, ERR_USAGE, "%u: unknown key '%s...'", s->line, s->path);
    s->at++;
    if (lines_find(l, s->path))
        return err_set(s->e, ERR_USAGE, "%u: %s: it is in line %u already", s->line, s->path,
                       lines_find(l, s->path));
    if (l->n == LINES_KEYS_MAX)
        return wrong(s, "too many keys");
    if (note(s) < 0)
        return -1;
    skip_blanks(s);
    if (s->at == s->end || *s->at != ':')
        return wrong(s, "no ':' behind the key");
    s->at++;
    s->next = VALUE;
    return 0;
}

static int open_one(struct scan *s, bool object)
{
    if (s->depth == LINES_DEPTH)
        return wrong(s, "nested too deeply");
    s->open[s->depth].object = object;
    s->open[s->depth].index = 0;
    s->open[s->depth++].path_len = strlen(s->path);
    s->next = object ? KEY_OR_END : VALUE_OR_END;
    return 0;
}

static int close_one(struct scan *s, char c)
{
    if (s->depth == 0 || s->open[s->depth - 1].object != (c == '}'))
        return wrong(s, "a bracket too many");
    s->path[s->open[--s->depth].path_len] = '\0';
    s->next = s->depth > 0 ? COMMA_OR_END : NOTHING;
    return 0;
}

/* A value that is not an object or array: a string, or a word or number for json-c to judge. */
static int take_scalar(struct scan *s, char c)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.";
    int rc = 0;

    if (c == '"') {
        s->at++;
        rc = skip_string(s);
    } else {
        const char *from = s->at;

        while (s->at < s->end && *s->at && strchr(word, *s->at))
            s->at++;
        rc = s->at == from ? wrong(s, "no value where one should be") : 0;
    }
    s->next = s->depth > 0 ? COMMA_OR_END : NOTHING;
    return rc;
}

static int step(struct scan *s)
{
    char c = *s->at;
    bool value = s->next == VALUE || s->next == VALUE_OR_END;

    if ((c == '}' || c == ']') && s->next != VALUE && s->next != KEY) {
        s->at++;
        return close_one(s, c);
    }
    if (value && s->depth > 0 && !s->open[s->depth - 1].object && take_place(s) < 0)
        return -1;
    if ((c == '{' || c == '[') && value) {
        s->at++;
        return open_one(s, c == '{');
    }
    if (c == '"' && (s->next == KEY || s->next == KEY_OR_END)) {
        s->at++;
        return take_key(s);
    }
    if (c == ',' && s->next == COMMA_OR_END) {
        s->at++;
        s->next = s->open[s->depth - 1].object ? KEY : VALUE;
        s->open[s->depth - 1].index++;
        return 0;
    }
    if (value)
        return take_scalar(s, c);
    return wrong(s, s->next == NOTHING        ? "more text behind its end"
                    : s->next == COMMA_OR_END ? "no ',' where one should be"
                                              : "no key where one should be");
}

int lines_scan(const char *text, size_t len, struct lines *ret, struct err *e)
{
    struct scan s = {.at = text, .end = text + len, .line = 1, .lines = ret, .e = e};

    for (skip_blanks(&s); s.at < s.end; skip_blanks(&s))
        if (step(&s) < 0)
            return -1;
    return s.next == NOTHING ? 0 : wrong(&s, "it ends too early");
}

unsigned lines_find(const struct lines *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->keys[i].path, path) == 0)
            return l->keys[i].line;
    return 0;
}

unsigned lines_near(const struct lines *l, const char *path)
{
    char near[LINES_NAME_MAX + 1];
    unsigned line = lines_find(l, path);

    (void)snprintf(near, sizeof(near), "%s", path);
    while (line == 0 && near[0]) {
        size_t len = strlen(near);

        while (len > 0 && near[len - 1] != '[' && near[len - 1] != '.')
            len--;
        near[len ? len - 1 : 0] = '\0';
        line = lines_find(l, near);
    }
    return line;
}

void lines_done(struct lines *l)
{
    free(l->keys);
    *l = (struct lines){0};
}
