/*
 * log: messages for people, on stderr, one line each, with the program's name in front.
 *
 * Only programs log; libraries return errors. Nothing that a guest said goes through here
 * unescaped.
 */
#ifndef LZ_BASE_LOG_H
#define LZ_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_NOTE, LOG_DEBUG };

/* Shows messages up to and including `level` (default LOG_NOTE). */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* From now on each line has this behind the program's name; a string that stays. */
void log_mark(const char *mark);
/* "lazaret: <text>": the one place where an error is printed. */
void log_err(const struct err *e);

#endif
