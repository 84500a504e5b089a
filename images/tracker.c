/* tracker: reads the data of Debian's security tracker, JSON of 60 MB and more, in a little memory.
 */
#include "images/tracker.h"

#include "base/doc.h"
#include "base/own.h"
#include "base/str.h"
#include "images/debian.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <string.h>
#include <unistd.h>

#define PIECE_SIZE (64u << 10) /* bytes read at a time */

/* How many objects are open at the names of sources, of their issues, and of suites. */
enum { AT_SOURCE = 1, AT_ISSUE = 2, AT_SUITE = 4 };

/* What comes next. BODY, STRING and ESCAPE are inside a value that is not looked at here. */
enum state { ROOT, FIRST_KEY, KEY, KEY_TEXT, COLON, VALUE, MORE, DONE, BODY, STRING, ESCAPE };

struct tracker {
    const struct tracker_query *q;
    enum state state;
    uint64_t at;                    /* bytes before this one */
    unsigned depth;                 /* objects and arrays that are open */
    char closes[TRACKER_DEPTH_MAX]; /* each of them: '}' or ']' */
    unsigned body_depth;            /* the depth that the BODY ends at */

    char source[TRACKER_KEY_MAX + 1], issue[TRACKER_KEY_MAX + 1];
    size_t key_len;
    bool wanted;     /* the source */
    struct str text; /* of the issue, so far */

    bool suite_found; /* anywhere in the file */
    size_t suite_len; /* so much of the STRING is the suite's name; SIZE_MAX: it is another */

    void *sources, *issues; /* tsearch(3) of names that were there; issues are the source's */
    size_t n_sources, n_issues;
};

struct tracker *tracker_new(const struct tracker_query *q)
{
    struct tracker *t = calloc(1, sizeof(*t));

    if (!t) {
        fputs("lazaret: out of memory\n", stderr);
        abort();
    }
    t->q = q;
    return t;
}

void tracker_free(struct tracker *t)
{
    if (!t)
        return;
    tdestroy(t->sources, free);
    tdestroy(t->issues, free);
    str_done(&t->text);
    free(t);
}

static int fail(const struct tracker *t, struct err *e, const char *text)
{
    return err_set(e, ERR_HOST, "byte %" PRIu64 ": %s", t->at, text);
}

static int order(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Adds a name to those of its object. */
static int remember(const struct tracker *t, void **names, size_t *n, const char *name,
                    struct err *e)
{
    char *copy;
    void *node;

    if (++*n > TRACKER_NAMES_MAX)
        return fail(t, e, "too many names in an object");
    copy = str_dup(name);
    node = tsearch(copy, names, order);
    if (!node)
        abort(); /* out of memory */
    if (*(char **)node == copy)
        return 0;
    free(copy);
    return err_set(e, ERR_HOST, "byte %" PRIu64 ": '%s' is there twice", t->at, name);
}

static int open_one(struct tracker *t, char closes, struct err *e)
{
    if (t->depth == TRACKER_DEPTH_MAX)
        return fail(t, e, "too many objects or arrays inside one another");
    t->closes[t->depth++] = closes;
    return 0;
}

/* ---- what an issue says ---- */

static int read_text(const struct doc *d, const char *key, const char **ret, struct err *e)
{
    if (!doc_has(d, key))
        return 0;
    if (doc_get_str(d, key, ret, e) < 0)
        return -1;
    if (!str_is_printable(*ret, TRACKER_KEY_MAX + 1))
        return err_set(e, ERR_HOST, "'%s' is too long or not printable", key);
    return 0;
}

static int read_release(const struct doc *d, struct tracker_issue *ret, struct err *e)
{
    static const char *const names[] = {[TRACKER_OPEN] = "open",
                                        [TRACKER_RESOLVED] = "resolved",
                                        [TRACKER_UNDETERMINED] = "undetermined"};
    const char *status;

    if (doc_get_str(d, "status", &status, e) < 0 ||
        read_text(d, "fixed_version", &ret->fixed_version, e) < 0 ||
        read_text(d, "urgency", &ret->urgency, e) < 0)
        return -1;
    if (ret->fixed_version && !debian_version_is_valid(ret->fixed_version))
        return err_set(e, ERR_HOST, "'fixed_version' is not a version");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(status, names[i]) == 0) {
            ret->status = (enum tracker_status)i;
            return 0;
        }
    }
    return err_set(e, ERR_HOST, "'status' is not open, resolved or undetermined");
}

static int read_issue(struct tracker *t, struct err *e)
{
    struct tracker_issue issue = {
        .source = t->source, .id = t->issue, .urgency = "not yet assigned"};
    const struct doc *releases, *release;
    own_doc struct doc *d = NULL;

    if (doc_parse(t->text.data, t->text.len, t->issue, &d, e) < 0)
        return err_wrap(e, "'%s'", t->source);
    if (doc_get_object(d, "releases", &releases, e) < 0)
        return err_wrap(e, "'%s': %s", t->source, t->issue);
    if (!doc_has(releases, t->q->suite))
        return 0;
    if (doc_get_object(releases, t->q->suite, &release, e) < 0 ||
        read_release(release, &issue, e) < 0)
        return err_wrap(e, "'%s': %s: %s", t->source, t->issue, t->q->suite);
    return t->q->issue(t->q->arg, &issue, e);
}

/* ---- the two outer objects, byte by byte ---- */

static int end_key(struct tracker *t, struct err *e)
{
    if (t->key_len == 0)
        return fail(t, e, "a name is empty");
    t->state = COLON;
    if (t->depth == AT_ISSUE)
        return remember(t, &t->issues, &t->n_issues, t->issue, e);
    if (remember(t, &t->sources, &t->n_sources, t->source, e) < 0)
        return -1;
    t->wanted = t->q->want(t->q->arg, t->source);
    return 0;
}

static int add_to_key(struct tracker *t, char c, struct err *e)
{
    char *key = t->depth == AT_ISSUE ? t->issue : t->source;

    if (c == '"')
        return end_key(t, e);
    if (c <= ' ' || c >= 0x7f || c == '\\')
        return fail(t, e, "a name has a character that none has");
    if (t->key_len == TRACKER_KEY_MAX)
        return fail(t, e, "a name is too long");
    key[t->key_len++] = c;
    key[t->key_len] = '\0';
    return 0;
}

static int begin_value(struct tracker *t, char c, struct err *e)
{
    if (c != '{')
        return fail(t, e, "not an object, as sources and issues are");
    if (t->depth == AT_SOURCE && t->wanted) {
        t->state = FIRST_KEY;
        return open_one(t, '}', e);
    }
    t->state = BODY;
    t->body_depth = t->depth;
    t->text.len = 0;
    if (t->depth == AT_ISSUE)
        str_add(&t->text, "{");
    return open_one(t, '}', e);
}

static void end_object(struct tracker *t)
{
    if (t->depth == AT_ISSUE) {
        tdestroy(t->issues, free);
        t->issues = NULL;
        t->n_issues = 0;
    }
    t->depth--;
    t->state = t->depth == 0 ? DONE : MORE;
}

static int outer(struct tracker *t, char c, struct err *e)
{
    if (t->state == KEY_TEXT)
        return add_to_key(t, c, e);
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
        return 0;
    switch (t->state) {
    case ROOT:
        if (c != '{')
            return fail(t, e, "not a JSON object");
        t->state = FIRST_KEY;
        return open_one(t, '}', e);
    case FIRST_KEY:
    case KEY:
        if (c == '}' && t->state == FIRST_KEY) {
            end_object(t);
            return 0;
        }
        if (c != '"')
            return fail(t, e, "a name in quotes should be here");
        t->key_len = 0;
        t->state = KEY_TEXT;
        return 0;
    case COLON:
        if (c != ':')
            return fail(t, e, "a ':' should be here");
        t->state = VALUE;
        return 0;
    case VALUE:
        return begin_value(t, c, e);
    case MORE:
        if (c == '}')
            end_object(t);
        else if (c == ',')
            t->state = KEY;
        else
            return fail(t, e, "a ',' or '}' should be here");
        return 0;
    case DONE:
        return fail(t, e, "more text after the end");
    case KEY_TEXT:
    case BODY:
    case STRING:
    case ESCAPE:
        break;
    }
    return 0;
}

/* ---- below them ---- */

/* The suite's name is that of a member of "releases" somewhere, or the file does not know it. */
static void compare_suite(struct tracker *t, char c)
{
    const char *suite = t->q->suite;

    if (t->suite_len != SIZE_MAX)
        t->suite_len =
            suite[t->suite_len] && suite[t->suite_len] == c ? t->suite_len + 1 : SIZE_MAX;
}

static int body(struct tracker *t, char c, struct err *e)
{
    if (t->state == ESCAPE) {
        t->state = STRING;
        t->suite_len = SIZE_MAX;
    } else if (t->state == STRING && c == '\\') {
        t->state = ESCAPE;
    } else if (t->state == STRING && c == '"') {
        t->state = BODY;
        if (t->suite_len != SIZE_MAX && !t->q->suite[t->suite_len])
            t->suite_found = true;
    } else if (t->state == STRING) {
        compare_suite(t, c);
    } else if (c == '"') {
        t->state = STRING;
        t->suite_len = t->depth == AT_SUITE ? 0 : SIZE_MAX;
    } else if (c == '{' || c == '[') {
        return open_one(t, c == '{' ? '}' : ']', e);
    } else if (c == '}' || c == ']') {
        if (t->closes[t->depth - 1] != c)
            return fail(t, e, "a bracket does not fit the one that it closes");
        if (--t->depth == t->body_depth)
            t->state = MORE;
    }
    return 0;
}

/* Takes bytes up to the end of the BODY, or all. */
static int feed_body(struct tracker *t, const char *data, size_t len, size_t *ret_used,
                     struct err *e)
{
    bool gathered = t->body_depth == AT_ISSUE;
    size_t n = 0;

    while (n < len && t->state != MORE) {
        if (body(t, data[n], e) < 0)
            return -1;
        n++;
        t->at++;
    }
    *ret_used = n;
    if (!gathered)
        return 0;
    if (n > TRACKER_ISSUE_MAX - t->text.len)
        return err_set(e, ERR_HOST, "'%s': %s: over %u bytes", t->source, t->issue,
                       TRACKER_ISSUE_MAX);
    str_add_bytes(&t->text, data, n);
    return t->state == MORE ? read_issue(t, e) : 0;
}

int tracker_feed(struct tracker *t, const char *data, size_t len, struct err *e)
{
    while (len > 0) {
        size_t used = 1;

        if (t->state >= BODY) {
            if (feed_body(t, data, len, &used, e) < 0)
                return -1;
        } else {
            if (outer(t, *data, e) < 0)
                return -1;
            t->at++;
        }
        data += used;
        len -= used;
    }
    return 0;
}

int tracker_end(struct tracker *t, struct err *e)
{
    if (t->at == 0)
        return err_set(e, ERR_HOST, "empty");
    if (t->state != DONE)
        return fail(t, e, "ends in the middle (was it fetched whole?)");
    if (!t->suite_found)
        return err_set(e, ERR_HOST, "says nothing about the suite '%s'", t->q->suite);
    return 0;
}

int tracker_read(const struct tracker_query *q, int fd, const char *what, struct err *e)
{
    own_tracker struct tracker *t = tracker_new(q);
    own_free char *piece = malloc(PIECE_SIZE);
    ssize_t n;

    if (!piece)
        return err_set(e, ERR_HOST, "out of memory");
    while ((n = read(fd, piece, PIECE_SIZE)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "tracker data '%s'", what);
        if (tracker_feed(t, piece, (size_t)n, e) < 0)
            return err_wrap(e, "tracker data '%s'", what);
    }
    return tracker_end(t, e) < 0 ? err_wrap(e, "tracker data '%s'", what) : 0;
}
