/* about: a line of a record in a few words, for people. */
#ifndef LZ_REPORT_ABOUT_H
#define LZ_REPORT_ABOUT_H

#include "base/str.h"
#include "report/lines.h"

enum report_mood { REPORT_PLAIN, REPORT_WORK, REPORT_GOOD, REPORT_CARE, REPORT_BAD, REPORT_MOODS };

/* Adds the words. They may have text of the guest in them, which is not escaped for any place. */
void report_about(const struct report_line *line, struct str *ret);
enum report_mood report_mood(const struct report_line *line);

#endif
