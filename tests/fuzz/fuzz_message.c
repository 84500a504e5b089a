/* fuzz_message: each message parser; what it accepts is in range and comes out of it unchanged. */
#include "shared/wire.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void seen(const uint8_t *p, size_t len)
{
    uint8_t raw[WIRE_SEEN_HEAD + WIRE_PATH_MAX];
    struct wire_seen m;

    if (wire_seen_parse(p, len, &m) < 0)
        return;
    MUST(m.path_len <= WIRE_PATH_MAX && m.detail <= WIRE_CANARY_SOME && m.size <= WIRE_BYTES_MAX);
    MUST(wire_seen_has_path(m.kind) == (m.path_len > 0 && m.path[0] == '/'));
    MUST(wire_seen_format(raw, &m) == len && memcmp(raw, p, len) == 0);
}

static void from_guest(uint8_t which, const uint8_t *p, size_t len)
{
    uint8_t raw[WIRE_USED_SIZE];
    struct wire_used used;
    struct wire_ready ready;
    struct wire_unstarted unstarted;
    struct wire_exit end;
    struct wire_denied denied;
    uint32_t v;

    if (which == 0 && wire_ready_parse(p, len, &ready) == 0) {
        wire_ready_format(raw, &ready);
        MUST(memcmp(raw, p, len) == 0);
    }
    if (which == 1 && wire_unstarted_parse(p, len, &unstarted) == 0)
        MUST(unstarted.text_len <= WIRE_TEXT_MAX && unstarted.text + unstarted.text_len == p + len);
    if (which == 2 && wire_exit_parse(p, len, &end) == 0) {
        MUST(end.code <= 255 && end.signaled <= 1);
        wire_exit_format(raw, &end);
        MUST(memcmp(raw, p, len) == 0);
    }
    if (which == 11 && wire_denied_parse(p, len, &denied) == 0) {
        MUST(denied.kind >= 1 && denied.kind < WIRE_DENIED_KIND_END && denied.count > 0);
        MUST(wire_denied_is_detail(denied.kind, denied.detail));
        MUST((denied.kind == WIRE_DENIED_FILE) == (denied.name[0] != '\0'));
        MUST(wire_denied_format(raw, &denied) == len);
        MUST(memcmp(raw, p, len) == 0);
    }
    if (which == 13 && wire_used_parse(p, len, &used) == 0) {
        MUST(used.memory_total_bytes <= WIRE_BYTES_MAX && used.execs[15].pids <= WIRE_PIDS_MAX);
        wire_used_format(raw, &used);
        MUST(memcmp(raw, p, len) == 0);
    }
    if (which == 14)
        seen(p, len);
    if (which == 3 && wire_credit_parse(p, len, &v) == 0)
        MUST(v >= 1 && v <= WIRE_WINDOW);
    if (which == 4 && wire_collected_parse(p, len, &v) == 0)
        MUST(v <= WIRE_COLLECT_ERROR);
    if (which == 10 && wire_synced_parse(p, len, &v) == 0)
        MUST(v <= WIRE_SYNC_ERROR);
}

static void from_host(uint8_t which, const uint8_t *p, size_t len)
{
    uint8_t raw[WIRE_HELLO_SIZE];
    struct wire_secret secret;
    struct wire_hello hello;
    struct wire_exec exec;
    uint64_t cap;
    uint32_t v;
    uint16_t rows, cols;

    if (which == 5 && wire_hello_parse(p, len, &hello) == 0) {
        wire_hello_format(raw, &hello);
        MUST(memcmp(raw, p, len) == 0);
    }
    if (which == 6 && wire_exec_parse(p, len, &exec) == 0)
        MUST(exec.config_size >= 2 && exec.config_size <= WIRE_CONFIG_MAX &&
             exec.secrets <= WIRE_SECRETS_MAX && exec.canaries <= WIRE_CANARIES_MAX &&
             exec.profile_size <= WIRE_PROFILE_MAX);
    if (which == 12 && wire_secret_parse(p, len, &secret) == 0) {
        MUST(wire_is_secret_name(secret.name, strlen(secret.name)));
        MUST(secret.value + secret.value_len == p + len);
        wire_secret_format(raw, &secret);
        MUST(memcmp(raw, p, WIRE_SECRET_HEAD) == 0);
    }
    if (which == 7 && wire_signal_parse(p, len, &v) == 0)
        MUST(v >= 1 && v <= 64);
    if (which == 8)
        wire_resize_parse(p, len, &rows, &cols);
    if (which == 9)
        wire_collect_parse(p, len, &cap);
}

/* The first byte chooses the parser. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    from_guest(data[0], data + 1, len - 1);
    from_host(data[0], data + 1, len - 1);
    return 0;
}
