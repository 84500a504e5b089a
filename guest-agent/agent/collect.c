/* collect: sends a folder to the host as a tree stream. See collect.h. UNTRUSTED: the folder. */
#include "agent/collect.h"

#include <errno.h>

void collect_init(struct collect *c)
{
    c->active = false;
    walk_init(&c->walk);
}

void collect_close(struct collect *c)
{
    walk_close(&c->walk);
    c->active = false;
}

void collect_open(struct collect *c, const char *dir, uint64_t cap_bytes)
{
    c->active = true;
    c->credit = WIRE_WINDOW;
    walk_open(&c->walk, dir, NULL, cap_bytes);
}

int collect_credit(struct collect *c, uint32_t bytes)
{
    if (bytes > WIRE_WINDOW - c->credit)
        return -EPROTO;
    c->credit += bytes;
    return 0;
}

bool collect_is_ready(const struct collect *c)
{
    return c->active && (c->credit > 0 || walk_is_over(&c->walk));
}

void collect_pump(struct collect *c, struct outbox *o)
{
    static const uint32_t hows[] = {
        [WALK_DONE] = WIRE_COLLECT_DONE,
        [WALK_OVER] = WIRE_COLLECT_OVER,
        [WALK_ERROR] = WIRE_COLLECT_ERROR,
    };
    const uint32_t stream = wire_stream(0, WIRE_TREE);
    size_t room = outbox_room(o), n;
    uint8_t raw[4];

    if (!collect_is_ready(c))
        return;
    n = walk_read(&c->walk, outbox_payload(o), room < c->credit ? room : c->credit);
    if (n > 0) {
        outbox_commit(o, WIRE_DATA, stream, n);
        c->credit -= n;
    }
    if (!walk_is_over(&c->walk))
        return;
    wire_u32_format(raw, hows[c->walk.how]);
    if (outbox_put(o, WIRE_COLLECTED, stream, raw, sizeof(raw)))
        collect_close(c);
}
