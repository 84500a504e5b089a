/* test_taken: promises of what a keeper takes about copies. UNTRUSTED: the client. */
#include "base/own.h"
#include "run/keeper.h"
#include "run/taken.h"
#include "run/talk.h"
#include "tests/unit/suite.h"

#include <string.h>

#define SHA256 "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"

static struct err err;

/* Words with commas between. */
static int take(const char *text)
{
    own_free char *copy = strdup(text);
    own_strv struct strv words = {0};
    struct talk_request r = {.what = TALK_TOOK};
    struct keeper k = {0};
    own_close int fd = -1;
    char *rest = copy, *word;

    while ((word = strsep(&rest, ",")))
        strv_add(&words, word);
    r.n_args = (uint32_t)words.n;
    ck_assert_int_eq(talk_pack(&(struct talk_words){.argv = &words}, &fd, &err), 0);
    return taken_put(&k, &r, fd, &err);
}

START_TEST(words_about_what_was_taken_are_checked)
{
    static const char *const wrong[] = {
        "",
        "copy",
        "copy,1,0,4",
        "steal,0,0,0,0",
        "copy,-1,0,0,0",
        "copy,1,x,0,0",
        "copy,1,0,0,18446744073709551616",
        "copy,1,0,4,0,a",
        "copy,1,0,4,0,a,4",
        "copy,1,0,4,0,a,4," SHA256 ",b",
        "copy,1,0,4,0,,4," SHA256,
        "copy,1,0,4,0,a\033[2J,4," SHA256,
        "copy,1,0,4,0,a,4.5," SHA256,
        "copy,1,0,4,0,a,4,2c8b",
        "diff,1,0,4,0,a,4," SHA256 "0",
        "tar,1,0,4,0,a,4," SHA256,
    };

    ck_assert_int_eq(take("copy,0,0,0,1"), 0);
    ck_assert_int_eq(take("copy,2,1,8,0,d/a,4," SHA256 ",d/b,4," SHA256), 0);
    ck_assert_int_eq(take("tar,1,0,4,0,,4," SHA256), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_msg(take(wrong[i]) == -1, "%s", wrong[i]);
        ck_assert_int_eq(err.class, ERR_USAGE);
    }
}
END_TEST

SUITE("taken", words_about_what_was_taken_are_checked)
