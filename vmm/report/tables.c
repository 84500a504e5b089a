/* tables: what confined it, what ran, what was refused, what left, and what decided it. */
#include "report/report_private.h"

#include <inttypes.h>
#include <string.h>

struct table {
    struct str *page;
    const char *heading, *by, *columns; /* ours */
    size_t rows, left;
};

/* The heading comes with the first row: a table without rows is not there. */
static bool begin_row(struct table *t)
{
    if (t->rows == 0)
        str_addf(t->page,
                 "<section><h2>%s</h2><p class=\"by\">%s</p><table><thead><tr>%s</thead><tbody>\n",
                 t->heading, t->by, t->columns);
    if (t->rows++ >= REPORT_ROWS) {
        t->left++;
        return false;
    }
    html_raw(t->page, "<tr>");
    return true;
}

static void cell(struct table *t, const char *text)
{
    html_element(t->page, "td", text);
}

/* Of words that are short: they are not broken. */
static void word_cell(struct table *t, const char *text)
{
    html_raw(t->page, "<td class=\"w\">");
    html_text(t->page, text);
    html_raw(t->page, "</td>");
}

static void number_cell(struct table *t, const struct doc *d, const char *key)
{
    if (doc_has(d, key))
        str_addf(t->page, "<td class=\"n\">%" PRIu64 "</td>", report_number(d, key));
    else
        html_raw(t->page, "<td></td>");
}

static void end_row(struct table *t)
{
    html_raw(t->page, "</tr>\n");
}

static void end_table(struct table *t, const char *nothing)
{
    if (t->rows == 0 && nothing)
        str_addf(t->page, "<section><h2>%s</h2><p>%s</p></section>\n", t->heading, nothing);
    if (t->rows == 0)
        return;
    html_raw(t->page, "</tbody></table>");
    if (t->left)
        str_addf(t->page, "<p>%zu more are in the record.</p>", t->left);
    html_raw(t->page, "</section>\n");
}

static void layer_row(struct table *t, const struct doc *row)
{
    static const char *const verdicts[] = {"holds", "broken", "absent", NULL};
    const char *verdict = report_text(row, "verdict"), *class = "absent";

    for (size_t i = 0; verdicts[i]; i++)
        if (strcmp(verdict, verdicts[i]) == 0)
            class = verdicts[i];
    number_cell(t, row, "layer");
    word_cell(t, report_text(row, "name"));
    html_raw(t->page, "<td>");
    html_span(t->page, class, verdict);
    html_raw(t->page, "</td>");
    cell(t, report_text(row, "text"));
}

void report_layers(const struct report_lines *l, struct str *page)
{
    struct table t = {
        page,
        "Layers of confinement",
        "Read by the host from the live processes and the live domain when it was up.",
        "<th>layer<th>what<th>verdict<th>what was read",
        0,
        0};
    const struct report_line *line = report_lines_first(l, "layers");
    const struct doc *rows = line ? report_list(line->d, "rows") : NULL;

    for (size_t i = 0; i < doc_len(rows); i++)
        if (begin_row(&t)) {
            layer_row(&t, doc_at(rows, i));
            end_row(&t);
        }
    end_table(&t, "The record does not say.");
}

/* It is behind its exec. */
static const struct report_line *exit_of(const struct report_lines *l,
                                         const struct report_line *exec)
{
    uint64_t n = report_number(exec->d, "exec");

    for (const struct report_line *line = exec + 1; line < l->items + l->n; line++)
        if (report_is(line, "exit") && report_number(line->d, "exec") == n)
            return line;
    return NULL;
}

static void command_row(const struct report_lines *l, struct table *t,
                        const struct report_line *exec)
{
    const struct doc *d = exec->d, *argv = report_list(d, "argv");
    const struct report_line *end = exit_of(l, exec);

    number_cell(t, d, "exec");
    html_raw(t->page, "<td><code>");
    for (size_t i = 0; i < doc_len(argv); i++) {
        html_text(t->page, i ? " " : "");
        html_text(t->page, doc_str_at(argv, i) ? doc_str_at(argv, i) : "?");
    }
    html_raw(t->page, "</code></td>");
    word_cell(t, end ? report_text(end->d, "class") : "no end");
    number_cell(t, end ? end->d : d, "status");
    number_cell(t, end ? end->d : d, "job_ms");
    number_cell(t, end ? end->d : d, "guest_cpu_us");
    number_cell(t, end ? end->d : d, "guest_peak_bytes");
}

void report_commands(const struct report_lines *l, struct str *page)
{
    struct table t = {
        page,
        "Commands",
        "Started and ended by the host's clock; CPU and memory are the guest's word.",
        "<th>#<th>command<th>end<th>status<th>ms<th>guest CPU &micro;s<th>guest peak bytes",
        0,
        0};

    for (size_t i = 0; i < l->n; i++)
        if (report_is(&l->items[i], "exec") && begin_row(&t)) {
            command_row(l, &t, &l->items[i]);
            end_row(&t);
        }
    end_table(&t, "None ran.");
}

/* A row for each item of the list `key` of every line of the type. */
static void each_row(const struct report_lines *l, const char *type, const char *key,
                     void (*add)(struct table *t, const struct doc *line, const struct doc *row),
                     struct table *t)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct doc *line = l->items[i].d;
        const struct doc *rows = report_is(&l->items[i], type) ? report_list(line, key) : NULL;

        for (size_t j = 0; j < doc_len(rows); j++)
            if (begin_row(t)) {
                add(t, line, doc_at(rows, j));
                end_row(t);
            }
    }
}

static void denial_row(struct table *t, const struct doc *line, const struct doc *row)
{
    number_cell(t, line, "exec");
    word_cell(t, report_text(row, "kind"));
    if (doc_has(row, "call"))
        cell(t, report_text(row, "call"));
    else if (doc_has(row, "path"))
        cell(t, report_text(row, "path"));
    else
        number_cell(t, row, "number");
    number_cell(t, row, "count");
}

void report_denials(const struct report_lines *l, struct str *page)
{
    struct table t = {page,
                      "Refused in the guest",
                      "Counted by the guest's kernel: the guest's word.",
                      "<th>command<th>kind<th>what<th>count",
                      0,
                      0};

    each_row(l, "denials", "rows", denial_row, &t);
    end_table(&t, "Nothing, as far as the guest says.");
}

static void wrote_row(struct table *t, const struct doc *line, const struct doc *row)
{
    number_cell(t, line, "exec");
    cell(t, report_text(row, "path"));
    number_cell(t, row, "bytes");
}

void report_wrote(const struct report_lines *l, struct str *page)
{
    struct table t = {page,
                      "Written in the guest",
                      "What commands had open for writing, and its size at last: the guest's word.",
                      "<th>command<th>file<th>bytes",
                      0,
                      0};

    each_row(l, "wrote", "rows", wrote_row, &t);
    end_table(&t, NULL);
}

static void change_row(struct table *t, const struct doc *line, const struct doc *d)
{
    const char *kind = report_text(d, *report_text(d, "kind") ? "kind" : "old_kind");
    const struct doc *what = report_list(d, "what");
    own_str struct str words = {0};

    (void)line;
    for (size_t i = 0; i < doc_len(what); i++)
        str_addf(&words, "%s%s", i ? ", " : "", doc_str_at(what, i) ? doc_str_at(what, i) : "?");
    word_cell(t, report_text(d, "change"));
    cell(t, report_text(d, "guest_path"));
    word_cell(t, kind);
    number_cell(t, d, "old_size");
    number_cell(t, d, "size");
    cell(t, words.len > 0 ? words.data : report_text(d, "why"));
}

/* How many there are, and why it may be other than the truth. */
static void changes_sum(const struct doc *d, struct str *page)
{
    static const char *const names[] = {"added", "changed", "removed", "unread", "listed"};
    const bool failed = doc_has(d, "error") || doc_has(d, "guest_error");

    html_raw(page, "<section><h2>What changed on its disk: in all</h2><p>");
    for (size_t i = 0; !failed && i < sizeof(names) / sizeof(names[0]); i++)
        str_addf(page, "%s%" PRIu64 " %s", i ? ", " : "", report_number(d, names[i]), names[i]);
    if (failed)
        html_raw(page, "It could not be read: ");
    html_text(page, report_text(d, "error"));
    html_text(page, report_text(d, "guest_error"));
    if (!report_flag(d, "settled"))
        html_raw(page, ". The guest did not write it out: what was in its memory only is missing");
    if (!failed && !report_flag(d, "whole"))
        html_raw(page, ". Not all of it could be read");
    html_raw(page, ".</p></section>\n");
}

void report_changes(const struct report_lines *l, struct str *page)
{
    struct table t = {page,
                      "What changed on its disk",
                      "Read from the disk by the host when the guest was gone; names are the "
                      "guest's.",
                      "<th>change<th>path<th>kind<th>bytes before<th>bytes after<th>what",
                      0,
                      0};
    const struct report_line *sum = report_lines_first(l, "changes_sum");

    each_row(l, "changes", "rows", change_row, &t);
    end_table(&t, NULL);
    if (sum)
        changes_sum(sum->d, page);
}

static void egress_row(struct table *t, const struct doc *line, const struct doc *d)
{
    bool allowed = strcmp(report_text(d, "verdict"), "allowed") == 0;

    (void)line;
    cell(t, report_text(d, "destination"));
    html_raw(t->page, "<td>");
    html_span(t->page, allowed ? "holds" : "broken", report_text(d, "verdict"));
    html_raw(t->page, "</td>");
    cell(t, report_text(d, "why"));
    number_cell(t, d, "count");
    number_cell(t, d, "bytes_up");
    number_cell(t, d, "bytes_down");
}

void report_egress(const struct report_lines *l, struct str *page)
{
    struct table t = {page,
                      "Egress",
                      "Decided and counted by the host's gateway.",
                      "<th>destination<th>verdict<th>why<th>times<th>bytes out<th>bytes in",
                      0,
                      0};

    each_row(l, "egress_sum", "egress", egress_row, &t);
    end_table(&t, "Nothing was tried, or there was no way out.");
}

void report_alerts(const struct report_lines *l, struct str *page)
{
    static const char *const types[] = {"alert", "tripwire", "evidence", NULL};
    struct table t = {page,
                      "Alerts",
                      "By the rules of the host's policy.",
                      "<th>what<th>rule<th>action<th>text<th>sha256",
                      0,
                      0};

    for (size_t i = 0; i < l->n; i++)
        for (size_t j = 0; types[j]; j++)
            if (report_is(&l->items[i], types[j]) && begin_row(&t)) {
                const struct doc *d = l->items[i].d;

                word_cell(&t, types[j]);
                cell(&t, report_text(d, "rule"));
                word_cell(&t, report_text(d, "action"));
                cell(&t, *report_text(d, "text") ? report_text(d, "text") : report_text(d, "name"));
                cell(&t, report_text(d, "sha256"));
                end_row(&t);
            }
    end_table(&t, NULL);
}

void report_outputs(const struct report_lines *l, struct str *page)
{
    struct table t = {page,
                      "What came out",
                      "Names are the guest's; sizes and digests are of what the host wrote.",
                      "<th>how<th>name<th>bytes<th>sha256",
                      0,
                      0};

    for (size_t i = 0; i < l->n; i++)
        if (report_is(&l->items[i], "output") && begin_row(&t)) {
            const char *taken = report_text(l->items[i].d, "taken");

            word_cell(&t, *taken ? taken : "folder");
            cell(&t, report_text(l->items[i].d, "guest_name"));
            number_cell(&t, l->items[i].d, "bytes");
            html_raw(page, "<td><code>");
            html_text(page, report_text(l->items[i].d, "sha256"));
            html_raw(page, "</code></td>");
            end_row(&t);
        }
    end_table(&t, "No files.");
}

void report_files(const struct report_lines *l, struct str *page)
{
    html_raw(page, "<section><h2>What decided it</h2>\n");
    for (size_t i = 0; i < l->n; i++) {
        const struct doc *d = l->items[i].d;

        if (!report_is(&l->items[i], "file"))
            continue;
        html_raw(page, "<details><summary>");
        html_text(page, report_text(d, "role"));
        html_raw(page, " ");
        html_text(page, report_text(d, "name"));
        html_raw(page, " <code>");
        html_text(page, report_text(d, "sha256"));
        html_raw(page, "</code></summary><pre>");
        html_text(page, report_text(d, "text"));
        html_raw(page, "</pre></details>\n");
    }
    html_raw(page, "</section>\n");
}
