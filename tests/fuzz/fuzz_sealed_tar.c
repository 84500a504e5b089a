/* fuzz_sealed_tar: what anybody sealed for us: it is refused, or becomes a legal tree. */
#include "images/sealed_tar.h"
#include "seal/age.h"
#include "shared/tree.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tar_blocks.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char text[] =
    "AGE-SECRET-KEY-1F58945ZT8GWDGFQJUR2J4EUZ0WR49AKNND9JNY2XQT6J7LAF9ANSN9M7TW\n";
static uint8_t tree[1u << 22];

static int seal(const struct seal_identity *id, const uint8_t *data, size_t len)
{
    static struct seal_writer w;
    int fd = memfd_create("sealed", MFD_CLOEXEC);
    struct err e;

    MUST(fd >= 0 && seal_begin(&w, &id->public, 1, &e) == 0);
    w.fd = fd;
    MUST(seal_put(&w, data, len) == 0 && seal_end(&w) == 0);
    return fd;
}

/* Whole entries up to the end, and nothing behind it. */
static void check_tree(int fd)
{
    ssize_t len = pread(fd, tree, sizeof(tree), 0);
    size_t left = (size_t)len;
    const uint8_t *p = tree;
    struct tree_entry en;

    MUST(len > 0);
    do {
        long used = tree_entry_parse(p, left, &en);

        MUST(used > 0 && en.size <= left - (size_t)used);
        p += (size_t)used + en.size;
        left -= (size_t)used + en.size;
    } while (en.kind != TREE_END);
    MUST(left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct seal_identity *id;
    size_t whole = ((len + 511) & ~(size_t)511) + 1024; /* with an end mark, if it gets there */
    uint8_t *copy = calloc(1, whole);
    int plain = memfd_create("plain", MFD_CLOEXEC), out = memfd_create("tree", MFD_CLOEXEC), sealed;
    struct err e;

    MUST(plain >= 0 && out >= 0 && copy && len < sizeof(tree) / 8);
    if (len > 0)
        memcpy(copy, data, len);
    fix_checksums(copy, whole);
    MUST(id || seal_identity_parse(text, strlen(text), "seeds", &id, &e) == 0);
    sealed = seal(id, copy, whole);
    if (sealed_tar_to_tree(sealed, id, plain, out, &e) == 0)
        check_tree(out);
    else
        MUST(e.class == ERR_USAGE);
    free(copy);
    close(sealed);
    close(plain);
    close(out);
    return 0;
}
