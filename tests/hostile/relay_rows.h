/* relay_rows: attacks on a real relay, a row each, and what each must leave behind. */
#ifndef LZ_TESTS_HOSTILE_RELAY_ROWS_H
#define LZ_TESTS_HOSTILE_RELAY_ROWS_H

#include "tests/hostile/rows.h"
#include "tests/unit/relay_stage.h"

#include "base/str.h"

#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

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

static inline void expect_tampered(void)
{
    uint32_t logs;
    struct channel_event ev = next_event(&logs);

    ck_assert_msg(ev.type == CHANNEL_TAMPERED, "event %d: %s", ev.type, ev.text);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
}

static inline void relay_tell(int row)
{
    size_t fds = rows_count_fds();
    long mine, relays;
    pid_t relay;

    rig_open(&rig, 60000);
    reach(&rig, relay_rows[row].stage);
    relay = channel_relay_pid(rig.ch);
    mine = rows_watch(getpid());
    relays = rows_watch(relay);
    relay_rows[row].go();
    rows_check_peak(relay, relays, "the relay");
    rows_check_peak(getpid(), mine, "the keeper");
    rig_close(&rig);
    while (waitpid(-1, NULL, 0) > 0) /* whoever flooded has nobody to write to any more */
        ;
    rows_check_children(mine > relays ? mine : relays);
    rows_check_clean(fds);
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
