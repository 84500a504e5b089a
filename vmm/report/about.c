/* about: a line of a record in a few words, for people. See about.h. */
#include "report/about.h"

#include <inttypes.h>
#include <string.h>

static void add_list(struct str *s, const struct doc *list)
{
    for (size_t i = 0; i < doc_len(list) && s->len < 400; i++)
        str_addf(s, "%s%s", i ? " " : "", doc_str_at(list, i) ? doc_str_at(list, i) : "?");
}

static void add_number(struct str *s, const struct doc *d, const char *key)
{
    if (doc_has(d, key))
        str_addf(s, "%s%s %" PRIu64, s->len ? ", " : "", key, report_number(d, key));
}

static void add_text(struct str *s, const struct doc *d, const char *key)
{
    const char *text = report_text(d, key);

    if (*text)
        str_addf(s, "%s%s", s->len ? ": " : "", text);
}

static void about_exec(const struct doc *d, struct str *s)
{
    str_addf(s, "%" PRIu64 ": ", report_number(d, "exec"));
    add_list(s, report_list(d, "argv"));
}

static void about_exit(const struct doc *d, struct str *s)
{
    str_addf(s, "%" PRIu64 ": %s", report_number(d, "exec"), report_text(d, "class"));
    if (doc_has(d, "status"))
        str_addf(s, ", status %" PRIu64, report_number(d, "status"));
    add_text(s, d, "error");
}

static void about_secret(const struct doc *d, struct str *s)
{
    str_addf(s, "%" PRIu64 ": ", report_number(d, "exec"));
    add_list(s, report_list(d, "files"));
    add_list(s, report_list(d, "variables"));
}

static void about_egress(const struct doc *d, struct str *s)
{
    add_text(s, d, "destination");
    add_text(s, d, "verdict");
    add_text(s, d, "why");
}

static void about_sum(const struct doc *d, struct str *s)
{
    add_number(s, d, "exec");
    add_number(s, d, "tries");
}

static void about_rows(const struct doc *d, struct str *s)
{
    str_addf(s, "%zu rows", doc_len(report_list(d, "rows")));
}

static void about_again(const struct doc *d, struct str *s)
{
    str_addf(s, "%" PRIu64 " times", report_number(d, "count"));
    add_text(s, d, "destination");
    add_text(s, d, "why");
}

static void about_denied(const struct doc *d, struct str *s)
{
    static const char *const texts[] = {"call", "access", "path"};
    const struct doc *rows = report_list(d, "rows");

    for (size_t i = 0; i < doc_len(rows) && s->len < 400; i++) {
        const struct doc *row = doc_at(rows, i);

        str_addf(s, "%s%s", i ? ", " : "", report_text(row, "kind"));
        for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++)
            if (*report_text(row, texts[j]))
                str_addf(s, " %s", report_text(row, texts[j]));
    }
    add_number(s, d, "more");
}

static void about_rules(const struct doc *d, struct str *s)
{
    const struct doc *rules = report_list(d, "network");

    for (size_t i = 0; i < doc_len(rules) && s->len < 400; i++)
        str_addf(s, "%s%s", i ? ", " : "", report_text(doc_at(rules, i), "to"));
    if (doc_len(rules) == 0)
        str_add(s, "none");
}

static void about_file(const struct doc *d, struct str *s)
{
    add_text(s, d, "role");
    add_text(s, d, "name");
    add_number(s, d, "bytes");
}

static void about_sample(const struct doc *d, struct str *s)
{
    add_number(s, d, "user_ns");
    add_number(s, d, "system_ns");
    add_number(s, d, "resident_bytes");
    add_number(s, d, "disk_bytes");
}

static void about_changes(const struct doc *d, struct str *s)
{
    static const char *const names[] = {"added", "changed", "removed", "unread"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        add_number(s, d, names[i]);
    add_text(s, d, "error");
    add_text(s, d, "guest_error");
}

static void about_any(const struct doc *d, struct str *s)
{
    static const char *const texts[] = {"taken", "name",  "action", "mark", "guest_name",
                                        "class", "error", "text",   "rule", "folder",
                                        "why",   "path",  NULL};
    static const char *const numbers[] = {"status", "files",   "bytes",     "refused", "guest",
                                          "host",   "boot_ms", "frozen_ms", NULL};

    for (size_t i = 0; texts[i]; i++)
        add_text(s, d, texts[i]);
    for (size_t i = 0; numbers[i]; i++)
        add_number(s, d, numbers[i]);
}

/* Types with words or a mood of their own. */
static const struct kind {
    const char *type;
    enum report_mood mood;
    void (*about)(const struct doc *d, struct str *s);
} kinds[] = {
    {"exec", REPORT_WORK, about_exec},      {"exit", REPORT_WORK, about_exit},
    {"secret", REPORT_CARE, about_secret},  {"egress", REPORT_CARE, about_egress},
    {"egress_sum", REPORT_CARE, about_sum}, {"egress_again", REPORT_CARE, about_again},
    {"denials", REPORT_BAD, about_rows},    {"denied", REPORT_BAD, about_denied},
    {"layers", REPORT_GOOD, about_rows},    {"alert", REPORT_BAD, about_any},
    {"tripwire", REPORT_BAD, about_any},    {"evidence", REPORT_BAD, about_any},
    {"untold", REPORT_BAD, about_any},      {"frozen", REPORT_BAD, about_any},
    {"dropped", REPORT_CARE, about_any},    {"mark", REPORT_GOOD, about_any},
    {"revert", REPORT_GOOD, about_any},     {"fork", REPORT_GOOD, about_any},
    {"file", REPORT_PLAIN, about_file},     {"sample", REPORT_PLAIN, about_sample},
    {"changes", REPORT_WORK, about_rows},   {"changes_sum", REPORT_WORK, about_changes},
    {"wrote", REPORT_WORK, about_rows},     {"unwatched", REPORT_CARE, about_any},
    {"rules", REPORT_CARE, about_rules},    {"held", REPORT_BAD, about_any},
};

static const struct kind *find_kind(const char *type)
{
    static const struct kind any = {NULL, REPORT_PLAIN, about_any};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(type, kinds[i].type) == 0)
            return &kinds[i];
    return &any;
}

void report_about(const struct report_line *line, struct str *ret)
{
    if (doc_has(line->d, "debug"))
        str_add(ret, "debug, not confined: ");
    find_kind(line->type)->about(line->d, ret);
}

enum report_mood report_mood(const struct report_line *line)
{
    return find_kind(line->type)->mood;
}
