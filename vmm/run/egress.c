/* egress: what a guest tried to reach and got; and the keeper's part in it. See egress.h. */
#include "run/egress.h"

#include "base/clock.h"
#include "base/own.h"
#include "run/alarm.h"
#include "run/keeper.h"
#include "run/observe.h"
#include "run/recording.h"
#include "run/template.h"
#include "shared/net.h"

#include <string.h>

/* ---- rows ------------------------------------------------------------------------------------ */

/* A try, or (of one that was allowed) its end. */
static struct egress_row *find(struct run_egress *x, const struct gateway_event *ev, bool allowed)
{
    for (uint32_t i = 0; i < x->n; i++) {
        struct egress_row *r = &x->rows[i];

        if (r->port == ev->port && r->allowed == allowed && strcmp(r->host, ev->host) == 0 &&
            (allowed || r->why == ev->why))
            return r;
    }
    return NULL;
}

static uint32_t count_refused(const struct run_egress *x)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < x->n; i++)
        n += !x->rows[i].allowed;
    return n;
}

bool egress_add(struct run_egress *x, const struct gateway_event *ev)
{
    const bool ends = ev->type == GATEWAY_CLOSED, allowed = ends || ev->allowed;
    struct egress_row *r = find(x, ev, allowed);
    bool is_new = false;

    /* Refused ones never take the places of those that were let through. */
    if (!r && (x->n == EGRESS_ROWS_MAX || (!allowed && count_refused(x) == EGRESS_ROWS_MAX / 2))) {
        x->left_out += !ends;
        x->bytes_left_out += ev->bytes_up + ev->bytes_down;
        return false;
    }
    if (!r) {
        r = &x->rows[x->n++];
        *r = (struct egress_row){
            .port = (uint16_t)ev->port, .allowed = allowed, .why = allowed ? 0 : ev->why};
        memcpy(r->host, ev->host, sizeof(r->host));
        is_new = true;
    }
    r->count += !ends;
    r->bytes_up += ev->bytes_up;
    r->bytes_down += ev->bytes_down;
    return is_new && !allowed;
}

void egress_to_doc(const struct run_egress *x, struct doc *d)
{
    struct doc *list;

    if (!x->on)
        return;
    list = doc_new_array();
    for (uint32_t i = 0; i < x->n; i++) {
        const struct egress_row *r = &x->rows[i];
        own_free char *to = gateway_destination(r->host, r->port);
        struct doc *row = doc_new_object();

        doc_set_str(row, "destination", to);
        doc_set_str(row, "verdict", r->allowed ? "allowed" : "refused");
        if (!r->allowed)
            doc_set_str(row, "why", net_why_name(r->why));
        doc_set_u64(row, "count", r->count);
        doc_set_u64(row, "bytes_up", r->bytes_up);
        doc_set_u64(row, "bytes_down", r->bytes_down);
        doc_add(list, row);
    }
    doc_set(d, "egress", list);
    doc_set_u64(d, "egress_left_out", x->left_out);
    doc_set_u64(d, "egress_bytes_left_out", x->bytes_left_out);
}

/* ---- the keeper's part ----------------------------------------------------------------------- */

static int take(struct keeper *k, const struct gateway_event *ev, struct err *e);

/* Its secrets, and what it goes by. */
static int begin(struct keeper *k, struct err *e)
{
    const struct secrets *s = k->c->gateway_secrets;
    own_doc struct doc *rules = plan_network_to_doc(k->plan);

    k->gateway = gateway_new(own_steal_fd(k->gateway_fd));
    for (size_t i = 0; s && i < s->n_fds; i++)
        if (gateway_secret(k->gateway, s->files.items[i], s->fds[i], e) < 0)
            return -1;
    secrets_close(k->c->gateway_secrets);
    return gateway_rules(k->gateway, rules, e);
}

int egress_open(struct keeper *k, struct err *e)
{
    own_free char *path = str_printf("%s/" EGRESS_SOCKET, k->vm_path);
    own_close int fd = -1;

    if (!k->plan->egress)
        return 0;
    if ((!k->gateway && begin(k, e) < 0) || template_connect(path, &fd, e) < 0)
        return -1;
    k->net_ready = k->net_held = k->net_release = false;
    return gateway_port(k->gateway, fd, e);
}

void egress_finish(struct keeper *k)
{
    const uint64_t deadline_ms = clock_mono_ms() + GATEWAY_FINISH_MS;
    struct gateway_event ev = {0};

    if (!k->gateway)
        return;
    gateway_finish(k->gateway);
    while (ev.type != GATEWAY_LOST && clock_mono_ms() < deadline_ms) {
        struct pollfd p = egress_poll(k);

        (void)poll(&p, 1, clock_poll_timeout(deadline_ms));
        while (gateway_next(k->gateway, &ev) == 1 && ev.type != GATEWAY_LOST &&
               clock_mono_ms() < deadline_ms)
            if (ev.type == GATEWAY_TRY || ev.type == GATEWAY_CLOSED)
                (void)take(k, &ev, &(struct err){0});
    }
    egress_undo(k);
}

void egress_undo(struct keeper *k)
{
    gateway_free(k->gateway);
    k->gateway = NULL;
}

bool egress_is_ready(const struct keeper *k)
{
    return !k->gateway || k->net_ready;
}

int egress_hold(struct keeper *k, uint64_t until_ms, struct err *e)
{
    if (!k->gateway)
        return 0;
    k->net_held = k->net_release = false;
    if (gateway_hold(k->gateway, e) < 0)
        return -1;
    while (!k->net_held) {
        if (clock_mono_ms() >= until_ms) {
            k->net_release = true;
            return err_set(e, ERR_GUEST, "the guest did not stop its connections in time");
        }
        if (keeper_pump(k, until_ms, NULL, 0, e) < 0)
            return -1;
    }
    return 0;
}

int egress_resume(struct keeper *k, struct err *e)
{
    return k->gateway ? gateway_resume(k->gateway, e) : 0;
}

int egress_secret(struct keeper *k, const char *name, int fd, struct err *e)
{
    return k->gateway ? gateway_secret(k->gateway, name, fd, e) : 0;
}

int egress_rules(struct keeper *k, const struct doc *rules, struct err *e)
{
    return k->gateway ? gateway_rules(k->gateway, rules, e) : 0;
}

struct pollfd egress_poll(const struct keeper *k)
{
    return (struct pollfd){.fd = k->gateway ? gateway_fd(k->gateway) : -1, .events = POLLIN};
}

/* The number is the guest's word: one of a job that is not there counts for the whole. */
static struct run_result *result_of(struct keeper *k, uint32_t exec)
{
    struct job *j = &k->jobs[exec - 1];

    return j->state != JOB_NONE && j->result ? j->result : &k->result;
}

static void note(struct run_result *r, const struct gateway_event *ev)
{
    own_free char *to = gateway_destination(ev->host, ev->port);
    own_free char *wish = ev->port ? net_wish_for(ev->host, (uint16_t)ev->port) : NULL;
    own_free char *why = gateway_event_text(ev->why, ev->proxy, ev->secret);
    uint32_t refused = count_refused(&r->egress);

    if (refused > EGRESS_SAYS_MAX)
        return;
    if (refused == EGRESS_SAYS_MAX)
        run_note(r, "egress refused: %s: %s; more are in --json", to, why);
    else if (wish && ev->why == NET_WHY_RULE)
        run_note(r, "egress refused: %s: %s (allow with --allow %s)", to, why, wish);
    else
        run_note(r, "egress refused: %s: %s", to, why);
}

/* A line for each destination, not for each try; none of what an amnesic guest did. */
static int write_down(struct keeper *k, const struct gateway_event *ev, struct err *e)
{
    own_free char *to = gateway_destination(ev->host, ev->port);
    own_free char *state = str_printf("refused: %s: %s", to, net_why_name(ev->why));

    return k->plan->amnesic ? 0 : folder_journal(k->folder, "egress", state, e);
}

static int take(struct keeper *k, const struct gateway_event *ev, struct err *e)
{
    struct run_result *r;
    uint32_t rows;
    bool refused;

    switch (ev->type) {
    case GATEWAY_READY:
        k->net_ready = true;
        return 0;
    case GATEWAY_HELD:
        k->net_held = true;
        if (!k->net_release)
            return 0;
        k->net_release = false;
        return gateway_resume(k->gateway, e);
    case GATEWAY_TRY:
    case GATEWAY_CLOSED:
        r = result_of(k, ev->exec);
        rows = r->egress.n;
        alarm_egress(k, ev);
        observe_egress(k, ev);
        refused = egress_add(&r->egress, ev);
        if (r->egress.n > rows) /* a line for each, not for each try */
            recording_egress(k, ev);
        else if (ev->type == GATEWAY_TRY && !ev->allowed)
            refused_add_try(&k->refused, ev);
        if (!refused)
            return 0;
        note(r, ev);
        return write_down(k, ev, e);
    case GATEWAY_TAMPERED:
        return err_set(e, ERR_PROTOCOL, "the guest broke the protocol: %s", ev->text);
    default:
        return err_set(e, ERR_HOST, "the gateway to the network: %s", ev->text);
    }
}

int egress_take(struct keeper *k, struct err *e)
{
    struct gateway_event ev;

    for (int n = 0; n < GATEWAY_TURN && k->gateway && gateway_next(k->gateway, &ev) == 1; n++)
        if (take(k, &ev, e) < 0)
            return -1;
    return 0;
}
