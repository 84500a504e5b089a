/* cmd_image_trust: `lazaret image verify`, `sign` and `keygen`: is it whole, and who says so. */
#include "base/file.h"
#include "base/own.h"
#include "base/sign.h"
#include "base/str.h"
#include "cli/cmd_image.h"
#include "images/image.h"
#include "images/trust.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* ---- verify ---- */

const char help_image_verify[] =
    "usage: lazaret image verify [--trusted KEY]... [--json] [IMAGE]...\n"
    "\n"
    "Hashes every blob of the images (default: all that have a name), compares each root with\n"
    "its root hash, and checks that a trusted key signed them, if a key is given or the store's\n"
    "policy asks for one.\n"
    "\n"
    "  --trusted KEY  a file with a public key; repeatable; in place of the policy's keys\n"
    "  --json         one JSON array on stdout\n"
    "\n"
    "Exit status: 0 all are good, 126 one is not signed by a trusted key, 125 one is damaged.\n";

static int read_keys(const struct strv *paths, struct trust_keys *ret, struct err *e)
{
    for (size_t i = 0; i < paths->n; i++) {
        own_free char *text = NULL;
        struct sign_public p;
        size_t len;

        if (file_read(AT_FDCWD, paths->items[i], SIGN_FILE_MAX, &text, &len, e) < 0 ||
            sign_public_parse(text, len, paths->items[i], &p, e) < 0)
            return err_wrap(e, "--trusted");
        trust_keys_add(ret, &p);
    }
    return 0;
}

struct verdict {
    char digest[DIGEST_HEX_SIZE]; /* "": not even that is known */
    char key_id[DIGEST_HEX_SIZE]; /* who signed it; "": nobody needed to */
};

/* The keys of the command line, or else the policy, if it wants a signature. */
static int check_trust(const struct image *im, const struct trust_keys *given, struct verdict *ret,
                       struct err *e)
{
    own_trust_keys struct trust_keys policy = {0};
    bool required;

    if (given->n)
        return trust_check(&im->store, im->digest, given, ret->key_id, e);
    if (trust_policy(&im->store, &required, &policy, e) < 0)
        return -1;
    return required ? trust_check(&im->store, im->digest, &policy, ret->key_id, e) : 0;
}

static int verify(const char *store, const char *ref, const struct trust_keys *keys,
                  struct verdict *ret, struct err *e)
{
    own_image struct image *im = NULL;

    if (image_look(store, ref, &im, e) < 0)
        return -1;
    memcpy(ret->digest, im->digest, DIGEST_HEX_SIZE);
    if (image_verify(im, e) < 0)
        return -1;
    /* The manifest's root hash may be another than its root's: that guest would stop at once. */
    if (verity_check(im->fds[IMAGE_ROOT], &im->m.verity, e) < 0)
        return e->class == ERR_IMAGE ? image_damaged(im->ref, e) : -1;
    if (check_trust(im, keys, ret, e) < 0)
        return err_wrap(e, "image '%s'", ref);
    return 0;
}

static struct doc *verdict_to_doc(const char *ref, const struct verdict *v, const struct err *e)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "image", ref);
    doc_set_bool(d, "good", e->class == ERR_NONE);
    if (v->digest[0])
        doc_set_str(d, "digest", v->digest);
    if (v->key_id[0])
        doc_set_str(d, "signed_by", v->key_id);
    if (e->class != ERR_NONE) {
        doc_set_str(d, "class", err_class_name(e->class));
        doc_set_str(d, "error", e->text);
    }
    return d;
}

/* Each one, whatever the others are; returns the status of the first that is not good. */
static int verify_all(const char *store, const char *const *refs, const struct trust_keys *keys,
                      bool json)
{
    own_doc struct doc *list = doc_new_array();
    int status = 0;

    for (; *refs; refs++) {
        struct verdict v = {0};
        struct err e = {.class = ERR_NONE};

        if (verify(store, *refs, keys, &v, &e) < 0) {
            int failed = json ? err_class_status(e.class) : cli_fail(&e);

            status = status ? status : failed;
        } else if (!json) {
            printf("%s is good: sha256:%s%s%s\n", *refs, v.digest,
                   v.key_id[0] ? ", signed by " : "", v.key_id);
        }
        doc_add(list, verdict_to_doc(*refs, &v, &e));
    }
    if (json)
        cli_print_doc(list);
    return status;
}

static int all_names(const char *store_dir, struct strv *ret, struct err *e)
{
    own_store struct store s = STORE_INIT;

    if (store_open(store_dir, STORE_READ, &s, e) < 0)
        return -1;
    return store_name_list(&s, STORE_TAGS, ret, e);
}

int cmd_image_verify(int argc, char **argv)
{
    bool json = false;
    own_strv struct strv key_files = {0}, names = {0};
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json},
                                         {.name = "--trusted", .ret_values = &key_files},
                                         {0}};
    own_cmd_image struct cmd_image c = {0};
    own_trust_keys struct trust_keys keys = {0};
    struct err e;
    int status = cmd_image_begin(&argc, argv, options, 0, INT_MAX - 1, &c);

    if (status >= 0)
        return status;
    if (read_keys(&key_files, &keys, &e) < 0)
        return cli_fail(&e);
    for (int i = 1; i < argc; i++)
        strv_add(&names, argv[i]);
    if (argc == 1 && all_names(c.store, &names, &e) < 0)
        return cli_fail(&e);
    status = names.n ? verify_all(c.store, (const char *const *)names.items, &keys, json) : 0;
    if (names.n == 0 && json)
        puts("[]");
    return status ? status : cli_flush();
}

/* ---- sign ---- */

const char help_image_sign[] =
    "usage: lazaret image sign --key FILE [--json] IMAGE\n"
    "\n"
    "Hashes every blob of the image, and signs its manifest, which names them all.\n"
    "\n"
    "  --key FILE  the private key: Ed25519 in PEM, a file that only you can read\n"
    "  --json      one JSON object on stdout: digest, key\n";

static int sign(const char *store_dir, const char *ref, const struct sign_key *k,
                char ret_digest[DIGEST_HEX_SIZE], struct err *e)
{
    own_store struct store s = STORE_INIT;
    own_image struct image *im = NULL;

    if (store_open(store_dir, STORE_ADD, &s, e) < 0 || image_look(store_dir, ref, &im, e) < 0 ||
        image_verify(im, e) < 0 || trust_sign(&s, im->digest, k, e) < 0)
        return -1;
    memcpy(ret_digest, im->digest, DIGEST_HEX_SIZE);
    return 0;
}

int cmd_image_sign(int argc, char **argv)
{
    bool json = false;
    const char *key_file = NULL;
    const struct cli_option options[] = {
        {.name = "--json", .ret_flag = &json}, {.name = "--key", .ret_value = &key_file}, {0}};
    own_cmd_image struct cmd_image c = {0};
    own_sign_key struct sign_key *k = NULL;
    char digest[DIGEST_HEX_SIZE];
    struct sign_public p;
    struct err e;
    int status = cmd_image_begin(&argc, argv, options, 1, 1, &c);

    if (status >= 0)
        return status;
    if (!key_file)
        return cli_misuse(argv[0], "--key is missing");
    if (sign_key_open(key_file, &k, &e) < 0 || sign(c.store, argv[1], k, digest, &e) < 0)
        return cli_fail(&e);
    sign_key_public(k, &p);
    if (json) {
        own_doc struct doc *d = doc_new_object();

        doc_set_str(d, "digest", digest);
        doc_set_str(d, "key", p.id);
        cli_print_doc(d);
    } else {
        printf("sha256:%s is signed by %s\n", digest, p.id);
    }
    return cli_flush();
}

/* ---- keygen ---- */

const char help_image_keygen[] =
    "usage: lazaret image keygen [--json] FILE\n"
    "\n"
    "Makes a key to sign images with: FILE, which only you can read, and FILE.pub, for whoever\n"
    "shall trust it. Neither may be there.\n"
    "\n"
    "  --json  one JSON object on stdout: file, public, key\n";

int cmd_image_keygen(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    own_cmd_image struct cmd_image c = {0};
    own_free char *public = NULL;
    struct sign_public p;
    struct err e;
    int status = cmd_image_begin(&argc, argv, options, 1, 1, &c);

    if (status >= 0)
        return status;
    if (sign_key_make(argv[1], &p, &e) < 0)
        return cli_fail(&e);
    public = str_printf("%s.pub", argv[1]);
    if (json) {
        own_doc struct doc *d = doc_new_object();

        doc_set_str(d, "file", argv[1]);
        doc_set_str(d, "public", public);
        doc_set_str(d, "key", p.id);
        cli_print_doc(d);
    } else {
        printf("%s and %s: key %s\n", argv[1], public, p.id);
    }
    return cli_flush();
}
