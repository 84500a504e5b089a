/* fuzz_tree: entries of an output tree, and which names may be made below a folder. */
#include "shared/tree.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t raw[TREE_HEADER_SIZE + TREE_NAME_MAX];
    static struct tree_entry en;
    long n;

    for (; (n = tree_entry_parse(data, len, &en)) > 0; data += n, len -= (size_t)n) {
        MUST((size_t)n <= len && en.name_len <= TREE_NAME_MAX && en.mode <= 0777);
        MUST(strlen(en.name) == en.name_len);
        MUST(tree_entry_format(raw, &en) == (size_t)n && memcmp(raw, data, (size_t)n) == 0);
        if (tree_name_check(en.name, en.name_len) != TREE_WHY_NONE)
            continue;
        MUST(en.name[0] != '/' && en.name[en.name_len - 1] != '/' && !strstr(en.name, "//"));
        MUST(strcmp(en.name, "..") != 0 && strncmp(en.name, "../", 3) != 0);
        MUST(!strstr(en.name, "/../") && !strpbrk(en.name, "\n\033\177"));
    }
    return 0;
}
