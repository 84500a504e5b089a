/* The keeper's end: events that are checked, and the rows of a result. */
#include "base/own.h"
#include "gateway/record.h"
#include "run/egress.h"
#include "run/fence.h"
#include "run/keeper.h"
#include "run/serve_private.h"
#include "shared/net.h"
#include "tests/unit/suite.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct gateway *gateway;
static int peer; /* the test is the gateway */
static struct err e;

static void begin(void)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    gateway = gateway_new(pair[0]);
    peer = pair[1];
}

static void finish(void)
{
    gateway_free(gateway);
    close(peer);
}

static struct gateway_event tried(const char *host)
{
    struct gateway_event ev = {.type = GATEWAY_TRY, .exec = 1, .allowed = 1, .port = 443};

    snprintf(ev.host, sizeof(ev.host), "%s", host);
    return ev;
}

static uint32_t heard(const struct gateway_event *ev)
{
    struct gateway_event got = {0};

    ck_assert_int_eq(send(peer, ev, sizeof(*ev), 0), sizeof(*ev));
    return gateway_next(gateway, &got) == 1 ? got.type : 0;
}

START_TEST(an_event_that_cannot_be_is_the_end)
{
    struct gateway_event rows[13];
    size_t n = 0;

    for (size_t i = 0; i < 13; i++)
        rows[i] = tried("a.org");
    rows[n++].type = 99;
    rows[n++].exec = 0;
    rows[n++].exec = 17;
    rows[n++].allowed = 2;
    rows[n++].why = NET_WHY_RULE; /* allowed, and why not */
    rows[n++].port = 65536;
    strcpy(rows[n++].host, "a.org\n");
    strcpy(rows[n++].host, "A.org");
    memset(rows[n++].host, 'a', GATEWAY_HOST_SIZE);
    strcpy(rows[n++].address, "nonsense\x1b");
    strcpy(rows[n++].text, "words");
    rows[n++].secret = GATEWAY_SECRET_BAD; /* and why is another thing */
    rows[n++].type = GATEWAY_HELD;         /* that nobody asked for */
    for (size_t i = 0; i < n; i++) {
        begin();
        ck_assert_msg(heard(&rows[i]) == GATEWAY_LOST, "row %zu", i);
        ck_assert_uint_eq(heard(&rows[i]), 0); /* nothing comes after it */
        finish();
    }
}
END_TEST

START_TEST(an_origin_may_be_called_by_a_number)
{
    struct gateway_event ev = tried("123");

    ev.port = 0;
    begin();
    ck_assert_uint_eq(heard(&ev), GATEWAY_TRY);
    finish();
}
END_TEST

START_TEST(what_another_guest_said_is_passed_over)
{
    struct gateway_event ready = {.type = GATEWAY_READY, .guest = 1};

    begin();
    ck_assert_int_eq(gateway_port(gateway, 0, &e), 0);
    ck_assert_int_eq(gateway_port(gateway, 0, &e), 0);
    ck_assert_uint_eq(heard(&ready), 0);
    ready.guest = 2;
    ck_assert_uint_eq(heard(&ready), GATEWAY_READY);
    finish();
}
END_TEST

START_TEST(the_end_of_the_gateway_is_said_once)
{
    struct gateway_event ev;

    begin();
    close(peer);
    ck_assert_int_eq(gateway_next(gateway, &ev), 1);
    ck_assert_uint_eq(ev.type, GATEWAY_LOST);
    ck_assert_int_eq(gateway_next(gateway, &ev), 0);
    ck_assert_int_eq(gateway_hold(gateway, &e), 0); /* no error: the event says it */
    gateway_free(gateway);
}
END_TEST

START_TEST(tries_are_rows_with_counts_and_the_rest_is_counted)
{
    struct run_egress x = {.on = 1};
    struct gateway_event a = tried("a.org"), b = tried("b.org"), end = a;
    own_doc struct doc *d = doc_new_object();
    own_free char *text = NULL;

    b.allowed = 0;
    b.why = NET_WHY_RULE;
    end.type = GATEWAY_CLOSED;
    end.bytes_up = 3;
    end.bytes_down = 5;
    for (int i = 0; i < 2; i++) {
        ck_assert(!egress_add(&x, &a));
        ck_assert(!egress_add(&x, &end));
        ck_assert(egress_add(&x, &b) == (i == 0));
    }
    for (int i = 0; i < EGRESS_ROWS_MAX; i++) {
        snprintf(b.host, sizeof(b.host), "h%d.org", i);
        egress_add(&x, &b);
    }
    /* Of refused ones no more than half: what was let through has its row, whatever was tried. */
    ck_assert_uint_eq(x.n, 1 + EGRESS_ROWS_MAX / 2);
    ck_assert_uint_eq(x.left_out, EGRESS_ROWS_MAX / 2 + 1);
    snprintf(a.host, sizeof(a.host), "late.org");
    ck_assert(!egress_add(&x, &a));
    ck_assert_str_eq(x.rows[1 + EGRESS_ROWS_MAX / 2].host, "late.org");
    /* A connection whose try was of another command. */
    snprintf(end.host, sizeof(end.host), "other.org");
    ck_assert(!egress_add(&x, &end));
    ck_assert_uint_eq(x.rows[2 + EGRESS_ROWS_MAX / 2].bytes_up, 3);
    x.n = 2;
    x.left_out = 2;
    egress_to_doc(&x, d);
    text = doc_format(d, false);
    ck_assert_str_eq(
        text, "{\"egress\":[{\"destination\":\"a.org:443\",\"verdict\":\"allowed\",\"count\":2,"
              "\"bytes_up\":6,\"bytes_down\":10},{\"destination\":\"b.org:443\",\"verdict\":"
              "\"refused\",\"why\":\"rule\",\"count\":2,\"bytes_up\":0,\"bytes_down\":0}],"
              "\"egress_left_out\":2,\"egress_bytes_left_out\":0}");
}
END_TEST

START_TEST(without_a_gateway_a_result_has_no_egress)
{
    const struct run_egress x = {0};
    own_doc struct doc *d = doc_new_object();

    egress_to_doc(&x, d);
    ck_assert(!doc_has(d, "egress"));
}
END_TEST

/* The folder does not take the rules: the gateway has heard nothing. */
START_TEST(a_change_of_rules_that_fails_changes_no_secret)
{
    struct plan plan = {.egress = true};
    struct folder folder = {.id = "box", .fd = -1};
    struct serve *s = calloc(1, sizeof(*s));
    struct keeper k = {.plan = &plan, .folder = &folder, .serve = s};
    const struct strv none = {0};
    own_strv struct strv rules = {0}, secrets = {0};
    const struct talk_request r = {.what = TALK_NETWORK, .n_args = 1, .n_secrets = 1};
    struct pollfd heard_of = {.events = POLLIN};
    int fds[TALK_FD_GATEWAY + 1];

    begin();
    k.gateway = gateway;
    strv_add(&rules, "https://a.org,name=a,secret=KEY");
    strv_add(&secrets, "KEY");
    ck_assert_int_eq(talk_pack(&(struct talk_words){.argv = &rules,
                                                    .env = &none,
                                                    .secrets = &secrets,
                                                    .secret_env = &none},
                               &fds[TALK_FD_ARGS], &e),
                     0);
    fds[TALK_FD_GATEWAY] = fds[TALK_FD_ARGS];
    ck_assert_int_eq(serve_change_network(&k, &r, fds, &e), -1);
    ck_assert_msg(e.class == ERR_HOST, "%s", e.text);
    heard_of.fd = peer;
    ck_assert_int_eq(poll(&heard_of, 1, 0), 0);
    ck_assert_uint_eq(s->network.n, 0);
    ck_assert_uint_eq(s->gateway_secrets.n, 0);
    close(fds[TALK_FD_ARGS]);
    finish();
    free(s);
}
END_TEST

/* The program itself ends with its keeper's socket. */
START_TEST(the_program_ends_when_nobody_holds_its_socket)
{
    int control = -1, status;
    pid_t pid = 0;

    ck_assert_msg(gateway_start(GATEWAY_PATH, NULL, &control, &pid, &e) == 0, "%s", e.text);
    close(control);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

/* What `lazaret prove` reads of it, once it listens to the guest. */
START_TEST(the_program_has_no_right_that_it_does_not_need)
{
    struct pollfd greeted = {.events = POLLIN};
    struct fence f = {0};
    int control = -1, port[2];
    pid_t pid = 0;

    ck_assert_msg(gateway_start(GATEWAY_PATH, NULL, &control, &pid, &e) == 0, "%s", e.text);
    gateway = gateway_new(control);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, port), 0);
    ck_assert_int_eq(gateway_port(gateway, port[0], &e), 0);
    greeted.fd = port[1];
    ck_assert_int_eq(poll(&greeted, 1, 20000), 1);
    fence_read_rights(
        &(struct fence_process){.who = "gateway", .pid = pid, .not_uid = 0, .filters = 1}, &f);
    ck_assert_uint_eq(f.n, 5);
    for (uint32_t i = 0; i < f.n; i++)
        ck_assert_msg(f.rows[i].verdict == FENCE_HOLDS, "%s: %s", f.rows[i].name, f.rows[i].text);
    gateway_free(gateway);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    close(port[0]);
    close(port[1]);
}
END_TEST

SUITE("egress", an_event_that_cannot_be_is_the_end, an_origin_may_be_called_by_a_number,
      what_another_guest_said_is_passed_over, the_end_of_the_gateway_is_said_once,
      tries_are_rows_with_counts_and_the_rest_is_counted, without_a_gateway_a_result_has_no_egress,
      a_change_of_rules_that_fails_changes_no_secret, the_program_ends_when_nobody_holds_its_socket,
      the_program_has_no_right_that_it_does_not_need)
