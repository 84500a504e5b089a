/* test_manifest: promises of the manifest: exact, the same bytes again, nothing unknown in it. */
#include "base/own.h"
#include "base/str.h"
#include "images/manifest.h"
#include "tests/unit/suite.h"

#include <stdlib.h>
#include <string.h>

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define HEX_D "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
#define HEX_E "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"

/* 200 blocks of data; their tree is two blocks of hashes and one above. */
static const char good[] =
    "{\"format\":\"lazaret-image\",\"version\":2,\"architecture\":\"x86_64\",\"protocol\":1,"
    "\"cmdline\":\"quiet\","
    "\"kernel\":{\"sha256\":\"" HEX_A "\",\"size\":6,\"flavour\":\"debian\","
    "\"release\":\"6.12.117-1~deb12u1\"},"
    "\"initramfs\":{\"sha256\":\"" HEX_B "\",\"size\":9},"
    "\"root\":{\"sha256\":\"" HEX_C "\",\"size\":831488,\"filesystem\":\"squashfs\","
    "\"verity\":{\"root_hash\":\"" HEX_D "\",\"salt\":\"" HEX_E "\",\"data_blocks\":200,"
    "\"hash_start\":200}},"
    "\"config\":{\"entrypoint\":[\"/bin/sh\",\"-c\"],\"command\":[\"echo \\u00e9\"],"
    "\"env\":[\"PATH=/bin\",\"E=\"],\"workdir\":\"/work\",\"uid\":1000,\"gid\":100},"
    "\"packages\":[{\"type\":\"deb\",\"name\":\"dash\",\"version\":\"1:0.5\",\"architecture\":"
    "\"amd64\",\"source\":\"dash\",\"source_version\":\"1:0.5\"},{\"type\":\"python\",\"name\":"
    "\"pip\",\"version\":\"23\"}],"
    "\"recipe\":{\"anything\":[1]},\"created_from\":{\"kind\":\"recipe\",\"name\":\"python\"}}";

START_TEST(a_manifest_is_read_whole)
{
    own_manifest struct manifest m = {0};
    struct err e;

    if (manifest_parse(good, strlen(good), &m, &e) < 0)
        ck_abort_msg("%s", e.text);
    ck_assert_uint_eq(m.protocol, 1);
    ck_assert_str_eq(m.cmdline, "quiet");
    ck_assert_str_eq(m.parts[IMAGE_KERNEL].sha256, HEX_A);
    ck_assert_uint_eq(m.parts[IMAGE_KERNEL].size_bytes, 6);
    ck_assert_str_eq(m.kernel_flavour, "debian");
    ck_assert_str_eq(m.kernel_release, "6.12.117-1~deb12u1");
    ck_assert_str_eq(m.parts[IMAGE_INITRAMFS].sha256, HEX_B);
    ck_assert_uint_eq(m.parts[IMAGE_INITRAMFS].size_bytes, 9);
    ck_assert_str_eq(m.parts[IMAGE_ROOT].sha256, HEX_C);
    ck_assert_str_eq(m.verity.root_hash, HEX_D);
    ck_assert_str_eq(m.verity.salt, HEX_E);
    ck_assert_uint_eq(m.verity.data_blocks, 200);
    ck_assert_uint_eq(m.verity.hash_start, 200);
    ck_assert_uint_eq(m.config.entrypoint.n, 2);
    ck_assert_str_eq(m.config.entrypoint.items[1], "-c");
    ck_assert_str_eq(m.config.command.items[0], "echo \xc3\xa9");
    ck_assert_str_eq(m.config.env.items[1], "E=");
    ck_assert_str_eq(m.config.workdir, "/work");
    ck_assert_uint_eq(m.config.uid, 1000);
    ck_assert_uint_eq(m.config.gid, 100);
    ck_assert_uint_eq(doc_len(m.packages), 2);
    ck_assert(doc_has(m.recipe, "anything"));
    ck_assert(doc_has(m.created_from, "name"));
}
END_TEST

START_TEST(what_was_written_is_read_back_as_the_same_bytes)
{
    own_manifest struct manifest first = {0}, second = {0};
    own_free char *text = NULL;
    own_free char *again = NULL;
    struct err e;

    ck_assert_int_eq(manifest_parse(good, strlen(good), &first, &e), 0);
    text = manifest_format(&first);
    if (manifest_parse(text, strlen(text), &second, &e) < 0)
        ck_abort_msg("%s", e.text);
    again = manifest_format(&second);
    ck_assert_str_eq(text, again);
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
}
END_TEST

START_TEST(a_manifest_that_is_not_exact_is_refused)
{
    static const struct {
        const char *from, *to, *says;
    } rows[] = {
        {"lazaret-image", "other-image", "not a 'lazaret-image'"},
        {"\"version\":2", "\"version\":1", "version 2"},
        {"\"version\":2", "\"version\":\"2\"", "version"},
        {"x86_64", "aarch64", "architecture"},
        {"\"protocol\":1", "\"protocol\":-1", "protocol"},
        {"\"cmdline\":\"quiet\",", "", "cmdline"},
        {"quiet", "a\\nb", "cmdline"},
        {"quiet", "\\u001b[2J", "cmdline"},
        {"quiet", "a\\u0000b", "cmdline"},
        {"\"kernel\":{", "\"other\":{},\"kernel\":{", "other"},
        {"\"kernel\":{", "\"kernel\":[],\"x\":{", "x"},
        {"\"size\":6", "\"size\":0", "kernel: 'size'"},
        {"\"size\":6", "\"size\":99999999999999", "kernel: 'size'"},
        {"\"size\":6", "\"size\":18446744073709551616", "size"},
        {"\"size\":6", "\"size\":-6", "size"},
        {"\"size\":6", "\"size\":6.5", "size"},
        {"\"sha256\":\"a", "\"sha256\":\"", "kernel: 'sha256'"},
        {"\"sha256\":\"a", "\"sha256\":\"aa", "kernel: 'sha256'"},
        {"\"sha256\":\"a", "\"sha256\":\"A", "kernel: 'sha256'"},
        {"\"sha256\":\"a", "\"sha256\":\"/", "kernel: 'sha256'"},
        {"\"sha256\":\"bbb", "\"sha256\":\"../", "initramfs: 'sha256'"},
        {"\"flavour\":\"debian\"", "\"flavour\":\"../x\"", "kernel: 'flavour'"},
        {"6.12.117-1~deb12u1", "", "kernel: 'release'"},
        {"\"size\":9", "\"size\":9,\"x\":1", "initramfs: unknown key 'x'"},
        {"\"squashfs\"", "\"ext4\"", "root: 'filesystem'"},
        {",\"filesystem\":\"squashfs\"", "", "filesystem"},
        {"\"verity\":{", "\"x\":{", "root: unknown key 'x'"},
        {"\"data_blocks\":200", "\"data_blocks\":201", "root: verity"},
        {"\"hash_start\":200", "\"hash_start\":199", "root: verity"},
        {"\"hash_start\":200", "\"hash_start\":200,\"algorithm\":\"md5\"", "algorithm"},
        {"\"size\":831488", "\"size\":835584", "root: verity"},
        {"\"root_hash\":\"d", "\"root_hash\":\"g", "root: verity: 'root_hash'"},
        {"\"salt\":\"e", "\"salt\":\"", "root: verity: 'salt'"},
        {"[\"/bin/sh\",\"-c\"]", "\"/bin/sh\"", "entrypoint"},
        {"[\"/bin/sh\",\"-c\"]", "[1]", "config: 'entrypoint'"},
        {"[\"/bin/sh\",\"-c\"]", "[\"a\\u0000b\"]", "config: 'entrypoint'"},
        {"\"E=\"", "\"E\"", "config: 'env'"},
        {"\"E=\"", "\"=E\"", "config: 'env'"},
        {"\"/work\"", "\"work\"", "config: 'workdir'"},
        {"\"/work\"", "\"\"", "config: 'workdir'"},
        {"\"uid\":1000", "\"uid\":65536", "config: 'uid'"},
        {"\"gid\":100", "\"gid\":-1", "gid"},
        {"\"gid\":100", "\"gid\":\"100\"", "gid"},
        {"\"name\":\"dash\",", "", "packages"},
        {"\"name\":\"dash\"", "\"name\":\"\\u001b\"", "packages"},
        {"[{\"type\"", "[1,{\"type\"", "packages"},
        {"\"python\"", "\"cargo\"", "packages"},
        {"\"python\"", "\"deb\"", "packages"},
        {"\"name\":\"pip\"", "\"name\":\"pip\",\"x\":1", "packages"},
        {"\"recipe\":{\"anything\":[1]}", "\"recipe\":[]", "recipe"},
        {"\"kind\":\"recipe\",", "", "created_from"},
        {"\"name\":\"python\"", "\"name\":1", "created_from"},
        {"\"name\":\"python\"", "\"name\":\"\\u009b\"", "created_from"},
        {"\"name\":\"python\"", "\"\\n\":\"python\"", "created_from"},
        {"}}", "}", "manifest: not valid JSON"},
        {"{\"format\"", "[]{\"format\"", "manifest: not valid JSON"},
        {"\"cmdline\"", "\"x\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]],\"cmdline\"", "manifest"},
    };
    struct manifest m;
    struct err e;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = strstr(good, rows[i].from);
        own_str struct str text = {0};

        ck_assert_ptr_nonnull(at);
        str_add_bytes(&text, good, (size_t)(at - good));
        str_add(&text, rows[i].to);
        str_add(&text, at + strlen(rows[i].from));
        if (manifest_parse(text.data, text.len, &m, &e) == 0)
            ck_abort_msg("row %zu is taken: %s", i, rows[i].to);
        ck_assert_int_eq(e.class, ERR_IMAGE);
        if (!str_starts_with(e.text, "manifest: ") || !strstr(e.text, rows[i].says))
            ck_abort_msg("row %zu: %s", i, e.text);
    }
}
END_TEST

START_TEST(a_cut_manifest_is_refused_at_every_byte)
{
    struct manifest m;
    struct err e;

    for (size_t len = 0; len < strlen(good); len++) {
        /* Its own allocation, so that a sanitizer sees a read behind its end. */
        own_free char *copy = malloc(len + 1);

        memcpy(copy, good, len);
        copy[len] = '\0';
        ck_assert_int_eq(manifest_parse(copy, len, &m, &e), -1);
        ck_assert_int_eq(e.class, ERR_IMAGE);
    }
}
END_TEST

START_TEST(a_manifest_over_its_limit_is_refused)
{
    own_free char *text = malloc(MANIFEST_MAX + 2);
    struct manifest m;
    struct err e;

    memset(text, ' ', MANIFEST_MAX + 1);
    text[MANIFEST_MAX + 1] = '\0';
    memcpy(text, good, strlen(good));
    ck_assert_int_eq(manifest_parse(text, MANIFEST_MAX + 1, &m, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "over"));
    ck_assert_int_eq(manifest_parse(text, MANIFEST_MAX, &m, &e), 0);
    manifest_done(&m);
}
END_TEST

START_TEST(a_config_that_json_or_a_container_cannot_carry_is_refused)
{
    static const struct {
        const char *command, *env, *workdir;
        unsigned uid;
        bool fits;
    } rows[] = {
        {"ls", "A=b", "/", 0, true},     {"l\xff", "A=b", "/", 0, false},
        {"ls", "A=\xc3", "/", 0, false}, {"ls", "A", "/", 0, false},
        {"ls", "A=b", "w", 0, false},    {"ls", "A=b", "/\xff", 0, false},
        {"ls", "A=b", "/", 65535, true}, {"ls", "A=b", "/", 65536, false},
    };
    struct err e;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_image_config struct image_config c = {.uid = rows[i].uid};

        strv_add(&c.command, rows[i].command);
        strv_add(&c.env, rows[i].env);
        c.workdir = str_dup(rows[i].workdir);
        ck_assert_int_eq(image_config_check(&c, &e), rows[i].fits ? 0 : -1);
    }
}
END_TEST

SUITE("manifest", a_manifest_is_read_whole, what_was_written_is_read_back_as_the_same_bytes,
      a_manifest_that_is_not_exact_is_refused, a_cut_manifest_is_refused_at_every_byte,
      a_manifest_over_its_limit_is_refused,
      a_config_that_json_or_a_container_cannot_carry_is_refused)
