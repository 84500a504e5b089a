/* plan: the one frozen description of a run. Pure: no I/O, no clock, no host look-ups. */
#include "plan/plan.h"

#include "base/own.h"

#include <stdlib.h>
#include <string.h>

const char *plan_machine_name(enum plan_machine m)
{
    return m == PLAN_Q35 ? "q35" : "microvm";
}

const char *plan_accel_name(enum plan_accel a)
{
    return a == PLAN_KVM ? "kvm" : "tcg";
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    free(p->name);
    free(p->image);
    free(p->image_digest);
    free(p->workdir);
    free(p->in_identity);
    free(p->out);
    strv_done(&p->argv);
    strv_done(&p->env);
    strv_done(&p->inputs);
    strv_done(&p->declared.read);
    strv_done(&p->declared.write);
    strv_done(&p->declared.exec);
    strv_done(&p->secrets);
    strv_done(&p->secret_env);
    strv_done(&p->out_recipients);
    net_rules_done(&p->network);
    net_proxy_done(&p->egress_proxy);
    alert_rules_done(&p->alerts);
    policies_free(&p->network_policies);
    policies_free(&p->secret_policies);
    strv_done(&p->gateway_secrets);
    plan_record_done(&p->record);
    for (enum key k = 0; k < KEYS; k++)
        free(p->decided[k]);
    strv_done(&p->env_from);
    strv_done(&p->trimmed);
    free(p);
}

bool plan_is_declared(const struct plan *p)
{
    return p->declared.read.n + p->declared.write.n + p->declared.exec.n > 0;
}

uint64_t *plan_number(struct plan *p, enum key k)
{
    return (uint64_t *)(void *)((char *)p + key_rows[k].at);
}

static void add_decided(struct doc *d, const struct plan *p)
{
    struct doc *by = doc_new_object();

    for (enum key k = 0; k < KEYS; k++)
        if (p->decided[k])
            doc_set_str(by, key_rows[k].name, p->decided[k]);
    doc_set(d, "decided", by);
    doc_set_strv(d, "env_decided", (const char *const *)p->env_from.items);
    doc_set_strv(d, "trimmed", (const char *const *)p->trimmed.items);
}

/* Where to, beside the rules, and through what. */
static void add_way(struct doc *d, const struct plan *p)
{
    own_strv struct strv ranges = {0};

    net_ranges_format(&p->network_ranges, &ranges);
    doc_set_strv(d, "network_ranges", (const char *const *)ranges.items);
    if (p->egress_proxy.host)
        doc_set(d, "egress_proxy", net_proxy_to_doc(&p->egress_proxy));
}

struct doc *plan_network_to_doc(const struct plan *p)
{
    struct doc *d = doc_new_object();

    doc_set(d, "network", net_rules_to_doc(&p->network));
    add_way(d, p);
    return d;
}

static void add_network(struct doc *d, const struct plan *p)
{
    doc_set_bool(d, "egress", p->egress);
    doc_set(d, "network", net_rules_to_doc(&p->network));
    if (!p->egress)
        return;
    add_way(d, p);
    doc_set(d, "network_policies", policies_network_to_doc(&p->network_policies));
    doc_set_strv(d, "gateway_secrets", (const char *const *)p->gateway_secrets.items);
}

struct doc *plan_to_doc(const struct plan *p)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "format", "lazaret-plan");
    doc_set_u64(d, "version", 1);
    if (p->name)
        doc_set_str(d, "name", p->name);
    doc_set_str(d, "image", p->image);
    if (p->image_digest)
        doc_set_str(d, "image_digest", p->image_digest);
    doc_set_strv(d, "command", (const char *const *)p->argv.items);
    doc_set_strv(d, "env", (const char *const *)p->env.items);
    doc_set_str(d, "workdir", p->workdir);
    doc_set_u64(d, "uid", p->uid);
    doc_set_u64(d, "gid", p->gid);
    doc_set_strv(d, "inputs", (const char *const *)p->inputs.items);
    doc_set_strv(d, "secrets", (const char *const *)p->secrets.items);
    doc_set_strv(d, "secret_env", (const char *const *)p->secret_env.items);
    if (p->inputs.n > 0)
        doc_set_u64(d, "in_max_bytes", p->in_max_bytes);
    if (p->in_identity)
        doc_set_str(d, "in_identity", p->in_identity);
    if (p->out) {
        doc_set_str(d, "out", p->out);
        doc_set_u64(d, "out_max_bytes", p->out_max_bytes);
    }
    if (p->out_recipients.n > 0)
        doc_set_strv(d, "out_recipients", (const char *const *)p->out_recipients.items);
    doc_set_u64(d, "memory_bytes", p->memory_bytes);
    doc_set_u64(d, "guest_bytes", p->guest_bytes);
    doc_set_u64(d, "cpus", p->cpus);
    doc_set_u64(d, "disk_bytes", p->disk_bytes);
    doc_set_u64(d, "disk_rate_bytes", p->disk_rate_bytes);
    doc_set_u64(d, "disk_iops", p->disk_iops);
    doc_set_u64(d, "tmp_bytes", p->tmp_bytes);
    doc_set_u64(d, "pids", p->pids);
    doc_set_u64(d, "timeout_ms", p->timeout_ms);
    doc_set_u64(d, "timeout_max_ms", p->timeout_max_ms);
    doc_set_u64(d, "idle_time_ms", p->idle_time_ms);
    doc_set_u64(d, "job_cpu_time_ms", p->job_cpu_time_ms);
    doc_set_u64(d, "cpu_time_ms", p->cpu_time_ms);
    doc_set_u64(d, "address_space_bytes", p->address_space_bytes);
    doc_set_u64(d, "file_size_bytes", p->file_size_bytes);
    doc_set_u64(d, "open_files", p->open_files);
    add_network(d, p);
    if (p->secret_policies.n > 0)
        doc_set(d, "secret_policies", policies_secrets_to_doc(&p->secret_policies));
    if (p->alerts.n > 0)
        doc_set(d, "alerts", alert_rules_to_doc(&p->alerts));
    doc_set_bool(d, "writable_root", p->writable_root);
    if (plan_is_declared(p)) {
        doc_set_strv(d, "read", (const char *const *)p->declared.read.items);
        doc_set_strv(d, "write", (const char *const *)p->declared.write.items);
        doc_set_strv(d, "exec", (const char *const *)p->declared.exec.items);
    }
    if (p->build)
        doc_set_bool(d, "build", true);
    if (p->apparmor)
        doc_set_bool(d, "apparmor", true);
    doc_set_bool(d, "amnesic", p->amnesic);
    if (p->amnesic) {
        doc_set_u64(d, "amnesic_bytes", p->amnesic_bytes);
        doc_set_u64(d, "marks", p->marks);
    }
    if (p->debug)
        doc_set_bool(d, "debug", true);
    if (p->trace)
        doc_set_bool(d, "trace", true);
    if (p->learn)
        doc_set_bool(d, "learn", true);
    doc_set_str(d, "machine", plan_machine_name(p->machine));
    doc_set_str(d, "accel", plan_accel_name(p->accel));
    doc_set_u64(d, "tsc_khz", p->tsc_khz);
    if (!p->build)
        doc_set(d, "record", plan_record_to_doc(&p->record));
    doc_set_bool(d, "interactive", p->interactive);
    doc_set_bool(d, "tty", p->tty);
    add_decided(d, p);
    return d;
}

static void add_list(struct str *s, const struct strv *v)
{
    for (size_t i = 0; i < v->n; i++) {
        own_free char *shown = malloc(4 * strlen(v->items[i]) + 1);

        if (!shown)
            abort();
        str_escape(shown, 4 * strlen(v->items[i]) + 1, v->items[i], strlen(v->items[i]));
        str_addf(s, "%s%s", i ? " " : "", shown);
    }
}

/* What a key came to. */
static char *value_of(const struct plan *p, enum key k)
{
    const struct {
        enum key k;
        const struct strv *list;
    } lists[] = {{KEY_COMMAND, &p->argv},
                 {KEY_SECRETS, &p->secrets},
                 {KEY_SECRET_ENV, &p->secret_env},
                 {KEY_INPUTS, &p->inputs},
                 {KEY_OUTPUT_RECIPIENTS, &p->out_recipients},
                 {KEY_READ, &p->declared.read},
                 {KEY_WRITE, &p->declared.write},
                 {KEY_EXEC, &p->declared.exec}};
    const struct {
        enum key k;
        const char *text;
    } texts[] = {{KEY_NAME, p->name},
                 {KEY_IMAGE, p->image},
                 {KEY_WORKDIR, p->workdir},
                 {KEY_OUTPUT, p->out ? p->out : "none"},
                 {KEY_WRITABLE, p->writable_root ? "true" : "false"},
                 {KEY_INPUT_IDENTITY, p->in_identity ? p->in_identity : "none"},
                 {KEY_AMNESIC, p->amnesic ? "true" : "false"},
                 {KEY_DEBUG, p->debug ? "true" : "false"},
                 {KEY_TRACE, p->trace ? "true" : "false"},
                 {KEY_MACHINE, plan_machine_name(p->machine)},
                 {KEY_ACCEL, plan_accel_name(p->accel)},
                 {KEY_AFTER, p->after},
                 {KEY_MARK_EACH_EXEC, p->mark_each_exec ? "true" : "false"}};
    own_str struct str s = {0};
    char number[48];

    if (key_is_number(k))
        return str_dup(
            key_format(k, *(const uint64_t *)(const void *)((const char *)p + key_rows[k].at),
                       number, sizeof(number)));
    if (k == KEY_USER)
        return str_printf("%u:%u", p->uid, p->gid);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const struct strv one = {.items = (char *[]){(char *)(uintptr_t)texts[i].text}, .n = 1};

        if (texts[i].k == k && texts[i].text)
            add_list(&s, &one);
    }
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (lists[i].k == k)
            add_list(&s, lists[i].list);
    return str_steal(&s);
}

/* What is no key. */
static void add_others(struct str *s, const struct plan *p)
{
    own_str struct str names = {0};
    char size[48];

    add_list(&names, &p->gateway_secrets);
    if (names.len > 0)
        str_addf(s, "%-17s %-40s %s\n", "gateway_secrets", names.data, "command line");
    if (p->learn)
        str_addf(s, "%-17s %-40s %s\n", "learn", "true", "command line");
    if (p->record.off || p->record.no_content)
        str_addf(s, "%-17s %s\n", "record", p->record.off ? "none" : "without content");
    if (p->record.changes && !p->record.off && !p->amnesic)
        str_addf(s, "%-17s %s\n", "record_changes", "true");
    if (p->amnesic) {
        str_format_size(size, sizeof(size), p->amnesic_bytes);
        str_addf(s, "%-17s %-40s %s\n", "amnesic_bytes", size, p->decided[KEY_AMNESIC]);
    }
}

/* A line for each rule, with who asked for it. */
static void add_rules(struct str *s, const struct plan *p)
{
    own_strv struct strv ranges = {0};

    for (size_t i = 0; i < p->network.n; i++) {
        own_free char *text = net_rule_text(&p->network.items[i]);

        str_addf(s, "%-17s %-40s %s\n", "network", text, p->network.items[i].from);
    }
    if (p->network.n == 0)
        str_addf(s, "%-17s %-40s %s\n", "network", "none",
                 p->decided[KEY_NETWORK] ? p->decided[KEY_NETWORK] : "default");
    net_ranges_format(&p->network_ranges, &ranges);
    for (size_t i = 0; p->egress && i < ranges.n; i++)
        str_addf(s, "%-17s %-40s %s\n", "network_ranges", ranges.items[i], "policy");
    if (p->egress_proxy.host) {
        own_free char *at = net_proxy_text(&p->egress_proxy);

        str_addf(s, "%-17s %-40s %s\n", "egress_proxy", at, p->egress_proxy.from);
    }
    for (size_t i = 0; i < p->egress_proxy.direct.n; i++)
        str_addf(s, "%-17s %-40s %s\n", "egress_direct", p->egress_proxy.direct.items[i],
                 "no_proxy");
    for (size_t i = 0; i < p->alerts.n; i++) {
        own_free char *text = alert_rule_text(&p->alerts.items[i]);

        str_addf(s, "%-17s %-40s %s\n", "alert", text, p->alerts.items[i].from);
    }
}

char *plan_to_text(const struct plan *p)
{
    own_str struct str s = {0};

    for (enum key k = 0; k < KEYS; k++) {
        own_free char *value = value_of(p, k);

        if (p->decided[k] && k != KEY_NETWORK)
            str_addf(&s, "%-17s %-40s %s\n", key_rows[k].name, value, p->decided[k]);
    }
    for (size_t i = 0; i < p->env.n; i++) {
        const struct strv one = {.items = p->env.items + i, .n = 1};
        own_str struct str shown = {0};

        add_list(&shown, &one);
        str_addf(&s, "%-17s %-40s %s\n", "env", shown.data ? shown.data : "",
                 i < p->env_from.n ? p->env_from.items[i] : "");
    }
    add_others(&s, p);
    add_rules(&s, p);
    for (size_t i = 0; i < p->trimmed.n; i++)
        str_addf(&s, "%s\n", p->trimmed.items[i]);
    return str_steal(&s);
}
