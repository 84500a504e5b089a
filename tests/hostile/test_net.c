/*
 * test_net: the frame that a guest may not send on the port of egress, a row each.
 *
 * How it works: as test_frames.c. For each row of net_rows its neighbours are made; `headers` are
 * bytes that are no frame, `frames` are frames whose payload lies. Every row must end as tampering,
 * in bounded memory, and leave nothing behind.
 */
#include "tests/hostile/net_rig.h"

#include "base/str.h"

/* ---- the neighbours of each row of the table ------------------------------------------------- */

/* Where a frame of this type would be legal, or the host's own would be. */
static enum stage stage_of(const struct net_row *r)
{
    switch (r->type) {
    case NET_READY:
        return UNMET;
    case NET_HELLO:
    case NET_HOLD:
    case NET_RESUME:
    case NET_OPEN:
        return MET;
    case NET_HELD:
        return HOLDING;
    case NET_OPENED:
    case NET_REFUSED:
        return DIALING;
    case NET_REQUEST:
    case NET_RESPONSE:
        return ASKING;
    case NET_DATA:
    case NET_EOF:
    case NET_CREDIT:
    case NET_CLOSE:
        return FLOWING;
    default:
        ck_abort_msg("type %u has no stage: a new row of the table needs one here", r->type);
    }
}

enum change { SHORTER, LONGER, OTHER_LEVEL, NO_STREAM, IN_SILENCE, TOO_EARLY, TURNED_ROUND };
static const char *const changes[] = {
    "net_one_byte_short", "net_one_byte_over", "net_of_the_other_level", "net_of_no_stream",
    "net_in_silence",     "net_before_ready",  "net_turned_round"};

struct neighbour {
    const struct net_row *row;
    enum change change;
    char *name;
};
static struct neighbour neighbours[128];
static size_t n_neighbours;

/* The host sends it too, and the guest has a row of its own for it. */
static bool is_of_both(const struct net_row *r)
{
    for (size_t i = 0; i < net_n_rows; i++)
        if (net_rows[i].type == r->type && net_rows[i].dirs & NET_TO_HOST)
            return true;
    return false;
}

static bool can(const struct net_row *r, enum change c)
{
    if (!(r->dirs & NET_TO_HOST))
        return c == TURNED_ROUND && !is_of_both(r);
    switch (c) {
    case SHORTER:
        return r->min > 0;
    case TOO_EARLY:
    case IN_SILENCE:
        return r->type != NET_READY;
    case NO_STREAM:
        return r->streams && r->type != NET_OPEN;
    case LONGER:
    case OTHER_LEVEL:
        return true;
    case TURNED_ROUND:
        return false;
    }
    return false;
}

static void tell_neighbour(int row)
{
    static uint8_t payload[NET_PAYLOAD_MAX + 1];
    const struct neighbour *n = &neighbours[row];
    const struct net_row *r = n->row;
    struct net_header h = {.type = r->type, .stream = r->streams ? 1 : 0, .length = r->min};
    enum stage stage = stage_of(r);

    memset(payload, 'x', sizeof(payload));
    if (n->change == SHORTER)
        h.length = r->min - 1;
    if (n->change == LONGER)
        h.length = r->max + 1;
    if (n->change == OTHER_LEVEL)
        h.stream = r->streams ? 0 : 1;
    if (n->change == NO_STREAM)
        h.stream = 2;
    if (n->change == IN_SILENCE)
        stage = HELD;
    if (n->change == TOO_EARLY)
        stage = UNMET;
    rig_lie(stage, &h, payload);
}

static void add_neighbours(TCase *tc)
{
    for (size_t i = 0; i < net_n_rows; i++)
        for (size_t c = 0; c < COUNT(changes); c++) {
            struct neighbour *n = &neighbours[n_neighbours];

            if (!can(&net_rows[i], (enum change)c))
                continue;
            if (n_neighbours == COUNT(neighbours))
                abort();
            *n = (struct neighbour){.row = &net_rows[i], .change = (enum change)c};
            n->name = str_printf("%s_%s", net_type_name(n->row->type), changes[c]);
            rows_add(tc, n->name, tell_neighbour, (int)n_neighbours++);
        }
}

/* ---- what is no frame ------------------------------------------------------------------------ */

#define MAGIC 0x4c, 0x5a, 0x4e, 0x31
/* clang-format off: a table */
static const struct {
    const char *name;
    const uint8_t *raw;
    size_t len;
} headers[] = {
    {"net_a_request_of_the_web", BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
    {"net_zeros", BYTES(U64(0), U64(0))},
    {"net_ones", BYTES(U64(~0ull), U64(~0ull))},
    {"net_magic_of_the_other_port",
     BYTES(0x4c, 0x41, 0x5a, 0x31, U16(NET_DATA), U16(0), U32(1), U32(1), 'x')},
    {"net_magic_of_another_version",
     BYTES(0x4c, 0x5a, 0x4e, 0x32, U16(NET_DATA), U16(0), U32(1), U32(1), 'x')},
    {"net_type_0", BYTES(MAGIC, U16(0), U16(0), U32(0), U32(0))},
    {"net_type_after_the_last", BYTES(MAGIC, U16(NET_TYPE_END), U16(0), U32(0), U32(0))},
    {"net_type_65535", BYTES(MAGIC, U16(0xffff), U16(0), U32(0), U32(0))},
    {"net_zero_field_is_1", BYTES(MAGIC, U16(NET_DATA), U16(1), U32(1), U32(1), 'x')},
    {"net_stream_257", BYTES(MAGIC, U16(NET_DATA), U16(0), U32(NET_STREAMS_MAX + 1), U32(1), 'x')},
    {"net_stream_of_all_ones", BYTES(MAGIC, U16(NET_DATA), U16(0), U32(~0u), U32(1), 'x')},
    {"net_length_over_the_maximum",
     BYTES(MAGIC, U16(NET_DATA), U16(0), U32(1), U32(NET_PAYLOAD_MAX + 1))},
    {"net_length_of_2_gib", BYTES(MAGIC, U16(NET_DATA), U16(0), U32(1), U32(0x80000000u))},
    {"net_length_that_wraps_with_its_header",
     BYTES(MAGIC, U16(NET_DATA), U16(0), U32(1), U32(0xfffffff0u))},
    {"net_length_of_all_ones", BYTES(MAGIC, U16(NET_DATA), U16(0), U32(1), U32(~0u))},
};
/* clang-format on */

static void tell_header(int row)
{
    const struct rig_before before = rig_begin(FLOWING);

    rig_send_raw(headers[row].raw, headers[row].len);
    rig_expect_tampered();
    rig_end(&before, 0);
}

/* ---- frames whose payload lies --------------------------------------------------------------- */

/* Of OPEN and REQUEST: the head, behind which a name, or method, path and headers come. */
#define OPEN(kind, exec, to) U16(kind), U16(exec), U16(to), U16(0)
/* clang-format off: a table */
static const struct {
    const char *name;
    enum stage stage;
    uint16_t type;
    uint32_t stream;
    const uint8_t *payload;
    size_t len;
    size_t more; /* as often comes its last byte again */
} frames[] = {
    {"net_ready_of_zeros", UNMET, NET_READY, 0, BYTES([NET_HELLO_SIZE - 1] = 0)},
    {"net_ready_twice", MET, NET_READY, 0, BYTES([NET_HELLO_SIZE - 1] = 0)},
    {"net_held_unasked", MET, NET_HELD, 0, NULL, 0},
    {"net_held_twice", HELD, NET_HELD, 0, NULL, 0},

    {"net_open_twice", DIALING, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a')},
    {"net_open_of_kind_0", MET, NET_OPEN, 1, BYTES(OPEN(0, 1, 443), 'a')},
    {"net_open_of_a_kind_that_is_none", MET, NET_OPEN, 1, BYTES(OPEN(NET_ORIGIN + 1, 1, 443), 'a')},
    {"net_open_of_no_job", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 0, 443), 'a')},
    {"net_open_of_job_17", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, NET_EXEC_MAX + 1, 443), 'a')},
    {"net_open_of_job_65535", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 0xffff, 443), 'a')},
    {"net_open_of_port_0", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 0), 'a')},
    {"net_open_of_an_origin_with_a_port", MET, NET_OPEN, 1, BYTES(OPEN(NET_ORIGIN, 1, 443), 'a')},
    {"net_open_with_something_in_its_gap", MET, NET_OPEN, 1,
     BYTES(U16(NET_TUNNEL), U16(1), U16(443), U16(1), 'a')},
    {"net_name_in_capitals", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'A')},
    {"net_name_with_nul", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', 0, 'b')},
    {"net_name_with_a_newline", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '\n')},
    {"net_name_with_escapes", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '\033', '[', '2', 'J')},
    {"net_name_not_ascii", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 0xc3, 0xa4)},
    {"net_name_with_a_slash", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '/', 'b')},
    {"net_name_with_a_user", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '@', 'b')},
    {"net_name_with_an_empty_label", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '.', '.', 'b')},
    {"net_name_with_a_dot_at_its_end", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '.')},
    {"net_name_with_a_label_of_64", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a'), 63},
    {"net_address_as_one_number", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), '2', '1', '3', '0', '7', '0', '6', '4', '3', '3')},
    {"net_address_of_two_numbers", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), '1', '2', '7', '.', '1')},
    {"net_address_in_hexadecimal", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), '0', 'x', '7', 'f', '.', '1')},
    {"net_address_in_brackets", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), '[', ':', ':', '1', ']')},
    {"net_address_with_a_zone", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), 'f', 'e', '8', '0', ':', ':', '1', '%', '1')},
    {"net_origin_over_its_bound", MET, NET_OPEN, 1, BYTES(OPEN(NET_ORIGIN, 1, 0), 'a'),
     NET_ORIGIN_MAX},
    {"net_origin_with_a_dot", MET, NET_OPEN, 1, BYTES(OPEN(NET_ORIGIN, 1, 0), 'a', '.', 'b')},

    {"net_data_before_opened", DIALING, NET_DATA, 1, BYTES('x')},
    {"net_data_before_request", ASKING, NET_DATA, 1, BYTES('x')},
    {"net_data_after_eof", ENDED, NET_DATA, 1, BYTES('x')},
    {"net_data_after_close", CLOSED, NET_DATA, 1, BYTES('x')},
    {"net_data_of_nothing", FLOWING, NET_DATA, 1, NULL, 0},
    {"net_eof_twice", ENDED, NET_EOF, 1, NULL, 0},
    {"net_close_twice", CLOSED, NET_CLOSE, 1, BYTES(U32(0))},
    {"net_close_for_a_reason_that_is_none", FLOWING, NET_CLOSE, 1, BYTES(U32(NET_WHY_END))},
    {"net_close_for_reason_of_all_ones", FLOWING, NET_CLOSE, 1, BYTES(U32(~0u))},
    {"net_credit_of_0", FLOWING, NET_CREDIT, 1, BYTES(U32(0))},
    {"net_credit_for_what_was_never_sent", FLOWING, NET_CREDIT, 1, BYTES(U32(1))},
    {"net_credit_of_a_window", FLOWING, NET_CREDIT, 1, BYTES(U32(NET_WINDOW))},
    {"net_credit_over_a_window", FLOWING, NET_CREDIT, 1, BYTES(U32(NET_WINDOW + 1))},
    {"net_credit_that_wraps", FLOWING, NET_CREDIT, 1, BYTES(U32(~0u))},

    {"net_request_of_a_tunnel", DIALING, NET_REQUEST, 1,
     BYTES(REQUEST(3, 1, 0), 'G', 'E', 'T', '/')},
    {"net_request_without_a_method", ASKING, NET_REQUEST, 1, BYTES(REQUEST(0, 2, 0), '/', 'a')},
    {"net_method_in_small_letters", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(3, 1, 0), 'g', 'e', 't', '/')},
    {"net_method_with_a_newline", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(4, 1, 0), 'G', 'E', 'T', '\n', '/')},
    {"net_method_over_its_bound", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(NET_METHOD_MAX + 1, 1, 0), 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A',
           'A', 'A', 'A', 'A', 'A', 'A', '/')},
    {"net_method_longer_than_the_frame", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(0xffff, 1, 0), 'A', '/')},
    {"net_request_without_a_path", ASKING, NET_REQUEST, 1, BYTES(REQUEST(2, 0, 0), 'A', 'A')},
    {"net_path_longer_than_the_frame", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 0xffff, 0), 'A', '/')},
    {"net_path_over_its_bound", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, NET_PATH_MAX + 1, 0), 'A', '/'), NET_PATH_MAX},
    {"net_path_without_a_slash", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 1, 0), 'A', 'a')},
    {"net_path_up", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 4, 0), 'A', '/', '.', '.', '/')},
    {"net_path_up_in_escapes", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 7, 0), 'A', '/', '%', '2', 'e', '%', '2', 'E')},
    {"net_path_with_a_newline", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 2, 0), 'A', '/', '\n')},
    {"net_path_with_nul", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 2, 0), 'A', '/', 0)},
    {"net_path_with_a_space", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 2, 0), 'A', '/', ' ')},
    {"net_path_with_a_fragment", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 2, 0), 'A', '/', '#')},
    {"net_path_with_a_backslash", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 2, 0), 'A', '/', '\\')},
    {"net_body_over_its_bound", ASKING, NET_REQUEST, 1,
     BYTES(U64(NET_BODY_MAX + 1), U16(1), U16(1), U16(0), U16(0), 'A', '/')},
    {"net_request_with_something_in_its_gap", ASKING, NET_REQUEST, 1,
     BYTES(U64(0), U16(1), U16(1), U16(0), U16(1), 'A', '/')},
    {"net_headers_fewer_than_said", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 1, 1), 'A', '/')},
    {"net_headers_with_something_behind", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(0), 'a', 'b')},
    {"net_headers_101", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, NET_HEADERS_MAX + 1), 'A', '/', U16(1), U16(0), 'a')},
    {"net_headers_65535", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 1, 0xffff), 'A', '/')},
    {"net_headers_over_their_bound", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(NET_HEADER_LIST_MAX - 4), 'a', 'a'),
     NET_HEADER_LIST_MAX - 5},
    {"net_header_longer_than_the_frame", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(0xffff), 'a')},
    {"net_header_whose_name_is_longer_than_the_frame", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(0xffff), U16(1), 'a')},
    {"net_header_without_a_name", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(0), U16(1), 'a')},
    {"net_header_in_capitals", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(0), 'A')},
    {"net_header_with_a_colon", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(2), U16(0), 'a', ':')},
    {"net_header_of_two_lines", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(4), 'a', 'b', '\r', '\n', 'c')},
    {"net_header_with_nul", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(1), 'a', 0)},
    {"net_header_of_the_host", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(4), U16(1), 'h', 'o', 's', 't', 'a')},
    {"net_header_that_smuggles_a_length", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(14), U16(1), 'c', 'o', 'n', 't', 'e', 'n', 't', '-', 'l',
           'e', 'n', 'g', 't', 'h', '9')},
};
/* clang-format on */

static void tell_frame(int row)
{
    static uint8_t payload[NET_PAYLOAD_MAX];
    const size_t len = frames[row].len;
    const struct net_header h = {.type = frames[row].type,
                                 .stream = frames[row].stream,
                                 .length = (uint32_t)(len + frames[row].more)};

    if (len > 0) {
        memcpy(payload, frames[row].payload, len);
        memset(payload + len, payload[len - 1], frames[row].more);
    }
    rig_lie(frames[row].stage, &h, payload);
}

int main(void)
{
    TCase *tc = tcase_create("net");

    add_neighbours(tc);
    for (size_t i = 0; i < COUNT(headers); i++)
        rows_add(tc, headers[i].name, tell_header, (int)i);
    for (size_t i = 0; i < COUNT(frames); i++)
        rows_add(tc, frames[i].name, tell_frame, (int)i);
    return suite_run("net", tc);
}
