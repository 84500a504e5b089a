/* tree: an output tree as a byte stream. See tree.h. UNTRUSTED input. */
#include "shared/tree.h"

#include "shared/bytes.h"
#include "shared/utf8.h"

#include <errno.h>
#include <string.h>

const char *tree_why_text(enum tree_why why)
{
    static const char *const texts[TREE_WHY_END] = {
        [TREE_WHY_NONE] = "none",
        [TREE_WHY_LINK] = "symbolic link",
        [TREE_WHY_SPECIAL] = "device, fifo or socket",
        [TREE_WHY_SETID] = "set-user-id or set-group-id bit",
        [TREE_WHY_NAME] = "name is not plain UTF-8 below the folder",
        [TREE_WHY_DEPTH] = "path too deep or too long",
        [TREE_WHY_UNREADABLE] = "unreadable",
        [TREE_WHY_EXISTS] = "name came twice",
    };

    return why < TREE_WHY_END ? texts[why] : "?";
}

/* Control characters: C0, DEL, and C1. */
static int is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

enum tree_why tree_name_check(const char *name, size_t len)
{
    const unsigned char *p = (const unsigned char *)name;
    size_t part = 0; /* where the component starts */
    unsigned depth = 1;

    if (len == 0)
        return TREE_WHY_NAME;
    if (len > TREE_NAME_MAX)
        return TREE_WHY_DEPTH;
    for (size_t i = 0; i <= len;) {
        uint32_t code;
        int n;

        if (i == len || p[i] == '/') {
            size_t size = i - part;

            if (size == 0 || (size == 1 && p[part] == '.') ||
                (size == 2 && p[part] == '.' && p[part + 1] == '.'))
                return TREE_WHY_NAME;
            if (size > TREE_PART_MAX || depth > TREE_DEPTH_MAX)
                return TREE_WHY_DEPTH;
            part = ++i;
            depth++;
            continue;
        }
        n = utf8_decode(p + i, len - i, &code);
        if (n <= 0 || is_control(code))
            return TREE_WHY_NAME;
        i += (size_t)n;
    }
    return TREE_WHY_NONE;
}

size_t tree_entry_format(uint8_t *out, const struct tree_entry *en)
{
    memset(out, 0, TREE_HEADER_SIZE);
    out[0] = en->kind;
    out[1] = en->why;
    bytes_put_u16(out + 2, en->mode);
    bytes_put_u16(out + 4, (uint16_t)en->name_len);
    bytes_put_u64(out + 8, en->size);
    memcpy(out + TREE_HEADER_SIZE, en->name, en->name_len);
    return TREE_HEADER_SIZE + en->name_len;
}

long tree_entry_parse(const uint8_t *p, size_t len, struct tree_entry *ret)
{
    size_t name_len;

    if (len < TREE_HEADER_SIZE)
        return 0;
    name_len = bytes_get_u16(p + 4);
    ret->kind = p[0];
    ret->why = p[1];
    ret->mode = bytes_get_u16(p + 2);
    ret->size = bytes_get_u64(p + 8);
    if (ret->kind < TREE_FILE || ret->kind > TREE_END || bytes_get_u16(p + 6) != 0)
        return -EBADMSG;
    if (ret->why >= TREE_WHY_END || (ret->why != TREE_WHY_NONE) != (ret->kind == TREE_SKIPPED))
        return -EBADMSG;
    if (ret->mode > 0777 || (ret->size != 0 && ret->kind != TREE_FILE))
        return -EBADMSG;
    if (name_len > TREE_NAME_MAX || (name_len == 0) != (ret->kind == TREE_END))
        return -EBADMSG;
    if (len - TREE_HEADER_SIZE < name_len)
        return 0;
    if (memchr(p + TREE_HEADER_SIZE, '\0', name_len))
        return -EBADMSG;
    memcpy(ret->name, p + TREE_HEADER_SIZE, name_len);
    ret->name[name_len] = '\0';
    ret->name_len = name_len;
    return (long)(TREE_HEADER_SIZE + name_len);
}
