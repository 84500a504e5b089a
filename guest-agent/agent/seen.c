/* seen: what one job did to files, for the host. See seen.h. */
#include "agent/seen.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_STEP 64 /* rows */

void seen_init(struct seen *s, size_t max)
{
    *s = (struct seen){.max = max};
}

void seen_done(struct seen *s)
{
    free(s->rows);
    seen_init(s, 0);
}

/* FNV-1a: it saves comparisons, no more. */
static uint64_t hash_of(uint32_t kind, const char *path, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u ^ kind;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)path[i]) * 0x100000001b3u;
    return h;
}

static struct seen_row *find(const struct seen *s, uint64_t hash, uint32_t kind, const char *path,
                             size_t len)
{
    for (size_t i = 0; i < s->n; i++) {
        struct seen_row *r = &s->rows[i];

        if (r->hash == hash && r->kind == kind && r->path_len == len &&
            memcmp(r->path, path, len) == 0)
            return r;
    }
    return NULL;
}

/* Is there room for one more? */
static bool grow(struct seen *s)
{
    struct seen_row *more;

    if (s->n == s->max)
        return false;
    if (s->n < s->room)
        return true;
    more = realloc(s->rows, (s->room + ROOM_STEP) * sizeof(*more));
    if (!more)
        return false;
    s->rows = more;
    s->room += ROOM_STEP;
    return true;
}

void seen_add(struct seen *s, enum wire_seen_kind kind, const char *path, size_t len, uint64_t size)
{
    uint64_t hash = hash_of(kind, path, len);
    struct seen_row *r = find(s, hash, kind, path, len);

    if (r) {
        r->size = size;
        return;
    }
    if (len > WIRE_PATH_MAX || !grow(s)) {
        s->lost++;
        return;
    }
    r = &s->rows[s->n++];
    *r = (struct seen_row){.hash = hash, .size = size, .kind = kind, .path_len = len};
    memcpy(r->path, path, len);
}

void seen_end(struct seen *s)
{
    if (s->ended)
        return;
    s->ended = true;
    s->at = 0;
}

/* The first of `bits` that is not in `told`. */
static bool first_bit(uint32_t bits, uint32_t told, uint32_t *ret)
{
    for (*ret = 0; *ret <= WIRE_CANARY_SOME; ++*ret)
        if (bits & ~told & 1u << *ret)
            return true;
    return false;
}

static bool next_row(struct seen *s, struct wire_seen *ret)
{
    for (; s->at < s->n; s->at++) {
        const struct seen_row *r = &s->rows[s->at];

        if (r->told || (r->kind == WIRE_SEEN_WRITTEN && !s->ended))
            continue;
        *ret = (struct wire_seen){.kind = r->kind,
                                  .size = r->size,
                                  .path = (const uint8_t *)r->path,
                                  .path_len = r->path_len};
        return true;
    }
    return false;
}

bool seen_next(struct seen *s, struct wire_seen *ret)
{
    uint32_t which;

    if (first_bit(s->touched, s->touched_told, &which))
        *ret = (struct wire_seen){.kind = WIRE_SEEN_CANARY, .detail = which};
    else if (first_bit(s->absent, s->absent_told, &which))
        *ret = (struct wire_seen){.kind = WIRE_SEEN_NO_CANARY, .detail = which};
    else if (s->blind && !s->blind_told)
        *ret = (struct wire_seen){.kind = WIRE_SEEN_BLIND};
    else if (next_row(s, ret))
        return true;
    else if (s->ended && s->lost > 0 && !s->lost_told)
        *ret = (struct wire_seen){.kind = WIRE_SEEN_LOST, .size = s->lost};
    else
        return false;
    return true;
}

void seen_told(struct seen *s, const struct wire_seen *m)
{
    if (m->kind == WIRE_SEEN_CANARY)
        s->touched_told |= 1u << m->detail;
    else if (m->kind == WIRE_SEEN_NO_CANARY)
        s->absent_told |= 1u << m->detail;
    else if (m->kind == WIRE_SEEN_BLIND)
        s->blind_told = true;
    else if (m->kind == WIRE_SEEN_LOST)
        s->lost_told = true;
    else
        s->rows[s->at++].told = true;
}

void seen_untold(struct seen *s)
{
    for (size_t i = 0; i < s->n; i++)
        s->rows[i].told = false;
    s->at = 0;
    s->blind_told = s->lost_told = false;
}
