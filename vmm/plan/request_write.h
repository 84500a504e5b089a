/* request_write: a request as the text of a manifest, and the reasons in it. */
#ifndef LZ_PLAN_REQUEST_WRITE_H
#define LZ_PLAN_REQUEST_WRITE_H

#include "plan/request.h"

/* Returns new: what request_parse() reads as the same. Keys are in the order of the table. */
char *request_format(const struct request *r);

/* Adds a reason (request.h): `by` is one of request_why_by. `line` NULL: of the key. */
void request_why(struct request *r, enum key k, const char *line, const char *by, const char *fmt,
                 ...) __attribute__((format(printf, 5, 6)));
/* Adds the one that `from` has for it, as it is or as one that was widened. False: it has none. */
bool request_copy_why(struct request *r, const struct request *from, enum key k, const char *line,
                      bool widened);
/* The last one added was needed by a later run only. */
void request_widened(struct request *r);

#endif
