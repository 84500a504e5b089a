/* history: the time line, and what was used meanwhile. */
#include "base/own.h"
#include "report/plot.h"
#include "report/report_private.h"

#include <inttypes.h>
#include <string.h>

#define RED   "#b3261e"
#define AMBER "#b26a00"
#define BLUE  "#1f5fa8"
#define GREEN "#1b7f4b"
#define GREY  "#8a8f98"

double report_seconds(const struct report_lines *l, const struct report_line *line)
{
    return line->ns > l->begin_ns ? (double)(line->ns - l->begin_ns) / 1e9 : 0;
}

bool report_is(const struct report_line *line, const char *type)
{
    return strcmp(line->type, type) == 0;
}

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

static void about_rows(const struct doc *d, struct str *s)
{
    str_addf(s, "%zu rows", doc_len(report_list(d, "rows")));
}

static void about_any(const struct doc *d, struct str *s)
{
    static const char *const texts[] = {"name",  "role", "action", "mark",   "guest_name", "class",
                                        "error", "text", "rule",   "folder", "why",        NULL};
    static const char *const numbers[] = {"status", "files", "bytes",   "refused",
                                          "guest",  "host",  "boot_ms", NULL};

    for (size_t i = 0; texts[i]; i++)
        add_text(s, d, texts[i]);
    for (size_t i = 0; numbers[i]; i++)
        add_number(s, d, numbers[i]);
}

/* Types that the time line shows in words of their own, and their colors. */
static const struct {
    const char *type, *color;
    void (*about)(const struct doc *d, struct str *s);
} kinds[] = {
    {"exec", BLUE, about_exec},      {"exit", BLUE, about_exit},   {"secret", AMBER, about_secret},
    {"egress", AMBER, about_egress}, {"denials", RED, about_rows}, {"layers", GREEN, about_rows},
    {"alert", RED, about_any},       {"tripwire", RED, about_any}, {"evidence", RED, about_any},
    {"dropped", AMBER, about_any},   {"mark", GREEN, about_any},   {"revert", GREEN, about_any},
    {"fork", GREEN, about_any},      {"end", GREY, about_any},     {"destroyed", GREY, about_any},
};

static size_t kind_of(const struct report_line *line)
{
    size_t i = 0;

    while (i < sizeof(kinds) / sizeof(kinds[0]) && !report_is(line, kinds[i].type))
        i++;
    return i;
}

static const char *color_of(size_t kind)
{
    return kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[kind].color : GREY;
}

static void history_row(const struct report_lines *l, const struct report_line *line,
                        struct str *page)
{
    own_str struct str about = {0};
    size_t kind = kind_of(line);

    (kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[kind].about : about_any)(line->d, &about);
    str_addf(page, "<tr><td class=\"n\">%.3f</td><td><i style=\"background:%s\"></i>",
             report_seconds(l, line), color_of(kind));
    html_text(page, line->type);
    html_raw(page, "</td><td>");
    if (strcmp(line->by, "host") != 0)
        html_span(page, "guest", "guest");
    html_text(page, about.data ? about.data : "");
    html_raw(page, "</td></tr>\n");
}

static void draw_history(const struct report_lines *l, double seconds, struct str *page)
{
    own_free struct plot_event *events = calloc(l->n, sizeof(*events));
    size_t n = 0;

    for (size_t i = 0; events && i < l->n; i++)
        if (!report_is(&l->items[i], "sample") && !report_is(&l->items[i], "file"))
            events[n++] = (struct plot_event){.s = report_seconds(l, &l->items[i]),
                                              .color = color_of(kind_of(&l->items[i])),
                                              .text = l->items[i].type};
    plot_add_timeline(page, events, n, seconds);
}

void report_history(const struct report_lines *l, struct str *page)
{
    size_t shown = 0, left = 0;

    html_raw(page, "<section><h2>What happened</h2>\n");
    draw_history(l, l->end_ns > l->begin_ns ? (double)(l->end_ns - l->begin_ns) / 1e9 : 0, page);
    html_raw(
        page,
        "<details open><summary>every line but samples and outputs</summary><table><thead><tr><th>s"
        "<th>event<th></thead><tbody>\n");
    for (size_t i = 0; i < l->n; i++) {
        if (report_is(&l->items[i], "sample") || report_is(&l->items[i], "output"))
            continue;
        if (shown++ < REPORT_ROWS)
            history_row(l, &l->items[i], page);
        else
            left++;
    }
    html_raw(page, "</tbody></table></details>\n");
    if (left)
        str_addf(page, "<p>%zu more lines are in the record.</p>\n", left);
    html_raw(page, "</section>\n");
}

/* One number of a sample; of disks the sum over them. */
static double of_sample(const struct doc *d, const char *key)
{
    const struct doc *disks = report_list(d, "disks");
    double sum = 0;

    if (strcmp(key, "cpu_ns") == 0 || strcmp(key, "resident_bytes") == 0)
        return (double)report_number(d, key);
    for (size_t i = 0; i < doc_len(disks); i++)
        sum += (double)report_number(doc_at(disks, i), key);
    return sum;
}

/* `rate`: what it grew by in a second, else the number itself. */
static void plot(const struct report_lines *l, const char *key, double scale, bool rate,
                 const struct plot *like, struct str *page)
{
    own_free struct plot_point *points = calloc(l->n, sizeof(*points));
    struct plot p = *like;
    double before = 0, at = 0;
    bool any = false;
    size_t n = 0;

    for (size_t i = 0; points && i < l->n; i++) {
        const struct report_line *line = &l->items[i];
        double value, s;

        if (!report_is(line, "sample"))
            continue;
        value = of_sample(line->d, key) / scale;
        s = report_seconds(l, line);
        /* A count that falls began anew: the guest went back to a mark. */
        if (!rate)
            points[n++] = (struct plot_point){s, value};
        else if (any && s > at)
            points[n++] = (struct plot_point){s, value < before ? 0 : (value - before) / (s - at)};
        any = true;
        before = value;
        at = s;
    }
    p.points = points;
    p.n = n;
    p.seconds = (double)(l->end_ns - l->begin_ns) / 1e9;
    plot_add(page, &p);
}

void report_resources(const struct report_lines *l, struct str *page)
{
    size_t before;

    html_raw(page, "<section><h2>Resources</h2><p class=\"by\">By the host's count, of the whole "
                   "virtual machine.</p><div class=\"plots\">\n");
    before = page->len;
    plot(l, "cpu_ns", 1e9, true, &(struct plot){.title = "CPU", .unit = "CPUs", .color = BLUE},
         page);
    plot(l, "resident_bytes", 1 << 20, false,
         &(struct plot){.title = "Memory", .unit = "MiB", .color = GREEN}, page);
    plot(l, "read_bytes", 1 << 20, true,
         &(struct plot){.title = "Disk, read", .unit = "MiB/s", .color = AMBER}, page);
    plot(l, "written_bytes", 1 << 20, true,
         &(struct plot){.title = "Disk, written", .unit = "MiB/s", .color = AMBER}, page);
    if (page->len == before)
        html_raw(page, "<p>It was too short for more than one sample.</p>");
    html_raw(page, "</div></section>\n");
}
