/* report_private: the sections of the page. Each adds its heading, or nothing at all. */
#ifndef LZ_REPORT_REPORT_PRIVATE_H
#define LZ_REPORT_REPORT_PRIVATE_H

#include "report/html.h"
#include "report/report.h"

#include <stdbool.h>

/* Seconds since the record began. */
double report_seconds(const struct report_lines *l, const struct report_line *line);
bool report_is(const struct report_line *line, const char *type);

/* ---- tables (tables.c) ---------------------------------------------------------------------- */
void report_layers(const struct report_lines *l, struct str *page);
void report_commands(const struct report_lines *l, struct str *page);
void report_denials(const struct report_lines *l, struct str *page);
void report_wrote(const struct report_lines *l, struct str *page);
void report_changes(const struct report_lines *l, struct str *page);
void report_egress(const struct report_lines *l, struct str *page);
void report_alerts(const struct report_lines *l, struct str *page);
void report_outputs(const struct report_lines *l, struct str *page);
void report_files(const struct report_lines *l, struct str *page);

/* ---- what happened when (history.c) --------------------------------------------------------- */
void report_history(const struct report_lines *l, struct str *page);
void report_resources(const struct report_lines *l, struct str *page);

#endif
