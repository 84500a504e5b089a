/* fuzz_signature: a signature from elsewhere has the form of one, or is refused. */
#include "base/own.h"
#include "images/trust.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_free char *text = malloc(len + 1);
    struct err e = {0};

    MUST(text);
    memcpy(text, data, len);
    text[len] = '\0';
    if (trust_check_form(HEX, HEX, text, len, &e) < 0)
        MUST(e.class == ERR_IMAGE && strstr(e.text, HEX));
    else
        MUST(strstr(text, "lazaret-signature") && strlen(text) == len);
    return 0;
}
