/*
 * follow: the lines that records grow by, of all records of a data folder or of one. For watching:
 * the chain is not checked, which is what verify is for.
 */
#ifndef LZ_REPORT_FOLLOW_H
#define LZ_REPORT_FOLLOW_H

#include "report/lines.h"

struct follow;

/* `only`: a record's id, or a sandbox's name, all of whose lives it is; or NULL. What is there by
 * now is new too. Returns new. */
int follow_open(const char *data_dir, const char *only, struct follow **ret, struct err *e);
void follow_free(struct follow *f); /* accepts NULL */
static inline void follow_free_p(struct follow **f)
{
    follow_free(*f);
}
#define own_follow __attribute__((cleanup(follow_free_p)))

/* Becomes readable when there may be more. */
int follow_fd(const struct follow *f);

/* Calls `each` for every whole line that is new, record by record; what it returns below 0 ends it.
 */
typedef int follow_fn(const char *id, const struct report_line *line, void *arg, struct err *e);
int follow_read(struct follow *f, follow_fn *each, void *arg, struct err *e);

#endif
