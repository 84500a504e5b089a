/* learn: from what a run did to the smallest manifest that would have allowed it. See learn.h. */
#include "plan/learn.h"

#include "base/own.h"
#include "plan/learn_paths.h"
#include "plan/request_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One manifest in the making. */
struct learning {
    const struct plan *p;
    const struct plan_wish *wish;
    const struct learned *l;
    struct request *r;
    struct strv *notes;
};

/* ---- what was asked for ---------------------------------------------------------------------- */

static void keep(struct learning *g, enum key k, const struct strv *texts, const char *why)
{
    for (size_t i = 0; i < texts->n; i++)
        request_add(g->r, k, texts->items[i]);
    if (texts->n > 0)
        request_why(g->r, k, NULL, "wish", "asked for: %s", why);
}

/* A number as it came to be, for a policy may have made it less. */
static void keep_number(struct learning *g, enum key k, const char *why)
{
    const uint64_t n = *plan_number((struct plan *)(uintptr_t)g->p, k);
    char text[48];

    if (key_rows[k].optional && n == 0)
        return;
    request_add(g->r, k, key_text(k, n, text, sizeof(text)));
    request_why(g->r, k, NULL, "wish", "asked for: %s", why);
}

static void keep_wish(struct learning *g, enum key k)
{
    const struct request *r = g->wish->command_line;
    char place[REQUEST_PLACE];

    if (k == KEY_ACCEL) /* the host's */
        return;
    if (k == KEY_ENV && r && r->of[k].texts.n > 0)
        strv_addf(g->notes, "env: values that the command line gave are not written down");
    if (k == KEY_ENV || !r || !r->of[k].set)
        r = g->wish->manifest;
    if (!r || !r->of[k].set)
        return;
    if (key_is_number(k))
        keep_number(g, k, request_place(r, k, place));
    else
        keep(g, k, &r->of[k].texts, request_place(r, k, place));
}

/* ---- numbers --------------------------------------------------------------------------------- */

static uint64_t times(uint64_t n, uint64_t factor)
{
    return n > UINT64_MAX / factor ? UINT64_MAX : n * factor;
}

static uint64_t round_up(uint64_t n, uint64_t step)
{
    return n % step && n < UINT64_MAX - step ? n + (step - n % step) : n;
}

/* False: it was not observed. */
static bool learn_number(struct learning *g, enum key k)
{
    const struct learned *l = g->l;
    const bool by_host = l->disk_bytes >= l->guest_disk_bytes;
    const uint64_t disk = by_host ? l->disk_bytes : l->guest_disk_bytes;
    /* A time is another one on another host: more headroom. */
    const struct {
        enum key k;
        bool known;
        uint64_t seen, factor, floor, step;
        const char *by, *what;
    } rows[] = {
        {KEY_OUTPUT_MAX, g->p->out, l->out_bytes, 2, PLAN_MIB, PLAN_MIB, "host", "what came out"},
        {KEY_MEMORY, l->peak_bytes > 0, l->peak_bytes, 2, 64 * PLAN_MIB, 16 * PLAN_MIB, "guest",
         "its peak"},
        {KEY_DISK, disk > 0, disk, 2, 64 * PLAN_MIB, 16 * PLAN_MIB, by_host ? "host" : "guest",
         "what was taken of it"},
        {KEY_PIDS, l->pids > 0, l->pids, 2, 16, 16, "guest", "the most at once"},
        {KEY_TIMEOUT, l->job_ms > 0, l->job_ms, 4, 60000, 10000, "host", "what it took"},
        {KEY_JOB_CPU_TIME, l->job_cpu_ms > 0, l->job_cpu_ms, 4, 60000, 10000, "host",
         "what QEMU used"},
    };
    const uint64_t most = *plan_number((struct plan *)(uintptr_t)g->p, k);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t n = round_up(times(rows[i].seen, rows[i].factor), rows[i].step);
        char seen[48], text[48];

        if (rows[i].k != k || !rows[i].known)
            continue;
        n = n > rows[i].floor ? n : rows[i].floor;
        n = most && n > most ? most : n;
        request_add(g->r, k, key_text(k, n, text, sizeof(text)));
        request_why(g->r, k, NULL, rows[i].by, "%s was %s", rows[i].what,
                    key_format(k, rows[i].seen, seen, sizeof(seen)));
        return true;
    }
    return false;
}

/* /tmp is memory, and was counted as such: of less memory, half may be more than it had. */
static void fit_tmp(struct learning *g)
{
    const char *memory = request_text(g->r, KEY_MEMORY);
    uint64_t most = 0, tmp = g->p->tmp_bytes;
    char text[48];

    if (!memory || !request_text(g->r, KEY_TMP) ||
        key_parse(KEY_MEMORY, memory, "memory", &most, &(struct err){0}) < 0 || tmp <= most)
        return;
    request_drop(g->r, KEY_TMP);
    request_add(g->r, KEY_TMP, key_text(KEY_TMP, most, text, sizeof(text)));
}

/* ---- the network ----------------------------------------------------------------------------- */

/* A rule for this destination alone, within the one that let it through. False: it is none. */
static bool narrow(const struct learning *g, const struct learn_destination *d,
                   struct net_rule *ret)
{
    const struct net_rule *by = &g->p->network.items[d->rule];
    struct net_rule r = *by;
    own_free char *text = NULL;

    if (!by->name)
        r.host = (char *)(uintptr_t)d->host;
    text = net_rule_text(&r);
    return net_rule_parse(text, NET_OF_WISH, NULL, ret, &(struct err){0}) == 0 &&
           (by->name || net_covers(by, ret));
}

/* What came to one rule. */
struct reached {
    char *text;
    uint64_t count, bytes;
};

static int compare_reached(const void *a, const void *b)
{
    return strcmp(((const struct reached *)a)->text, ((const struct reached *)b)->text);
}

/* Returns new: one for each destination that a rule can say, in the order of their texts. */
static struct reached *reach(struct learning *g, size_t *ret_n)
{
    struct reached *all = calloc(g->l->n_destinations + 1, sizeof(*all));

    if (!all)
        abort();
    *ret_n = 0;
    for (size_t i = 0; i < g->l->n_destinations; i++) {
        const struct learn_destination *d = &g->l->destinations[i];
        own_net_rule struct net_rule r = {0};

        if (d->rule < g->p->network.n && narrow(g, d, &r))
            all[(*ret_n)++] =
                (struct reached){.text = net_rule_text(&r), .count = d->count, .bytes = d->bytes};
    }
    qsort(all, *ret_n, sizeof(*all), compare_reached);
    return all;
}

static void learn_network(struct learning *g)
{
    size_t n, at = 0;
    struct reached *all = reach(g, &n);
    uint64_t left_out = g->l->more_destinations + g->l->n_destinations - n;
    char size[48];

    g->r->of[KEY_NETWORK].set = true;
    while (at < n) {
        struct reached sum = all[at];

        for (at++; at < n && strcmp(all[at].text, sum.text) == 0; at++) {
            sum.count += all[at].count;
            sum.bytes += all[at].bytes;
        }
        if (g->r->of[KEY_NETWORK].texts.n == NET_RULES_MAX) {
            left_out++;
            continue;
        }
        request_add(g->r, KEY_NETWORK, sum.text);
        request_why(g->r, KEY_NETWORK, sum.text, "host", "%" PRIu64 " connections, %s", sum.count,
                    str_format_size(size, sizeof(size), sum.bytes));
    }
    if (left_out > 0)
        strv_addf(g->notes, "network: %" PRIu64 " destinations are left out", left_out);
    for (size_t i = 0; i < n; i++)
        free(all[i].text);
    free(all);
}

/* ---- paths ----------------------------------------------------------------------------------- */

static const struct {
    enum key k;
    const char *did;
} kinds[LEARN_KINDS] = {[LEARN_READ] = {KEY_READ, "opened"},
                        [LEARN_WRITTEN] = {KEY_WRITE, "written"},
                        [LEARN_EXECUTED] = {KEY_EXEC, "executed"}};

/* What is executed is read, too: that is in the right to do so. */
static void add_opened(const struct learned *l, struct strv *ret)
{
    for (size_t i = 0; i < l->paths[LEARN_READ].n; i++)
        if (!strv_has(&l->paths[LEARN_EXECUTED], l->paths[LEARN_READ].items[i]))
            strv_add(ret, l->paths[LEARN_READ].items[i]);
}

/* What came out was written, whatever the guest says. */
static bool came_out(const struct learning *g, enum learn_kind kind)
{
    return kind == LEARN_WRITTEN && g->l->out_entries > 0;
}

static void why_line(struct learning *g, enum learn_kind kind, const struct learn_line *line)
{
    if (came_out(g, kind) && strcmp(line->path, "/out") == 0)
        request_why(g->r, kinds[kind].k, line->path, "host",
                    "%" PRIu64 " of its files and folders came out", g->l->out_entries);
    else
        request_why(g->r, kinds[kind].k, line->path, "guest", "%zu %s %s", line->n,
                    line->n == 1 ? "path was" : "paths were", kinds[kind].did);
}

static void learn_kind(struct learning *g, enum learn_kind kind)
{
    const enum key k = kinds[kind].k;
    own_learn_lines struct learn_lines lines = {0};
    own_strv struct strv paths = {0};

    if (kind == LEARN_READ)
        add_opened(g->l, &paths);
    else
        strv_add_all(&paths, &g->l->paths[kind]);
    if (came_out(g, kind))
        strv_add(&paths, "/out");
    learn_lines_make(g->p, kind, &paths, &lines);
    for (size_t i = 0; i < lines.n; i++) {
        request_add(g->r, k, lines.items[i].path);
        why_line(g, kind, &lines.items[i]);
    }
    if (lines.left_out > 0)
        strv_addf(g->notes, "%s: %zu paths are left out: they cannot be declared%s",
                  key_rows[k].name, lines.left_out,
                  plan_is_declared(g->p) ? ", or this run did not declare them" : "");
}

static int learn_paths(struct learning *g, struct err *e)
{
    size_t n = 0;

    for (int kind = 0; kind < LEARN_KINDS; kind++)
        learn_kind(g, (enum learn_kind)kind);
    for (int kind = 0; kind < LEARN_KINDS; kind++)
        n += g->r->of[kinds[kind].k].texts.n;
    if (g->l->lost > 0)
        strv_addf(g->notes,
                  "the guest could not tell of %" PRIu64
                  " more: the manifest may be too narrow for a run like this one",
                  g->l->lost);
    return n > 0 ? 0
                 : err_set(e, ERR_GUEST,
                           "the guest told of no file that the job touched%s: nothing was learned",
                           plan_is_declared(g->p) ? " and that this run declared" : "");
}

static int learn_key(struct learning *g, enum key k, struct err *e)
{
    if (k == KEY_READ)
        return learn_paths(g, e); /* the other two, too */
    if (k == KEY_WRITE || k == KEY_EXEC)
        return 0;
    if (k == KEY_NETWORK)
        learn_network(g);
    else if (k == KEY_SECRETS)
        keep(g, k, &g->p->secrets, "given to the job");
    else if (k == KEY_SECRET_ENV)
        keep(g, k, &g->p->secret_env, "given to the job");
    else if (!key_is_number(k) || !learn_number(g, k))
        keep_wish(g, k);
    return 0;
}

int learn_manifest(const struct plan *p, const struct plan_wish *wish, const struct learned *l,
                   struct request *ret, struct strv *ret_notes, struct err *e)
{
    own_request struct request r = {.file = str_dup("learned")};
    struct learning g = {.p = p, .wish = wish, .l = l, .r = &r, .notes = ret_notes};

    for (enum key k = 0; k < KEYS; k++)
        if (learn_key(&g, k, e) < 0)
            return -1;
    fit_tmp(&g);
    *ret = r;
    r = (struct request){0};
    return 0;
}
