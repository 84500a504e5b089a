/* sealed_out: an output tree as a sealed tar archive. See sealed_out.h. */
#include "channel/sealed_out.h"

#include <string.h>
#include <time.h>

/* Grows it to what it will need: later there is no memory to be had. */
static void reserve(struct str *s, size_t bytes)
{
    static const char zeros[SEALED_OUT_ENTRY_MAX];

    str_add_bytes(s, zeros, bytes);
    s->len = 0;
}

int sealed_out_begin(struct sealed_out *s, const char *const *keys, size_t n, struct err *e)
{
    struct seal_public to[SEAL_RECIPIENTS_MAX];

    if (n > SEAL_RECIPIENTS_MAX)
        return err_set(e, ERR_USAGE, "over %d public keys", SEAL_RECIPIENTS_MAX);
    for (size_t i = 0; i < n; i++)
        if (seal_public_parse(keys[i], &to[i], e) < 0)
            return -1;
    reserve(&s->header, SEALED_OUT_ENTRY_MAX);
    reserve(&s->entry.path, TREE_NAME_MAX + 1);
    s->entry.mtime = (uint64_t)time(NULL);
    return seal_begin(&s->writer, to, n, e);
}

uint64_t sealed_out_max_bytes(uint64_t content_bytes)
{
    uint64_t beside = TREE_ENTRIES_MAX * (uint64_t)SEALED_OUT_ENTRY_MAX + content_bytes / 2048;

    return content_bytes > UINT64_MAX - beside ? UINT64_MAX : content_bytes + beside;
}

int sealed_out_entry(struct sealed_out *s, const struct tree_entry *en)
{
    bool dir = en->kind == TREE_DIR;

    s->entry.type = dir ? TAR_DIR : TAR_FILE;
    s->entry.mode = (en->mode & 0755) | (dir ? 0700 : 0600);
    s->entry.size = en->size;
    s->entry.path.len = 0;
    str_add_bytes(&s->entry.path, en->name, en->name_len);
    s->header.len = 0;
    tar_format(&s->header, &s->entry);
    return seal_put(&s->writer, s->header.data, s->header.len);
}

int sealed_out_put(struct sealed_out *s, const void *data, size_t len)
{
    return seal_put(&s->writer, data, len);
}

int sealed_out_pad(struct sealed_out *s, uint64_t size)
{
    static const char zeros[TAR_BLOCK];

    return seal_put(&s->writer, zeros, tar_padding(size));
}

int sealed_out_end(struct sealed_out *s)
{
    static const char zeros[2 * TAR_BLOCK];

    return seal_put(&s->writer, zeros, sizeof(zeros)) < 0 ? -1 : seal_end(&s->writer);
}
