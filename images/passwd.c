/* passwd: the ids of a user of an image. See passwd.h. */
#include "images/passwd.h"

#include "base/own.h"
#include "base/str.h"
#include "shared/guest.h"

#include <string.h>
#include <sys/stat.h>

/* Digits only, and not more than an id can have; else UINT64_MAX. */
static uint64_t number(const char *text, size_t len)
{
    uint64_t n = 0;

    if (len == 0 || len > 10)
        return UINT64_MAX;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return UINT64_MAX;
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    return n;
}

/* Field `n` (from 0) of a line; empty when there are fewer. */
static const char *field(const char *line, size_t line_len, unsigned n, size_t *ret_len)
{
    const char *end = line + line_len, *p = line, *colon;

    while (n > 0 && (colon = memchr(p, ':', (size_t)(end - p)))) {
        p = colon + 1;
        n--;
    }
    if (n > 0)
        p = end;
    colon = memchr(p, ':', (size_t)(end - p));
    *ret_len = (size_t)((colon ? colon : end) - p);
    return p;
}

/* A line of `text` whose name is `key` or whose third field is its number. NULL if there is none.
 */
static const char *find_line(const char *text, const char *key, size_t key_len, size_t *ret_len)
{
    uint64_t id = number(key, key_len);

    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n"), name_len, id_len;
        const char *name = field(line, len, 0, &name_len);
        const char *third = field(line, len, 2, &id_len);

        if (number(third, id_len) != UINT64_MAX &&
            ((name_len == key_len && memcmp(name, key, key_len) == 0) ||
             (id != UINT64_MAX && number(third, id_len) == id))) {
            *ret_len = len;
            return line;
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

/* Returns new; a file that is not there is empty. */
static int read_file(const struct rootfs *r, const char *path, char **ret, struct err *e)
{
    const struct rootfs_entry *en = rootfs_resolve(r, path);
    size_t len;

    if (!en || !S_ISREG(en->mode)) {
        *ret = str_dup("");
        return 0;
    }
    return rootfs_read(r, path, PASSWD_FILE_MAX, ret, &len, e);
}

/* The id of `key` in `file`, and if `ret_fourth` is not NULL the fourth field of its line, or 0. */
static int look_up(const struct rootfs *r, const char *file, const char *key, size_t key_len,
                   uint64_t *ret_id, uint64_t *ret_fourth, struct err *e)
{
    own_free char *text = NULL;
    const char *line;
    uint64_t id = number(key, key_len), fourth = 0;
    size_t line_len, len;

    if (read_file(r, file, &text, e) < 0)
        return -1;
    line = find_line(text, key, key_len, &line_len);
    if (line) {
        const char *p = field(line, line_len, 2, &len);

        id = number(p, len);
        p = field(line, line_len, 3, &len);
        fourth = number(p, len);
    }
    if (id == UINT64_MAX) {
        char shown[100];

        str_escape(shown, sizeof(shown), key, key_len);
        return err_set(e, ERR_IMAGE, "the image runs as '%s', who is not in its /%s", shown, file);
    }
    if (id >= GUEST_ID_COUNT || (ret_fourth && fourth >= GUEST_ID_COUNT && fourth != UINT64_MAX))
        return err_set(e, ERR_IMAGE,
                       "the image runs with an id that the guest has not (ids go up to %u)",
                       GUEST_ID_COUNT - 1);
    *ret_id = id;
    if (ret_fourth)
        *ret_fourth = fourth == UINT64_MAX ? 0 : fourth;
    return 0;
}

int passwd_resolve(const struct rootfs *r, const char *spec, uid_t *ret_uid, gid_t *ret_gid,
                   struct err *e)
{
    size_t user_len = strcspn(spec, ":");
    const char *group = spec[user_len] == ':' ? spec + user_len + 1 : "";
    uint64_t uid, gid;

    if (look_up(r, "etc/passwd", user_len ? spec : "0", user_len ? user_len : 1, &uid, &gid, e) < 0)
        return -1;
    if (*group && look_up(r, "etc/group", group, strlen(group), &gid, NULL, e) < 0)
        return -1;
    *ret_uid = (uid_t)uid;
    *ret_gid = (gid_t)gid;
    return 0;
}
