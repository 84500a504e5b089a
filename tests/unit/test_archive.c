/* test_archive: promises of archives: one image is one file, and nothing else is taken. */
#include "base/digest.h"
#include "base/own.h"
#include "base/str.h"
#include "images/image.h"
#include "images/image_archive.h"
#include "images/tar.h"
#include "images/trust.h"
#include "tests/unit/make_image.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"
#include "tests/unit/whole.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A file in memory with these bytes, to be read from its beginning. */
static int in_memory(const struct str *s)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(file_write_all(fd, s->data ? s->data : "", s->len), 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void read_all(int fd, struct str *ret)
{
    char buf[65536];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0)
        str_add_bytes(ret, buf, (size_t)n);
    ck_assert_int_eq(n, 0);
}

static void export_from(const char *store_dir, const char *ref, struct str *ret)
{
    own_image struct image *im = NULL;
    own_close int fd = memfd_create("archive", MFD_CLOEXEC);
    uint64_t bytes;
    struct err e;

    if (image_look(store_dir, ref, &im, &e) < 0 ||
        image_archive_write(im, fd, NULL, &bytes, &e) < 0)
        ck_abort_msg("%s", e.text);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    read_all(fd, ret);
    ck_assert_uint_eq(ret->len, bytes);
}

static void export(const char *ref, struct str *ret)
{
    export_from(dir, ref, ret);
}

/* Into the store `to` of the test's folder. */
static int import_fd(const char *to, int fd, char ret_digest[DIGEST_HEX_SIZE], struct err *e)
{
    own_store struct store s = STORE_INIT;
    own_free char *path = in_dir(to);

    if (store_open(path, STORE_ADD, &s, e) < 0)
        ck_abort_msg("%s", e->text);
    return image_archive_read(&s, fd, NULL, ret_digest, e);
}

static int import(const char *to, const struct str *archive, char ret_digest[DIGEST_HEX_SIZE],
                  struct err *e)
{
    own_close int fd = in_memory(archive);

    return import_fd(to, fd, ret_digest, e);
}

/* It is refused, says this, and the store is as empty as it was. */
static void is_refused(const struct str *archive, const char *says)
{
    own_free char *blobs = NULL;
    own_free char *tmp = NULL;
    char digest[DIGEST_HEX_SIZE];
    struct err e;

    if (import("to", archive, digest, &e) == 0)
        ck_abort_msg("it was taken; wanted: %s", says);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_msg(str_starts_with(e.text, "archive: ") && strstr(e.text, says),
                  "'%s' is not in: %s", says, e.text);
    blobs = in_dir("to/blobs/sha256");
    tmp = in_dir("to/tmp");
    ck_assert_uint_eq(count_entries(blobs), 0);
    ck_assert_uint_eq(count_entries(tmp), 0);
}

static struct sign_public sign_image(const char *ref, const char *key)
{
    own_sign_key struct sign_key *k = NULL;
    own_store struct store s = STORE_INIT;
    own_image struct image *im = NULL;
    own_free char *path = in_dir(key);
    struct sign_public p;
    struct err e;

    if (sign_key_make(path, &p, &e) < 0 || sign_key_open(path, &k, &e) < 0 ||
        store_open(dir, STORE_ADD, &s, &e) < 0 || image_look(dir, ref, &im, &e) < 0 ||
        trust_sign(&s, im->digest, k, &e) < 0)
        ck_abort_msg("%s", e.text);
    return p;
}

START_TEST(an_image_arrives_as_it_was_with_its_signatures)
{
    own_image struct image *here = NULL, *there = NULL;
    own_trust_keys struct trust_keys keys = {0};
    own_str struct str first = {0}, second = {0}, again = {0};
    own_free char *to = NULL;
    struct sign_public a;
    char digest[DIGEST_HEX_SIZE];
    struct err e;

    begin();
    make_image("x", "1");
    a = sign_image("x", "a");
    sign_image("x", "b");
    export("x", &first);
    export("x", &again);
    ck_assert_uint_eq(first.len, again.len);
    ck_assert_mem_eq(first.data, again.data, first.len);
    if (import("to", &first, digest, &e) < 0)
        ck_abort_msg("%s", e.text);
    ck_assert_int_eq(image_look(dir, "x", &here, &e), 0);
    ck_assert_str_eq(here->digest, digest);
    to = in_dir("to");
    ck_assert_int_eq(image_open(to, digest, &there, &e), 0);
    ck_assert_int_eq(image_verify(there, &e), 0);
    trust_keys_add(&keys, &a);
    ck_assert_int_eq(trust_check(&there->store, digest, &keys, NULL, &e), 0);
    check_whole(to);
    export_from(to, digest, &second);
    ck_assert_uint_eq(first.len, second.len);
    ck_assert_mem_eq(first.data, second.data, first.len);
    end();
}
END_TEST

START_TEST(an_archive_goes_through_a_pipe)
{
    own_str struct str archive = {0};
    char digest[DIGEST_HEX_SIZE];
    struct err e;
    int ends[2], status;
    pid_t pid;

    begin();
    make_image("x", "1");
    export("x", &archive);
    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        for (size_t i = 0; i < archive.len; i += 777) /* never at the end of a block */
            if (file_write_all(ends[1], archive.data + i,
                               archive.len - i < 777 ? archive.len - i : 777) < 0)
                _exit(1);
        _exit(0);
    }
    close(ends[1]);
    ck_assert_int_eq(import_fd("to", ends[0], digest, &e), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    end();
}
END_TEST

START_TEST(a_damaged_image_is_not_exported)
{
    own_image struct image *im = NULL;
    own_close int fd = memfd_create("archive", MFD_CLOEXEC);
    own_free char *path = NULL;
    uint64_t bytes;
    struct err e;

    begin();
    make_image("x", "1");
    ck_assert_int_eq(image_look(dir, "x", &im, &e), 0);
    path = store_blob_path(&im->store, im->m.parts[IMAGE_ROOT].sha256);
    ck_assert_int_eq(unlink(path), 0);
    put(path + strlen(dir) + 1, "short");
    ck_assert_int_eq(image_archive_write(im, fd, NULL, &bytes, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_ptr_nonnull(strstr(e.text, im->m.parts[IMAGE_ROOT].sha256));
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), 0);
    end();
}
END_TEST

START_TEST(a_cut_archive_is_refused_wherever_it_ends)
{
    own_str struct str archive = {0};

    begin();
    make_image("x", "1");
    sign_image("x", "a");
    export("x", &archive);
    for (size_t len = 0; len < archive.len; len += len % 512 == 511 || len % 512 == 0 ? 1 : 510) {
        struct str cut = {.data = archive.data, .len = len};

        is_refused(&cut, "before its end");
    }
    end();
}
END_TEST

START_TEST(no_byte_of_an_archive_can_be_another)
{
    own_str struct str archive = {0};
    char digest[DIGEST_HEX_SIZE];
    struct err e;

    begin();
    make_image("x", "1");
    export("x", &archive);
    /* Each byte of the first entry, then some of everything. */
    for (size_t i = 0; i < archive.len; i += i < (size_t)2 * TAR_BLOCK ? 1 : 61) {
        archive.data[i] ^= 1;
        is_refused(&archive, "archive: ");
        archive.data[i] ^= 1;
    }
    ck_assert_int_eq(import("to", &archive, digest, &e), 0);
    end();
}
END_TEST

/* ---- archives that nobody exported ---- */

static void add_entry(struct str *out, enum tar_type type, const char *name, const char *link,
                      uint64_t size, const void *data, size_t len)
{
    static const char zeros[TAR_BLOCK];
    own_tar_entry struct tar_entry en = {.type = type, .mode = 0444, .size = size};

    str_add(&en.path, name);
    if (link)
        str_add(&en.link, link);
    tar_format(out, &en);
    str_add_bytes(out, data, len);
    str_add_bytes(out, zeros, tar_padding(len));
}

static void add_file(struct str *out, const char *name, const void *data, size_t len)
{
    add_entry(out, TAR_FILE, name, NULL, len, data, len);
}

static void add_end(struct str *out)
{
    static const char zeros[2 * TAR_BLOCK];

    str_add_bytes(out, zeros, sizeof(zeros));
}

static void add_index(struct str *out, const char *digest, const char *signatures)
{
    own_free char *text = str_printf("{\"format\":\"lazaret-archive\",\"version\":1,"
                                     "\"manifest\":\"sha256:%s\",\"signatures\":[%s]}",
                                     digest, signatures);

    add_file(out, "lazaret-archive", text, strlen(text));
}

/* What a good archive is made of. */
struct pieces {
    struct image *im;
    char *manifest;
    char *names[1 + IMAGE_PARTS]; /* of the manifest, then of the parts */
    char data[IMAGE_PARTS][MAKE_ROOT_BYTES];
};

static void take_apart(struct pieces *p)
{
    struct err e;
    size_t len;

    *p = (struct pieces){0};
    make_image("x", "1");
    ck_assert_int_eq(image_look(dir, "x", &p->im, &e), 0);
    ck_assert_int_eq(image_verify(p->im, &e), 0);
    ck_assert_int_eq(store_read(&p->im->store, p->im->digest, MANIFEST_MAX, &p->manifest, &len, &e),
                     0);
    p->names[0] = str_printf("blobs/sha256/%s", p->im->digest);
    for (int i = 0; i < IMAGE_PARTS; i++) {
        p->names[1 + i] = str_printf("blobs/sha256/%s", p->im->m.parts[i].sha256);
        ck_assert_int_gt(pread(p->im->fds[i], p->data[i], sizeof(p->data[i]), 0), 0);
    }
}

static void pieces_done(struct pieces *p)
{
    image_free(p->im);
    free(p->manifest);
    for (size_t i = 0; i < 1 + IMAGE_PARTS; i++)
        free(p->names[i]);
}

static void add_manifest(struct str *out, const struct pieces *p)
{
    add_file(out, p->names[0], p->manifest, strlen(p->manifest));
}

static void add_part(struct str *out, const struct pieces *p, int part)
{
    add_file(out, p->names[1 + part], p->data[part], p->im->m.parts[part].size_bytes);
}

START_TEST(entries_that_do_not_belong_there_are_refused)
{
    __attribute__((cleanup(pieces_done))) struct pieces p;
    static const struct {
        enum tar_type type;
        const char *name, *link;
    } rows[] = {
        {TAR_FILE, "/etc/passwd", NULL},
        {TAR_FILE, "../../etc/passwd", NULL},
        {TAR_FILE, "blobs/sha256/..", NULL},
        {TAR_FILE, "tags/default", NULL},
        {TAR_FILE, "policy.json", NULL},
        {TAR_FILE, "\x1b[2J", NULL},
        {TAR_DIR, "blobs/", NULL},
        {TAR_SYMLINK, "blobs", "/etc"},
        {TAR_HARDLINK, "blobs", "/etc/shadow"},
        {TAR_FILE, "lazaret-archive", NULL},
    };

    begin();
    take_apart(&p);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int where = 0; where <= 2 + IMAGE_PARTS; where++) {
            own_str struct str a = {0};
            const char *data = rows[i].type == TAR_FILE ? "data" : "";

            for (int k = 0; k <= 2 + IMAGE_PARTS; k++) {
                if (k == where)
                    add_entry(&a, rows[i].type, rows[i].name, rows[i].link, strlen(data), data,
                              strlen(data));
                if (k == 0)
                    add_index(&a, p.im->digest, "");
                else if (k == 1)
                    add_manifest(&a, &p);
                else if (k < 2 + IMAGE_PARTS)
                    add_part(&a, &p, k - 2);
            }
            add_end(&a);
            is_refused(&a, "byte");
        }
    end();
}
END_TEST

START_TEST(parts_in_another_order_twice_or_missing_are_refused)
{
    static const int orders[][4] = {
        {1, 0, 2, -1},  {2, 1, 0, -1},  {0, 0, 1, 2},   {0, 1, 1, 2},     {0, 1, 2, 2},
        {1, 2, -1, -1}, {0, 2, -1, -1}, {0, 1, -1, -1}, {-1, -1, -1, -1},
    };
    __attribute__((cleanup(pieces_done))) struct pieces p;

    begin();
    take_apart(&p);
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        own_str struct str a = {0};

        add_index(&a, p.im->digest, "");
        add_manifest(&a, &p);
        for (int k = 0; k < 4 && orders[i][k] >= 0; k++)
            add_part(&a, &p, orders[i][k]);
        add_end(&a);
        is_refused(&a, "byte");
    }
    end();
}
END_TEST

START_TEST(a_part_with_other_content_is_refused)
{
    __attribute__((cleanup(pieces_done))) struct pieces p;

    begin();
    take_apart(&p);
    for (int bad = 0; bad < IMAGE_PARTS; bad++) {
        own_str struct str a = {0};

        add_index(&a, p.im->digest, "");
        add_manifest(&a, &p);
        for (int i = 0; i < IMAGE_PARTS; i++) {
            p.data[i][0] = (char)(p.data[i][0] ^ (i == bad));
            add_part(&a, &p, i);
            p.data[i][0] = (char)(p.data[i][0] ^ (i == bad));
        }
        add_end(&a);
        is_refused(&a, p.im->m.parts[bad].sha256);
        is_refused(&a, image_part_name((enum image_part)bad));
        is_refused(&a, "its SHA-256 is");
    }
    end();
}
END_TEST

START_TEST(sizes_that_lie_are_refused)
{
    static const uint64_t sizes[] = {
        0, 1, 11, 13, 512, 1u << 20, 077777777777, 1ull << 33, 1ull << 40, UINT64_MAX >> 1};
    __attribute__((cleanup(pieces_done))) struct pieces p;

    begin();
    take_apart(&p);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        own_str struct str index = {0}, manifest = {0}, kernel = {0};

        add_entry(&index, TAR_FILE, "lazaret-archive", NULL, sizes[i], "{}", 2);
        add_end(&index);
        is_refused(&index, "archive: ");
        add_index(&manifest, p.im->digest, "");
        add_entry(&manifest, TAR_FILE, p.names[0], NULL, sizes[i], p.manifest, strlen(p.manifest));
        add_end(&manifest);
        is_refused(&manifest, "archive: ");
        add_index(&kernel, p.im->digest, "");
        add_manifest(&kernel, &p);
        add_entry(&kernel, TAR_FILE, p.names[1], NULL, sizes[i], p.data[0], 8);
        add_end(&kernel);
        is_refused(&kernel, "kernel: byte");
    }
    {
        /* GNU's way to write large numbers. */
        own_str struct str a = {0};

        add_index(&a, p.im->digest, "");
        a.data[124] = (char)0x80;
        is_refused(&a, "'lazaret-archive'");
    }
    end();
}
END_TEST

START_TEST(a_manifest_of_another_digest_or_form_is_refused)
{
    static const char bad[] = "{\"format\":\"lazaret-image\",\"version\":3}";
    __attribute__((cleanup(pieces_done))) struct pieces p;
    own_str struct str other = {0}, wrong = {0}, huge = {0};
    own_free char *big = calloc(1, MANIFEST_MAX + 1);
    own_free char *name = NULL;
    char digest[DIGEST_HEX_SIZE];
    struct err e;

    begin();
    take_apart(&p);
    add_index(&other, p.im->digest, "");
    add_file(&other, p.names[0], bad, strlen(bad));
    add_end(&other);
    is_refused(&other, "(the manifest): its SHA-256 differs");
    ck_assert_int_eq(digest_bytes(bad, strlen(bad), digest, &e), 0);
    name = str_printf("blobs/sha256/%s", digest);
    add_index(&wrong, digest, "");
    add_file(&wrong, name, bad, strlen(bad));
    add_end(&wrong);
    is_refused(&wrong, "manifest: not a 'lazaret-image' of version 2");
    add_index(&huge, p.im->digest, "");
    add_file(&huge, p.names[0], big, MANIFEST_MAX + 1);
    is_refused(&huge, "is over 4194304 bytes");
    end();
}
END_TEST

START_TEST(an_index_that_is_not_exact_is_refused)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "JSON"},
        {"[]", "not an object"},
        {"{\"format\":\"lazaret-archive\"}", "version"},
        {"{\"format\":\"other\",\"version\":1}", "not a 'lazaret-archive'"},
        {"{\"format\":\"lazaret-archive\",\"version\":2,\"new\":1}", "version 1"},
        {"{\"format\":\"lazaret-archive\",\"version\":1,\"manifest\":\"sha256:0\",\"signatures\":[]"
         "}",
         "not a digest"},
        {"{\"format\":\"lazaret-archive\",\"version\":1,\"manifest\":\"x\",\"signatures\":[],\"x\":"
         "1}",
         "unknown key"},
    };
    __attribute__((cleanup(pieces_done))) struct pieces p;

    begin();
    take_apart(&p);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_str struct str a = {0};

        add_file(&a, "lazaret-archive", rows[i].text, strlen(rows[i].text));
        add_end(&a);
        is_refused(&a, rows[i].says);
    }
    {
        own_str struct str a = {0}, ids = {0};
        own_free char *big = calloc(1, IMAGE_ARCHIVE_INDEX_MAX + 1);

        add_file(&a, "lazaret-archive", big, IMAGE_ARCHIVE_INDEX_MAX + 1);
        is_refused(&a, "is over 65536 bytes");
        str_done(&a);
        for (unsigned i = 0; i <= TRUST_SIGNATURES_MAX; i++)
            str_addf(&ids, "%s\"%064x\"", i ? "," : "", i);
        add_index(&a, p.im->digest, ids.data);
        is_refused(&a, "more than 64 signatures");
    }
    end();
}
END_TEST

START_TEST(signatures_that_do_not_belong_there_are_refused)
{
    __attribute__((cleanup(pieces_done))) struct pieces p;
    own_free char *id = str_printf("%064x", 7);
    char *ids[] = {str_printf("\"%s\"", id), str_printf("\"%s\",\"%s\"", id, id),
                   str_printf("\"%064x\",\"%064x\"", 8, 7), str_dup("\"../x\""), str_dup("1")};
    own_free char *good = NULL;
    own_free char *name = str_printf("signatures/%s.json", id);
    own_free char *zeros = str_printf("%0128d", 0);

    begin();
    take_apart(&p);
    good = str_printf("{\"format\":\"lazaret-signature\",\"version\":1,\"manifest\":\"sha256:%s\","
                      "\"key\":\"%s\",\"signature\":\"%s\"}",
                      p.im->digest, id, zeros);
    for (int what = 0; what < 6; what++) {
        own_str struct str a = {0};
        own_free char *huge = calloc(1, TRUST_SIGNATURE_MAX + 1);

        add_index(&a, p.im->digest, what == 5 ? "" : ids[0]);
        add_manifest(&a, &p);
        for (int i = 0; i < IMAGE_PARTS; i++)
            add_part(&a, &p, i);
        if (what == 1)
            add_file(&a, name, "{}", 2);
        else if (what == 2)
            add_file(&a, name, huge, TRUST_SIGNATURE_MAX + 1);
        else if (what == 3)
            add_file(&a, "signatures/other.json", good, strlen(good));
        else if (what == 4)
            add_file(&a, name, good, strlen(good) - 1);
        else if (what == 5)
            add_file(&a, name, good, strlen(good));
        add_end(&a);
        is_refused(&a, what == 1 || what == 4 ? "the signature of key" : "byte");
    }
    for (size_t i = 1; i < 5; i++) {
        own_str struct str a = {0};

        add_index(&a, p.im->digest, ids[i]);
        is_refused(&a, "not key ids in their order");
    }
    for (size_t i = 0; i < 5; i++)
        free(ids[i]);
    end();
}
END_TEST

START_TEST(what_follows_the_end_or_is_no_archive_is_refused)
{
    own_str struct str archive = {0}, noise = {0};

    begin();
    make_image("x", "1");
    export("x", &archive);
    str_add_bytes(&archive, "", 1);
    is_refused(&archive, "more after its end");
    for (unsigned i = 0; i < 5000; i++)
        str_addf(&noise, "%c", (int)(i * 2654435761u >> 24));
    is_refused(&noise, "byte 0: the entry '");
    str_done(&noise);
    add_end(&noise);
    is_refused(&noise, "byte 0: the entry ''");
    end();
}
END_TEST

SUITE("archive", an_image_arrives_as_it_was_with_its_signatures, an_archive_goes_through_a_pipe,
      a_damaged_image_is_not_exported, a_cut_archive_is_refused_wherever_it_ends,
      no_byte_of_an_archive_can_be_another, entries_that_do_not_belong_there_are_refused,
      parts_in_another_order_twice_or_missing_are_refused, a_part_with_other_content_is_refused,
      sizes_that_lie_are_refused, a_manifest_of_another_digest_or_form_is_refused,
      an_index_that_is_not_exact_is_refused, signatures_that_do_not_belong_there_are_refused,
      what_follows_the_end_or_is_no_archive_is_refused)
