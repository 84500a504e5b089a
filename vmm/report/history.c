/* history: the time line, and what was used meanwhile. */
#include "base/own.h"
#include "report/about.h"
#include "report/plot.h"
#include "report/report_private.h"

#include <string.h>

#define RED   "#b3261e"
#define AMBER "#b26a00"
#define BLUE  "#1f5fa8"
#define GREEN "#1b7f4b"
#define GREY  "#8a8f98"

static const char *const colors[REPORT_MOODS] = {
    [REPORT_PLAIN] = GREY, [REPORT_WORK] = BLUE, [REPORT_GOOD] = GREEN,
    [REPORT_CARE] = AMBER, [REPORT_BAD] = RED,
};

double report_seconds(const struct report_lines *l, const struct report_line *line)
{
    return line->ns > l->begin_ns ? (double)(line->ns - l->begin_ns) / 1e9 : 0;
}

bool report_is(const struct report_line *line, const char *type)
{
    return strcmp(line->type, type) == 0;
}

static void history_row(const struct report_lines *l, const struct report_line *line,
                        struct str *page)
{
    own_str struct str about = {0};

    report_about(line, &about);
    str_addf(page, "<tr><td class=\"n\">%.3f</td><td class=\"w\"><i style=\"background:%s\"></i>",
             report_seconds(l, line), colors[report_mood(line)]);
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
                                              .color = colors[report_mood(&l->items[i])],
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

/* One number of a sample. */
static double of_sample(const struct doc *d, const char *key)
{
    if (strcmp(key, "cpu") == 0)
        return (double)(report_number(d, "user_ns") + report_number(d, "system_ns"));
    return (double)report_number(d, key);
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
    plot(l, "cpu", 1e9, true, &(struct plot){.title = "CPU", .unit = "CPUs", .color = BLUE}, page);
    plot(l, "resident_bytes", 1 << 20, false,
         &(struct plot){.title = "Memory", .unit = "MiB", .color = GREEN}, page);
    plot(l, "disk_bytes", 1 << 20, false,
         &(struct plot){.title = "Disk, on the host", .unit = "MiB", .color = AMBER}, page);
    if (page->len == before)
        html_raw(page, "<p>It was too short for more than one sample.</p>");
    html_raw(page, "</div></section>\n");
}
