/* test_prune: promises of rm and prune: what no name needs goes, what one needs stays. */
#include "base/own.h"
#include "base/str.h"
#include "images/image.h"
#include "images/prune.h"
#include "images/trust.h"
#include "tests/unit/make_image.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"
#include "tests/unit/whole.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A kernel and an initramfs of `what`, its root, its manifest. */
#define BLOBS_OF_ONE 4

static struct prune_freed prune(void)
{
    struct prune_freed freed;
    struct err e;

    if (image_prune(dir, &freed, &e) < 0)
        ck_abort_msg("%s", e.text);
    return freed;
}

static struct prune_freed removed(const char *name)
{
    struct prune_freed freed;
    struct err e;

    if (image_remove(dir, name, &freed, &e) < 0)
        ck_abort_msg("%s", e.text);
    return freed;
}

static void is_whole(const char *ref)
{
    own_image struct image *im = NULL;
    struct err e;

    if (image_open(dir, ref, &im, &e) < 0 || image_verify(im, &e) < 0)
        ck_abort_msg("%s", e.text);
}

static void sign_image(const char *ref)
{
    own_sign_key struct sign_key *k = NULL;
    own_store struct store s = STORE_INIT;
    own_image struct image *im = NULL;
    own_free char *path = in_dir("key");
    struct sign_public p;
    struct err e;

    if (!exists("key"))
        ck_assert_int_eq(sign_key_make(path, &p, &e), 0);
    if (sign_key_open(path, &k, &e) < 0 || store_open(dir, STORE_ADD, &s, &e) < 0 ||
        image_look(dir, ref, &im, &e) < 0 || trust_sign(&s, im->digest, k, &e) < 0)
        ck_abort_msg("%s", e.text);
}

START_TEST(rm_takes_what_only_that_image_needs)
{
    struct prune_freed freed;
    struct err e;

    begin();
    make_image("a", "1");
    make_image("b", "2");
    make_image("c", "2");
    sign_image("a");
    sign_image("b");
    freed = removed("b");
    ck_assert_uint_eq(freed.blobs + freed.signatures + freed.bytes, 0);
    is_whole("c");
    freed = removed("c");
    ck_assert_uint_eq(freed.blobs, BLOBS_OF_ONE);
    ck_assert_uint_eq(freed.signatures, 1);
    ck_assert_uint_gt(freed.bytes, MAKE_ROOT_BYTES);
    ck_assert_uint_eq(check_whole(dir), BLOBS_OF_ONE);
    is_whole("a");
    ck_assert_int_eq(image_remove(dir, "c", &freed, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_int_eq(image_remove(dir, "../tags/a", &freed, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    is_whole("a");
    end();
}
END_TEST

START_TEST(prune_takes_what_no_name_needs)
{
    struct prune_freed freed;
    own_free char *signatures = NULL;

    begin();
    make_image("a", "1");
    sign_image("a");
    make_image("a", "2");
    sign_image("a");
    put("tmp/leftover", "half a blob");
    make("tmp/folder");
    put("tmp/folder/file", "x");
    signatures = in_dir("signatures");
    ck_assert_uint_eq(count_entries(signatures), 2);
    freed = prune();
    ck_assert_uint_eq(freed.blobs, BLOBS_OF_ONE);
    ck_assert_uint_eq(freed.signatures, 1);
    ck_assert_uint_eq(freed.leftovers, 2);
    ck_assert_uint_gt(freed.bytes, MAKE_ROOT_BYTES);
    ck_assert_uint_eq(count_entries(signatures), 1);
    ck_assert_uint_eq(check_whole(dir), BLOBS_OF_ONE);
    is_whole("a");
    freed = prune();
    ck_assert_uint_eq(freed.blobs + freed.signatures + freed.leftovers + freed.bytes, 0);
    end();
}
END_TEST

START_TEST(prune_keeps_what_a_kernel_needs)
{
    own_store struct store s = STORE_INIT;
    own_free char *record = NULL;
    struct store_object kernel, config, object;
    struct prune_freed freed;
    struct err e;

    begin();
    ck_assert_int_eq(store_open(dir, STORE_ADD, &s, &e), 0);
    kernel = make_blob(&s, "kernel", 6);
    config = make_blob(&s, "config", 6);
    record = str_printf("{\"format\":\"lazaret-kernel\",\"kernel\":{\"sha256\":\"%s\",\"size\":6},"
                        "\"config\":{\"sha256\":\"%s\",\"size\":6}}",
                        kernel.sha256, config.sha256);
    object = make_blob(&s, record, strlen(record));
    ck_assert_int_eq(store_name_set(&s, STORE_KERNELS, "airgap", object.sha256, &e), 0);
    make_blob(&s, "nobody's", 8);
    store_close(&s);
    freed = prune();
    ck_assert_uint_eq(freed.blobs, 1);
    ck_assert_uint_eq(check_whole(dir), 3);
    end();
}
END_TEST

START_TEST(a_damaged_image_stops_prune_and_can_be_removed)
{
    own_image struct image *im = NULL;
    own_free char *path = NULL;
    struct prune_freed freed;
    struct err e;

    begin();
    make_image("bad", "1");
    make_image("good", "2");
    make_image("gone", "3");
    ck_assert_int_eq(image_open(dir, "bad", &im, &e), 0);
    path = store_blob_path(&im->store, im->digest);
    ck_assert_int_eq(unlink(path), 0);
    put(path + strlen(dir) + 1, "{\"a later version\":3}");
    ck_assert_int_eq(image_prune(dir, &freed, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_ptr_nonnull(strstr(e.text, "image 'bad': "));
    ck_assert_ptr_nonnull(strstr(e.text, im->digest));
    ck_assert_ptr_nonnull(strstr(e.text, "lazaret image rm"));
    /* The other's blobs stay, and it is said why. */
    freed = removed("gone");
    ck_assert_uint_eq(freed.blobs, 0);
    ck_assert_int_eq(freed.kept.class, ERR_IMAGE);
    ck_assert_ptr_nonnull(strstr(freed.kept.text, "'bad'"));
    freed = removed("bad");
    ck_assert_uint_eq(freed.blobs, 1);
    ck_assert_int_eq(freed.kept.class, ERR_NONE);
    freed = prune();
    ck_assert_uint_eq(freed.blobs, 2 * BLOBS_OF_ONE - 1);
    put("tags/broken", "not a digest");
    ck_assert_int_eq(image_prune(dir, &freed, &e), -1);
    removed("broken");
    prune();
    is_whole("good");
    ck_assert_uint_eq(check_whole(dir), BLOBS_OF_ONE);
    end();
}
END_TEST

/* Gives one name to one image after the other, which the other process does too, until `stop` is
 * closed. */
static void add_again_and_again(const char *tag, int stop)
{
    struct pollfd p = {.fd = stop};

    for (unsigned i = 0; poll(&p, 1, 0) == 0; i++) {
        own_free char *what = str_printf("%u", i);

        make_image(tag, what);
        for (int k = 0; k < 50; k++) /* so that there is time without the lock */
            is_whole(tag);
    }
}

START_TEST(prune_never_takes_what_others_are_adding)
{
    struct prune_freed freed;
    uint64_t blobs = 0;
    pid_t pids[2];
    int stop[2];
    struct err e;

    begin();
    ck_assert_int_eq(pipe(stop), 0);
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        ck_assert_int_ge(pids[i], 0);
        if (pids[i] == 0) {
            close(stop[1]);
            add_again_and_again(i ? "b" : "a", stop[0]);
            _exit(0);
        }
    }
    /* One that does not get the lock in time is not counted. */
    for (int pruned = 0; pruned < 30 || blobs == 0;)
        if (image_prune(dir, &freed, &e) == 0 && ++pruned)
            blobs += freed.blobs;
    close(stop[1]);
    for (int i = 0; i < 2; i++) {
        int status;

        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    is_whole("a");
    is_whole("b");
    check_whole(dir);
    end();
}
END_TEST

SUITE("prune", rm_takes_what_only_that_image_needs, prune_takes_what_no_name_needs,
      prune_keeps_what_a_kernel_needs, a_damaged_image_stops_prune_and_can_be_removed,
      prune_never_takes_what_others_are_adding)
