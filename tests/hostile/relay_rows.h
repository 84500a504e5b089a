/* relay_rows: attacks on a real relay, a row each, and what each must leave behind. */
#ifndef LZ_TESTS_HOSTILE_RELAY_ROWS_H
#define LZ_TESTS_HOSTILE_RELAY_ROWS_H

#include "tests/hostile/rows.h"
#include "tests/unit/relay_stage.h"

#include "base/str.h"

#include <unistd.h>

struct relay_row {
    const char *name;
    void (*go)(void);
    enum stage stage; /* where it begins */
};
#define ROW(name, stage)                                                                           \
    {                                                                                              \
#name, name, stage                                                                         \
    }

static const struct relay_row *relay_rows;

/* The next event that is not LOG; *ret_logs counts those. */
static inline struct channel_event next_event(uint32_t *ret_logs)
{
    struct channel_event ev;

    for (*ret_logs = 0;; ++*ret_logs) {
        while (channel_next(rig.ch, &ev) == 0)
            wait_readable(channel_fd(rig.ch));
        ck_assert(str_is_printable(ev.text, sizeof(ev.text)));
        if (ev.type != CHANNEL_LOG)
            return ev;
    }
}

/* Behind that many LOGs, and it is the last. */
static inline void expect_tampered_after(uint32_t want_logs)
{
    uint32_t logs;
    struct channel_event ev = next_event(&logs);

    ck_assert_msg(ev.type == CHANNEL_TAMPERED, "event %d: %s", ev.type, ev.text);
    ck_assert(ev.text[0]);
    ck_assert_uint_eq(logs, want_logs);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
}

static inline void expect_tampered(void)
{
    expect_tampered_after(0);
}

/* What was there when a row began. */
struct relay_before {
    size_t fds;
    long mine, relays;
    pid_t relay;
};

static inline struct relay_before relay_begin(enum stage stage)
{
    struct relay_before b = {.fds = suite_count_fds()};

    rig_open(&rig, 60000);
    reach(&rig, stage);
    b.relay = channel_relay_pid(rig.ch);
    b.mine = rows_watch(getpid());
    b.relays = rows_watch(b.relay);
    return b;
}

static inline void relay_end(const struct relay_before *b)
{
    rows_check_peak(b->relay, b->relays, "the relay");
    rows_check_peak(getpid(), b->mine, "the keeper");
    rig_close(&rig);
    while (waitpid(-1, NULL, 0) > 0) /* whoever flooded has nobody to write to any more */
        ;
    rows_check_children(b->mine > b->relays ? b->mine : b->relays);
    rows_check_clean(b->fds);
}

static inline void relay_tell(int row)
{
    const struct relay_before before = relay_begin(relay_rows[row].stage);

    relay_rows[row].go();
    relay_end(&before);
}

static inline int relay_rows_run(const char *name, const struct relay_row *rows, size_t n)
{
    TCase *tc = tcase_create(name);

    relay_rows = rows;
    for (size_t i = 0; i < n; i++)
        rows_add(tc, rows[i].name, relay_tell, (int)i);
    return suite_run(name, tc);
}

#endif
