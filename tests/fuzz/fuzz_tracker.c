/* fuzz_tracker: the tracker's data means the same in any pieces, and what it says can be shown. */
#include "base/own.h"
#include "base/str.h"
#include "images/debian.h"
#include "images/tracker.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static bool want(void *arg, const char *source)
{
    (void)arg;
    return source[0] != 'x';
}

static int note(void *arg, const struct tracker_issue *issue, struct err *e)
{
    (void)e;
    MUST(issue->source[0] && issue->source[0] != 'x' && issue->id[0]);
    MUST(str_is_printable(issue->source, TRACKER_KEY_MAX + 1));
    MUST(str_is_printable(issue->id, TRACKER_KEY_MAX + 1));
    MUST(str_is_printable(issue->urgency, TRACKER_KEY_MAX + 1));
    MUST(!issue->fixed_version || debian_version_is_valid(issue->fixed_version));
    str_addf(arg, "%s %s %d %s %s\n", issue->source, issue->id, issue->status,
             issue->fixed_version ? issue->fixed_version : "-", issue->urgency);
    return 0;
}

static void feed(const char *data, size_t len, size_t step, struct str *said)
{
    struct tracker_query q = {.suite = "bookworm", .want = want, .issue = note, .arg = said};
    own_tracker struct tracker *t = tracker_new(&q);
    struct err e;
    int rc = 0;

    for (size_t at = 0; at < len && rc == 0; at += step)
        rc = tracker_feed(t, data + at, len - at < step ? len - at : step, &e);
    if (rc < 0 || tracker_end(t, &e) < 0)
        str_addf(said, "%s\n", e.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_str struct str whole = {0}, pieces = {0};

    feed((const char *)data, len, len, &whole);
    feed((const char *)data, len, 3, &pieces);
    MUST(whole.len == pieces.len);
    MUST(len == 0 || whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0);
    return 0;
}
