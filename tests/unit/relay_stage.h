/* relay_stage: a rig brought to each point of a session where a guest can begin to lie. */
#ifndef LZ_TESTS_RELAY_STAGE_H
#define LZ_TESTS_RELAY_STAGE_H

#include "tests/unit/relay_rig.h"

enum stage {
    UNMET,
    PARKING,
    PARKED,
    GREETED,
    FAILED,
    READY,
    USING,
    ASKED,
    RUNNING,
    SYNCING,
    HELD,
    EXITED,
    COLLECTING,
    COLLECTED
};

static inline void reach(struct rig *r, enum stage stage)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct channel_exec x = {.exec = 1,
                             .stdin_fd = -1,
                             .stdout_fd = null,
                             .stderr_fd = null,
                             .watch = true,
                             .canaries = 1};

    if (stage >= READY)
        meet(r);
    else if (stage >= GREETED)
        greet(r);
    else if (stage >= PARKING)
        greet_with(r, &(struct channel_hello){.park = true});
    if (stage == PARKED) {
        send_answer(r, WIRE_PARKED, WIRE_VERSION, r->nonce);
        ck_assert_uint_eq(expect_event(r, CHANNEL_PARKED).boot_us, 42);
    }
    if (stage == FAILED) {
        guest_send(r, WIRE_FAILED, 0, "no", 2);
        expect_event(r, CHANNEL_FAILED);
    }
    if (stage == USING) {
        const uint8_t *p;

        ck_ok(channel_usage(r->ch, &rig_err));
        guest_expect(r, WIRE_USAGE, 0, &p);
    }
    if (stage == ASKED)
        ask(r, x);
    if (stage >= RUNNING && stage <= EXITED)
        start(r, x);
    if (stage == SYNCING || stage == HELD)
        sync_guest(r);
    if (stage == HELD) {
        send_synced(r, WIRE_SYNC_DONE);
        expect_event(r, CHANNEL_SYNCED);
    }
    if (stage == EXITED) {
        send_exit(r, 1, 0);
        expect_event(r, CHANNEL_EXIT);
    }
    if (stage >= COLLECTING)
        collect(r, null, 1000);
    if (stage == COLLECTED) {
        send_collected(r, WIRE_COLLECT_DONE);
        expect_event(r, CHANNEL_COLLECTED);
    }
}

#define CONTROL(exec)      ((exec) << 3)
#define STREAM(exec, kind) ((exec) << 3 | (kind))

#endif
