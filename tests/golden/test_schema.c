/*
 * test_schema: the table of keys -> the published JSON schemas in vmm/plan, byte for byte: a key is
 * in both or in neither. GOLDEN_UPDATE=1 rewrites them.
 */
#include "base/file.h"
#include "base/own.h"
#include "plan/plan.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <string.h>

#define DRAFT  "https://json-schema.org/draft/2020-12/schema"
#define SIZE   "^[0-9]+([KMGTkmgt](iB)?)?$"
#define TIME   "^[0-9]+([.][0-9]+)?(ms|s|m|h)?$"
#define URL    "^(https|http|tcp)://"
#define NUMBER "^[0-9]+$"
#define IMAGES "^(sha256|key):[0-9a-f]{64}$"
#define SECRET "^[A-Za-z_][A-Za-z0-9_]{0,63}$"
#define NAME   "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$"
#define LAYERS "^(user|namespaces|landlock|calls|rlimits|cgroup|label|apparmor)$"

static struct doc *object(struct doc *properties);

static struct doc *typed(const char *type, const char *about)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "type", type);
    if (about)
        doc_set_str(d, "description", about);
    return d;
}

static struct doc *texts(const char *about, const char *pattern)
{
    struct doc *d = typed("array", about), *item = typed("string", NULL);

    if (pattern)
        doc_set_str(item, "pattern", pattern);
    doc_set(d, "items", item);
    return d;
}

/* A whole number, in bytes or seconds where it has a unit, or a text with one. */
static struct doc *number(const struct key_row *row)
{
    struct doc *d = doc_new_object(), *types = doc_new_array();
    bool time = row->kind == KEY_KIND_TIME;

    doc_add_str(types, "integer");
    doc_add_str(types, "string");
    doc_set(d, "type", types);
    doc_set_str(d, "description", row->about);
    doc_set_u64(d, "minimum", time ? 1 : row->min);
    doc_set_u64(d, "maximum", time ? row->max / 1000 : row->max);
    doc_set_str(d, "pattern", time ? TIME : row->kind == KEY_KIND_SIZE ? SIZE : NUMBER);
    return d;
}

static struct doc *patterned(const char *about, const char *pattern)
{
    struct doc *d = typed("string", about);

    doc_set_str(d, "pattern", pattern);
    return d;
}

static struct doc *ranged(const char *about, enum key_kind kind, uint64_t min, uint64_t max)
{
    const struct key_row row = {.about = about, .kind = kind, .min = min, .max = max};

    return number(&row);
}

/* Rules of the network: texts or objects. */
static struct doc *rules(const char *about, enum net_use use)
{
    static const char *const required[] = {"to", NULL};
    struct doc *d = typed("array", about), *item = doc_new_object(), *either = doc_new_array();
    struct doc *p = doc_new_object(), *one;

    doc_set(p, "to", patterned("a URL of a host", URL "[^,]+$"));
    if (use == NET_OF_WISH)
        doc_set(p, "name", patterned("the job asks http://NAME.lazaret/", "^[a-z0-9-]{1,32}$"));
    doc_set(p, "methods", texts("of requests", "^[A-Z-]{1,16}$"));
    doc_set(p, "bytes", ranged("both ways, all together", KEY_KIND_SIZE, 1, NET_RULE_BYTES_MAX));
    doc_set(p, "rate",
            ranged("bytes per second", KEY_KIND_SIZE, NET_RULE_RATE_MIN, NET_RULE_BYTES_MAX));
    doc_set(p, "streams", ranged("connections at once", KEY_KIND_NUMBER, 1, NET_RULE_STREAMS_MAX));
    if (use == NET_OF_WISH) {
        doc_set(p, "secret", patterned("the gateway adds it", SECRET));
        doc_set(p, "header", patterned("where, at {}", "^[^:]+: .*{}"));
    }
    one = object(p);
    doc_set_strv(one, "required", required);
    doc_add(either, patterned(NULL, URL));
    doc_add(either, one);
    doc_set(item, "anyOf", either);
    doc_set(d, "items", item);
    return d;
}

/* Alerts of a policy: what each kind needs beside is for lazaret to say. */
static struct doc *alerts(const char *about)
{
    static const char *const required[] = {"when", "action", NULL};
    struct doc *d = typed("array", about), *p = doc_new_object(), *words, *one;

    doc_set(p, "when", words = typed("string", "what is looked at"));
    one = doc_new_array();
    for (int w = 0; w < ALERT_WHENS; w++)
        doc_add_str(one, alert_when_name((enum alert_when)w));
    doc_set(words, "enum", one);
    doc_set(p, "above", ranged("what it has to be above", KEY_KIND_SIZE, 1, INT64_MAX));
    doc_set(p, "for", ranged("within", KEY_KIND_TIME, 1000, ALERT_FOR_MAX));
    doc_set(p, "action", words = typed("string", "what is done then"));
    one = doc_new_array();
    for (int a = 0; a < ALERT_ACTIONS; a++)
        doc_add_str(one, alert_action_name((enum alert_action)a));
    doc_set(words, "enum", one);
    doc_set(p, "command", texts("of notify, with an absolute path", NULL));
    doc_set(p, "socket", patterned("of notify: a UNIX socket", "^/."));
    doc_set(p, "destinations",
            texts("of canary: hosts that nobody has to try", "^(\\*\\.)?[a-z0-9._:-]+$"));
    doc_set(p, "files", texts("of canary: files that nobody has to open", "^/."));
    one = object(p);
    doc_set_strv(one, "required", required);
    doc_set(d, "items", one);
    return d;
}

static struct doc *value(enum key k)
{
    const struct key_row *row = &key_rows[k];
    struct doc *d;

    if (row->kind >= KEY_KIND_SIZE)
        return number(row);
    if (row->kind == KEY_KIND_RULES)
        return rules(row->about, NET_OF_WISH);
    if (row->kind == KEY_KIND_LIST)
        return texts(row->about, k == KEY_SECRETS || k == KEY_SECRET_ENV ? SECRET : NULL);
    if (k == KEY_NAME)
        return patterned(row->about, NAME);
    d = typed(row->kind == KEY_KIND_FLAG ? "boolean" : "string", row->about);
    if (row->kind == KEY_KIND_WORD)
        doc_set_strv(d, "enum", row->words);
    return d;
}

static struct doc *object(struct doc *properties)
{
    struct doc *d = typed("object", NULL);

    doc_set(d, "properties", properties);
    doc_set_bool(d, "additionalProperties", false);
    return d;
}

static struct doc *constant(const char *text, uint64_t n)
{
    struct doc *d = doc_new_object();

    if (text)
        doc_set_str(d, "const", text);
    else
        doc_set_u64(d, "const", n);
    return d;
}

static char *schema(const char *title, const char *format, uint64_t version, struct doc *properties)
{
    static const char *const required[] = {"format", "version", NULL};
    own_doc struct doc *d = doc_new_object();

    doc_set_str(d, "$schema", DRAFT);
    doc_set_str(d, "title", title);
    doc_set_str(d, "type", "object");
    doc_set(properties, "format", constant(format, 0));
    doc_set(properties, "version", constant(NULL, version));
    doc_set(d, "properties", properties);
    doc_set_bool(d, "additionalProperties", false);
    doc_set_strv(d, "required", required);
    return doc_format(d, true);
}

/* Reasons, for people. */
static struct doc *why(const char *about)
{
    static const char *const required[] = {"key", "by", "text", NULL};
    struct doc *d = typed("array", about), *p = doc_new_object(), *key, *by, *one;

    doc_set(p, "key", key = typed("string", "of what"));
    one = doc_new_array();
    for (enum key k = 0; k < KEYS; k++)
        doc_add_str(one, key_rows[k].name);
    doc_set(key, "enum", one);
    doc_set(p, "line", typed("string", "of a list: which one"));
    doc_set(p, "by", by = typed("string", "who saw it, or asked for it"));
    doc_set_strv(by, "enum", request_why_by);
    doc_set(p, "text", typed("string", "why"));
    doc_set(p, "widened", typed("boolean", "a later run needed more"));
    one = object(p);
    doc_set_strv(one, "required", required);
    doc_set(d, "items", one);
    return d;
}

static char *manifest_schema(void)
{
    struct doc *p = doc_new_object();

    for (enum key k = 0; k < KEYS; k++)
        doc_set(p, key_rows[k].name, value(k));
    doc_set(p, REQUEST_WHY, why("why it is asked for; it decides nothing"));
    return schema("lazaret: what an agent asks for", REQUEST_FORMAT, REQUEST_VERSION, p);
}

static char *policy_schema(void)
{
    static const char *const words[] = {"refuse", "trim", NULL};
    struct doc *p = doc_new_object(), *max = doc_new_object(), *each = doc_new_object();
    struct doc *excess = doc_new_object(), *either = doc_new_array();
    struct doc *word = doc_new_object(), *age;

    doc_set_strv(word, "enum", words);
    for (enum key k = 0; k < KEYS; k++) {
        if (k == KEY_NETWORK)
            doc_set(each, key_rows[k].name, doc_copy(word));
        if (!key_is_number(k))
            continue;
        doc_set(max, key_rows[k].name, number(&key_rows[k]));
        doc_set(each, key_rows[k].name, doc_copy(word));
    }
    doc_add(either, word);
    doc_add(either, object(each));
    doc_set(excess, "anyOf", either);
    doc_set(p, "max", object(max));
    doc_set(p, "on_excess", excess);
    doc_set(p, "images", texts("allowed, by digest or by a trusted key that signed", IMAGES));
    doc_set(p, "input_roots", texts("folders below which inputs may lie", "^/"));
    doc_set(p, "output_roots", texts("folders below which outputs may lie", "^/"));
    doc_set(p, "secrets", texts("names of secrets that a job may be given", SECRET));
    doc_set(p, "writable", typed("boolean", "whether a root may take writes"));
    doc_set(p, "allow_debug", typed("boolean", "whether a job may trace its processes"));
    doc_set(p, "require_amnesic", typed("boolean", "whether a guest must be amnesic"));
    doc_set(p, "required_layers", texts("what must be there", LAYERS));
    doc_set(p, "network", rules("where jobs may connect to", NET_OF_POLICY));
    doc_set(p, "network_ranges",
            texts("addresses that may be connected to though not public", "^[0-9a-f.:]+/[0-9]+$"));
    doc_set(p, "egress_proxies",
            texts("proxies that may be the way out", "^[0-9a-z._:[\\]-]+:[0-9]+$"));
    doc_set(p, "alerts", alerts("what is told or ended while a guest runs"));
    doc_set(p, "require_record", typed("boolean", "whether every run must have a record"));
    doc_set(p, "record_content", typed("boolean", "whether records say what, not only how much"));
    doc_set(p, "record_changes",
            typed("boolean", "whether records say what changed on a guest's disk"));
    doc_set(p, "redact", texts("what is taken out of records", "^[^*]{2}"));
    doc_set(p, "record_max_age",
            age = ranged("how long a record is kept", KEY_KIND_TIME, 1000,
                         36500ull * 24 * 3600 * 1000));
    doc_set_str(age, "pattern", "^([0-9]+([.][0-9]+)?(ms|s|m|h)?|[0-9]+d)$");
    doc_set(p, "records_max_size",
            ranged("bytes of all records that are kept", KEY_KIND_SIZE, 1, INT64_MAX));
    return schema("lazaret: what this host allows", POLICY_FORMAT, POLICY_VERSION, p);
}

static void compare(const char *path, const char *text)
{
    own_free char *kept = NULL;
    size_t len;
    struct err e;

    if (getenv("GOLDEN_UPDATE")) {
        ck_assert_int_eq(file_write(AT_FDCWD, path, text, strlen(text), 0644, &e), 0);
        return;
    }
    ck_assert_msg(file_read(AT_FDCWD, path, 1 << 16, &kept, &len, &e) == 0, "%s", e.text);
    ck_assert_msg(strcmp(kept, text) == 0, "%s differs (GOLDEN_UPDATE=1 rewrites it)", path);
}

START_TEST(the_schemas_have_the_keys_of_the_table_and_no_other)
{
    own_free char *manifest = manifest_schema(), *policy = policy_schema();

    compare(GOLDEN_DIR "/../../vmm/plan/lazaret.manifest.schema.json", manifest);
    compare(GOLDEN_DIR "/../../vmm/plan/lazaret.policy.schema.json", policy);
}
END_TEST

SUITE("schema", the_schemas_have_the_keys_of_the_table_and_no_other)
