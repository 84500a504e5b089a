/* record: what a run or sandbox did, as a chain of JSON lines: the writer. See record.h. */
#include "record/record.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "record/ledger.h"
#include "record/read.h"
#include "record/redact.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

struct record {
    int fd;
    const struct strv *redact;
    bool debug;
    struct record_head head;
    uint64_t lines, bytes, max_bytes;
    uint64_t signed_lines;
    uint64_t dropped_guest, dropped_host;
    uint64_t tokens_ms; /* time in which lines by the guest were not used up */
    uint64_t last_ms;
};

bool record_is_id(const char *id)
{
    size_t len = strlen(id);

    if (len == 0 || len >= RECORD_ID_SIZE || id[0] == '.' || id[0] == '-')
        return false;
    for (const char *p = id; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              strchr("._-", *p)))
            return false;
    return true;
}

bool record_is_life(const char *id, const char *name)
{
    size_t len = strlen(name);

    return strncmp(id, name, len) == 0 && id[len] == '.' && !strchr(id + len + 1, '.');
}

bool record_id_of(const char *file, const char *suffix, char ret_id[RECORD_ID_SIZE])
{
    size_t len = strlen(file), behind = strlen(suffix);
    char id[RECORD_ID_SIZE] = "";

    if (len < behind || len - behind >= sizeof(id) || strcmp(file + len - behind, suffix) != 0)
        return false;
    memcpy(id, file, len - behind);
    if (!record_is_id(id))
        return false;
    memcpy(ret_id, id, sizeof(id));
    return true;
}

static struct record *make(const char *id, const struct strv *redact)
{
    struct record *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->fd = -1;
    r->redact = redact;
    r->max_bytes = RECORD_BYTES_MAX;
    snprintf(r->head.id, sizeof(r->head.id), "%s", id);
    memcpy(r->head.hash, RECORD_NO_HASH, sizeof(r->head.hash));
    r->tokens_ms = UINT64_C(1000) * RECORD_BURST / RECORD_RATE;
    r->last_ms = clock_mono_ms();
    return r;
}

/* Whoever has it open to write holds its lock: it is not removed meanwhile. */
static int hold(struct record *r, struct err *e)
{
    bool taken;

    if (file_try_lock(r->fd, false, &taken, e) < 0)
        return -1;
    return taken ? 0
                 : err_set(e, ERR_HOST, "somebody writes to the record '%s' already", r->head.id);
}

int record_create(int dir_fd, const char *id, const struct strv *redact, struct record **ret,
                  struct err *e)
{
    own_record struct record *r = make(id, redact);
    own_free char *name = str_printf("%s" RECORD_SUFFIX, id);

    if (!record_is_id(id))
        return err_set(e, ERR_HOST, "a record cannot be called so");
    r->fd =
        openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r->fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the record '%s'", name);
    if (hold(r, e) < 0)
        return -1;
    *ret = own_steal_ptr(r);
    return 0;
}

struct resumed {
    struct record *r;
    char type[32];
};

static int note_line(const struct record_line *line, void *arg, struct err *e)
{
    struct resumed *s = arg;

    (void)e;
    s->r->head.seq = line->seq;
    s->r->lines = line->seq + 1;
    s->r->bytes = line->end;
    memcpy(s->r->head.hash, line->hash, sizeof(s->r->head.hash));
    snprintf(s->type, sizeof(s->type), "%s", line->type);
    return 0;
}

int record_resume(int dir_fd, const char *id, const char *last, struct record **ret, struct err *e)
{
    own_record struct record *r = make(id, NULL);
    own_free char *name = str_printf("%s" RECORD_SUFFIX, id);
    struct resumed s = {.r = r};
    enum record_ends ends;
    char why[256];

    if (!record_is_id(id))
        return err_set(e, ERR_HOST, "no record can be called so");
    r->fd = openat(dir_fd, name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (r->fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open the record '%s'", name);
    if (hold(r, e) < 0)
        return -1;
    if (record_read(r->fd, note_line, &s, &ends, why, sizeof(why), e) < 0)
        return -1;
    if (ends != RECORD_ENDS_WELL)
        return err_set(e, ERR_HOST, "the record '%s' cannot go on: %s", name, why);
    if (strcmp(s.type, last) != 0)
        return err_set(e, ERR_HOST, "the record '%s' ends with '%s', not '%s'", name, s.type, last);
    r->signed_lines = r->lines;
    *ret = own_steal_ptr(r);
    return 0;
}

void record_bound(struct record *r, uint64_t bytes)
{
    r->max_bytes = bytes < RECORD_BYTES_MAX ? bytes : RECORD_BYTES_MAX;
}

void record_free(struct record *r)
{
    if (!r)
        return;
    own_close_p(&r->fd);
    free(r);
}

void record_mark_debug(struct record *r)
{
    r->debug = true;
}

/* A bucket of time: each line by the guest takes its share of a second. */
static bool guest_may(struct record *r)
{
    const uint64_t each = 1000u / RECORD_RATE, most = UINT64_C(1000) * RECORD_BURST / RECORD_RATE;
    uint64_t now = clock_mono_ms();

    r->tokens_ms += now - r->last_ms;
    r->last_ms = now;
    if (r->tokens_ms > most)
        r->tokens_ms = most;
    if (r->tokens_ms < each)
        return false;
    r->tokens_ms -= each;
    return true;
}

/* There is always room for how it ended. */
static bool has_room(const struct record *r, const char *type, size_t len)
{
    static const char *const tail[] = {"dropped", "end", "destroyed"};
    uint64_t most = r->max_bytes;

    for (size_t i = 0; i < sizeof(tail) / sizeof(tail[0]); i++)
        if (strcmp(type, tail[i]) == 0)
            most += RECORD_TAIL_BYTES;
    return r->bytes <= most && len <= most - r->bytes;
}

static char *clean_text(const char *text, void *arg)
{
    const struct record *r = arg;
    char *escaped;
    size_t len;

    if (str_is_utf8(text))
        return redact_text(r->redact, text);
    len = strlen(text);
    escaped = malloc(4 * len + 1);
    if (!escaped)
        abort();
    str_escape(escaped, 4 * len + 1, text, len);
    return escaped;
}

/* Returns new: the members as they are between the braces, with a comma behind them. */
static char *format_members(const struct record *r, struct doc *members)
{
    own_free char *text = NULL;
    size_t len;

    if (!members)
        return str_dup("");
    doc_map_texts(members, clean_text, (void *)(uintptr_t)r);
    text = doc_format(members, false);
    len = strlen(text);
    return len <= 2 ? str_dup("") : str_printf("%.*s,", (int)(len - 2), text + 1);
}

static int write_line(struct record *r, const char *text, size_t len, struct err *e)
{
    int errnum;

    if (file_write_all(r->fd, text, len) == 0) {
        r->bytes += len;
        return 0;
    }
    errnum = errno;
    /* Half a line would be the end of the record. */
    if (ftruncate(r->fd, (off_t)r->bytes) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot cut the record '%s'", r->head.id);
    return err_sys(e, ERR_HOST, errnum, "cannot write the record '%s'", r->head.id);
}

/* `members` as they are in the line. *ret_dropped: there was no room. */
static int add_text(struct record *r, enum record_by by, const char *type, const char *members,
                    bool *ret_dropped, struct err *e)
{
    own_str struct str line = {0};
    char when[36], hash[DIGEST_HEX_SIZE];

    str_addf(&line, "{\"seq\":%" PRIu64 ",\"time\":\"%s\",\"by\":\"%s\",\"type\":\"%s\",", r->lines,
             clock_format_utc_ns(when, clock_real_ns()), by == RECORD_GUEST ? "guest" : "host",
             type);
    if (r->debug)
        str_add(&line, "\"debug\":true,");
    /* Not among what is redacted: without it there is no record. */
    if (r->lines == 0)
        str_addf(&line, "\"format\":\"" RECORD_FORMAT "\",\"version\":%u,\"id\":\"%s\",",
                 RECORD_VERSION, r->head.id);
    str_addf(&line, "%s\"prev\":\"%s\"}", members, r->head.hash);
    *ret_dropped = !has_room(r, type, line.len + 1);
    if (*ret_dropped)
        return 0;
    if (digest_bytes(line.data, line.len, hash, e) < 0)
        return -1;
    str_add(&line, "\n");
    if (write_line(r, line.data, line.len, e) < 0)
        return -1;
    r->head.seq = r->lines++;
    memcpy(r->head.hash, hash, sizeof(hash));
    return 0;
}

/* Before the host's own lines: between the guest's it would be as many again. */
static int say_dropped(struct record *r, struct err *e)
{
    own_free char *members = NULL;
    bool dropped;

    if (r->dropped_guest == 0 && r->dropped_host == 0)
        return 0;
    members = str_printf("\"guest\":%" PRIu64 ",\"host\":%" PRIu64 ",", r->dropped_guest,
                         r->dropped_host);
    if (add_text(r, RECORD_HOST, "dropped", members, &dropped, e) < 0)
        return -1;
    if (!dropped)
        r->dropped_guest = r->dropped_host = 0;
    return 0;
}

/* When it is full it is said once, at the end. */
static bool is_due(const struct record *r, const char *type)
{
    return r->dropped_host == 0 || strcmp(type, "end") == 0;
}

int record_add(struct record *r, enum record_by by, const char *type, struct doc *members,
               struct err *e)
{
    own_doc struct doc *owned = members;
    own_free char *text = NULL;
    bool dropped = false;

    if (by == RECORD_GUEST && !guest_may(r)) {
        r->dropped_guest++;
        return 0;
    }
    if (by == RECORD_HOST && is_due(r, type) && say_dropped(r, e) < 0)
        return -1;
    text = format_members(r, owned);
    if (strlen(text) + 512 > RECORD_LINE_MAX) {
        char hash[DIGEST_HEX_SIZE];
        size_t len = strlen(text) - 1;

        if (digest_bytes(text, len, hash, e) < 0)
            return -1;
        free(text);
        text = str_printf("\"cut\":{\"bytes\":%zu,\"sha256\":\"%s\"},", len, hash);
    }
    if (add_text(r, by, type, text, &dropped, e) < 0)
        return -1;
    if (dropped && by == RECORD_GUEST)
        r->dropped_guest++;
    else if (dropped)
        r->dropped_host++;
    return 0;
}

int record_add_file(struct record *r, const char *role, const char *name, const char *text,
                    bool content, struct err *e)
{
    own_free char *redacted = content ? redact_text(r->redact, text) : NULL;
    const char *kept = redacted ? redacted : text;
    own_doc struct doc *d = doc_new_object();
    char hash[DIGEST_HEX_SIZE];

    if (digest_bytes(kept, strlen(kept), hash, e) < 0)
        return -1;
    doc_set_str(d, "role", role);
    doc_set_str(d, "name", name);
    doc_set_u64(d, "bytes", strlen(kept));
    doc_set_str(d, "sha256", hash);
    if (redacted)
        doc_set_bool(d, "redacted", true);
    if (content)
        doc_set_str(d, "text", kept);
    return record_add(r, RECORD_HOST, "file", own_steal_ptr(d), e);
}

bool record_head(const struct record *r, struct record_head *ret)
{
    *ret = r->head;
    return r->lines > 0;
}

bool record_has_new(const struct record *r)
{
    return r->lines > r->signed_lines;
}

int record_sign(struct record *r, const struct ledger *l, enum record_sign how, struct err *e)
{
    bool durable = how != RECORD_SIGN;

    if (r->lines == 0)
        return err_set(e, ERR_HOST, "the record '%s' is empty", r->head.id);
    if (durable && fdatasync(r->fd) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write the record '%s'", r->head.id);
    if (ledger_add(l, &r->head, how == RECORD_SIGN_CLOSED ? LEDGER_CLOSED : LEDGER_OPEN, durable,
                   e) < 0)
        return -1;
    r->signed_lines = r->lines;
    return 0;
}
