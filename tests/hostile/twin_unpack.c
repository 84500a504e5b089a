/* twin_unpack: lazaret-unpack, taken over by a guest. See twin.h. */
#include "tests/hostile/twin_lies.h"

#include "channel/rights.h"
#include "channel/unpack_record.h"

struct confine twin_rights(uint32_t which)
{
    if (which == TWIN_RIGHTS_QUOTE)
        return rights_quote();
    return rights_unpack(UNPACK_DIR, 4096, which == TWIN_RIGHTS_SEALED);
}

int twin_take(const struct confine *r, struct err *e)
{
    return confine_self(r, e);
}

void twin_hear(const char *name, struct twin_ask *ret)
{
    (void)name;
    twin_must(pread(UNPACK_SPOOL, ret, sizeof(*ret), 0) == sizeof(*ret) ? 0 : -1);
}

void twin_tell(const struct twin_answer *answer)
{
    twin_must(send(UNPACK_RESULT, answer, sizeof(*answer), MSG_NOSIGNAL) == sizeof(*answer) ? 0
                                                                                            : -1);
}

void twin_lie(uint32_t what)
{
    static struct unpack_record record;

    record = (struct unpack_record){.type = UNPACK_DONE};
    if (what == LIE_TYPE)
        record.type = 77;
    if (what == LIE_TEXT)
        strcpy(record.text, "\033[2J");
    if (what == LIE_NO_NUL)
        memset(record.text, 'x', sizeof(record.text));
    if (what == LIE_EXEC)
        record.files = UINT64_MAX;
    if (what == LIE_NOT_ASKED)
        record.bytes = UINT64_MAX;
    if (what == LIE_FLOOD)
        record = (struct unpack_record){.type = UNPACK_REFUSED, .why = TREE_WHY_LINK};
    if (what == LIE_FLOOD_OF_FILES) {
        record.type = UNPACK_MADE;
        memset(record.sha256, '0', DIGEST_HEX_SIZE - 1);
    }
    twin_send_lie(UNPACK_RESULT, what, &record, sizeof(record));
}
