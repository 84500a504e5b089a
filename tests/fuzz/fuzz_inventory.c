/* fuzz_inventory: whatever a package manager's file is, the list made of it is one (packages.h). */
#include "base/own.h"
#include "images/inventory.h"
#include "images/packages.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* The first byte says which file the others are. */
static const char *const paths[] = {"var/lib/dpkg/status", "a.dist-info/METADATA",
                                    "node_modules/a/package.json", "etc/os-release"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_inventory struct inventory *inv = inventory_new();
    own_packages struct packages p = {0};
    own_doc struct doc *list = NULL;
    own_free char *text = malloc(len + 1);
    struct err e;

    MUST(text);
    if (len == 0)
        return 0;
    memcpy(text, data + 1, len - 1);
    text[len - 1] = '\0';
    inventory_add(inv, paths[data[0] % (sizeof(paths) / sizeof(paths[0]))], text, len - 1);
    list = inventory_format(inv);
    MUST(packages_parse(list, &p, &e) == 0 && p.n == doc_len(list));
    return 0;
}
