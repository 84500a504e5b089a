/* test_refused: promises of what a guest is refused, on the record as it happens. */
#include "run/refused.h"

#include "base/own.h"
#include "shared/net.h"
#include "tests/unit/suite.h"

#include <stdio.h>
#include <string.h>

static struct err err;

static uint64_t number(const struct doc *d, const char *key)
{
    uint64_t n = 0;

    ck_assert_msg(doc_get_u64(d, key, &n, &err) == 0, "%s", err.text);
    return n;
}

static void check_text(const struct doc *d, const char *key, const char *want)
{
    const char *text;

    ck_assert_msg(doc_get_str(d, key, &text, &err) == 0, "%s", err.text);
    ck_assert_str_eq(text, want);
}

static void try_host(struct refused *r, const char *host)
{
    struct gateway_event ev = {.type = GATEWAY_TRY, .exec = 2, .port = 443, .why = NET_WHY_RULE};

    (void)snprintf(ev.host, sizeof(ev.host), "%s", host);
    refused_add_try(r, &ev);
}

START_TEST(the_first_is_told_at_once_and_a_flood_once_a_second_with_its_count)
{
    struct refused r = {0};
    uint64_t told = 0, lines = 0;

    ck_assert_uint_eq(refused_due_ms(&r), UINT64_MAX);
    for (uint64_t ms = 5000; ms < 15000; ms++) { /* ten a millisecond, for ten seconds */
        own_doc struct doc *d = NULL;

        for (int i = 0; i < 10; i++)
            try_host(&r, i == 9 ? "last.org" : "a.org");
        ck_assert_uint_le(refused_due_ms(&r), ms / 1000 * 1000 + 1000);
        d = refused_take_tries(&r, ms, true);
        if (!d)
            continue;
        ck_assert_uint_eq(ms % 1000, 0);
        check_text(d, "destination", "last.org:443");
        check_text(d, "why", "rule");
        ck_assert_uint_eq(number(d, "guest_exec"), 2);
        told += number(d, "count");
        lines++;
    }
    ck_assert_uint_eq(lines, 10);
    {
        own_doc struct doc *d = refused_take_tries(&r, UINT64_MAX, false);

        ck_assert_ptr_nonnull(d); /* what is left, before the end */
        ck_assert(!doc_has(d, "destination") && !doc_has(d, "guest_exec"));
        ck_assert_uint_eq(told + number(d, "count"), 100000);
    }
    ck_assert_ptr_null(refused_take_tries(&r, UINT64_MAX, true));
}
END_TEST

START_TEST(what_finds_no_room_in_a_line_is_counted)
{
    struct refused r = {0};
    own_doc struct doc *first = NULL, *next = NULL;
    const struct doc *rows;

    refused_add_call(&r, 7,
                     &(struct wire_denied){.kind = WIRE_DENIED_CALL, .detail = 165, .count = 3});
    first = refused_take_calls(&r, 5000);
    ck_assert_int_eq(doc_get_array(first, "rows", &rows, &err), 0);
    check_text(doc_at(rows, 0), "call", "mount");
    ck_assert_uint_eq(number(doc_at(rows, 0), "exec"), 7);
    ck_assert_uint_eq(number(doc_at(rows, 0), "count"), 3);
    ck_assert(!doc_has(first, "more"));
    for (uint32_t i = 0; i < REFUSED_ROWS + 9; i++)
        refused_add_call(&r, 8,
                         &(struct wire_denied){.kind = WIRE_DENIED_CALL, .detail = i, .count = 1});
    refused_add_call(&r, 8, &(struct wire_denied){.kind = WIRE_DENIED_CALL, .count = 2});
    ck_assert_ptr_null(refused_take_calls(&r, 5000 + REFUSED_MS - 1));
    ck_assert_uint_eq(refused_due_ms(&r), 5000 + REFUSED_MS);
    next = refused_take_calls(&r, 5000 + REFUSED_MS);
    ck_assert_int_eq(doc_get_array(next, "rows", &rows, &err), 0);
    ck_assert_uint_eq(doc_len(rows), REFUSED_ROWS);
    ck_assert_uint_eq(number(doc_at(rows, 0), "count"), 2); /* the newest, in its place */
    ck_assert_uint_eq(number(doc_at(rows, 1), "count"), 1);
    ck_assert_uint_eq(number(next, "more"), 9);
}
END_TEST

SUITE("refused", the_first_is_told_at_once_and_a_flood_once_a_second_with_its_count,
      what_finds_no_room_in_a_line_is_counted)
