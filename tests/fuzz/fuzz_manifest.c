/* fuzz_manifest: what is read as a manifest is written as one, the same; and can be shown. */
#include "base/own.h"
#include "base/str.h"
#include "images/manifest.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_manifest struct manifest m = {0}, again = {0};
    own_free char *text = malloc(len + 1);
    own_free char *first = NULL;
    own_free char *second = NULL;
    struct err e = {0};

    MUST(text);
    memcpy(text, data, len);
    text[len] = '\0';
    if (manifest_parse(text, len, &m, &e) < 0) {
        MUST(e.class == ERR_IMAGE && e.text[0]);
        return 0;
    }
    MUST(str_is_printable(m.cmdline, 1024) && str_is_printable(m.kernel_release, 256));
    MUST(str_is_name(m.kernel_flavour) && m.config.workdir[0] == '/');
    for (int i = 0; i < IMAGE_PARTS; i++)
        MUST(digest_is_hex(m.parts[i].sha256) && m.parts[i].size_bytes > 0);
    first = manifest_format(&m);
    MUST(manifest_parse(first, strlen(first), &again, &e) == 0);
    second = manifest_format(&again);
    MUST(strcmp(first, second) == 0);
    return 0;
}
