/*
 * tracker: reads the data of Debian's security tracker, JSON of 60 MB and more, in a little memory.
 *
 *     {SOURCE: {ISSUE: {"releases": {SUITE: {"status": "open" | "resolved" | "undetermined",
 *                                            "fixed_version": "1.2-3", "urgency": "low", ...},
 * ...},
 *                       ...}, ...}, ...}
 *
 * How it works: bytes are fed in pieces of any size. The two outer objects are read by a state
 * machine of their own. Of the issues below them, those of wanted sources are gathered one at a
 * time and parsed by base/doc.h; the others are passed over, their brackets and strings only being
 * matched. So memory is one issue, the names of sources, and the names of one source's issues.
 *
 * The file comes from the net: what is not as above is an error that says where, and lengths, depth
 * and counts are capped. A source or an issue that is there twice is an error as well, since
 * readers could disagree about which counts; so is a suite that the whole file does not know, since
 * nothing would be found for it.
 */
#ifndef LZ_IMAGES_TRACKER_H
#define LZ_IMAGES_TRACKER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define TRACKER_KEY_MAX   128u         /* bytes of a source's or issue's name, and of other texts */
#define TRACKER_ISSUE_MAX (256u << 10) /* bytes; parsed it takes a hundred times its size */
#define TRACKER_DEPTH_MAX 16u          /* objects and arrays inside one another */
#define TRACKER_NAMES_MAX 65536u       /* sources, and issues of one source */

enum tracker_status { TRACKER_OPEN, TRACKER_RESOLVED, TRACKER_UNDETERMINED };

/* What the tracker says of one issue of one source in the suite. Borrowed until the call returns.
 */
struct tracker_issue {
    const char *source, *id; /* "glibc", "CVE-2024-2961" */
    enum tracker_status status;
    const char *fixed_version; /* a version, "0" if the suite never had the issue; NULL: not said */
    const char *urgency;       /* "low", "unimportant", "not yet assigned" ... */
};

/* Must live as long as the tracker. */
struct tracker_query {
    const char *suite; /* "bookworm" */
    bool (*want)(void *arg, const char *source);
    int (*issue)(void *arg, const struct tracker_issue *issue, struct err *e);
    void *arg;
};

struct tracker;

/* Returns new. */
struct tracker *tracker_new(const struct tracker_query *q);
void tracker_free(struct tracker *t);
static inline void tracker_free_p(struct tracker **t)
{
    tracker_free(*t);
}
#define own_tracker __attribute__((cleanup(tracker_free_p)))

/* After an error neither may be called again. ERR_HOST. */
int tracker_feed(struct tracker *t, const char *data, size_t len, struct err *e);
int tracker_end(struct tracker *t, struct err *e);

/* All of it from a file or pipe. ERR_HOST; `what` names it in errors. */
int tracker_read(const struct tracker_query *q, int fd, const char *what, struct err *e);

#endif
