/* taken: what was taken out of a sandbox: onto its record. See taken.h. */
#include "run/taken.h"

#include "base/digest.h"
#include "base/own.h"
#include "run/alarm.h"
#include "run/recording.h"
#include "run/sandbox_private.h"

#include <inttypes.h>
#include <string.h>

#define ROWS_SIZE_MAX (TALK_ARGS_MAX / 2) /* bytes */
#define NAME_SIZE     4096u               /* with the NUL */

/* The words of a request: how, the four counts, and for each file that is named: */
enum { AT_HOW, AT_FILES, AT_FOLDERS, AT_BYTES, AT_REFUSED, AT_ROWS };
enum { ROW_NAME, ROW_BYTES, ROW_SHA256, ROW_WORDS };

static const char *const hows[TAKEN_HOWS] = {
    [TAKEN_COPY] = "copy", [TAKEN_TAR] = "tar", [TAKEN_DIFF] = "diff"};

/* ---- the client's end ------------------------------------------------------------------------ */

void taken_done(struct taken *t)
{
    strv_done(&t->rows);
    *t = (struct taken){0};
}

void taken_add(void *taken, const char *name, uint64_t bytes, const char *sha256)
{
    struct taken *t = taken;

    t->size += strlen(name) + DIGEST_HEX_SIZE + 24;
    if (t->size > ROWS_SIZE_MAX)
        return;
    strv_add(&t->rows, name);
    strv_addf(&t->rows, "%" PRIu64, bytes);
    strv_add(&t->rows, sha256);
}

void taken_sum(struct taken *t, const struct unpack_result *u)
{
    t->files = u->files;
    t->folders = u->folders;
    t->bytes = u->bytes;
    t->refused = u->refused;
}

int taken_tell(const char *data_dir, const char *sandbox, enum taken_how how, const struct taken *t,
               struct err *e)
{
    const uint64_t counts[] = {t->files, t->folders, t->bytes, t->refused};
    own_strv struct strv words = {0};
    own_close int fd = -1;
    struct talk_request r = {.what = TALK_TOOK};
    struct talk_answer a;
    int given[TALK_GIVEN_MAX];

    strv_add(&words, hows[how]);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        strv_addf(&words, "%" PRIu64, counts[i]);
    strv_add_all(&words, &t->rows);
    r.n_args = (uint32_t)words.n;
    if (talk_pack(&(struct talk_words){.argv = &words}, &fd, e) < 0)
        return -1;
    if (sandbox_ask_fds(data_dir, sandbox, &r, &fd, 1, SANDBOX_ANSWER_S, &a, given, e) < 0)
        return err_wrap(e, "what was copied is not on record");
    for (size_t i = 0; i < TALK_GIVEN_MAX; i++)
        own_close_p(&given[i]);
    return 0;
}

/* ---- the keeper's ---------------------------------------------------------------------------- */

static int find_how(const char *word, enum taken_how *ret, struct err *e)
{
    for (size_t i = 0; i < TAKEN_HOWS; i++) {
        if (strcmp(hows[i], word) != 0)
            continue;
        *ret = (enum taken_how)i;
        return 0;
    }
    return err_set(e, ERR_USAGE, "nothing is taken like that");
}

/* Returns new in *ret: the line about one file. */
static int file_doc(enum taken_how how, char *const *row, struct doc **ret, struct err *e)
{
    uint64_t bytes;

    if (!str_is_printable(row[ROW_NAME], NAME_SIZE) || !digest_is_hex(row[ROW_SHA256]) ||
        !row[ROW_NAME][0] != (how == TAKEN_TAR))
        return err_set(e, ERR_USAGE, "a file that was taken has no legal name or digest");
    if (str_parse_u64(row[ROW_BYTES], "bytes", 0, UINT64_MAX, &bytes, e) < 0)
        return -1;
    *ret = recording_output_doc(hows[how], how == TAKEN_TAR ? NULL : row[ROW_NAME], bytes,
                                row[ROW_SHA256]);
    return 0;
}

static int put(struct keeper *k, const struct strv *words, struct doc *files, struct err *e)
{
    uint64_t counts[AT_ROWS] = {0};
    struct recording_sum sum;
    enum taken_how how;

    if (words->n < AT_ROWS || (words->n - AT_ROWS) % ROW_WORDS != 0)
        return err_set(e, ERR_USAGE, "what was taken is not what was announced");
    if (find_how(words->items[AT_HOW], &how, e) < 0)
        return -1;
    for (size_t i = AT_FILES; i < AT_ROWS; i++)
        if (str_parse_u64(words->items[i], "what was taken", 0, UINT64_MAX, &counts[i], e) < 0)
            return -1;
    for (size_t i = AT_ROWS; i < words->n; i += ROW_WORDS) {
        struct doc *d;

        if (file_doc(how, words->items + i, &d, e) < 0)
            return -1;
        doc_add(files, d);
    }
    for (size_t i = 0; recording_has_content(k) && i < doc_len(files); i++)
        recording_add(k, "output", doc_copy(doc_at(files, i)));
    sum = (struct recording_sum){.files = counts[AT_FILES],
                                 .folders = counts[AT_FOLDERS],
                                 .bytes = counts[AT_BYTES],
                                 .refused = counts[AT_REFUSED],
                                 .listed = recording_has_content(k) ? doc_len(files) : 0};
    recording_add(k, "outputs", recording_sum_doc(hows[how], &sum));
    if (how == TAKEN_DIFF) /* the others came through a command's output */
        alarm_output(k, counts[AT_BYTES]);
    return recording_check(k, e);
}

int taken_put(struct keeper *k, const struct talk_request *r, int fd, struct err *e)
{
    own_command struct talk_command c = {0};
    own_doc struct doc *files = doc_new_array();

    return talk_unpack(fd, r, &c, e) < 0 ? -1 : put(k, &c.argv, files, e);
}
