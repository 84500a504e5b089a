/* fuzz_record: a record or a ledger from elsewhere is read or refused, and nothing but what its
 * host signed is whole. */
#include "base/own.h"
#include "record/verify.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>

/* Of RFC 8032, 7.1, test 1. */
static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
                          "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                          "-----END PUBLIC KEY-----\n";

static int memory_file(const uint8_t *data, size_t len)
{
    int fd = memfd_create("record", MFD_CLOEXEC);

    MUST(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    return fd;
}

/* The record, a zero byte, and the ledger. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *zero = len ? memchr(data, 0, len) : NULL;
    size_t record_len = zero ? (size_t)(zero - data) : len;
    own_close int fd = memory_file(data, record_len);
    struct sign_public key;
    struct verify_report r;
    struct err e;

    MUST(sign_public_parse(pem, sizeof(pem) - 1, "key", &key, &e) == 0);
    MUST(verify_record(&(struct verify_from){.record_fd = fd,
                                             .ledger = zero ? (const char *)zero + 1 : "",
                                             .ledger_len = zero ? len - record_len - 1 : 0,
                                             .proof = len & 1,
                                             .trusted = &key},
                       &r, &e) == 0);
    MUST(r.verdict == VERIFY_REFUSED);
    MUST(r.why[0] && str_is_printable(r.why, sizeof(r.why)));
    return 0;
}
