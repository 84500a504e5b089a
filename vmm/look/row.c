/* row: the form of a difference in the spool. See row.h. UNTRUSTED input. */
#include "look/row.h"

#include "base/err.h"
#include "base/str.h"
#include "shared/bytes.h"

#include <errno.h>
#include <string.h>

size_t look_row_format(uint8_t *out, const struct look_row *row)
{
    memset(out, 0, LOOK_HEADER_SIZE);
    out[0] = row->change;
    out[1] = row->place;
    out[2] = row->why;
    out[3] = row->side;
    out[4] = row->kind[0];
    out[5] = row->kind[1];
    bytes_put_u16(out + 6, (uint16_t)row->path_len);
    bytes_put_u32(out + 8, row->what);
    bytes_put_u64(out + 16, row->size[0]);
    bytes_put_u64(out + 24, row->size[1]);
    memcpy(out + LOOK_HEADER_SIZE, row->path, row->path_len);
    return LOOK_HEADER_SIZE + row->path_len;
}

/* Components with '/' between them; none is empty, "." or "..". */
static bool path_is_sane(const char *path, size_t len)
{
    size_t part = 0, depth = 1;

    if (len == 0)
        return true;
    if (memchr(path, '\0', len))
        return false;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        if (i == part || (i - part <= 2 && memcmp(path + part, "..", i - part) == 0) ||
            depth++ > LOOK_DEPTH_MAX)
            return false;
        part = i + 1;
    }
    return true;
}

static bool last_is_sane(const struct look_row *r)
{
    if (r->place != 0 || r->side != 0 || r->kind[0] != 0 || r->kind[1] != 0 || r->size[0] != 0 ||
        r->size[1] != 0)
        return false;
    if (r->change == LOOK_END)
        return r->why == 0 && (r->what & ~LOOK_END_ALL) == 0 && r->path_len == 0;
    return (r->why == ERR_GUEST || r->why == ERR_HOST) && r->what == 0 &&
           str_is_printable(r->path, sizeof(r->path));
}

static bool kinds_are_sane(const struct look_row *r)
{
    const uint8_t was = r->kind[0], is = r->kind[1];

    if (was >= LOOK_KIND_END || is >= LOOK_KIND_END)
        return false;
    switch (r->change) {
    case LOOK_ADDED:
        return was == LOOK_NOTHING && is != LOOK_NOTHING;
    case LOOK_REMOVED:
        return was != LOOK_NOTHING && is == LOOK_NOTHING;
    case LOOK_CHANGED:
        return was != LOOK_NOTHING && is != LOOK_NOTHING &&
               (r->what != 0) == (was != LOOK_IMAGE && is != LOOK_IMAGE);
    case LOOK_UNREAD:
        return was == LOOK_NOTHING && is == LOOK_NOTHING;
    default:
        return false;
    }
}

static bool row_is_sane(const struct look_row *r)
{
    if (r->change == LOOK_END || r->change == LOOK_ERROR)
        return last_is_sane(r);
    if (!kinds_are_sane(r) || r->place < LOOK_ROOT || r->place >= LOOK_PLACE_END)
        return false;
    if ((r->change == LOOK_UNREAD) != (r->why != LOOK_WHY_NONE) || r->why >= LOOK_WHY_END)
        return false;
    if (r->side > (r->change == LOOK_UNREAD))
        return false;
    if (r->change == LOOK_CHANGED ? (r->what & ~LOOK_WHAT_ALL) != 0 : r->what != 0)
        return false;
    return path_is_sane(r->path, r->path_len);
}

long look_row_parse(const uint8_t *p, size_t len, struct look_row *ret)
{
    size_t path_len;

    if (len < LOOK_HEADER_SIZE)
        return 0;
    path_len = bytes_get_u16(p + 6);
    if (path_len > LOOK_PATH_MAX || bytes_get_u32(p + 12) != 0)
        return -EBADMSG;
    if (len - LOOK_HEADER_SIZE < path_len)
        return 0;
    ret->change = p[0];
    ret->place = p[1];
    ret->why = p[2];
    ret->side = p[3];
    ret->kind[0] = p[4];
    ret->kind[1] = p[5];
    ret->what = bytes_get_u32(p + 8);
    ret->size[0] = bytes_get_u64(p + 16);
    ret->size[1] = bytes_get_u64(p + 24);
    ret->path_len = path_len;
    memcpy(ret->path, p + LOOK_HEADER_SIZE, path_len);
    ret->path[path_len] = '\0';
    return row_is_sane(ret) ? (long)(LOOK_HEADER_SIZE + path_len) : -EBADMSG;
}
