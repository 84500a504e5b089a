/* fuzz_sni: a ClientHello's name is the same in any pieces, and only what a name may be. */
#include "gateway/sni.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char whole[SNI_NAME_SIZE], part[SNI_NAME_SIZE];
    enum sni found = sni_read(data, len, whole);

    if (found == SNI_NAME) {
        MUST(whole[0] && strlen(whole) < SNI_NAME_SIZE);
        MUST(strspn(whole, "abcdefghijklmnopqrstuvwxyz0123456789-._") == strlen(whole));
    }
    /* What was said of a beginning stays true. */
    for (size_t n = 0; n <= len; n += 1 + len / 64) {
        enum sni early = sni_read(data, n, part);

        MUST(early == SNI_MORE || early == found);
        if (early == SNI_NAME)
            MUST(strcmp(part, whole) == 0);
    }
    return 0;
}
