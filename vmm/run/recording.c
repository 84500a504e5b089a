/* recording: the record of one run or sandbox, as its keeper writes it. See recording.h. */
#include "run/recording.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "gateway/gateway.h"
#include "record/ledger.h"
#include "run/denied.h"
#include "run/egress.h"
#include "run/fork.h"
#include "run/keeper.h"
#include "run/sample.h"
#include "shared/net.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define SAMPLES 100u /* a guest's age is no more of them than that, but for what is older */

struct recording {
    struct record *record;
    struct ledger ledger;
    bool content;
    bool durable; /* a head of it is on the disk */
    bool broken;  /* `why` says what could not be written */
    struct err why;
    uint64_t began_ms, sample_ms, sign_ms; /* the latter two: when the next one is due */
};

void recording_free(struct keeper *k)
{
    struct recording *r = own_steal_ptr(k->recording);

    if (!r)
        return;
    record_free(r->record);
    ledger_done(&r->ledger);
    free(r);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static void note(struct recording *r, int rc, const struct err *e)
{
    if (rc == 0 || r->broken)
        return;
    r->broken = true;
    r->why = *e;
}

static void add(struct keeper *k, enum record_by by, const char *type, struct doc *members)
{
    struct recording *r = k->recording;
    struct err e;

    if (!r || r->broken)
        doc_free(members);
    else
        note(r, record_add(r->record, by, type, members, &e), &e);
}

void recording_add(struct keeper *k, const char *type, struct doc *members)
{
    add(k, RECORD_HOST, type, members);
}

int recording_check(const struct keeper *k, struct err *e)
{
    if (!k->recording || !k->recording->broken)
        return 0;
    *e = k->recording->why;
    return -1;
}

static void sign(struct recording *r, enum record_sign how)
{
    struct err e;

    if (!r->broken)
        note(r, record_sign(r->record, &r->ledger, how, &e), &e);
    r->durable |= how != RECORD_SIGN;
    r->sign_ms = clock_mono_ms() + RECORDING_SIGN_MS;
}

/* ---- how it begins --------------------------------------------------------------------------- */

/* Returns new: the names of "NAME=VALUE". */
static struct doc *names(const struct strv *env)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < env->n; i++) {
        own_free char *name = str_printf("%.*s", (int)strcspn(env->items[i], "="), env->items[i]);

        doc_add_str(list, name);
    }
    return list;
}

/* Without values of variables, and the patterns, which may be what nobody shall read. */
static struct doc *plan_doc(const struct plan *plan, bool content)
{
    static const char *const chosen[] = {"command", "env_decided", "decided", "trimmed",
                                         "read",    "write",       "exec",    "workdir"};
    struct doc *d = plan_to_doc(plan);

    doc_remove(d, "env");
    doc_remove(d, "record");
    if (content)
        doc_set(d, "env", names(&plan->env));
    for (size_t i = 0; !content && i < sizeof(chosen) / sizeof(chosen[0]); i++)
        doc_remove(d, chosen[i]);
    return d;
}

static struct doc *parent_doc(const struct run_from *from)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "sandbox", from->sandbox);
    doc_set_str(d, "mark", from->mark.name);
    doc_set_str(d, "record", from->record);
    doc_set_u64(d, "seq", from->record_seq);
    return d;
}

static void add_begin(struct keeper *k)
{
    struct doc *d = doc_new_object();
    struct utsname u = {0};
    own_free char *kernel = NULL;
    bool sandbox = k->folder->kind == FOLDER_SANDBOX;

    uname(&u);
    kernel = str_printf("%s %s", u.release, u.version);
    doc_set_str(d, "kind", sandbox ? "sandbox" : "run");
    if (sandbox)
        doc_set_str(d, "name", k->folder->id);
    doc_set_str(d, "lazaret", LZ_VERSION);
    doc_set_str(d, "kernel", kernel);
    doc_set_str(d, "connect", k->c->uri ? k->c->uri : "embedded");
    doc_set_bool(d, "content", k->recording->content);
    doc_set(d, "plan", plan_doc(k->plan, k->recording->content));
    if (k->c->from)
        doc_set(d, "parent", parent_doc(k->c->from));
    add(k, RECORD_HOST, "begin", d);
}

static void add_file(struct keeper *k, const char *role, const char *name, const char *text)
{
    struct recording *r = k->recording;
    struct err e;

    if (!r->broken)
        note(r, record_add_file(r->record, role, name, text, r->content, &e), &e);
}

int recording_begin(struct keeper *k, struct err *e)
{
    const struct recording_files *files = k->c->record_files;
    own_free char *path = str_printf("%s/" RECORD_DIR, k->data);
    own_close int dir = -1;
    struct recording *r;

    if (k->plan->record.off)
        return 0;
    r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(e, ERR_HOST, "out of memory");
    r->ledger.fd = -1;
    r->content = !k->plan->record.no_content && !k->plan->amnesic;
    r->began_ms = clock_mono_ms();
    r->sample_ms = UINT64_MAX;
    k->recording = r;
    if (file_open_dir(path, &dir, e) < 0 || ledger_open(k->data, &r->ledger, e) < 0 ||
        record_create(dir, k->folder->record, &k->plan->record.redact, &r->record, e) < 0) {
        recording_free(k);
        return -1;
    }
    if (k->plan->debug)
        record_mark_debug(r->record);
    add_begin(k);
    for (size_t i = 0; files && i < files->n; i++)
        add_file(k, files->items[i].role, files->items[i].name, files->items[i].text);
    sign(r, RECORD_SIGN);
    return recording_check(k, e);
}

void recording_image(struct keeper *k)
{
    const struct manifest *m = &k->image->m;
    struct doc *d;

    if (!k->recording)
        return;
    d = doc_new_object();
    doc_set_str(d, "name", k->image->ref);
    doc_set_str(d, "digest", k->image->digest);
    for (int i = 0; i < IMAGE_PARTS; i++)
        doc_set_str(d, image_part_name((enum image_part)i), m->parts[i].sha256);
    doc_set_str(d, "root_hash", m->verity.root_hash);
    add(k, RECORD_HOST, "image", d);
}

static void add_layers(struct keeper *k)
{
    struct fence f;
    struct doc *d = doc_new_object(), *rows = doc_new_array();

    keeper_read_fence(k, FENCE_AT_REST, &f);
    for (uint32_t i = 0; i < f.n; i++) {
        struct doc *row = doc_new_object();

        doc_set_u64(row, "layer", f.rows[i].layer);
        doc_set_str(row, "name", f.rows[i].name);
        doc_set_str(row, "verdict", fence_verdict_name(f.rows[i].verdict));
        doc_set_str(row, "text", f.rows[i].text);
        doc_add(rows, row);
    }
    doc_set(d, "rows", rows);
    add(k, RECORD_HOST, "layers", d);
}

int recording_up(struct keeper *k, struct err *e)
{
    struct recording *r = k->recording;
    struct hv_versions v = {{0}, {0}};
    struct doc *d;

    if (!r)
        return 0;
    if (hv_get_versions(k->hv, &v, e) < 0)
        return -1;
    d = doc_new_object();
    doc_set_str(d, "accel", plan_accel_name(k->plan->accel));
    doc_set_str(d, "machine", plan_machine_name(k->plan->machine));
    doc_set_str(d, "libvirt", v.libvirt);
    doc_set_str(d, "qemu", v.qemu);
    doc_set_str(d, "warm", k->warm_key);
    doc_set_u64(d, "boot_ms", k->result.boot_ms);
    add(k, RECORD_HOST, "up", d);
    add_file(k, "domain", UP_DOMAIN_XML, k->xml);
    add_layers(k);
    r->sample_ms = clock_mono_ms() + RECORDING_SAMPLE_MS;
    sign(r, k->folder->kind == FOLDER_SANDBOX ? RECORD_SIGN_DURABLE : RECORD_SIGN);
    return recording_check(k, e);
}

/* ---- what happens ---------------------------------------------------------------------------- */

static void add_secret(struct keeper *k, uint32_t serial, const struct plan *plan)
{
    struct doc *d;

    if (plan->secrets.n + plan->secret_env.n == 0)
        return;
    d = doc_new_object();
    doc_set_u64(d, "exec", serial);
    doc_set_strv(d, "files", (const char *const *)plan->secrets.items);
    doc_set_strv(d, "variables", (const char *const *)plan->secret_env.items);
    add(k, RECORD_HOST, "secret", d);
}

void recording_exec(struct keeper *k, uint32_t serial, const struct plan *plan)
{
    struct doc *d;

    if (!k->recording)
        return;
    d = doc_new_object();
    doc_set_u64(d, "exec", serial);
    if (k->recording->content) {
        doc_set_strv(d, "argv", (const char *const *)plan->argv.items);
        doc_set(d, "env", names(&plan->env));
        doc_set_str(d, "workdir", plan->workdir);
    }
    doc_set_u64(d, "uid", plan->uid);
    doc_set_u64(d, "gid", plan->gid);
    doc_set_u64(d, "timeout_ms", plan->timeout_ms);
    add(k, RECORD_HOST, "exec", d);
    add_secret(k, serial, plan);
}

/* Class, status, and why. What the guest has said of why is named so. */
static void set_outcome(const struct recording *rec, struct doc *d, const struct run_result *r)
{
    bool guest = r->err.class == ERR_GUEST || r->err.class == ERR_PROTOCOL;

    doc_set_str(d, "class", run_result_class(r));
    doc_set_i64(d, "status", run_result_status(r));
    if (r->err.class != ERR_NONE && rec->content)
        doc_set_str(d, guest ? "guest_error" : "error", r->err.text);
}

static void add_denials(struct keeper *k, uint32_t serial, const struct run_denied *denied)
{
    struct doc *d;

    if (denied->n == 0 || !k->recording->content)
        return;
    d = doc_new_object();
    doc_set_u64(d, "exec", serial);
    doc_set(d, "rows", denied_to_doc(denied));
    add(k, RECORD_GUEST, "denials", d);
}

void recording_egress(struct keeper *k, const struct gateway_event *try)
{
    own_free char *to = NULL;
    struct doc *d;

    if (!recording_has_content(k))
        return;
    to = gateway_destination(try->host, try->port);
    d = doc_new_object();
    doc_set_u64(d, "guest_exec", try->exec);
    doc_set_str(d, "destination", to);
    doc_set_str(d, "verdict", try->allowed ? "allowed" : "refused");
    if (!try->allowed)
        doc_set_str(d, "why", net_why_name(try->why));
    add(k, RECORD_HOST, "egress", d);
}

/* All of it, with what was moved; without content only how much. */
static void add_egress_sum(struct keeper *k, uint32_t serial, const struct run_egress *egress)
{
    struct doc *d;
    uint64_t tries = 0;

    if (!egress->on || egress->n == 0)
        return;
    d = doc_new_object();
    doc_set_u64(d, "exec", serial);
    for (uint32_t i = 0; i < egress->n; i++)
        tries += egress->rows[i].count;
    doc_set_u64(d, "tries", tries + egress->left_out);
    if (k->recording->content)
        egress_to_doc(egress, d);
    add(k, RECORD_HOST, "egress_sum", d);
}

void recording_exit(struct keeper *k, uint32_t serial, const struct run_result *r)
{
    struct doc *d;

    if (!k->recording)
        return;
    (void)refused_tell(k, true);
    add_denials(k, serial, &r->denied);
    add_egress_sum(k, serial, &r->egress);
    d = doc_new_object();
    doc_set_u64(d, "exec", serial);
    set_outcome(k->recording, d, r);
    doc_set_u64(d, "job_ms", r->job_ms);
    if (r->end == RUN_ENDED_EXIT)
        doc_set_i64(d, "guest_exit_code", r->exit_code);
    if (r->end == RUN_ENDED_SIGNAL || r->end == RUN_ENDED_OOM)
        doc_set_i64(d, "guest_signal", r->signal);
    if (r->end != RUN_ENDED_NOT) {
        doc_set_u64(d, "stream_bytes", r->stream_bytes);
        doc_set_u64(d, "guest_oom_kills", r->oom_kills);
        doc_set_u64(d, "guest_cpu_us", r->cpu_us);
        doc_set_u64(d, "guest_peak_bytes", r->peak_bytes);
    }
    add(k, RECORD_HOST, "exit", d);
}

void recording_guest(struct keeper *k, const char *type, struct doc *members)
{
    if (recording_has_content(k))
        add(k, RECORD_GUEST, type, members);
    else
        doc_free(members);
}

void recording_words(struct keeper *k, const char *text)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "text", text);
    recording_guest(k, "words", d);
}

/* A guest that has gone is told of elsewhere: then there is nothing to count. */
void recording_sample(struct keeper *k)
{
    struct sample s;
    struct doc *d;

    if (!k->recording || k->recording->broken || !k->hv || sample_read(hv_qemu_pid(k->hv), &s) < 0)
        return;
    d = doc_new_object();
    doc_set_u64(d, "user_ns", s.user_ns);
    doc_set_u64(d, "system_ns", s.system_ns);
    doc_set_u64(d, "resident_bytes", s.resident_bytes);
    doc_set_u64(d, "disk_bytes", sample_disk_bytes(k->state_fd));
    add(k, RECORD_HOST, "sample", d);
}

void recording_mark(struct keeper *k, const char *what, const char *name, const char *parent)
{
    struct doc *d;

    if (!k->recording)
        return;
    d = doc_new_object();
    doc_set_str(d, "mark", name);
    if (parent)
        doc_set_str(d, "parent", parent);
    add(k, RECORD_HOST, what, d);
}

void recording_rules(struct keeper *k, const struct net_rules *rules)
{
    struct doc *d = doc_new_object();

    doc_set(d, "network", net_rules_to_doc(rules));
    add(k, RECORD_HOST, "rules", d);
}

void recording_held(struct keeper *k, const char *why)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "why", why);
    add(k, RECORD_HOST, "held", d);
}

void recording_plain(struct keeper *k, const char *what)
{
    add(k, RECORD_HOST, what, NULL);
}

bool recording_has_content(const struct keeper *k)
{
    return k->recording && k->recording->content;
}

struct doc *recording_output_doc(const char *taken, const char *name, uint64_t bytes,
                                 const char *sha256)
{
    struct doc *d = doc_new_object();

    if (taken)
        doc_set_str(d, "taken", taken);
    if (name)
        doc_set_str(d, "guest_name", name);
    doc_set_u64(d, "bytes", bytes);
    doc_set_str(d, "sha256", sha256);
    return d;
}

struct doc *recording_sum_doc(const char *taken, const struct recording_sum *s)
{
    struct doc *d = doc_new_object();

    if (taken)
        doc_set_str(d, "taken", taken);
    doc_set_u64(d, "files", s->files);
    doc_set_u64(d, "folders", s->folders);
    doc_set_u64(d, "bytes", s->bytes);
    doc_set_u64(d, "refused", s->refused);
    doc_set_u64(d, "listed", s->listed);
    return d;
}

/* ---- time, and the end ----------------------------------------------------------------------- */

uint64_t recording_tick(struct keeper *k)
{
    struct recording *r = k->recording;
    uint64_t now = clock_mono_ms(), each;

    if (!r || r->broken)
        return UINT64_MAX;
    if (now >= r->sample_ms) {
        recording_sample(k);
        each = (now - r->began_ms) / SAMPLES;
        r->sample_ms = now + (each > RECORDING_SAMPLE_MS ? each : RECORDING_SAMPLE_MS);
    }
    if (!record_has_new(r->record))
        return r->sample_ms;
    if (now >= r->sign_ms) {
        sign(r, r->durable ? RECORD_SIGN : RECORD_SIGN_DURABLE);
        return r->sample_ms;
    }
    return r->sign_ms < r->sample_ms ? r->sign_ms : r->sample_ms;
}

void recording_end(struct keeper *k)
{
    struct recording *r = k->recording;
    struct doc *d;

    if (!r)
        return;
    d = doc_new_object();
    if (k->folder->kind == FOLDER_SANDBOX && k->result.err.class == ERR_NONE)
        doc_set_str(d, "class", "down");
    else
        set_outcome(r, d, &k->result);
    add(k, RECORD_HOST, "end", d);
    if (r->broken)
        run_note(&k->result, "its record is incomplete: %s", r->why.text);
}

bool recording_where(const struct keeper *k, struct record_head *ret)
{
    return k->recording && record_head(k->recording->record, ret);
}
