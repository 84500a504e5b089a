/* plot: numbers over time as an inline SVG. See plot.h. */
#include "report/plot.h"

#include "report/html.h"

#define WIDTH  640.0
#define HEIGHT 120.0
#define LEFT   64.0
#define TOP    10.0
#define BOTTOM 22.0
#define DRAWN  2000 /* points; of more, each so many-th */

static double right_of(double s, double seconds)
{
    return LEFT + (seconds > 0 ? s / seconds : 0) * (WIDTH - LEFT - 10);
}

/* 1, 2 or 5 times a power of ten, not below `value`. */
static double round_up(double value)
{
    double step = 1;

    while (step < value)
        step *= 10;
    while (step > 1e-3 && step / 10 >= value)
        step /= 10;
    return step / 5 >= value ? step / 5 : step / 2 >= value ? step / 2 : step;
}

static void axis(struct str *page, const struct plot *p, double top)
{
    const double y0 = HEIGHT - BOTTOM;

    str_addf(page, "<g class=\"axis\"><path d=\"M%.1f %.1fH%.1fM%.1f %.1fH%.1f\"/>", LEFT, TOP,
             WIDTH - 10, LEFT, y0, WIDTH - 10);
    str_addf(page, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g</text>", LEFT - 6, TOP + 4,
             top);
    str_addf(page, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">0</text>", LEFT - 6, y0);
    str_addf(page, "<text x=\"%.1f\" y=\"%.1f\">0 s</text>", LEFT, HEIGHT - 6);
    str_addf(page, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.1f s</text></g>", WIDTH - 10,
             HEIGHT - 6, p->seconds);
}

void plot_add(struct str *page, const struct plot *p)
{
    double top = 0, highest = 0, last = 0;
    size_t step = p->n / DRAWN + 1;

    if (p->n < 2)
        return;
    for (size_t i = 0; i < p->n; i++)
        if (p->points[i].value > highest)
            highest = p->points[i].value;
    top = highest > 0 ? round_up(highest) : 1;
    html_raw(page, "<figure><figcaption>");
    html_text(page, p->title);
    str_addf(page, " <small>at most %.2f ", highest);
    html_text(page, p->unit);
    str_addf(page, "</small></figcaption><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">", WIDTH,
             HEIGHT);
    axis(page, p, top);
    str_addf(page, "<path class=\"area\" fill=\"%s\" d=\"M%.1f %.1f", p->color,
             right_of(p->points[0].s, p->seconds), HEIGHT - BOTTOM);
    for (size_t i = 0; i < p->n; i += step) {
        last = right_of(p->points[i].s, p->seconds);
        str_addf(page, "L%.1f %.1f", last,
                 HEIGHT - BOTTOM - p->points[i].value / top * (HEIGHT - BOTTOM - TOP));
    }
    str_addf(page, "L%.1f %.1fZ\"/></svg></figure>\n", last, HEIGHT - BOTTOM);
}

void plot_add_timeline(struct str *page, const struct plot_event *events, size_t n, double seconds)
{
    str_addf(page, "<svg viewBox=\"0 0 %.0f 44\" role=\"img\" class=\"timeline\">", WIDTH);
    str_addf(page, "<g class=\"axis\"><path d=\"M%.1f 16H%.1f\"/>", LEFT, WIDTH - 10);
    str_addf(page, "<text x=\"%.1f\" y=\"40\">0 s</text>", LEFT);
    str_addf(page, "<text x=\"%.1f\" y=\"40\" text-anchor=\"end\">%.1f s</text></g>", WIDTH - 10,
             seconds);
    for (size_t i = 0; i < n && i < DRAWN; i++) {
        str_addf(page, "<circle cx=\"%.1f\" cy=\"16\" r=\"5\" fill=\"%s\"><title>",
                 right_of(events[i].s, seconds), events[i].color);
        html_text(page, events[i].text);
        html_raw(page, "</title></circle>");
    }
    html_raw(page, "</svg>\n");
}
