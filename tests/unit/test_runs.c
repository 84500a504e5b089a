/* test_runs: what is said of the runs in a data folder, and what is left of them. */
#include "run/folder.h"

#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <sys/file.h>
#include <unistd.h>

static struct err err;

/* A run's folder, whose lock somebody holds until the fd is closed. */
static int make_run(const char *folder, const char *lock)
{
    own_free char *path = in_dir(lock);
    int fd;

    make(folder);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    return fd;
}

static void check_ids(bool all, size_t n, const char *first)
{
    own_doc struct doc *list = NULL;
    const char *id;

    ck_assert_msg(run_list(dir, all, &list, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(doc_len(list), n);
    if (n > 0 && doc_get_str(doc_at(list, 0), "id", &id, &err) == 0)
        ck_assert_str_eq(id, first);
}

START_TEST(listing_what_lives_looks_at_no_finished_run)
{
    own_doc struct doc *list = NULL;
    own_close int lock = -1;

    begin();
    check_ids(false, 0, "");
    make("runs");
    make("live");
    lock = make_run("runs/up", "runs/up/lock");
    put("live/up", "");
    put("live/gone", "");
    check_ids(true, 1, "up");
    /* A trap: who looks at this one fails. */
    make("runs/done");
    make("runs/done/lock");
    ck_assert_int_eq(run_list(dir, true, &list, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "done"));
    check_ids(false, 1, "up");
    end();
}
END_TEST

START_TEST(a_swept_run_is_not_among_those_that_live)
{
    begin();
    make("runs");
    make("live");
    for (int keep = 0; keep < 2; keep++) {
        make("runs/a");
        put("live/a", "");
        ck_assert_msg(folder_sweep(dir, FOLDER_RUN, "a", keep, &err) == 0, "%s", err.text);
        ck_assert(!exists("live/a"));
        ck_assert(exists("runs/a") == (keep == 1));
    }
    end();
}
END_TEST

START_TEST(gc_leaves_no_name_of_a_run_that_does_not_live)
{
    own_close int lock = -1;
    uint64_t removed = 0;

    begin();
    make("runs");
    make("live");
    lock = make_run("runs/up", "runs/up/lock");
    make("runs/dead");
    put("live/up", "");
    put("live/dead", "");
    put("live/gone", ""); /* it died before it had a folder, or while it was swept */
    ck_assert_msg(run_gc(dir, false, &removed, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(removed, 1);
    ck_assert(exists("runs/up") && exists("live/up"));
    ck_assert(!exists("runs/dead") && !exists("live/dead") && !exists("live/gone"));
    end();
}
END_TEST

START_TEST(a_run_that_a_power_cut_left_empty_goes_and_a_damaged_one_is_said)
{
    uint64_t removed = 0;

    begin();
    make("runs");
    make("runs/cut");
    put("runs/cut/run.json", "");
    ck_assert_msg(run_gc(dir, false, &removed, &err) == 0, "%s", err.text);
    ck_assert(removed == 1 && !exists("runs/cut"));
    make("runs/damaged");
    put("runs/damaged/run.json", "{");
    ck_assert_int_eq(run_gc(dir, false, &removed, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "--kept"));
    ck_assert(exists("runs/damaged"));
    end();
}
END_TEST

SUITE("runs", listing_what_lives_looks_at_no_finished_run, a_swept_run_is_not_among_those_that_live,
      gc_leaves_no_name_of_a_run_that_does_not_live,
      a_run_that_a_power_cut_left_empty_goes_and_a_damaged_one_is_said)
