/* look_text: a difference for people, and as JSON. See look.h. */
#include "look/look.h"

#include "base/own.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const char *const prefixes[LOOK_PLACE_END] = {
    [LOOK_ROOT] = "", [LOOK_WORK] = "/work", [LOOK_OUT] = "/out"};

static const char *const kinds[LOOK_KIND_END] = {
    [LOOK_FILE] = "file",     [LOOK_DIR] = "folder",         [LOOK_LINK] = "link",
    [LOOK_CHAR] = "device",   [LOOK_BLOCK] = "block-device", [LOOK_FIFO] = "fifo",
    [LOOK_SOCKET] = "socket", [LOOK_IMAGE] = "image"};

static const char *const whys[LOOK_WHY_END] = {
    [LOOK_WHY_NAME] = "has a name that is none",
    [LOOK_WHY_TWICE] = "has a name twice",
    [LOOK_WHY_INODE] = "is no file",
    [LOOK_WHY_CYCLE] = "is a folder in itself",
    [LOOK_WHY_DEPTH] = "is too deep or has too long a path",
    [LOOK_WHY_DIR] = "is a damaged folder",
    [LOOK_WHY_LARGE] = "has too many names",
    [LOOK_WHY_DATA] = "has damaged contents",
    [LOOK_WHY_XATTR] = "has damaged attributes",
};

static const struct {
    uint32_t bit;
    const char *name;
} whats[] = {
    {LOOK_WHAT_KIND, "kind"},     {LOOK_WHAT_MODE, "mode"},       {LOOK_WHAT_OWNER, "owner"},
    {LOOK_WHAT_SIZE, "size"},     {LOOK_WHAT_CONTENT, "content"}, {LOOK_WHAT_TARGET, "target"},
    {LOOK_WHAT_DEVICE, "device"}, {LOOK_WHAT_HIDES, "hides"},
};

const char *look_row_format_text(char out[LOOK_TEXT_SIZE], const struct look_row *row)
{
    static const char letters[] = {
        [LOOK_ADDED] = 'A', [LOOK_CHANGED] = 'C', [LOOK_REMOVED] = 'R', [LOOK_UNREAD] = '?'};
    char path[4 * LOOK_PATH_MAX + 1];

    str_escape(path, sizeof(path), row->path, row->path_len);
    (void)snprintf(out, LOOK_TEXT_SIZE, "%c %s%s%s%s%s", letters[row->change], prefixes[row->place],
                   row->path_len > 0 || row->place == LOOK_ROOT ? "/" : "", path,
                   row->change == LOOK_UNREAD ? " " : "",
                   row->change == LOOK_UNREAD ? whys[row->why] : "");
    return out;
}

static void set_path(struct doc *d, const struct look_row *row)
{
    own_free char *path =
        str_printf("%s%s%s", prefixes[row->place],
                   row->path_len > 0 || row->place == LOOK_ROOT ? "/" : "", row->path);
    char escaped[4 * LOOK_PATH_MAX + 16], hex[2 * LOOK_PATH_MAX + 16];
    size_t n = 0;

    if (str_is_utf8(path)) {
        doc_set_str(d, "path", path);
        return;
    }
    str_escape(escaped, sizeof(escaped), path, strlen(path));
    for (const char *p = path; *p; p++)
        n += (size_t)snprintf(hex + n, sizeof(hex) - n, "%02x", (unsigned char)*p);
    doc_set_str(d, "path", escaped);
    doc_set_str(d, "path_hex", hex);
}

static void set_side(struct doc *d, const struct look_row *row, int side)
{
    const uint8_t kind = row->kind[side];

    if (kind == LOOK_NOTHING)
        return;
    doc_set_str(d, side ? "kind" : "old_kind", kinds[kind]);
    if (kind == LOOK_FILE || kind == LOOK_LINK)
        doc_set_u64(d, side ? "size" : "old_size", row->size[side]);
}

struct doc *look_row_doc(const struct look_row *row)
{
    static const char *const changes[] = {[LOOK_ADDED] = "added",
                                          [LOOK_CHANGED] = "changed",
                                          [LOOK_REMOVED] = "removed",
                                          [LOOK_UNREAD] = "unread"};
    struct doc *d = doc_new_object(), *what = NULL;

    doc_set_str(d, "change", changes[row->change]);
    set_path(d, row);
    set_side(d, row, 1);
    set_side(d, row, 0);
    for (size_t i = 0; i < sizeof(whats) / sizeof(whats[0]); i++)
        if (row->what & whats[i].bit) {
            if (!what)
                what = doc_new_array();
            doc_add_str(what, whats[i].name);
        }
    if (what)
        doc_set(d, "what", what);
    if (row->change == LOOK_UNREAD) {
        doc_set_str(d, "disk", row->side ? "later" : "earlier");
        doc_set_str(d, "why", whys[row->why]);
    }
    return d;
}
