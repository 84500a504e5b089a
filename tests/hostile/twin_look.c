/* twin_look: lazaret-look, taken over by a guest. See twin.h. */
#include "tests/hostile/twin.h"

#include "look/look_fds.h"
#include "look/rights.h"
#include "look/row.h"

#include <string.h>

#define TREE_BYTES 0 /* there is none */

struct confine twin_rights(uint32_t which)
{
    (void)which;
    return rights_look(TREE_BYTES);
}

int twin_take(const struct confine *r, struct err *e)
{
    return confine_self(r, e);
}

void twin_hear(const char *name, struct twin_ask *ret)
{
    (void)name;
    twin_must(pread(LOOK_FD_LATER, ret, sizeof(*ret), 0) == sizeof(*ret) ? 0 : -1);
}

void twin_tell(const struct twin_answer *answer)
{
    twin_must(write(LOOK_FD_ROWS, answer, sizeof(*answer)) == sizeof(*answer) ? 0 : -1);
}

static void put(const struct look_row *row, size_t cut)
{
    static uint8_t raw[LOOK_HEADER_SIZE + LOOK_PATH_MAX];
    size_t len = look_row_format(raw, row) - cut;

    twin_must(write(LOOK_FD_ROWS, raw, len) == (ssize_t)len ? 0 : -1);
}

/* As large as rows are, so that it is soon done. */
static void flood(void)
{
    static uint8_t rows[64][LOOK_HEADER_SIZE + LOOK_PATH_MAX];
    static struct look_row row = {.change = LOOK_ADDED,
                                  .place = LOOK_WORK,
                                  .kind = {0, LOOK_FILE},
                                  .path_len = LOOK_PATH_MAX};

    memset(row.path, 'x', LOOK_PATH_MAX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        (void)look_row_format(rows[i], &row);
    while (write(LOOK_FD_ROWS, rows, sizeof(rows)) > 0)
        continue;
}

/* Behind its rights: they are what ends a flood. */
void twin_lie(uint32_t what)
{
    const struct confine r = twin_rights(TWIN_RIGHTS_PLAIN);
    struct look_row row = {.change = LOOK_ADDED,
                           .place = LOOK_WORK,
                           .kind = {0, LOOK_FILE},
                           .path_len = 1,
                           .path = "x"};
    struct look_row end = {.change = LOOK_END};
    struct err e;

    twin_must(twin_take(&r, &e));
    if (what == LIE_TYPE)
        row.change = 77;
    if (what == LIE_TEXT)
        end = (struct look_row){
            .change = LOOK_ERROR, .why = ERR_GUEST, .path_len = 4, .path = "\033[2J"};
    if (what == LIE_NO_NUL)
        memcpy(row.path, "x/../y", row.path_len = 6);
    if (what == LIE_EXEC)
        row.place = LOOK_PLACE_END;
    if (what == LIE_NOT_ASKED)
        end.what = UINT32_MAX;
    if (what == LIE_FLOOD)
        flood();
    put(&row, 0);
    put(&end, what == LIE_SHORT);
    _exit(0);
}
