/* test_widen: promises of what one manifest allows more than another. */
#include "base/own.h"
#include "plan/widen.h"
#include "tests/unit/suite.h"

#include <string.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void read_one(const char *keys, const char *file, struct request *ret)
{
    own_free char *text = str_printf("{\"format\": \"lazaret-manifest\", \"version\": 1%s%s}",
                                     keys[0] ? ",\n" : "", keys);
    struct err e;

    if (request_parse(text, strlen(text), file, ret, &e) < 0)
        ck_abort_msg("%s: %s", text, e.text);
}

/* Returns new: a line for each row. */
static char *widens(const char *from, const char *to)
{
    own_request struct request a = {0}, b = {0};
    own_doc struct doc *rows = NULL;
    own_str struct str s = {0};
    struct err e;

    read_one(from, "a.json", &a);
    read_one(to, "b.json", &b);
    if (request_widens(&a, &b, &rows, &e) < 0)
        ck_abort_msg("%s", e.text);
    for (size_t i = 0; i < doc_len(rows); i++) {
        const char *place, *key, *text;

        ck_assert_int_eq(doc_get_str(doc_at(rows, i), "place", &place, &e), 0);
        ck_assert_int_eq(doc_get_str(doc_at(rows, i), "key", &key, &e), 0);
        ck_assert_int_eq(doc_get_str(doc_at(rows, i), "text", &text, &e), 0);
        str_addf(&s, "%s%s: %s: %s", i ? "\n" : "", place, key, text);
    }
    return str_steal(&s);
}

static const struct {
    enum key k;
    const char *from, *to;
    const char *more; /* what `to` allows more; "" : nothing */
} rows[] = {
    {KEY_NAME, "", "\"name\": \"a\"", ""},
    {KEY_IMAGE, "", "\"image\": \"default\"", ""},
    {KEY_IMAGE, "", "\"image\": \"big\"", "b.json:2: image: 'big' instead of 'default'"},
    {KEY_ENTRYPOINT, "", "\"entrypoint\": \"sh\"", "b.json:2: entrypoint: 'sh' instead of ''"},
    {KEY_COMMAND, "\"command\": [\"a\", \"b\"]", "\"command\": [\"a\", \"c\"]",
     "b.json:2: command: its word 2 is 'c'"},
    {KEY_COMMAND, "\"command\": [\"a\", \"b\"]", "\"command\": [\"a\"]",
     "b.json:2: command: its word 2 is missing"},
    {KEY_ENV, "\"env\": [\"A=1\", \"B=1\"]", "\"env\": [\"A=1\"]", ""},
    {KEY_ENV, "\"env\": [\"A=1\"]", "\"env\": [\"A=2\"]", "b.json:2: env: 'A=2'"},
    {KEY_WORKDIR, "", "\"workdir\": \"/w\"", "b.json:2: workdir: '/w' instead of ''"},
    {KEY_USER, "\"user\": \"7\"", "", "b.json: user: '' instead of '7'"},
    {KEY_INPUTS, "\"inputs\": [\"/a\"]", "\"inputs\": [\"/a/b\"]", ""},
    {KEY_INPUTS, "\"inputs\": [\"/a\"]", "\"inputs\": [\"/ab\"]", "b.json:2: inputs: '/ab'"},
    {KEY_INPUTS, "\"inputs\": [\"/a\"]", "\"inputs\": [\"/a/../b\"]",
     "b.json:2: inputs: '/a/../b'"},
    {KEY_INPUT_MAX, "", "\"input_max\": \"1G\"", ""},
    {KEY_INPUT_MAX, "", "\"input_max\": \"2G\"", "b.json:2: input_max: 2 GiB instead of 1 GiB"},
    {KEY_INPUT_IDENTITY, "\"input_identity\": \"/k\"", "\"input_identity\": \"/l\"",
     "b.json:2: input_identity: '/l' instead of '/k'"},
    {KEY_OUTPUT, "", "\"output\": \"/o\"", "b.json:2: output: '/o' instead of ''"},
    {KEY_OUTPUT_MAX, "\"output_max\": 5", "", "b.json: output_max: 256 MiB instead of 5 bytes"},
    {KEY_OUTPUT_RECIPIENTS, "\"output_recipients\": [\"age1a\", \"age1b\"]",
     "\"output_recipients\": [\"age1a\"]", ""},
    {KEY_OUTPUT_RECIPIENTS, "\"output_recipients\": [\"age1a\"]",
     "\"output_recipients\": [\"age1b\"]", "b.json:2: output_recipients: 'age1b'"},
    {KEY_OUTPUT_RECIPIENTS, "\"output_recipients\": [\"age1a\"], \"amnesic\": true",
     "\"amnesic\": true", "b.json: output_recipients: the output is not sealed"},
    {KEY_NETWORK, "\"network\": [\"https://*.a.org\"]", "\"network\": [\"https://b.a.org\"]", ""},
    {KEY_NETWORK, "\"network\": [\"https://a.org\"]", "\"network\": [\n\"https://*.a.org\"]",
     "b.json:3: network: https://*.a.org"},
    {KEY_NETWORK, "\"network\": [\"https://a.org,bytes=1M\"]", "\"network\": [\"https://a.org\"]",
     "b.json:2: network: https://a.org"},
    {KEY_NETWORK, "\"network\": [\"https://a.org,name=x\"]", "\"network\": [\"https://a.org\"]",
     "b.json:2: network: https://a.org"},
    {KEY_NETWORK, "\"network\": [\"https://a.org,name=x,secret=K\"]",
     "\"network\": [\"https://a.org/v1,name=y,secret=K,methods=GET\", \"https://a.org,name=z\"]",
     ""},
    {KEY_NETWORK, "\"network\": [\"https://a.org,name=x,secret=K\", \"https://a.org\"]",
     "\"network\": [\"https://a.org,name=x,secret=L\"]",
     "b.json:2: network: https://a.org,name=x,secret=L,header=Authorization: Bearer {}"},
    {KEY_READ, "", "\"read\": [\"/a\"]", ""},
    {KEY_READ, "\"read\": [\"/a/\"]", "\"read\": [\"/a/b\", \"/b\"]", "b.json:2: read: '/b'"},
    {KEY_WRITE, "\"write\": [\"/a\"]", "\"write\": [\"/\"]", "b.json:2: write: '/'"},
    {KEY_EXEC, "\"exec\": [\"/a\"]", "",
     "b.json: read: everything: nothing is declared\n"
     "b.json: write: everything: nothing is declared\n"
     "b.json: exec: everything: nothing is declared"},
    {KEY_SECRETS, "\"secrets\": [\"A\"]", "\"secrets\": [\"A\", \"B\"]", "b.json:2: secrets: 'B'"},
    {KEY_SECRET_ENV, "\"secrets\": [\"A\"]", "\"secret_env\": [\"A\"]",
     "b.json:2: secret_env: 'A'"},
    {KEY_DISK_RATE, "\"disk_rate\": \"2M\"", "", "b.json: disk_rate: none instead of 2 MiB"},
    {KEY_DISK_IOPS, "\"disk_iops\": 20", "\"disk_iops\": 30",
     "b.json:2: disk_iops: 30 instead of 20"},
    {KEY_IDLE_TIME, "\"idle_time\": \"1m\"", "", "b.json: idle_time: none instead of 60.000 s"},
    {KEY_JOB_CPU_TIME, "\"job_cpu_time\": 5", "\"job_cpu_time\": 6",
     "b.json:2: job_cpu_time: 6.000 s instead of 5.000 s"},
    {KEY_TRACE, "\"debug\": true", "\"debug\": true, \"trace\": true", "b.json:2: trace: true"},
    {KEY_MEMORY, "", "\"memory\": \"256M\", \"tmp\": \"64M\"", ""},
    {KEY_MEMORY, "\"tmp\": \"64M\"", "\"memory\": \"1G\", \"tmp\": \"64M\"",
     "b.json:2: memory: 1 GiB instead of 512 MiB"},
    {KEY_CPUS, "", "\"cpus\": 2", "b.json:2: cpus: 2 instead of 1"},
    {KEY_DISK, "", "\"disk\": \"2G\"", "b.json:2: disk: 2 GiB instead of 1 GiB"},
    {KEY_TMP, "", "\"tmp\": \"512M\"", "b.json:2: tmp: 512 MiB instead of 256 MiB"},
    {KEY_PIDS, "\"pids\": 64", "", "b.json: pids: 512 instead of 64"},
    {KEY_TIMEOUT, "\"timeout\": \"1m\"", "", "b.json: timeout: none instead of 60.000 s"},
    {KEY_TIMEOUT, "", "\"timeout\": \"1m\"", ""},
    {KEY_CPU_TIME, "\"cpu_time\": 5", "\"cpu_time\": 6",
     "b.json:2: cpu_time: 6.000 s instead of 5.000 s"},
    {KEY_ADDRESS_SPACE, "\"address_space\": \"1G\"", "\"address_space\": \"2G\"",
     "b.json:2: address_space: 2 GiB instead of 1 GiB"},
    {KEY_FILE_SIZE, "\"file_size\": \"1M\"", "", "b.json: file_size: none instead of 1 MiB"},
    {KEY_OPEN_FILES, "\"open_files\": 256", "", "b.json: open_files: 4096 instead of 256"},
    {KEY_WRITABLE, "\"writable\": false", "\"writable\": true", "b.json:2: writable: true"},
    {KEY_WRITABLE, "\"writable\": true", "\"writable\": false", ""},
    {KEY_AMNESIC, "", "\"amnesic\": true", ""},
    {KEY_AMNESIC, "\"amnesic\": true, \"max_marks\": 32", "\"max_marks\": 32",
     "b.json: amnesic: it is not"},
    {KEY_DEBUG, "\"pids\": 64", "\"debug\": true, \"pids\": 64", "b.json:2: debug: true"},
    {KEY_MACHINE, "", "\"machine\": \"q35\"", "b.json:2: machine: 'q35' instead of 'microvm'"},
    {KEY_ACCEL, "", "\"accel\": \"auto\"", ""},
    {KEY_ACCEL, "", "\"accel\": \"tcg\"", "b.json:2: accel: 'tcg' instead of 'auto'"},
    {KEY_AFTER, "", "\"after\": \"keep\"", "b.json:2: after: 'keep' instead of 'revert'"},
    {KEY_MARK_EACH_EXEC, "", "\"mark_each_exec\": true", "b.json:2: mark_each_exec: true"},
    {KEY_MAX_MARKS, "\"max_marks\": 2", "", "b.json: max_marks: 32 instead of 2"},
};

START_TEST(what_is_more_is_said_key_by_key_and_what_is_less_is_not)
{
    for (size_t i = 0; i < N(rows); i++) {
        own_free char *said = widens(rows[i].from, rows[i].to);

        ck_assert_msg(strcmp(said, rows[i].more) == 0, "row %zu (%s): %s", i,
                      key_rows[rows[i].k].name, said);
    }
}
END_TEST

START_TEST(each_key_of_the_table_is_compared)
{
    for (enum key k = 0; k < KEYS; k++) {
        bool found = k == KEY_NAME; /* decides nothing */

        for (size_t i = 0; i < N(rows); i++)
            found = found || (rows[i].k == k && strstr(rows[i].more, key_rows[k].name));
        ck_assert_msg(found, "no row shows %s as more", key_rows[k].name);
    }
}
END_TEST

START_TEST(a_manifest_allows_nothing_more_than_itself)
{
    for (size_t i = 0; i < N(rows); i++) {
        own_free char *said = widens(rows[i].to, rows[i].to);

        ck_assert_msg(said[0] == '\0', "row %zu: %s", i, said);
    }
}
END_TEST

START_TEST(a_number_out_of_range_is_an_error_of_its_manifest)
{
    own_request struct request a = {0}, b = {0};
    own_doc struct doc *d = NULL;
    struct err e = {0};

    read_one("\"cpus\": 1", "a.json", &a);
    read_one("\"cpus\": 100000", "b.json", &b);
    ck_assert_int_lt(request_widens(&a, &b, &d, &e), 0);
    ck_assert_msg(strstr(e.text, "b.json:2: cpus: 100000 is out of range"), "%s", e.text);
}
END_TEST

SUITE("widen", what_is_more_is_said_key_by_key_and_what_is_less_is_not,
      each_key_of_the_table_is_compared, a_manifest_allows_nothing_more_than_itself,
      a_number_out_of_range_is_an_error_of_its_manifest)
