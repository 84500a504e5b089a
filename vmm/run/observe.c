/* observe: what a run that learns did, from its keeper to whoever writes the manifest. See
 * observe.h. */
#include "run/observe.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "run/keeper.h"
#include "run/sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define USED_MS 2000u /* for the guest to say what it uses */

struct head {
    uint64_t job_cpu_ms, disk_bytes, guest_disk_bytes, pids, lost, more_destinations;
    uint64_t n; /* rows behind it */
    uint32_t blind;
};

enum { ROW_DESTINATION = LEARN_KINDS };

struct row {
    uint32_t kind; /* enum learn_kind, or ROW_DESTINATION */
    uint32_t rule, port;
    uint64_t count, bytes;
    char text[CHANNEL_TEXT_MAX]; /* a path as it is, or a host */
};

struct observing {
    struct head head;
    struct row *rows;
    size_t room, n_paths, n_destinations;
    uint64_t cpu_ns, disk_bytes; /* before the job */
};

/* ---- the keeper's part ----------------------------------------------------------------------- */

void observe_free(struct observing *o)
{
    if (!o)
        return;
    free(o->rows);
    free(o);
}

static struct row *add_row(struct observing *o, uint32_t kind)
{
    if (o->head.n == o->room) {
        size_t room = o->room ? 2 * o->room : 64;
        struct row *grown = reallocarray(o->rows, room, sizeof(*grown));

        if (!grown)
            abort();
        o->rows = grown;
        o->room = room;
    }
    o->rows[o->head.n] = (struct row){.kind = kind};
    return &o->rows[o->head.n++];
}

/* Of QEMU, and of the disk: 0 where it cannot be told. */
static void look(const struct keeper *k, uint64_t *ret_cpu_ns, uint64_t *ret_disk_bytes)
{
    struct sample s = {0};

    *ret_cpu_ns = sample_read(hv_qemu_pid(k->hv), &s) == 0 ? s.user_ns + s.system_ns : 0;
    *ret_disk_bytes = sample_disk_bytes(k->state_fd);
}

void observe_begin(struct keeper *k)
{
    if (!k->plan->learn)
        return;
    k->observing = calloc(1, sizeof(*k->observing));
    if (!k->observing)
        abort();
    look(k, &k->observing->cpu_ns, &k->observing->disk_bytes);
}

static struct row *find_destination(struct observing *o, const struct gateway_event *ev)
{
    struct row *r;

    for (size_t i = 0; i < o->head.n; i++) {
        r = &o->rows[i];
        if (r->kind == ROW_DESTINATION && r->rule + 1 == ev->rule && r->port == ev->port &&
            strcmp(r->text, ev->host) == 0)
            return r;
    }
    if (o->n_destinations == OBSERVE_DESTINATIONS_MAX)
        return NULL;
    o->n_destinations++;
    r = add_row(o, ROW_DESTINATION);
    r->rule = ev->rule - 1;
    r->port = ev->port;
    memcpy(r->text, ev->host, sizeof(ev->host));
    return r;
}

void observe_egress(struct keeper *k, const struct gateway_event *ev)
{
    const bool ends = ev->type == GATEWAY_CLOSED;
    struct row *r;

    if (!k->observing || ev->rule == 0 || (!ends && !ev->allowed))
        return;
    r = find_destination(k->observing, ev);
    if (!r) {
        k->observing->head.more_destinations += !ends;
        return;
    }
    r->count += !ends;
    r->bytes += ev->bytes_up + ev->bytes_down;
}

static unsigned digit(char c)
{
    return c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
}

void observe_unescape(const char *text, char out[CHANNEL_TEXT_MAX])
{
    static const char cut[] = "...";
    size_t len = strlen(text), n = 0;

    /* What does not fit any more is one byte, or four. */
    if (len >= CHANNEL_TEXT_MAX - 4 && strcmp(text + len - strlen(cut), cut) == 0)
        while (len > 1 && text[len - 1] != '/')
            len--;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\\' || len - i < 4) {
            out[n++] = text[i];
            continue;
        }
        out[n++] = (char)(digit(text[i + 2]) << 4 | digit(text[i + 3]));
        i += 3;
    }
    out[n] = '\0';
}

static void add_path(struct observing *o, enum learn_kind kind, const char *escaped)
{
    if (o->n_paths == OBSERVE_PATHS_MAX) {
        o->head.lost++;
        return;
    }
    o->n_paths++;
    observe_unescape(escaped, add_row(o, kind)->text);
}

void observe_event(struct keeper *k, const struct channel_event *ev)
{
    struct observing *o = k->observing;

    if (!o)
        return;
    if (ev->type == CHANNEL_EXIT)
        o->head.pids = ev->exit.peak_pids;
    else if (ev->type != CHANNEL_SEEN)
        return;
    else if (ev->seen.kind == WIRE_SEEN_OPENED)
        add_path(o, LEARN_READ, ev->text);
    else if (ev->seen.kind == WIRE_SEEN_WRITTEN)
        add_path(o, LEARN_WRITTEN, ev->text);
    else if (ev->seen.kind == WIRE_SEEN_EXECUTED)
        add_path(o, LEARN_EXECUTED, ev->text);
    else if (ev->seen.kind == WIRE_SEEN_LOST)
        o->head.lost += ev->seen.size;
    else if (ev->seen.kind == WIRE_SEEN_BLIND)
        o->head.blind = 1;
}

/* What the host's file has not got yet: the guest's word. A guest that does not answer has none;
 * what ends a run ends it here as well. */
static int ask_guest(struct keeper *k, uint64_t *ret_bytes, struct err *e)
{
    const uint64_t until_ms = clock_mono_ms() + USED_MS;
    struct err none;

    *ret_bytes = 0;
    k->used_new = false;
    if (channel_usage(k->channel, &none) < 0)
        return 0;
    while (!k->used_new && clock_mono_ms() < until_ms)
        if (keeper_pump(k, until_ms, NULL, 0, e) < 0)
            return -1;
    if (k->used_new && k->used.disk_total_bytes > k->used.disk_free_bytes)
        *ret_bytes = k->used.disk_total_bytes - k->used.disk_free_bytes;
    return 0;
}

int observe_end(struct keeper *k, struct err *e)
{
    struct observing *o = k->observing;
    uint64_t cpu_ns, disk_bytes;

    if (!o)
        return 0;
    look(k, &cpu_ns, &disk_bytes);
    if (o->cpu_ns > 0 && cpu_ns > o->cpu_ns)
        o->head.job_cpu_ms = (cpu_ns - o->cpu_ns) / 1000000;
    if (disk_bytes > o->disk_bytes)
        o->head.disk_bytes = disk_bytes - o->disk_bytes;
    if (ask_guest(k, &o->head.guest_disk_bytes, e) < 0)
        return -1;
    if (file_write_all(k->c->learn_fd, &o->head, sizeof(o->head)) < 0 ||
        file_write_all(k->c->learn_fd, o->rows, o->head.n * sizeof(o->rows[0])) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot keep what was observed");
    return 0;
}

/* ---- the caller's ---------------------------------------------------------------------------- */

int observe_open(int *ret_fd, struct err *e)
{
    int fd = memfd_create("lazaret-observed", MFD_CLOEXEC);

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "memfd_create");
    *ret_fd = fd;
    return 0;
}

void observe_done(struct observed *o)
{
    for (int kind = 0; kind < LEARN_KINDS; kind++)
        strv_done(&o->l.paths[kind]);
    strv_done(&o->hosts);
    free(o->destinations);
    *o = (struct observed){0};
}

static void take_row(struct observed *o, const struct row *r)
{
    struct learn_destination *grown;

    if (r->kind < LEARN_KINDS) {
        strv_add(&o->l.paths[r->kind], r->text);
        return;
    }
    grown = reallocarray(o->destinations, o->hosts.n + 1, sizeof(*grown));
    if (!grown)
        abort();
    o->destinations = grown;
    grown[o->hosts.n] = (struct learn_destination){
        .rule = r->rule, .port = (uint16_t)r->port, .count = r->count, .bytes = r->bytes};
    strv_add(&o->hosts, r->text);
}

static void take_result(struct learned *l, const struct run_result *r)
{
    l->job_ms = r->job_ms;
    l->out_bytes = r->out_bytes;
    l->out_entries = r->out_files + r->out_folders;
    l->peak_bytes = r->peak_bytes;
}

int observe_read(int fd, const struct run_result *r, struct observed *ret, struct err *e)
{
    struct head h;
    struct row row;

    if (lseek(fd, 0, SEEK_SET) < 0 || file_read_up_to(fd, &h, sizeof(h)) != sizeof(h))
        return err_set(e, ERR_HOST, "nothing was observed");
    for (uint64_t i = 0; i < h.n; i++) {
        if (file_read_up_to(fd, &row, sizeof(row)) != sizeof(row))
            return err_set(e, ERR_HOST, "what was observed is not whole");
        take_row(ret, &row);
    }
    for (size_t i = 0; i < ret->hosts.n; i++)
        ret->destinations[i].host = ret->hosts.items[i];
    ret->blind = h.blind;
    ret->l.destinations = ret->destinations;
    ret->l.n_destinations = ret->hosts.n;
    ret->l.job_cpu_ms = h.job_cpu_ms;
    ret->l.disk_bytes = h.disk_bytes;
    ret->l.guest_disk_bytes = h.guest_disk_bytes;
    ret->l.pids = h.pids;
    ret->l.lost = h.lost;
    ret->l.more_destinations = h.more_destinations;
    take_result(&ret->l, r);
    return 0;
}
