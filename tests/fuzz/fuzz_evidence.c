/* fuzz_evidence: a bundle from elsewhere is opened or refused, and what is opened can be looked at.
 */
#include "base/own.h"
#include "record/bundle.h"
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_close int fd = memfd_create("bundle", MFD_CLOEXEC);
    own_bundle struct bundle b = {.record_fd = -1};
    struct verify_report r;
    struct err e = {0};

    MUST(fd >= 0 && write(fd, data, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    if (bundle_open(fd, &b, &e) < 0) {
        MUST(e.class != ERR_NONE && e.text[0]);
        return 0;
    }
    MUST(bundle_verify(&b, &b.key, &r, &e) == 0);
    MUST(str_is_printable(r.why, sizeof(r.why)));
    return 0;
}
