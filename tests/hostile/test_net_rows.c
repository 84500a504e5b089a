/*
 * test_net_rows: what a guest may not do on the port of egress that takes more than one frame, and
 * floods. Every row must end as tampering or as it says, in bounded memory, and leave nothing
 * behind.
 */
#include "tests/hostile/net_rig.h"

#include <sys/types.h>
#include <unistd.h>

static void net_ready_of_another_version(void)
{
    rig_send_ready(NET_VERSION + 1, 0);
    rig_expect_tampered();
}

static void net_ready_with_one_bit_of_the_nonce_wrong(void)
{
    rig_send_ready(NET_VERSION, 1);
    rig_expect_tampered();
}

static void net_ready_with_a_nonce_that_was_used(void)
{
    const struct net_hello old = rig_hello;

    close(rig_port);
    rig_greet();
    rig_hello = old;
    rig_send_ready(NET_VERSION, 0);
    rig_expect_tampered();
}

static void net_request_twice(void)
{
    const uint8_t request[] = {REQUEST(1, 1, 0), 'A', '/'};

    rig_send_frame(NET_REQUEST, 1, request, sizeof(request));
    rig_send_frame(NET_REQUEST, 1, request, sizeof(request));
    rig_expect_tampered();
}

static uint8_t junk[NET_PAYLOAD_MAX];

/* As much as a stream may have under way: more than a socket that nobody reads takes is kept. */
static void fill(uint32_t stream)
{
    for (uint32_t left = NET_WINDOW; left > 0; left -= (uint32_t)sizeof(junk))
        rig_send_frame(NET_DATA, stream, junk, sizeof(junk));
}

/* In a process of its own, so that a gateway that takes no more does not stop the test. */
static void flood(void (*send_all)(void))
{
    pid_t child = fork();

    if (child == 0) {
        close(gateway_fd(rig_gateway)); /* the gateway ends with the keeper, and that is not us */
        send_all();
        _exit(0);
    }
    ck_assert_int_gt(child, 0);
}

/* What the server's socket takes is given back, so that it is more than once. */
static void fill_without_end(void)
{
    for (int i = 0; i < 1000; i++)
        fill(1);
}

static void net_data_over_its_credit(void)
{
    flood(fill_without_end);
    rig_expect_tampered();
}

#define TRIES 3000

static void tries(void)
{
    for (int i = 0; i < TRIES; i++) {
        rig_open_stream(1, NET_TUNNEL, "nowhere.test", 443);
        rig_expect_frame(NET_REFUSED);
        rig_send_frame(NET_CLOSE, 1, (const uint8_t[4]){0}, 4);
    }
}

/* Refused, told and forgotten, each of them. */
static void net_flood_of_tries(void)
{
    flood(tries);
    for (int i = 0; i < TRIES; i++) {
        struct gateway_event ev = rig_next_event();

        ck_assert_uint_eq(ev.type, GATEWAY_TRY);
        ck_assert_uint_eq(ev.why, NET_WHY_RULE);
    }
}

/* Each waits for an answer that never comes, and the guest gives up. */
static void net_flood_of_questions(void)
{
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        rig_open_stream(i, NET_TUNNEL, "silent.test", 443);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        rig_send_frame(NET_CLOSE, i, (const uint8_t[4]){0}, 4);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        rig_expect_frame(NET_CLOSE);
}

/* The most that the protocol lets a guest make the gateway hold. */
static void net_flood_of_every_window(void)
{
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        rig_open_stream(i, NET_TUNNEL, "127.0.0.1", rig_at_port);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        rig_expect_frame(NET_OPENED);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        fill(i);
    rig_send_frame(NET_EOF, 0, NULL, 0); /* behind all of it */
    rig_expect_tampered();
}

/* One after another, and the guest reads none of the answers. */
static void net_flood_that_reads_nothing(void)
{
    struct gateway_event ev;

    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        rig_open_stream(i, NET_TUNNEL, "nowhere.test", 443);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++) {
        ev = rig_next_event();
        ck_assert_uint_eq(ev.why, NET_WHY_RULE);
    }
}

#define ROW(name, stage, more_kib)                                                                 \
    {                                                                                              \
#name, name, stage, more_kib                                                               \
    }
#define WINDOWS_KIB (NET_STREAMS_MAX * NET_WINDOW / 1024)

static const struct {
    const char *name;
    void (*go)(void);
    enum stage stage; /* where it begins */
    long more_kib;    /* that the gateway may take */
} rows[] = {
    ROW(net_ready_of_another_version, UNMET, 0),
    ROW(net_ready_with_one_bit_of_the_nonce_wrong, UNMET, 0),
    ROW(net_ready_with_a_nonce_that_was_used, UNMET, 0),
    ROW(net_request_twice, ASKING, 0),
    ROW(net_data_over_its_credit, FLOWING, 0),
    ROW(net_flood_of_tries, MET, 0),
    ROW(net_flood_of_questions, MET, 0),
    ROW(net_flood_of_every_window, MET, WINDOWS_KIB),
    ROW(net_flood_that_reads_nothing, MET, 0),
};

static void tell_row(int row)
{
    const struct rig_before before = rig_begin(rows[row].stage);

    rows[row].go();
    rig_end(&before, rows[row].more_kib);
}

int main(void)
{
    TCase *tc = tcase_create("net-rows");

    for (size_t i = 0; i < COUNT(rows); i++)
        rows_add(tc, rows[i].name, tell_row, (int)i);
    return suite_run("net-rows", tc);
}
