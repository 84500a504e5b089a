/* plot: numbers over time as an inline SVG. */
#ifndef LZ_REPORT_PLOT_H
#define LZ_REPORT_PLOT_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct plot_point {
    double s; /* since the record's beginning */
    double value;
};

struct plot {
    const char *title;
    const char *unit;  /* "MiB", "CPUs" */
    const char *color; /* of ours */
    const struct plot_point *points;
    size_t n;
    double seconds; /* the width of the plot */
};

/* Adds one figure; nothing for fewer than two points. */
void plot_add(struct str *page, const struct plot *p);

struct plot_event {
    double s;
    const char *color; /* of ours */
    const char *text;  /* shown where the pointer rests */
};
/* A line of time with events on it. */
void plot_add_timeline(struct str *page, const struct plot_event *events, size_t n, double seconds);

#endif
