/* record_make: a data folder with a record in it, and what verify says of files there. */
#ifndef LZ_TESTS_RECORD_MAKE_H
#define LZ_TESTS_RECORD_MAKE_H

#include "record/verify.h"
#include "tests/unit/temp.h"

#include <sys/mman.h>
#include <unistd.h>

#define RUN_ID   "20261127-142215-abcdef"
#define RECORD   RECORD_DIR "/" RUN_ID RECORD_SUFFIX
#define HEADS    LEDGER_DIR "/" LEDGER_FILE
#define WHATEVER NULL

static struct err err;
#define OK(x) ck_assert_msg((x) == 0, "%s", err.text)

static inline struct doc *begin_members(void)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "kind", "run");
    return d;
}

static inline int open_records(void)
{
    own_free char *path = in_dir(RECORD_DIR);
    int fd;

    OK(file_open_dir(path, &fd, &err));
    return fd;
}

/* The first lines of a record: begin, image and a head of them. */
static inline struct record *start_record(const char *id, const struct ledger *l)
{
    own_close int records = open_records();
    struct record *r;

    OK(record_create(records, id, WHATEVER, &r, &err));
    OK(record_add(r, RECORD_HOST, "begin", begin_members(), &err));
    OK(record_add(r, RECORD_HOST, "image", WHATEVER, &err));
    OK(record_sign(r, l, RECORD_SIGN, &err));
    return r;
}

static inline struct doc *one_number(uint64_t n)
{
    struct doc *d = doc_new_object();

    doc_set_u64(d, "exec", n);
    return d;
}

/* Three more, and another head. */
static inline void go_on(struct record *r, const struct ledger *l)
{
    for (uint64_t i = 1; i <= 3; i++)
        OK(record_add(r, RECORD_HOST, "exec", one_number(i), &err));
    OK(record_sign(r, l, RECORD_SIGN_DURABLE, &err));
}

static inline void finish(struct record *r, const struct ledger *l)
{
    OK(record_add(r, RECORD_HOST, "end", WHATEVER, &err));
    OK(record_add(r, RECORD_HOST, "destroyed", WHATEVER, &err));
    OK(record_sign(r, l, RECORD_SIGN_CLOSED, &err));
}

static inline struct ledger prepare(void)
{
    struct ledger l;

    OK(ledger_prepare(dir, &err));
    OK(ledger_open(dir, &l, &err));
    return l;
}

/* In a new folder: one that is whole. Without `more` there is less of it to flip and cut. */
static inline void make_whole(bool more)
{
    own_ledger struct ledger l = {.fd = -1};
    own_record struct record *r = NULL;

    begin();
    l = prepare();
    r = start_record(RUN_ID, &l);
    if (more)
        go_on(r, &l);
    finish(r, &l);
}

static inline char *get(const char *name, size_t *ret_len)
{
    own_free char *path = in_dir(name);
    char *text;

    OK(file_read(AT_FDCWD, path, 256u << 20, &text, ret_len, &err));
    return text;
}

/* In memory: a disk would be waited for at each of many small changes. */
struct files {
    char *record, *heads;
    size_t record_len, heads_len;
};

static inline struct files get_files(void)
{
    struct files f;

    f.record = get(RECORD, &f.record_len);
    f.heads = get(HEADS, &f.heads_len);
    return f;
}

static inline void files_done(struct files *f)
{
    free(f->record);
    free(f->heads);
}
#define own_files __attribute__((cleanup(files_done)))

static inline void set(const char *name, const char *text, size_t len)
{
    own_free char *path = in_dir(name);
    own_close int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(file_write_all(fd, text, len), 0);
}

static inline struct verify_report judge(const struct files *f, const struct sign_public *key)
{
    own_close int fd = memfd_create("record", MFD_CLOEXEC);
    struct verify_report r;

    ck_assert_int_eq(file_write_all(fd, f->record, f->record_len), 0);
    OK(verify_record(&(struct verify_from){.record_fd = fd,
                                           .ledger = f->heads,
                                           .ledger_len = f->heads_len,
                                           .trusted = key,
                                           .id = RUN_ID},
                     &r, &err));
    return r;
}

static inline struct verify_report look_with(const struct sign_public *key, const char *id)
{
    own_free char *path = in_dir(RECORD), *ledger = NULL;
    own_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct verify_report r;
    size_t len;

    ledger = get(HEADS, &len);
    ck_assert_int_ge(fd, 0);
    OK(verify_record(
        &(struct verify_from){
            .record_fd = fd, .ledger = ledger, .ledger_len = len, .trusted = key, .id = id},
        &r, &err));
    return r;
}

static inline struct sign_public our_key(void)
{
    own_free char *pem = NULL;
    struct sign_public key;

    OK(ledger_public(dir, &pem, &key, &err));
    return key;
}

static inline struct verify_report look(void)
{
    const struct sign_public key = our_key();

    return look_with(&key, RUN_ID);
}

static inline void says(enum verify_verdict verdict, const char *why)
{
    struct verify_report r = look();

    ck_assert_msg(r.verdict == verdict && strstr(r.why, why), "%d, %s", (int)r.verdict, r.why);
}

#endif
