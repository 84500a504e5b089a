/* tar_format: writes headers of a tar archive. See tar.h. */
#include "images/tar.h"

#include "images/tar_header.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t tar_padding(uint64_t size)
{
    return (size_t)(-size & (TAR_BLOCK - 1));
}

/* "LENGTH KEY=VALUE\n": the length counts its own digits. */
static void add_record(struct str *out, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, len = rest;

    for (int i = 0; i < 3; i++)
        len = rest + (size_t)snprintf(NULL, 0, "%zu", len);
    str_addf(out, "%zu %s=%s\n", len, key, value);
}

/* All digits are used, NUL-terminated as POSIX wants it. */
static void set_octal(char *field, size_t size, uint64_t n)
{
    field[size - 1] = '\0';
    for (size_t i = size - 1; i-- > 0; n >>= 3)
        field[i] = (char)('0' + (n & 7));
}

static void add_header(struct str *out, char type, const char *name, const struct tar_entry *en,
                       uint64_t size)
{
    struct header h = {.type = type};
    const unsigned char *p = (const unsigned char *)&h;
    unsigned sum = 0;

    memcpy(h.magic, "ustar\00000", sizeof(h.magic));
    memcpy(h.name, name, strnlen(name, sizeof(h.name)));
    if (en->link.len > 0 && type != 'x')
        memcpy(h.link, en->link.data, strnlen(en->link.data, sizeof(h.link)));
    set_octal(h.mode, sizeof(h.mode), en->mode);
    set_octal(h.uid, sizeof(h.uid), en->uid);
    set_octal(h.gid, sizeof(h.gid), en->gid);
    set_octal(h.size, sizeof(h.size), size);
    set_octal(h.mtime, sizeof(h.mtime), en->mtime);
    memset(h.checksum, ' ', sizeof(h.checksum));
    for (size_t i = 0; i < sizeof(h); i++)
        sum += p[i];
    set_octal(h.checksum, 7, sum);
    str_add_bytes(out, &h, sizeof(h));
}

void tar_format(struct str *out, const struct tar_entry *en)
{
    static const char types[] = {
        [TAR_FILE] = '0', [TAR_DIR] = '5', [TAR_SYMLINK] = '2', [TAR_HARDLINK] = '1'};
    static const char zeros[TAR_BLOCK];
    own_str struct str records = {0};
    char number[24];

    if (en->path.len > sizeof(((struct header *)0)->name))
        add_record(&records, "path", en->path.data);
    if (en->link.len > sizeof(((struct header *)0)->link))
        add_record(&records, "linkpath", en->link.data);
    if (en->size >> 33) {
        snprintf(number, sizeof(number), "%" PRIu64, en->size);
        add_record(&records, "size", number);
    }
    if (en->xattrs.len > 0)
        str_add_bytes(&records, en->xattrs.data, en->xattrs.len);
    if (records.len > 0) {
        add_header(out, 'x', "pax", en, records.len);
        str_add_bytes(out, records.data, records.len);
        str_add_bytes(out, zeros, tar_padding(records.len));
    }
    add_header(out, types[en->type], en->path.data, en, en->size >> 33 ? 0 : en->size);
}
