/* statement: what a record says, as an in-toto statement in a DSSE envelope. See statement.h. */
#include "record/statement.h"

#include "base/own.h"
#include "record/read.h"

#include <openssl/evp.h>
#include <string.h>

#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PREDICATE_TYPE "https://slsa.dev/provenance/v1"
#define PAYLOAD_TYPE   "application/vnd.in-toto+json"
#define BUILD_TYPE     "tag:lazaret,2026:run/v1"
#define BUILDER        "tag:lazaret,2026:host/"

struct said {
    struct doc *subjects, *needs, *external, *internal;
    char id[RECORD_ID_SIZE], began[40], ended[40], lazaret[32];
};

static void add_digest(struct doc *list, const char *name, const char *sha256)
{
    struct doc *row = doc_new_object(), *digest = doc_new_object();

    doc_set_str(digest, "sha256", sha256);
    doc_set_str(row, "name", name);
    doc_set(row, "digest", digest);
    doc_add(list, row);
}

/* A text of the line, "" where there is none. */
static const char *text_of(const struct doc *d, const char *key)
{
    const char *text;
    struct err none;

    return doc_get_str(d, key, &text, &none) == 0 ? text : "";
}

static void take_begin(struct said *s, const struct record_line *line)
{
    const struct doc *plan = NULL;
    struct err none;

    snprintf(s->id, sizeof(s->id), "%s", text_of(line->d, "id"));
    snprintf(s->lazaret, sizeof(s->lazaret), "%s", text_of(line->d, "lazaret"));
    snprintf(s->began, sizeof(s->began), "%s", line->time);
    doc_set_str(s->internal, "kernel", text_of(line->d, "kernel"));
    if (doc_get_object(line->d, "plan", &plan, &none) == 0)
        doc_set(s->external, "plan", doc_copy(plan));
}

static void take_image(struct said *s, const struct doc *d)
{
    static const char *const parts[] = {"digest", "kernel", "initramfs", "root"};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        own_free char *name = str_printf("image/%s", i == 0 ? "manifest" : parts[i]);

        add_digest(s->needs, name, text_of(d, parts[i]));
    }
}

static void take_up(struct said *s, const struct doc *d)
{
    static const char *const keys[] = {"accel", "machine", "libvirt", "qemu"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        doc_set_str(s->internal, keys[i], text_of(d, keys[i]));
}

/* Returns new: how it came out, and its name, if it has one. */
static char *output_name(const struct doc *d)
{
    const char *how = doc_has(d, "taken") ? text_of(d, "taken") : "out";

    return doc_has(d, "guest_name") ? str_printf("%s/%s", how, text_of(d, "guest_name"))
                                    : str_dup(how);
}

static int take_line(const struct record_line *line, void *arg, struct err *e)
{
    struct said *s = arg;
    own_free char *name = NULL;

    (void)e;
    snprintf(s->ended, sizeof(s->ended), "%s", line->time);
    if (line->seq == 0) {
        take_begin(s, line);
    } else if (strcmp(line->type, "image") == 0) {
        take_image(s, line->d);
    } else if (strcmp(line->type, "up") == 0) {
        take_up(s, line->d);
    } else if (strcmp(line->type, "file") == 0) {
        name = str_printf("%s/%s", text_of(line->d, "role"), text_of(line->d, "name"));
        add_digest(s->needs, name, text_of(line->d, "sha256"));
    } else if (strcmp(line->type, "output") == 0) {
        name = output_name(line->d);
        add_digest(s->subjects, name, text_of(line->d, "sha256"));
    }
    return 0;
}

static struct doc *run_details(const struct said *s, const char *key_id)
{
    struct doc *d = doc_new_object(), *builder = doc_new_object(), *version = doc_new_object();
    struct doc *meta = doc_new_object();
    own_free char *id = str_printf(BUILDER "%s", key_id);

    doc_set_str(version, "lazaret", s->lazaret);
    doc_set_str(builder, "id", id);
    doc_set(builder, "version", version);
    doc_set_str(meta, "invocationId", s->id);
    doc_set_str(meta, "startedOn", s->began);
    doc_set_str(meta, "finishedOn", s->ended);
    doc_set(d, "builder", builder);
    doc_set(d, "metadata", meta);
    return d;
}

/* Takes what was said. */
static struct doc *make_statement(struct said *s, const char *key_id)
{
    struct doc *d = doc_new_object(), *predicate = doc_new_object(), *build = doc_new_object();

    doc_set_str(build, "buildType", BUILD_TYPE);
    doc_set(build, "externalParameters", s->external);
    doc_set(build, "internalParameters", s->internal);
    doc_set(build, "resolvedDependencies", s->needs);
    doc_set(predicate, "buildDefinition", build);
    doc_set(predicate, "runDetails", run_details(s, key_id));
    doc_set_str(d, "_type", STATEMENT_TYPE);
    doc_set(d, "subject", s->subjects);
    doc_set_str(d, "predicateType", PREDICATE_TYPE);
    doc_set(d, "predicate", predicate);
    return d;
}

/* Returns new. */
static char *base64(const void *data, size_t len)
{
    char *out = malloc(len / 3 * 4 + 5);

    if (!out)
        abort();
    EVP_EncodeBlock((unsigned char *)out, data, (int)len);
    return out;
}

/* DSSE: what is signed is the type and the payload, each with its length. */
static int seal_in_envelope(const struct doc *statement, const struct ledger *l, const char *key_id,
                            struct doc **ret, struct err *e)
{
    own_free char *payload = doc_format(statement, false), *encoded = NULL, *sig = NULL;
    struct doc *d, *list, *one;
    own_str struct str pae = {0};
    unsigned char signature[SIGN_BYTES];

    str_addf(&pae, "DSSEv1 %zu %s %zu %s", strlen(PAYLOAD_TYPE), PAYLOAD_TYPE, strlen(payload),
             payload);
    if (sign_bytes(l->key, pae.data, pae.len, signature, e) < 0)
        return -1;
    encoded = base64(payload, strlen(payload));
    sig = base64(signature, sizeof(signature));
    d = doc_new_object();
    list = doc_new_array();
    one = doc_new_object();
    doc_set_str(one, "keyid", key_id);
    doc_set_str(one, "sig", sig);
    doc_add(list, one);
    doc_set_str(d, "payloadType", PAYLOAD_TYPE);
    doc_set_str(d, "payload", encoded);
    doc_set(d, "signatures", list);
    *ret = d;
    return 0;
}

int statement_make(int record_fd, const struct ledger *l, struct doc **ret, struct err *e)
{
    struct said s = {.subjects = doc_new_array(),
                     .needs = doc_new_array(),
                     .external = doc_new_object(),
                     .internal = doc_new_object()};
    own_doc struct doc *statement = NULL;
    char why[256], sha256[DIGEST_HEX_SIZE] = "";
    enum record_ends ends = RECORD_ENDS_WRONG;
    struct sign_public key;
    uint64_t bytes;
    int rc = digest_fd(record_fd, sha256, &bytes, e);

    add_digest(s.subjects, "record.jsonl", sha256);
    if (rc == 0)
        rc = record_read(record_fd, take_line, &s, &ends, why, sizeof(why), e);
    sign_key_public(l->key, &key);
    statement = make_statement(&s, key.id);
    if (rc < 0)
        return -1;
    if (ends != RECORD_ENDS_WELL)
        return err_set(e, ERR_HOST, "the record: %s", why);
    return seal_in_envelope(statement, l, key.id, ret, e);
}
