/*
 * redact: takes out of texts what a policy does not want on record, before they are hashed.
 *
 * A pattern is a text that begins with two bytes that are not '*'. A '*' in it stands for any
 * bytes up to a space, a control character or a quote. What matches becomes REDACTED.
 */
#ifndef LZ_RECORD_REDACT_H
#define LZ_RECORD_REDACT_H

#include "base/err.h"
#include "base/str.h"

#define REDACTED           "[redacted]"
#define REDACT_PATTERN_MAX 256 /* bytes */
#define REDACT_MAX         256 /* patterns */

/* ERR_USAGE: it is no pattern. */
int redact_check(const char *pattern, struct err *e);
/* Returns new, or NULL: there is nothing to take out. `patterns` may be NULL. */
char *redact_text(const struct strv *patterns, const char *text);

#endif
