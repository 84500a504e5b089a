/* fuzz_seal: a header that anybody may have written: it is refused, or within its bounds. */
#include "seal/age.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Made for the seeds; their content is not secret. */
static const char identity[] =
    "AGE-SECRET-KEY-1F58945ZT8GWDGFQJUR2J4EUZ0WR49AKNND9JNY2XQT6J7LAF9ANSN9M7TW\n";

/* What is written from what was read is what was there, but for the stanzas of other types. */
static void check_header(const char *text, size_t len)
{
    static struct seal_header h, again;
    static char out[SEAL_HEADER_MAX];
    size_t out_len;

    if (!seal_header_parse(text, len, &h))
        return;
    MUST(h.n <= SEAL_STANZAS_MAX && h.mac_at < h.size && h.size <= len);
    MUST(h.size <= SEAL_HEADER_MAX && memcmp(text + h.mac_at - 3, "--- ", 4) == 0);
    seal_header_begin(out, &out_len);
    for (size_t i = 0; i < h.n; i++)
        seal_header_add(out, &out_len, &h.stanzas[i]);
    seal_header_mark(out, &out_len);
    seal_header_end(out, &out_len, h.mac);
    MUST(out_len <= h.size && (h.n == 0 || seal_header_parse(out, out_len, &again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct seal_reader r;
    static struct seal_identity *id;
    int fd = memfd_create("sealed", MFD_CLOEXEC);
    const unsigned char *part;
    struct err e;
    size_t n;

    check_header((const char *)data, len);
    MUST(id || seal_identity_parse(identity, strlen(identity), "seeds", &id, &e) == 0);
    MUST(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    if (seal_open(&r, fd, id, &e) == 0)
        while (seal_next(&r, &part, &n, &e) == 0 && n > 0)
            MUST(n <= SEAL_CHUNK && r.offset <= len);
    else
        MUST(e.class == ERR_USAGE);
    close(fd);
    return 0;
}
