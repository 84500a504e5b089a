/* alert: rules of a policy about what a guest does while it runs. See alert.h. */
#include "plan/alert.h"

#include "base/own.h"
#include "plan/net.h"
#include "plan/text.h"
#include "shared/wire.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a rule of each kind has. */
static const struct {
    const char *name, *unit;
    bool size, above, span;
    bool needs_span;
} whens[ALERT_WHENS] = {
    [ALERT_CPU] = {"cpu", " %", .above = true, .span = true, .needs_span = true},
    [ALERT_MEMORY] = {"memory", "", .size = true, .above = true},
    [ALERT_DISK] = {"disk", "", .size = true, .above = true, .span = true, .needs_span = true},
    [ALERT_STREAMS] = {"streams", "", .size = true, .above = true, .span = true,
                       .needs_span = true},
    [ALERT_OUTPUT] = {"output", "", .size = true, .above = true, .span = true},
    [ALERT_DENIALS] = {"denials", "", .above = true, .span = true, .needs_span = true},
    [ALERT_PROCESSES] = {"processes", "", .above = true},
    [ALERT_EGRESS] = {"egress", "", .above = true, .span = true, .needs_span = true},
    [ALERT_EGRESS_BYTES] = {"egress_bytes", "", .size = true, .above = true, .span = true,
                            .needs_span = true},
    [ALERT_SILENCE] = {"silence", "", .span = true, .needs_span = true},
    [ALERT_CANARY] = {"canary", ""},
};

static const char *const actions[ALERT_ACTIONS] = {
    [ALERT_LOG] = "log",       [ALERT_NOTIFY] = "notify", [ALERT_PAUSE] = "pause",
    [ALERT_FREEZE] = "freeze", [ALERT_KILL] = "kill",
};

const char *alert_when_name(enum alert_when w)
{
    return whens[w].name;
}

const char *alert_action_name(enum alert_action a)
{
    return actions[a];
}

void alert_rule_done(struct alert_rule *r)
{
    strv_done(&r->command);
    strv_done(&r->destinations);
    strv_done(&r->files);
    free(r->socket);
    free(r->from);
    *r = (struct alert_rule){0};
}

void alert_rules_done(struct alert_rules *r)
{
    for (size_t i = 0; i < r->n; i++)
        alert_rule_done(&r->items[i]);
    free(r->items);
    *r = (struct alert_rules){0};
}

void alert_rules_take(struct alert_rules *r, struct alert_rule *rule)
{
    struct alert_rule *more = reallocarray(r->items, r->n + 1, sizeof(*more));

    if (!more)
        abort(); /* as str.h: the host is out of memory */
    r->items = more;
    r->items[r->n++] = *rule;
    *rule = (struct alert_rule){0};
}

static bool is_same_list(const struct strv *a, const struct strv *b)
{
    size_t i = 0;

    while (a->n == b->n && i < a->n && strcmp(a->items[i], b->items[i]) == 0)
        i++;
    return a->n == b->n && i == a->n;
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_there(const struct alert_rules *rules, const struct alert_rule *r)
{
    for (size_t i = 0; i < rules->n; i++) {
        const struct alert_rule *o = &rules->items[i];

        if (o->when == r->when && o->action == r->action && o->above == r->above &&
            o->for_ms == r->for_ms && strcmp(o->from, r->from) == 0 &&
            is_same_list(&o->command, &r->command) && is_same_text(o->socket, r->socket) &&
            is_same_list(&o->destinations, &r->destinations) && is_same_list(&o->files, &r->files))
            return true;
    }
    return false;
}

void alert_rules_add_all(struct alert_rules *r, const struct alert_rules *more)
{
    for (size_t i = 0; i < more->n; i++) {
        const struct alert_rule *old = &more->items[i];
        struct alert_rule new = *old;

        if (is_there(r, old))
            continue;

        new.command = new.destinations = new.files = (struct strv){0};
        strv_add_all(&new.command, &old->command);
        strv_add_all(&new.destinations, &old->destinations);
        strv_add_all(&new.files, &old->files);
        new.socket = old->socket ? str_dup(old->socket) : NULL;
        new.from = str_dup(old->from);
        alert_rules_take(r, &new);
    }
}

static int find_word(const struct doc *d, const char *key, const char *(*name)(size_t i), size_t n,
                     size_t *ret, struct err *e)
{
    const char *word;

    if (doc_get_str(d, key, &word, e) < 0)
        return err_set(e, ERR_USAGE, "%s: it is not there, or no text", key);
    for (*ret = 0; *ret < n; (*ret)++)
        if (strcmp(name(*ret), word) == 0)
            return 0;
    return err_set(e, ERR_USAGE, "%s: there is no such word", key);
}

static const char *when_name(size_t i)
{
    return whens[i].name;
}

static const char *action_name(size_t i)
{
    return actions[i];
}

/* A member that is a number or a text with a unit. */
static int read_number(const struct doc *d, const char *key, bool is_span, bool is_size,
                       uint64_t *ret, struct err *e)
{
    own_free char *text = NULL;

    if (text_number(d, key, &text, e) < 0)
        return err_wrap(e, "%s", key);
    if (is_span)
        return str_parse_duration(text, key, ALERT_FOR_MAX, ret, e);
    return is_size ? str_parse_size(text, key, 1, UINT64_MAX, ret, e)
                   : str_parse_u64(text, key, 1, UINT64_MAX, ret, e);
}

static int read_span(const struct doc *d, struct alert_rule *r, struct err *e)
{
    if (!doc_has(d, "for"))
        return whens[r->when].needs_span ? err_set(e, ERR_USAGE, "for: it is not there") : 0;
    if (!whens[r->when].span)
        return err_set(e, ERR_USAGE, "for: it is not for '%s'", whens[r->when].name);
    if (read_number(d, "for", true, false, &r->for_ms, e) < 0)
        return -1;
    return r->for_ms < 1000 ? err_set(e, ERR_USAGE, "for: less than 1 s") : 0;
}

static int read_above(const struct doc *d, struct alert_rule *r, struct err *e)
{
    if (!whens[r->when].above)
        return doc_has(d, "above")
                   ? err_set(e, ERR_USAGE, "above: it is not for '%s'", whens[r->when].name)
                   : 0;
    if (!doc_has(d, "above"))
        return err_set(e, ERR_USAGE, "above: it is not there");
    return read_number(d, "above", false, whens[r->when].size, &r->above, e);
}

static bool is_destination(const char *text)
{
    const char *host = str_starts_with(text, "*.") ? text + 2 : text;
    size_t len = strlen(host);

    return len > 0 && len < 254 && strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:") == len;
}

/* In its plain form, so that it is what the guest's kernel calls it. */
static bool is_file(const char *text)
{
    size_t len = strlen(text);

    return len > 1 && len < WIRE_CANARY_SIZE && text[0] == '/' && text[len - 1] != '/' &&
           str_is_utf8(text) && !strstr(text, "//") && !strstr(text, "/./") &&
           !strstr(text, "/../") && strcmp(strrchr(text, '/'), "/.") != 0 &&
           strcmp(strrchr(text, '/'), "/..") != 0;
}

static int read_canaries(const struct doc *d, struct alert_rule *r, struct err *e)
{
    if (doc_has(d, "destinations") && doc_get_strv(d, "destinations", &r->destinations, e) < 0)
        return err_set(e, ERR_USAGE, "destinations: not a list of texts");
    if (doc_has(d, "files") && doc_get_strv(d, "files", &r->files, e) < 0)
        return err_set(e, ERR_USAGE, "files: not a list of texts");
    if (r->when != ALERT_CANARY)
        return doc_has(d, "destinations") || doc_has(d, "files")
                   ? err_set(e, ERR_USAGE, "destinations and files: they are for 'canary'")
                   : 0;
    if (r->destinations.n + r->files.n == 0)
        return err_set(e, ERR_USAGE, "neither destinations nor files are there");
    for (size_t i = 0; i < r->destinations.n; i++)
        if (!is_destination(r->destinations.items[i]))
            return err_set(e, ERR_USAGE, "destinations: a host in lower case, or *.HOST");
    for (size_t i = 0; i < r->files.n; i++)
        if (!is_file(r->files.items[i]))
            return err_set(e, ERR_USAGE,
                           "files: an absolute path in its plain form, below %u bytes",
                           WIRE_CANARY_SIZE);
    return 0;
}

static int read_command(const struct doc *d, struct alert_rule *r, struct err *e)
{
    if (!doc_has(d, "command"))
        return 0;
    if (doc_get_strv(d, "command", &r->command, e) < 0)
        return err_set(e, ERR_USAGE, "command: not a list of texts");
    if (r->command.n == 0 || r->command.items[0][0] != '/')
        return err_set(e, ERR_USAGE, "command: its first word is no absolute path");
    return 0;
}

static int read_socket(const struct doc *d, struct alert_rule *r, struct err *e)
{
    const char *path;

    if (!doc_has(d, "socket"))
        return 0;
    if (doc_get_str(d, "socket", &path, e) < 0)
        return err_set(e, ERR_USAGE, "socket: not a text");
    if (path[0] != '/' || strlen(path) >= PATH_MAX)
        return err_set(e, ERR_USAGE, "socket: no absolute path");
    r->socket = str_dup(path);
    return 0;
}

static int read_notified(const struct doc *d, struct alert_rule *r, struct err *e)
{
    const bool is_there = doc_has(d, "command") || doc_has(d, "socket");

    if (is_there != (r->action == ALERT_NOTIFY))
        return err_set(e, ERR_USAGE,
                       is_there ? "command and socket: they are for the action 'notify'"
                                : "neither command nor socket is there");
    return read_command(d, r, e) < 0 ? -1 : read_socket(d, r, e);
}

int alert_rule_read(const struct doc *d, const char *from, struct alert_rule *ret, struct err *e)
{
    static const char *const keys[] = {"when",   "above",        "for",   "action", "command",
                                       "socket", "destinations", "files", "from",   NULL};
    own_alert_rule struct alert_rule r = {0};
    size_t when = 0, action = 0;

    if (!doc_is_object(d))
        return err_set(e, ERR_USAGE, "not an object");
    if (doc_only_keys(d, keys, e) < 0 || (from && doc_has(d, "from")))
        return err_set(e, ERR_USAGE, "it has a key that is unknown");
    if (find_word(d, "when", when_name, ALERT_WHENS, &when, e) < 0 ||
        find_word(d, "action", action_name, ALERT_ACTIONS, &action, e) < 0)
        return -1;
    r.when = (enum alert_when)when;
    r.action = (enum alert_action)action;
    if (read_above(d, &r, e) < 0 || read_span(d, &r, e) < 0 || read_canaries(d, &r, e) < 0 ||
        read_notified(d, &r, e) < 0)
        return -1;
    if (!from && doc_get_str(d, "from", &from, e) < 0)
        return -1;
    r.from = str_dup(from);
    *ret = r;
    r = (struct alert_rule){0};
    return 0;
}

struct doc *alert_rules_to_doc(const struct alert_rules *rules)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < rules->n; i++) {
        const struct alert_rule *r = &rules->items[i];
        struct doc *d = doc_new_object();

        doc_set_str(d, "when", whens[r->when].name);
        if (r->above)
            doc_set_u64(d, "above", r->above);
        if (r->for_ms) {
            own_free char *span = str_printf("%" PRIu64 "ms", r->for_ms);

            doc_set_str(d, "for", span);
        }
        doc_set_str(d, "action", actions[r->action]);
        if (r->command.n)
            doc_set_strv(d, "command", (const char *const *)r->command.items);
        if (r->socket)
            doc_set_str(d, "socket", r->socket);
        if (r->destinations.n)
            doc_set_strv(d, "destinations", (const char *const *)r->destinations.items);
        if (r->files.n)
            doc_set_strv(d, "files", (const char *const *)r->files.items);
        doc_set_str(d, "from", r->from);
        doc_add(list, d);
    }
    return list;
}

int alert_rules_check(const struct alert_rules *r, struct err *e)
{
    own_strv struct strv files = {0};

    if (r->n > ALERT_RULES_MAX)
        return err_set(e, ERR_USAGE, "%zu alerts in all policies together, at most %u", r->n,
                       ALERT_RULES_MAX);
    alert_rules_files(r, &files);
    return files.n > WIRE_CANARIES_MAX
               ? err_set(e, ERR_USAGE,
                         "%zu files are canaries in all policies together, at most %u", files.n,
                         WIRE_CANARIES_MAX)
               : 0;
}

int alert_rules_from_doc(const struct doc *list, struct alert_rules *ret, struct err *e)
{
    if (doc_len(list) > ALERT_RULES_MAX)
        return err_set(e, ERR_USAGE, "more alerts than there may be");
    for (size_t i = 0; i < doc_len(list); i++) {
        struct alert_rule r = {0};

        if (alert_rule_read(doc_at(list, i), NULL, &r, e) < 0)
            return err_wrap(e, "alerts[%zu]", i);
        alert_rules_take(ret, &r);
    }
    return alert_rules_check(ret, e);
}

char *alert_rule_text(const struct alert_rule *r)
{
    own_str struct str s = {0};
    char size[32];

    str_add(&s, whens[r->when].name);
    if (r->above && whens[r->when].size)
        str_addf(&s, " above %s", str_format_size(size, sizeof(size), r->above));
    else if (r->above)
        str_addf(&s, " above %" PRIu64 "%s", r->above, whens[r->when].unit);
    for (size_t i = 0; i < r->destinations.n; i++)
        str_addf(&s, " %s", r->destinations.items[i]);
    for (size_t i = 0; i < r->files.n; i++)
        str_addf(&s, " %s", r->files.items[i]);
    if (r->for_ms)
        str_addf(&s, " in %" PRIu64 ".%03" PRIu64 " s", r->for_ms / 1000, r->for_ms % 1000);
    str_addf(&s, ": %s", actions[r->action]);
    return str_steal(&s);
}

bool alert_is_canary(const struct alert_rule *r, const char *host)
{
    for (size_t i = 0; i < r->destinations.n; i++)
        if (net_host_fits(r->destinations.items[i], host))
            return true;
    return false;
}

bool alert_is_canary_file(const struct alert_rule *r, const char *path)
{
    return path ? strv_has(&r->files, path) : r->files.n > 0;
}

void alert_rules_files(const struct alert_rules *r, struct strv *ret)
{
    for (size_t i = 0; i < r->n; i++)
        strv_add_new(ret, &r->items[i].files);
}
