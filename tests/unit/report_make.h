/* report_make: a record with a given text in every member that a page shows. */
#ifndef LZ_TESTS_REPORT_MAKE_H
#define LZ_TESTS_REPORT_MAKE_H

#include "report/report.h"
#include "tests/unit/record_make.h"

static inline struct doc *texts(const char *text, const char *const *keys)
{
    struct doc *d = doc_new_object();

    for (size_t i = 0; keys[i]; i++)
        doc_set_str(d, keys[i], text);
    return d;
}

static inline struct doc *with_list(struct doc *d, const char *key, struct doc *item)
{
    struct doc *list = doc_new_array();

    doc_add(list, item);
    doc_set(d, key, list);
    return d;
}

static inline struct doc *with_text(struct doc *d, const char *key, const char *text)
{
    const char *const one[] = {text, NULL};

    doc_set_strv(d, key, one);
    return d;
}

#define KEYS(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static inline struct doc *sample(uint64_t i)
{
    struct doc *d = doc_new_object();

    doc_set_u64(d, "user_ns", i * i * 40000000);
    doc_set_u64(d, "system_ns", i * 1000000);
    doc_set_u64(d, "resident_bytes", (200 + i) << 20);
    doc_set_u64(d, "disk_bytes", i << 20);
    return d;
}

/* Everything that may be in a record, each text of it being `text`. */
static inline void fill(struct record *r, const char *text)
{
    struct doc *exec = with_text(one_number(1), "argv", text);
    struct doc *denials = with_list(one_number(1), "rows", texts(text, KEYS("kind", "path")));
    struct doc *wrote = with_list(one_number(1), "rows", texts(text, KEYS("path")));
    struct doc *changes = with_list(
        doc_new_object(), "rows",
        with_text(texts(text, KEYS("change", "guest_path", "kind", "old_kind")), "what", text));
    struct doc *secret = with_text(with_text(one_number(1), "files", text), "variables", text);
    struct doc *layers =
        with_list(doc_new_object(), "rows", texts(text, KEYS("name", "verdict", "text")));

    OK(record_add(r, RECORD_HOST, "image", texts(text, KEYS("name", "digest", "root_hash")), &err));
    OK(record_add(r, RECORD_HOST, "up", texts(text, KEYS("accel", "machine", "qemu", "libvirt")),
                  &err));
    OK(record_add_file(r, "manifest", text, text, true, &err));
    OK(record_add(r, RECORD_HOST, "layers", layers, &err));
    OK(record_add(r, RECORD_HOST, "exec", exec, &err));
    OK(record_add(r, RECORD_HOST, "secret", secret, &err));
    for (uint64_t i = 0; i < 20; i++)
        OK(record_add(r, RECORD_HOST, "sample", sample(i), &err));
    OK(record_add(r, RECORD_GUEST, "denials", denials, &err));
    OK(record_add(r, RECORD_GUEST, "wrote", wrote, &err));
    OK(record_add(r, RECORD_HOST, "changes", changes, &err));
    OK(record_add(r, RECORD_HOST, "changes_sum", texts(text, KEYS("error", "guest_error")), &err));
    OK(record_add(r, RECORD_GUEST, "unwatched", texts(text, KEYS("path")), &err));
    OK(record_add(r, RECORD_GUEST, "words", texts(text, KEYS("text")), &err));
    OK(record_add(r, RECORD_HOST, "egress", texts(text, KEYS("destination", "verdict", "why")),
                  &err));
    OK(record_add(
        r, RECORD_HOST, "egress_sum",
        with_list(one_number(1), "egress", texts(text, KEYS("destination", "verdict", "why"))),
        &err));
    OK(record_add(r, RECORD_HOST, "alert", texts(text, KEYS("rule", "action", "text")), &err));
    OK(record_add(r, RECORD_HOST, "mark", texts(text, KEYS("mark", "parent")), &err));
    OK(record_add(r, RECORD_HOST, "output", texts(text, KEYS("guest_name", "sha256")), &err));
    OK(record_add(r, RECORD_HOST, "exit", texts(text, KEYS("class", "error")), &err));
    OK(record_add(r, RECORD_HOST, "something-new", texts(text, KEYS("name", "why")), &err));
    OK(record_add(r, RECORD_HOST, "end", texts(text, KEYS("class", "error")), &err));
}

/* Returns new: the page of the record in the data folder. */
static inline char *page_of_record(void)
{
    own_report_lines struct report_lines lines = {0};
    own_free char *path = in_dir(RECORD);
    own_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct verify_report v = look();
    struct str page = {0};

    OK(report_lines_read(fd, &lines, &err));
    report_format(&lines, &v, &page);
    return str_steal(&page);
}

/* Returns new: the page of a record with `text` everywhere. */
static inline char *page_with(const char *text)
{
    own_ledger struct ledger l = {.fd = -1};
    own_record struct record *r = NULL;

    l = prepare();
    r = start_record(RUN_ID, &l);
    fill(r, text);
    OK(record_sign(r, &l, RECORD_SIGN, &err));
    return page_of_record();
}

#endif
