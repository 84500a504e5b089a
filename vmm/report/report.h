/*
 * report: a record as one page of HTML that needs nothing else: no script, nothing from outside.
 *
 * How it works
 *   The record is read whole (lines.h); each section goes over its lines and adds what is of its
 *   types. Text gets into the page by html.h only, so that no byte of a guest, of a file's name or
 *   of the command line can be markup; and the page says to the browser that nothing in it may run
 *   or load. It is readable on paper.
 */
#ifndef LZ_REPORT_REPORT_H
#define LZ_REPORT_REPORT_H

#include "base/str.h"
#include "record/verify.h"
#include "report/lines.h"

#define REPORT_ROWS 2000u /* of each table; what is left out is counted */

/* Adds the page. `v` is what verifying the record said. */
void report_format(const struct report_lines *l, const struct verify_report *v, struct str *page);

#endif
