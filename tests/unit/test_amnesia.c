/* test_amnesia: promises of when a guest may be called amnesic. */
#include "base/own.h"
#include "plan/plan.h"
#include "run/amnesia.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAD      "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
#define ROW(name) name "                               partition\t1048572\t\t0\t\t-2\n"

/* What the check says of this /proc/swaps, with the test's folder as /sys/block. */
static int check_text(const char *text, struct err *e)
{
    own_close int fd = memfd_create("swaps", MFD_CLOEXEC);

    ck_assert_int_eq(file_write_all(fd, text, strlen(text)), 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return amnesia_check_swaps(fd, dir, e);
}

static void put_zram(const char *name, const char *disk)
{
    own_free char *folder = in_dir(name);
    own_free char *file = str_printf("%s/backing_dev", name);

    ck_assert_int_eq(mkdir(folder, 0700), 0);
    if (disk)
        put(file, disk);
}

START_TEST(swap_to_a_disk_is_refused_in_words_and_swap_in_memory_is_not)
{
    static const struct {
        const char *text;
        const char *named; /* NULL: fine */
    } rows[] = {
        {HEAD, NULL},
        {HEAD ROW("/dev/zram0"), NULL},
        {HEAD ROW("/dev/zram1"), NULL},
        {HEAD ROW("/dev/zram0") ROW("/dev/sda2"), "/dev/sda2"},
        {HEAD ROW("/dev/dm-0"), "/dev/dm-0"}, /* encrypted perhaps: who has the key? */
        {HEAD ROW("/swap\\040file\\012"), "swap"},
        {HEAD ROW("/dev/zram2"), "/dev/zram2"}, /* writes to a disk */
        {HEAD ROW("/dev/zram3"), "/dev/zram3"}, /* is none */
        {HEAD ROW("/dev/zram/../sda"), "/dev/zram"},
        {HEAD "/dev/sdb\n", "/dev/sdb"},
        {HEAD "/dev/sdb", "/dev/sdb"}, /* cut */
        {"", "cannot tell"},
        {ROW("/dev/sda2"), "cannot tell"},
    };
    struct err e;

    put_zram("zram0", "none\n");
    put_zram("zram1", NULL);
    put_zram("zram2", "/dev/sda3\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rc = check_text(rows[i].text, &e);

        ck_assert_msg((rc == 0) == !rows[i].named, "row %zu", i);
        if (rc == 0)
            continue;
        ck_assert_int_eq(e.class, ERR_REFUSED);
        ck_assert_msg(strstr(e.text, rows[i].named) != NULL, "row %zu: %s", i, e.text);
    }
}
END_TEST

START_TEST(no_process_of_an_amnesic_guest_leaves_a_core_not_to_a_program_either)
{
    pid_t pid = fork();
    struct rlimit r;
    struct err e;
    int status;

    if (pid == 0) {
        /* 1 byte: 0 would keep a file from being written, but not a program from being run. */
        if (amnesia_no_cores(&e) < 0 || getrlimit(RLIMIT_CORE, &r) < 0)
            _exit(1);
        _exit(r.rlim_cur == r.rlim_max && (r.rlim_max == 1 || r.rlim_max == 0) ? 0 : 2);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* With marks it is a sandbox's. */
static struct plan *resolve(bool amnesic, const char *marks, const char *disk)
{
    own_request struct request r = {0};
    struct plan *p = NULL;
    struct err e;

    request_add(&r, KEY_DISK, disk);
    request_add(&r, KEY_MEMORY, "64M");
    if (amnesic)
        request_add(&r, KEY_AMNESIC, "true");
    request_add(&r, marks ? KEY_MAX_MARKS : KEY_COMMAND, marks ? marks : "true");
    ck_assert_int_eq(
        plan_resolve(&(struct plan_wish){.command_line = &r, .use = marks ? KEY_OF_UP : KEY_OF_RUN},
                     &p, &e),
        0);
    return p;
}

START_TEST(the_plan_bounds_the_memory_by_disk_and_marks_and_is_read_back_as_it_was)
{
    const uint64_t mib = PLAN_MIB;
    own_plan struct plan *plain = resolve(false, "4", "64M"), *run = resolve(true, NULL, "64M"),
                         *box = resolve(true, "2", "64M"), *large = resolve(true, "2", "1G");
    own_doc struct doc *d = plan_to_doc(box), *old = plan_to_doc(plain);
    own_plan struct plan *again = NULL, *plain_again = NULL;
    struct err e;

    ck_assert(!plain->amnesic && plain->amnesic_bytes == 0);
    ck_assert(run->amnesic && run->amnesic_bytes >= 64 * mib && run->amnesic_bytes < 256 * mib);
    /* Two marks and two for a while: five disks and four times the guest's memory. */
    ck_assert(box->amnesic_bytes >= 5 * 64 * mib + 4 * box->guest_bytes);
    ck_assert(large->amnesic_bytes >= box->amnesic_bytes + 5 * 960 * mib);
    ck_assert_int_eq(plan_from_doc(d, &again, &e), 0);
    ck_assert(again->amnesic && again->marks == 2 && again->amnesic_bytes == box->amnesic_bytes);
    ck_assert_int_eq(plan_from_doc(old, &plain_again, &e), 0);
    ck_assert(!plain_again->amnesic);
}
END_TEST

SUITE_WITH(begin, end, "amnesia", swap_to_a_disk_is_refused_in_words_and_swap_in_memory_is_not,
           no_process_of_an_amnesic_guest_leaves_a_core_not_to_a_program_either,
           the_plan_bounds_the_memory_by_disk_and_marks_and_is_read_back_as_it_was)
