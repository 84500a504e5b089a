/*
 * test_frames: single frames that a guest may not send, each against a real relay that has come to
 * the point where it would hurt: the corpus of lies of one frame. Longer lies: test_floods.c.
 *
 * How it works: three sets of rows. For each row of wire_rules its neighbours are made: the same
 * frame shorter, longer, on another stream, of the other level, while silence was promised, too
 * early; what only the host may send comes back. `headers` are bytes that are no frame, `frames`
 * are frames whose payload lies. Every row must end as tampering, leave both processes small, and
 * nothing behind.
 */
#include "tests/hostile/relay_rows.h"

#include "base/str.h"

static void lie_frame(enum stage stage, const struct wire_header *h, const void *data)
{
    const struct relay_before before = relay_begin(stage);

    guest_send(&rig, h->type, h->stream, data, h->length);
    expect_tampered();
    relay_end(&before);
}

/* ---- the neighbours of each row of the table ------------------------------------------------- */

/* Where a frame of this type, on its own stream, would be legal, or the host's own would be. */
static enum stage stage_of(const struct wire_rule *r)
{
    switch (r->type) {
    case WIRE_HELLO:
    case WIRE_READY:
    case WIRE_FAILED:
        return GREETED;
    case WIRE_PARKED:
        return PARKING;
    case WIRE_LOG:
    case WIRE_EXEC:
    case WIRE_COLLECT:
    case WIRE_SYNC:
    case WIRE_USAGE:
        return READY;
    case WIRE_USED:
        return USING;
    case WIRE_SECRET:
    case WIRE_CONFIG:
    case WIRE_STARTED:
    case WIRE_UNSTARTED:
        return ASKED;
    case WIRE_EOF:
    case WIRE_CLOSE:
    case WIRE_SIGNAL:
    case WIRE_RESIZE:
    case WIRE_EXIT:
    case WIRE_DENIED:
    case WIRE_SEEN:
        return RUNNING;
    case WIRE_DATA:
    case WIRE_CREDIT:
        return r->session ? COLLECTING : RUNNING;
    case WIRE_COLLECTED:
        return COLLECTING;
    case WIRE_SYNCED:
        return SYNCING;
    case WIRE_RESUME:
        return HELD;
    default:
        ck_abort_msg("type %u has no stage: a new row of the table needs one here", r->type);
    }
}

enum change { SHORTER, LONGER, ELSEWHERE, OTHER_LEVEL, IN_SILENCE, TOO_EARLY, TURNED_ROUND };
static const char *const changes[] = {"one_byte_short",     "one_byte_over", "on_another_stream",
                                      "of_the_other_level", "in_silence",    "before_hello",
                                      "turned_round"};

struct neighbour {
    const struct wire_rule *rule;
    enum change change;
    char *name;
};
static struct neighbour neighbours[256];
static size_t n_neighbours;

static enum wire_kind own_kind(const struct wire_rule *r)
{
    enum wire_kind k = WIRE_CONTROL;

    while (!(r->kinds & 1u << k))
        k++;
    return k;
}

/* A kind of stream that no row of this type and direction has at this level. */
static enum wire_kind other_kind(const struct wire_rule *r)
{
    unsigned taken = 0;

    for (size_t i = 0; i < wire_n_rules; i++)
        if (wire_rules[i].type == r->type && wire_rules[i].dirs & WIRE_TO_HOST &&
            wire_rules[i].session == r->session)
            taken |= wire_rules[i].kinds;
    for (unsigned k = WIRE_KIND_END; k-- > 0;)
        if (!(taken & 1u << k))
            return (enum wire_kind)k;
    ck_abort_msg("every stream is legal");
}

static bool can(const struct wire_rule *r, enum change c)
{
    if (!(r->dirs & WIRE_TO_HOST))
        return c == TURNED_ROUND;
    switch (c) {
    case SHORTER:
        return r->min > 0;
    case TURNED_ROUND:
        return false;
    case TOO_EARLY:
        /* What an agent says of itself may come at any time. */
        return r->type != WIRE_LOG && r->type != WIRE_FAILED;
    case LONGER:
    case ELSEWHERE:
    case OTHER_LEVEL:
    case IN_SILENCE:
        return true;
    }
    return false;
}

static void tell_neighbour(int row)
{
    static uint8_t payload[WIRE_PAYLOAD_MAX + 1];
    const struct neighbour *n = &neighbours[row];
    const struct wire_rule *r = n->rule;
    enum stage stage = stage_of(r);
    struct wire_header h = {
        .type = r->type, .stream = wire_stream(r->session ? 0 : 1, own_kind(r)), .length = r->min};

    memset(payload, 'x', sizeof(payload));
    if (n->change == SHORTER)
        h.length = r->min - 1;
    if (n->change == LONGER)
        h.length = r->max + 1;
    if (n->change == ELSEWHERE)
        h.stream = wire_stream(r->session ? 0 : 1, other_kind(r));
    if (n->change == OTHER_LEVEL)
        h.stream = wire_stream(r->session ? 1 : 0, own_kind(r));
    if (n->change == IN_SILENCE)
        stage = HELD;
    if (n->change == TOO_EARLY)
        stage = UNMET;
    lie_frame(stage, &h, payload);
}

static void add_neighbours(TCase *tc)
{
    for (size_t i = 0; i < wire_n_rules; i++) {
        const struct wire_rule *r = &wire_rules[i];

        for (size_t c = 0; c < COUNT(changes); c++) {
            struct neighbour *n = &neighbours[n_neighbours];

            if (!can(r, (enum change)c))
                continue;
            if (n_neighbours == COUNT(neighbours))
                abort();
            *n = (struct neighbour){.rule = r, .change = (enum change)c};
            n->name = str_printf("%s%s_%s", wire_type_name(r->type),
                                 r->session && own_kind(r) == WIRE_TREE ? "_of_the_tree" : "",
                                 changes[c]);
            rows_add(tc, n->name, tell_neighbour, (int)n_neighbours++);
        }
    }
}

/* ---- what is no frame ------------------------------------------------------------------------ */

#define MAGIC 0x4c, 0x41, 0x5a, 0x31
/* clang-format off: a table */
static const struct {
    const char *name;
    const uint8_t *raw;
    size_t len;
    uint32_t logs; /* as many frames in front of it are legal, and told */
} headers[] = {
    {"a_request_of_the_web", BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
    {"zeros", BYTES(U64(0), U64(0))},
    {"ones", BYTES(U64(~0ull), U64(~0ull))},
    {"magic_of_another_version",
     BYTES(0x4c, 0x41, 0x5a, 0x32, U16(WIRE_LOG), U16(0), U32(0), U32(1), 'x')},
    {"magic_in_the_other_byte_order",
     BYTES(0x31, 0x5a, 0x41, 0x4c, U16(WIRE_LOG), U16(0), U32(0), U32(1), 'x')},
    {"magic_one_byte_late", BYTES(0, MAGIC, U16(WIRE_LOG), U16(0), U32(0), U32(1), 'x')},
    {"type_0", BYTES(MAGIC, U16(0), U16(0), U32(0), U32(0))},
    {"type_after_the_last", BYTES(MAGIC, U16(WIRE_TYPE_END), U16(0), U32(0), U32(0))},
    {"type_65535", BYTES(MAGIC, U16(0xffff), U16(0), U32(0), U32(0))},
    {"zero_field_is_1", BYTES(MAGIC, U16(WIRE_LOG), U16(1), U32(0), U32(1), 'x')},
    {"zero_field_is_65535", BYTES(MAGIC, U16(WIRE_LOG), U16(0xffff), U32(0), U32(1), 'x')},
    {"exec_17", BYTES(MAGIC, U16(WIRE_DATA), U16(0), U32(STREAM((WIRE_EXEC_MAX + 1), WIRE_STDOUT)),
                      U32(1), 'x')},
    {"exec_of_all_ones",
     BYTES(MAGIC, U16(WIRE_DATA), U16(0), U32(0xfffffff8u | WIRE_STDOUT), U32(1), 'x')},
    {"kind_of_stream_5",
     BYTES(MAGIC, U16(WIRE_DATA), U16(0), U32(STREAM(1, WIRE_KIND_END)), U32(1), 'x')},
    {"kind_of_stream_7", BYTES(MAGIC, U16(WIRE_DATA), U16(0), U32(STREAM(1, 7)), U32(1), 'x')},
    {"length_over_the_maximum",
     BYTES(MAGIC, U16(WIRE_DATA), U16(0), U32(STREAM(1, WIRE_STDOUT)), U32(WIRE_PAYLOAD_MAX + 1))},
    {"length_of_2_gib",
     BYTES(MAGIC, U16(WIRE_DATA), U16(0), U32(STREAM(1, WIRE_STDOUT)), U32(0x80000000u))},
    {"length_that_wraps_with_its_header",
     BYTES(MAGIC, U16(WIRE_DATA), U16(0), U32(STREAM(1, WIRE_STDOUT)), U32(0xfffffff0u))},
    {"length_of_all_ones",
     BYTES(MAGIC, U16(WIRE_DATA), U16(0), U32(STREAM(1, WIRE_STDOUT)), U32(0xffffffffu))},
    {"length_that_takes_the_next_header",
     BYTES(MAGIC, U16(WIRE_LOG), U16(0), U32(0), U32(2), 'x', MAGIC, U16(WIRE_LOG), U16(0), U32(0),
           U32(1), 'x'),
     1},
    {"length_that_leaves_a_byte",
     BYTES(MAGIC, U16(WIRE_LOG), U16(0), U32(0), U32(1), 'x', 'y', MAGIC, U16(WIRE_LOG), U16(0),
           U32(0), U32(1), 'x'),
     1},
};
/* clang-format on */

static void tell_header(int row)
{
    const struct relay_before before = relay_begin(RUNNING);

    guest_raw(&rig, headers[row].raw, headers[row].len);
    expect_tampered_after(headers[row].logs);
    relay_end(&before);
}

/* ---- frames whose payload lies --------------------------------------------------------------- */

#define USED_ZEROS(n) [(n)-1] = 0
/* clang-format off: a table */
static const struct {
    const char *name;
    enum stage stage;
    uint16_t type;
    uint32_t stream;
    const uint8_t *payload;
    size_t len;
} frames[] = {
    {"ready_of_zeros", GREETED, WIRE_READY, 0,
     BYTES(U32(WIRE_VERSION), U64(0), U64(0), U64(0), U32(0))},
    {"ready_twice", READY, WIRE_READY, 0, BYTES(U32(WIRE_VERSION), U64(0), U64(0), U64(0), U32(0))},
    {"ready_after_failed", FAILED, WIRE_READY, 0,
     BYTES(U32(WIRE_VERSION), U64(0), U64(0), U64(0), U32(0))},
    {"parked_twice", PARKED, WIRE_PARKED, 0,
     BYTES(U32(WIRE_VERSION), U64(0), U64(0), U64(0), U32(0))},
    {"failed_twice", FAILED, WIRE_FAILED, 0, BYTES('n', 'o')},
    {"failed_after_ready", READY, WIRE_FAILED, 0, BYTES('n', 'o')},
    {"log_of_no_text", READY, WIRE_LOG, 0, NULL, 0},
    {"started_unasked", READY, WIRE_STARTED, CONTROL(1), NULL, 0},
    {"started_of_another_job", ASKED, WIRE_STARTED, CONTROL(2), NULL, 0},
    {"started_of_job_16", ASKED, WIRE_STARTED, CONTROL(WIRE_EXEC_MAX), NULL, 0},
    {"started_twice", RUNNING, WIRE_STARTED, CONTROL(1), NULL, 0},
    {"started_after_exit", EXITED, WIRE_STARTED, CONTROL(1), NULL, 0},
    {"unstarted_unasked", READY, WIRE_UNSTARTED, CONTROL(1), BYTES(U32(1))},
    {"unstarted_after_started", RUNNING, WIRE_UNSTARTED, CONTROL(1), BYTES(U32(1))},
    {"unstarted_for_reason_0", ASKED, WIRE_UNSTARTED, CONTROL(1), BYTES(U32(0))},
    {"unstarted_for_a_reason_that_is_none", ASKED, WIRE_UNSTARTED, CONTROL(1),
     BYTES(U32(WIRE_WHY_RUNTIME + 1))},
    {"unstarted_for_reason_of_all_ones", ASKED, WIRE_UNSTARTED, CONTROL(1), BYTES(U32(~0u))},
    {"output_before_started", ASKED, WIRE_DATA, STREAM(1, WIRE_STDOUT), BYTES('x')},
    {"output_of_no_job", READY, WIRE_DATA, STREAM(1, WIRE_STDOUT), BYTES('x')},
    {"output_of_another_job", RUNNING, WIRE_DATA, STREAM(2, WIRE_STDOUT), BYTES('x')},
    {"output_of_nothing", RUNNING, WIRE_DATA, STREAM(1, WIRE_STDOUT), NULL, 0},
    {"output_on_stdin", RUNNING, WIRE_DATA, STREAM(1, WIRE_STDIN), BYTES('x')},
    {"output_after_exit", EXITED, WIRE_DATA, STREAM(1, WIRE_STDOUT), BYTES('x')},
    {"errors_after_exit", EXITED, WIRE_DATA, STREAM(1, WIRE_STDERR), BYTES('x')},
    {"a_tree_that_nobody_asked_for", READY, WIRE_DATA, STREAM(0, WIRE_TREE), BYTES('x')},
    {"a_tree_after_collected", COLLECTED, WIRE_DATA, STREAM(0, WIRE_TREE), BYTES('x')},
    {"credit_of_0", RUNNING, WIRE_CREDIT, STREAM(1, WIRE_STDIN), BYTES(U32(0))},
    {"credit_for_what_was_never_sent", RUNNING, WIRE_CREDIT, STREAM(1, WIRE_STDIN), BYTES(U32(1))},
    {"credit_of_a_window", RUNNING, WIRE_CREDIT, STREAM(1, WIRE_STDIN), BYTES(U32(WIRE_WINDOW))},
    {"credit_over_a_window", RUNNING, WIRE_CREDIT, STREAM(1, WIRE_STDIN),
     BYTES(U32(WIRE_WINDOW + 1))},
    {"credit_that_wraps", RUNNING, WIRE_CREDIT, STREAM(1, WIRE_STDIN), BYTES(U32(~0u))},
    {"credit_after_exit", EXITED, WIRE_CREDIT, STREAM(1, WIRE_STDIN), BYTES(U32(1))},
    {"exit_before_started", ASKED, WIRE_EXIT, CONTROL(1),
     BYTES(U32(0), U32(0), U32(0), U64(0), U64(0))},
    {"exit_twice", EXITED, WIRE_EXIT, CONTROL(1), BYTES(U32(0), U32(0), U32(0), U64(0), U64(0))},
    {"exit_of_another_job", RUNNING, WIRE_EXIT, CONTROL(3),
     BYTES(U32(0), U32(0), U32(0), U64(0), U64(0))},
    {"exit_with_256", RUNNING, WIRE_EXIT, CONTROL(1),
     BYTES(U32(0), U32(256), U32(0), U64(0), U64(0))},
    {"exit_with_all_ones", RUNNING, WIRE_EXIT, CONTROL(1),
     BYTES(U32(0), U32(~0u), U32(0), U64(0), U64(0))},
    {"exit_by_signal_0", RUNNING, WIRE_EXIT, CONTROL(1),
     BYTES(U32(1), U32(0), U32(0), U64(0), U64(0))},
    {"exit_by_signal_65", RUNNING, WIRE_EXIT, CONTROL(1),
     BYTES(U32(1), U32(65), U32(0), U64(0), U64(0))},
    {"exit_in_a_third_way", RUNNING, WIRE_EXIT, CONTROL(1),
     BYTES(U32(2), U32(0), U32(0), U64(0), U64(0))},
    {"denied_of_kind_0", RUNNING, WIRE_DENIED, CONTROL(1), BYTES(U32(0), U32(0), U64(1))},
    {"denied_of_a_kind_that_is_none", RUNNING, WIRE_DENIED, CONTROL(1),
     BYTES(U32(WIRE_DENIED_KIND_END), U32(0), U64(1))},
    {"denied_a_call_over_the_highest", RUNNING, WIRE_DENIED, CONTROL(1),
     BYTES(U32(WIRE_DENIED_CALL), U32(WIRE_CALL_MAX + 1), U64(1))},
    {"denied_with_a_detail_that_means_nothing", RUNNING, WIRE_DENIED, CONTROL(1),
     BYTES(U32(WIRE_DENIED_PIDS), U32(1), U64(1))},
    {"denied_a_file_without_a_name", RUNNING, WIRE_DENIED, CONTROL(1),
     BYTES(U32(WIRE_DENIED_FILE), U32(WIRE_FILE_READ | 1), U64(1))},
    {"denied_a_call_with_a_name", RUNNING, WIRE_DENIED, CONTROL(1),
     BYTES(U32(WIRE_DENIED_CALL), U32(1), U64(1), '/')},
    {"denied_a_file_with_two_ends", RUNNING, WIRE_DENIED, CONTROL(1),
     BYTES(U32(WIRE_DENIED_FILE), U32(WIRE_FILE_READ | 1), U64(1), '/', 0, 'a')},
    {"denied_a_file_more_than_there_may_be", RUNNING, WIRE_DENIED, CONTROL(1),
     BYTES(U32(WIRE_DENIED_FILE), U32(WIRE_FILE_READ | (WIRE_FILES_MAX + 1)), U64(1), '/')},
    {"denied_no_times", RUNNING, WIRE_DENIED, CONTROL(1),
     BYTES(U32(WIRE_DENIED_CALL), U32(1), U64(0))},
    {"denied_after_exit", EXITED, WIRE_DENIED, CONTROL(1),
     BYTES(U32(WIRE_DENIED_CALL), U32(1), U64(1))},
    {"seen_of_kind_0", RUNNING, WIRE_SEEN, CONTROL(1), BYTES(U32(0), U32(0), U64(1), '/')},
    {"seen_of_a_kind_that_is_none", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_KIND_END), U32(0), U64(0))},
    {"seen_without_a_path", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_WRITTEN), U32(0), U64(1))},
    {"seen_of_a_path_that_is_relative", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_WRITTEN), U32(0), U64(1), 'a')},
    {"seen_of_a_path_with_nul", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_WRITTEN), U32(0), U64(1), '/', 0)},
    {"seen_larger_than_a_file_can_be", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_WRITTEN), U32(0), U64(WIRE_BYTES_MAX + 1), '/', 'a')},
    {"seen_with_a_detail_that_means_nothing", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_WRITTEN), U32(1), U64(1), '/', 'a')},
    {"seen_opened_that_nobody_asked_for", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_OPENED), U32(0), U64(0), '/', 'a')},
    {"seen_executed_that_nobody_asked_for", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_EXECUTED), U32(0), U64(0), '/', 'a')},
    {"seen_lost_no_times", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_LOST), U32(0), U64(0))},
    {"seen_a_canary_that_is_none", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_CANARY), U32(1), U64(0))},
    {"seen_a_canary_with_a_path", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_CANARY), U32(0), U64(0), '/', 'a')},
    {"seen_no_canary_that_is_none", RUNNING, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_NO_CANARY), U32(WIRE_CANARY_SOME), U64(0))},
    {"seen_after_exit", EXITED, WIRE_SEEN, CONTROL(1),
     BYTES(U32(WIRE_SEEN_WRITTEN), U32(0), U64(1), '/', 'a')},
    {"collected_unasked", READY, WIRE_COLLECTED, STREAM(0, WIRE_TREE), BYTES(U32(0))},
    {"collected_twice", COLLECTED, WIRE_COLLECTED, STREAM(0, WIRE_TREE), BYTES(U32(0))},
    {"collected_in_a_way_that_is_none", COLLECTING, WIRE_COLLECTED, STREAM(0, WIRE_TREE),
     BYTES(U32(WIRE_COLLECT_ERROR + 1))},
    {"synced_unasked", RUNNING, WIRE_SYNCED, 0, BYTES(U32(0))},
    {"synced_twice", HELD, WIRE_SYNCED, 0, BYTES(U32(0))},
    {"synced_in_a_way_that_is_none", SYNCING, WIRE_SYNCED, 0, BYTES(U32(WIRE_SYNC_ERROR + 1))},
    {"used_unasked", READY, WIRE_USED, 0, BYTES(USED_ZEROS(WIRE_USED_SIZE))},
    {"used_more_bytes_than_there_can_be", USING, WIRE_USED, 0,
     BYTES(U64(WIRE_BYTES_MAX + 1), USED_ZEROS(WIRE_USED_SIZE))},
    {"used_more_processor_time_than_there_can_be", USING, WIRE_USED, 0,
     BYTES([32] = U64(~0ull), USED_ZEROS(WIRE_USED_SIZE))},
    {"used_more_processes_than_there_can_be", USING, WIRE_USED, 0,
     BYTES([32 + 24] = U64(WIRE_PIDS_MAX + 1ull), USED_ZEROS(WIRE_USED_SIZE))},
};
/* clang-format on */

static void tell_frame(int row)
{
    const struct wire_header h = {.type = frames[row].type,
                                  .stream = frames[row].stream,
                                  .length = (uint32_t)frames[row].len};

    lie_frame(frames[row].stage, &h, frames[row].payload);
}

int main(void)
{
    TCase *tc = tcase_create("frames");

    add_neighbours(tc);
    for (size_t i = 0; i < COUNT(headers); i++)
        rows_add(tc, headers[i].name, tell_header, (int)i);
    for (size_t i = 0; i < COUNT(frames); i++)
        rows_add(tc, frames[i].name, tell_frame, (int)i);
    return suite_run("frames", tc);
}
