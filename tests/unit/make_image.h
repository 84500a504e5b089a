/* make_image: a whole image with small parts, for tests: "kernel X", "initramfs X" and a root. */
#ifndef LZ_TESTS_MAKE_IMAGE_H
#define LZ_TESTS_MAKE_IMAGE_H

#include "base/own.h"
#include "images/manifest.h"
#include "images/store.h"
#include "shared/wire.h"
#include "tests/unit/temp.h"

#include <check.h>
#include <string.h>

#define MAKE_ROOT_BYTES 12288 /* two blocks of data and one of hashes, which are not theirs */

static inline struct store_object make_blob(const struct store *s, const char *text, size_t len)
{
    struct store_object o;
    struct err e;

    if (store_put(s, text, len, &o, &e) < 0)
        ck_abort_msg("%s", e.text);
    return o;
}

/* Puts it into the store `dir` under `tag`; images with the same `what` are the same. */
static inline void make_image_of(const char *tag, const char *what, uint64_t protocol)
{
    own_store struct store s = STORE_INIT;
    own_manifest struct manifest m = {.protocol = protocol};
    own_free char *kernel = str_printf("kernel %s", what);
    own_free char *initramfs = str_printf("initramfs %s", what);
    own_free char *text = NULL;
    char root[MAKE_ROOT_BYTES] = "";
    struct store_object manifest;
    struct err e;

    if (store_open(dir, STORE_ADD, &s, &e) < 0)
        ck_abort_msg("%s", e.text);
    strncpy(root, what, sizeof(root) - 1);
    m.parts[IMAGE_KERNEL] = make_blob(&s, kernel, strlen(kernel));
    m.parts[IMAGE_INITRAMFS] = make_blob(&s, initramfs, strlen(initramfs));
    m.parts[IMAGE_ROOT] = make_blob(&s, root, sizeof(root));
    m.cmdline = str_dup("quiet");
    m.kernel_flavour = str_dup("debian");
    m.kernel_release = str_dup("6.12");
    m.verity = (struct verity){.data_blocks = 2, .hash_start = 2};
    memset(m.verity.root_hash, 'a', DIGEST_HEX_SIZE - 1);
    memset(m.verity.salt, 'b', DIGEST_HEX_SIZE - 1);
    m.config.workdir = str_dup("/work");
    m.packages = doc_new_array();
    m.recipe = doc_new_object();
    m.created_from = doc_new_object();
    doc_set_str(m.created_from, "kind", "recipe");
    text = manifest_format(&m);
    manifest = make_blob(&s, text, strlen(text));
    if (store_name_set(&s, STORE_TAGS, tag, manifest.sha256, &e) < 0)
        ck_abort_msg("%s", e.text);
}

static inline void make_image(const char *tag, const char *what)
{
    make_image_of(tag, what, WIRE_VERSION);
}

#endif
