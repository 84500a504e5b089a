/* message: the fixed layouts of wire.h, to and from bytes. UNTRUSTED input. */
#include "shared/wire.h"

#include "shared/bytes.h"
#include "shared/guest.h"

#include <errno.h>
#include <string.h>

void wire_u32_format(uint8_t out[4], uint32_t value)
{
    bytes_put_u32(out, value);
}

void wire_u64_format(uint8_t out[8], uint64_t value)
{
    bytes_put_u64(out, value);
}

void wire_resize_format(uint8_t out[4], uint16_t rows, uint16_t cols)
{
    bytes_put_u16(out, rows);
    bytes_put_u16(out + 2, cols);
}

enum { /* offsets in HELLO */
       HELLO_NONCE = 8,
       HELLO_TIME = HELLO_NONCE + WIRE_NONCE_SIZE,
       HELLO_SEED = HELLO_TIME + 8,
       HELLO_UID = HELLO_SEED + WIRE_SEED_SIZE,
       HELLO_KEEP = HELLO_UID + 8,
};

void wire_hello_format(uint8_t out[WIRE_HELLO_SIZE], const struct wire_hello *m)
{
    bytes_put_u32(out, m->version);
    bytes_put_u32(out + 4, m->flags);
    memcpy(out + HELLO_NONCE, m->nonce, WIRE_NONCE_SIZE);
    bytes_put_u64(out + HELLO_TIME, m->time_ns);
    memcpy(out + HELLO_SEED, m->seed, WIRE_SEED_SIZE);
    bytes_put_u32(out + HELLO_UID, m->uid);
    bytes_put_u32(out + HELLO_UID + 4, m->gid);
    bytes_put_u32(out + HELLO_KEEP, m->keep);
}

int wire_hello_parse(const uint8_t *p, size_t len, struct wire_hello *ret)
{
    struct wire_hello m;

    if (len != WIRE_HELLO_SIZE)
        return -EBADMSG;
    m.version = bytes_get_u32(p);
    m.flags = bytes_get_u32(p + 4);
    memcpy(m.nonce, p + HELLO_NONCE, WIRE_NONCE_SIZE);
    m.time_ns = bytes_get_u64(p + HELLO_TIME);
    memcpy(m.seed, p + HELLO_SEED, WIRE_SEED_SIZE);
    m.uid = bytes_get_u32(p + HELLO_UID);
    m.gid = bytes_get_u32(p + HELLO_UID + 4);
    m.keep = bytes_get_u32(p + HELLO_KEEP);
    if (m.flags > WIRE_HELLO_INPUT) /* unknown bits, or both at once */
        return -EBADMSG;
    if (m.uid >= GUEST_ID_COUNT || m.gid >= GUEST_ID_COUNT)
        return -EBADMSG;
    if (m.keep > (m.flags & WIRE_HELLO_PARK ? 0 : WIRE_EXEC_ALL))
        return -EBADMSG;
    *ret = m;
    return 0;
}

void wire_ready_format(uint8_t out[WIRE_READY_SIZE], const struct wire_ready *m)
{
    bytes_put_u32(out, m->version);
    memcpy(out + 4, m->nonce, WIRE_NONCE_SIZE);
    bytes_put_u64(out + 4 + WIRE_NONCE_SIZE, m->boot_us);
    bytes_put_u32(out + 12 + WIRE_NONCE_SIZE, m->kept);
}

int wire_ready_parse(const uint8_t *p, size_t len, struct wire_ready *ret)
{
    struct wire_ready m;

    if (len != WIRE_READY_SIZE)
        return -EBADMSG;
    m.version = bytes_get_u32(p);
    memcpy(m.nonce, p + 4, WIRE_NONCE_SIZE);
    m.boot_us = bytes_get_u64(p + 4 + WIRE_NONCE_SIZE);
    m.kept = bytes_get_u32(p + 12 + WIRE_NONCE_SIZE);
    if (m.kept > WIRE_EXEC_ALL)
        return -EBADMSG;
    *ret = m;
    return 0;
}

void wire_exec_format(uint8_t out[WIRE_EXEC_SIZE], const struct wire_exec *m)
{
    bytes_put_u32(out, m->flags);
    bytes_put_u16(out + 4, m->rows);
    bytes_put_u16(out + 6, m->cols);
    bytes_put_u32(out + 8, m->config_size);
    bytes_put_u32(out + 12, m->secrets);
    bytes_put_u32(out + 16, m->canaries);
    bytes_put_u32(out + 20, m->profile_size);
}

int wire_exec_parse(const uint8_t *p, size_t len, struct wire_exec *ret)
{
    struct wire_exec m;

    if (len != WIRE_EXEC_SIZE)
        return -EBADMSG;
    m.flags = bytes_get_u32(p);
    m.rows = bytes_get_u16(p + 4);
    m.cols = bytes_get_u16(p + 6);
    m.config_size = bytes_get_u32(p + 8);
    m.secrets = bytes_get_u32(p + 12);
    m.canaries = bytes_get_u32(p + 16);
    m.profile_size = bytes_get_u32(p + 20);
    if (m.flags &
        ~(WIRE_EXEC_STDIN | WIRE_EXEC_TTY | WIRE_EXEC_TRACE | WIRE_EXEC_WATCH | WIRE_EXEC_LEARN))
        return -EBADMSG;
    if (m.secrets > WIRE_SECRETS_MAX || m.canaries > WIRE_CANARIES_MAX ||
        m.profile_size > WIRE_PROFILE_MAX)
        return -EBADMSG;
    if (m.config_size < m.canaries * WIRE_CANARY_SIZE + 2 || m.config_size > WIRE_CONFIG_MAX)
        return -EBADMSG;
    *ret = m;
    return 0;
}

bool wire_is_secret_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool letter = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z');

        if (!letter && name[i] != '_' && !(i > 0 && name[i] >= '0' && name[i] <= '9'))
            return false;
    }
    return len > 0 && len <= WIRE_SECRET_NAME_MAX;
}

void wire_secret_format(uint8_t out[WIRE_SECRET_HEAD], const struct wire_secret *m)
{
    size_t len = strnlen(m->name, WIRE_SECRET_NAME_MAX);

    bytes_put_u32(out, m->flags);
    bytes_put_u32(out + 4, m->uid);
    bytes_put_u32(out + 8, m->gid);
    memset(out + 12, 0, WIRE_SECRET_NAME_MAX);
    memcpy(out + 12, m->name, len);
}

int wire_secret_parse(const uint8_t *p, size_t len, struct wire_secret *ret)
{
    struct wire_secret m = {.name = ""};
    size_t name_len;

    if (len < WIRE_SECRET_HEAD || len - WIRE_SECRET_HEAD > WIRE_SECRET_MAX)
        return -EBADMSG;
    m.flags = bytes_get_u32(p);
    m.uid = bytes_get_u32(p + 4);
    m.gid = bytes_get_u32(p + 8);
    memcpy(m.name, p + 12, WIRE_SECRET_NAME_MAX);
    m.value = p + WIRE_SECRET_HEAD;
    m.value_len = len - WIRE_SECRET_HEAD;
    name_len = strlen(m.name);
    for (size_t i = name_len; i < WIRE_SECRET_NAME_MAX; i++)
        if (m.name[i])
            return -EBADMSG;
    if (m.flags & ~WIRE_SECRET_ENV || m.uid >= GUEST_ID_COUNT || m.gid >= GUEST_ID_COUNT ||
        !wire_is_secret_name(m.name, name_len))
        return -EBADMSG;
    *ret = m;
    return 0;
}

int wire_unstarted_parse(const uint8_t *p, size_t len, struct wire_unstarted *ret)
{
    uint32_t why;

    if (len < 4 || len - 4 > WIRE_TEXT_MAX)
        return -EBADMSG;
    why = bytes_get_u32(p);
    if (why < WIRE_WHY_NOT_FOUND || why > WIRE_WHY_RUNTIME)
        return -EBADMSG;
    *ret = (struct wire_unstarted){.why = why, .text_len = len - 4, .text = p + 4};
    return 0;
}

void wire_exit_format(uint8_t out[WIRE_EXIT_SIZE], const struct wire_exit *m)
{
    bytes_put_u32(out, m->signaled);
    bytes_put_u32(out + 4, m->code);
    bytes_put_u32(out + 8, m->oom);
    bytes_put_u64(out + 12, m->cpu_us);
    bytes_put_u64(out + 20, m->peak_bytes);
    bytes_put_u32(out + 28, m->peak_pids);
}

int wire_exit_parse(const uint8_t *p, size_t len, struct wire_exit *ret)
{
    struct wire_exit m;

    if (len != WIRE_EXIT_SIZE)
        return -EBADMSG;
    m.signaled = bytes_get_u32(p);
    m.code = bytes_get_u32(p + 4);
    m.oom = bytes_get_u32(p + 8);
    m.cpu_us = bytes_get_u64(p + 12);
    m.peak_bytes = bytes_get_u64(p + 20);
    m.peak_pids = bytes_get_u32(p + 28);
    if (m.signaled > 1 || (m.signaled ? m.code < 1 || m.code > 64 : m.code > 255))
        return -EBADMSG;
    *ret = m;
    return 0;
}

/* One way for both: every field of USED in its order, the numbers of each exec last. */
static uint64_t *used_field(struct wire_used *m, size_t i, uint64_t *ret_max)
{
    uint64_t *const first[] = {&m->memory_total_bytes, &m->memory_free_bytes, &m->disk_total_bytes,
                               &m->disk_free_bytes};
    const size_t n = sizeof(first) / sizeof(first[0]);
    struct wire_used_exec *x;

    *ret_max = WIRE_BYTES_MAX;
    if (i < n)
        return first[i];
    x = &m->execs[(i - n) / 4];
    switch ((i - n) % 4) {
    case 0:
        return &x->cpu_us;
    case 1:
        return &x->memory_bytes;
    case 2:
        return &x->peak_bytes;
    default:
        *ret_max = WIRE_PIDS_MAX;
        return &x->pids;
    }
}

void wire_used_format(uint8_t out[WIRE_USED_SIZE], const struct wire_used *m)
{
    struct wire_used copy = *m;

    for (size_t i = 0; i < WIRE_USED_SIZE / 8; i++) {
        uint64_t max, v = *used_field(&copy, i, &max);

        bytes_put_u64(out + 8 * i, v < max ? v : max);
    }
}

int wire_used_parse(const uint8_t *p, size_t len, struct wire_used *ret)
{
    struct wire_used m;

    if (len != WIRE_USED_SIZE)
        return -EBADMSG;
    for (size_t i = 0; i < WIRE_USED_SIZE / 8; i++) {
        uint64_t max, *to = used_field(&m, i, &max);

        *to = bytes_get_u64(p + 8 * i);
        if (*to > max)
            return -EBADMSG;
    }
    *ret = m;
    return 0;
}

/* A payload that is one u32 in a range. */
static int parse_u32(const uint8_t *p, size_t len, uint32_t min, uint32_t max, uint32_t *ret)
{
    uint32_t v;

    if (len != 4)
        return -EBADMSG;
    v = bytes_get_u32(p);
    if (v < min || v > max)
        return -EBADMSG;
    *ret = v;
    return 0;
}

bool wire_denied_is_detail(uint32_t kind, uint32_t detail)
{
    uint32_t number = detail & 255u, what = detail & ~255u;

    if (kind == WIRE_DENIED_CALL)
        return detail <= WIRE_CALL_MAX;
    if (kind != WIRE_DENIED_FILE)
        return detail == 0;
    return number >= 1 && number <= WIRE_FILES_MAX && what &&
           !(what & ~(WIRE_FILE_READ | WIRE_FILE_WRITE | WIRE_FILE_EXEC));
}

size_t wire_denied_format(uint8_t out[WIRE_DENIED_SIZE], const struct wire_denied *m)
{
    size_t len = strnlen(m->name, WIRE_NAME_MAX);

    bytes_put_u32(out, m->kind);
    bytes_put_u32(out + 4, m->detail);
    bytes_put_u64(out + 8, m->count);
    memcpy(out + WIRE_DENIED_HEAD, m->name, len);
    return WIRE_DENIED_HEAD + len;
}

int wire_denied_parse(const uint8_t *p, size_t len, struct wire_denied *ret)
{
    struct wire_denied m = {.name = ""};

    if (len < WIRE_DENIED_HEAD || len > WIRE_DENIED_SIZE)
        return -EBADMSG;
    m.kind = bytes_get_u32(p);
    m.detail = bytes_get_u32(p + 4);
    m.count = bytes_get_u64(p + 8);
    memcpy(m.name, p + WIRE_DENIED_HEAD, len - WIRE_DENIED_HEAD);
    if (m.kind < WIRE_DENIED_CALL || m.kind >= WIRE_DENIED_KIND_END || m.count == 0 ||
        !wire_denied_is_detail(m.kind, m.detail))
        return -EBADMSG;
    if ((m.kind == WIRE_DENIED_FILE) != (len > WIRE_DENIED_HEAD) ||
        strlen(m.name) != len - WIRE_DENIED_HEAD)
        return -EBADMSG;
    *ret = m;
    return 0;
}

size_t wire_seen_format(uint8_t out[WIRE_SEEN_HEAD + WIRE_PATH_MAX], const struct wire_seen *m)
{
    bytes_put_u32(out, m->kind);
    bytes_put_u32(out + 4, m->detail);
    bytes_put_u64(out + 8, m->size);
    if (m->path_len > 0)
        memcpy(out + WIRE_SEEN_HEAD, m->path, m->path_len);
    return WIRE_SEEN_HEAD + m->path_len;
}

/* May a row of this kind have this size? */
static bool is_seen_size(uint32_t kind, uint64_t size)
{
    if (kind == WIRE_SEEN_WRITTEN)
        return size <= WIRE_BYTES_MAX;
    return kind == WIRE_SEEN_LOST ? size > 0 && size <= WIRE_BYTES_MAX : size == 0;
}

int wire_seen_parse(const uint8_t *p, size_t len, struct wire_seen *ret)
{
    struct wire_seen m;

    if (len < WIRE_SEEN_HEAD || len - WIRE_SEEN_HEAD > WIRE_PATH_MAX)
        return -EBADMSG;
    m.kind = bytes_get_u32(p);
    m.detail = bytes_get_u32(p + 4);
    m.size = bytes_get_u64(p + 8);
    m.path = p + WIRE_SEEN_HEAD;
    m.path_len = len - WIRE_SEEN_HEAD;
    if (m.kind < WIRE_SEEN_WRITTEN || m.kind >= WIRE_SEEN_KIND_END || !is_seen_size(m.kind, m.size))
        return -EBADMSG;
    if (m.detail > (m.kind >= WIRE_SEEN_CANARY ? WIRE_CANARY_SOME : 0))
        return -EBADMSG;
    if (wire_seen_has_path(m.kind)
            ? m.path_len == 0 || m.path[0] != '/' || memchr(m.path, 0, m.path_len)
            : m.path_len > 0)
        return -EBADMSG;
    *ret = m;
    return 0;
}

int wire_credit_parse(const uint8_t *p, size_t len, uint32_t *ret_bytes)
{
    return parse_u32(p, len, 1, WIRE_WINDOW, ret_bytes);
}

int wire_signal_parse(const uint8_t *p, size_t len, uint32_t *ret_signo)
{
    return parse_u32(p, len, 1, 64, ret_signo);
}

int wire_collected_parse(const uint8_t *p, size_t len, uint32_t *ret_how)
{
    return parse_u32(p, len, WIRE_COLLECT_DONE, WIRE_COLLECT_ERROR, ret_how);
}

int wire_synced_parse(const uint8_t *p, size_t len, uint32_t *ret_how)
{
    return parse_u32(p, len, WIRE_SYNC_DONE, WIRE_SYNC_ERROR, ret_how);
}

int wire_resize_parse(const uint8_t *p, size_t len, uint16_t *ret_rows, uint16_t *ret_cols)
{
    if (len != 4)
        return -EBADMSG;
    *ret_rows = bytes_get_u16(p);
    *ret_cols = bytes_get_u16(p + 2);
    return 0;
}

int wire_collect_parse(const uint8_t *p, size_t len, uint64_t *ret_cap_bytes)
{
    if (len != 8)
        return -EBADMSG;
    *ret_cap_bytes = bytes_get_u64(p);
    return 0;
}
