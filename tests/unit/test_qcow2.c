/* test_qcow2: promises of disks that keep what they held at a mark, with the real qemu-img. */
#include "base/spawn.h"
#include "snapshots/qcow2.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#define SIZE (8u << 20)

static struct err err;

static int tool(const char *const *argv)
{
    const struct spawn s = {.argv = argv, .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}};

    return spawn_tool(&s, NULL, 20000, NULL, &err);
}

/* A raw file of SIZE bytes, the third MiB of which is `byte`. Returns new: its path. */
static char *new_raw(const char *name, uint8_t byte)
{
    own_free char *path = in_dir(name), *mib = malloc(1 << 20);
    own_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    memset(mib, byte, 1 << 20);
    ck_assert_int_eq(ftruncate(fd, SIZE), 0);
    ck_assert_int_eq(pwrite(fd, mib, 1 << 20, 2 << 20), 1 << 20);
    return own_steal_ptr(path);
}

static void fill(const char *disk, const char *command)
{
    const char *const argv[] = {"qemu-io", "-f", "qcow2", "-c", command, disk, NULL};

    ck_assert_msg(tool(argv) == 0, "%s", err.text);
}

/* As QEMU does while the guest stands still. */
static void mark(const char *disk, const char *name)
{
    const char *const argv[] = {"qemu-img", "snapshot", "-c", name, disk, NULL};

    ck_assert_msg(tool(argv) == 0, "%s", err.text);
}

/* Is its third MiB `byte` throughout, and is the image without a fault? */
static bool holds(const char *disk, uint8_t byte)
{
    own_free char *command = str_printf("read -P %u 2M 1M", byte);
    const char *const argv[] = {"qemu-io", "-f", "qcow2", "-c", command, disk, NULL};
    const char *const look[] = {"qemu-img", "check", "-q", "-f", "qcow2", disk, NULL};

    ck_assert_msg(tool(look) == 0, "%s", err.text);
    return tool(argv) == 0;
}

START_TEST(a_disk_that_is_made_of_a_raw_one_holds_the_same_and_takes_no_more_room)
{
    own_free char *raw = NULL, *disk = NULL;
    struct stat st;

    begin();
    raw = new_raw("raw", 7);
    disk = in_dir("disk");
    ck_assert_msg(qcow2_from_raw(raw, disk, &err) == 0, "%s", err.text);
    ck_assert(holds(disk, 7));
    ck_assert(!holds(disk, 6));
    ck_assert_int_eq(stat(disk, &st), 0);
    ck_assert_uint_le((uint64_t)st.st_blocks * 512, 2u << 20);
    end();
}
END_TEST

START_TEST(what_cannot_be_made_is_named_and_leaves_nothing)
{
    own_free char *raw = NULL, *disk = NULL, *none = NULL;

    begin();
    raw = new_raw("raw", 1);
    disk = in_dir("disk");
    none = in_dir("none");
    ck_assert_int_eq(qcow2_from_raw(none, disk, &err), -1);
    ck_assert_int_eq(err.class, ERR_HOST);
    ck_assert_msg(strstr(err.text, "cannot make the disk") && strstr(err.text, disk), "%s",
                  err.text);
    ck_assert(!exists("disk"));
    put("disk", "text");
    ck_assert_int_eq(qcow2_from_raw(raw, disk, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "exists already"));
    ck_assert(exists("disk"));
    end();
}
END_TEST

START_TEST(a_disk_goes_back_to_any_mark_again_and_again)
{
    static const uint8_t to[] = {1, 3, 2, 1, 2, 3, 3};
    own_free char *raw = NULL, *disk = NULL;

    begin();
    raw = new_raw("raw", 0);
    disk = in_dir("disk");
    ck_assert_msg(qcow2_from_raw(raw, disk, &err) == 0, "%s", err.text);
    for (unsigned n = 1; n <= 3; n++) {
        own_free char *command = str_printf("write -P %u 2M 1M", n);
        own_free char *name = str_printf("mark-%u", n);

        fill(disk, command);
        mark(disk, name);
    }
    for (size_t i = 0; i < sizeof(to); i++) {
        own_free char *name = str_printf("mark-%u", to[i]);

        fill(disk, "write -P 9 2M 1M");
        ck_assert_msg(qcow2_revert(disk, NULL, name, &err) == 0, "%s", err.text);
        ck_assert_msg(holds(disk, to[i]), "step %zu", i);
    }
    end();
}
END_TEST

START_TEST(without_that_mark_the_disk_is_as_it_was_and_the_reason_is_given)
{
    own_free char *raw = NULL, *disk = NULL, *odd = NULL;

    begin();
    raw = new_raw("raw", 5);
    disk = in_dir("disk");
    ck_assert_msg(qcow2_from_raw(raw, disk, &err) == 0, "%s", err.text);
    mark(disk, "mark-1");
    ck_assert_int_eq(qcow2_revert(disk, NULL, "mark-2", &err), -1);
    ck_assert_int_eq(err.class, ERR_HOST);
    ck_assert_msg(strstr(err.text, "cannot revert the disk"), "%s", err.text);
    ck_assert(holds(disk, 5));
    odd = in_dir("a\"b");
    ck_assert_int_eq(qcow2_revert(odd, NULL, "mark-1", &err), -1);
    ck_assert_msg(strstr(err.text, "quote"), "%s", err.text);
    end();
}
END_TEST

START_TEST(an_overlay_goes_back_over_the_base_that_it_was_made_over)
{
    own_free char *base = NULL, *disk = NULL;

    begin();
    base = new_raw("base", 4);
    disk = in_dir("disk");
    ck_assert_msg(qcow2_overlay("base", disk, &err) == 0, "%s", err.text);
    ck_assert(holds(disk, 4));
    mark(disk, "mark-1");
    fill(disk, "write -P 5 2M 1M");
    ck_assert_msg(qcow2_revert(disk, base, "mark-1", &err) == 0, "%s", err.text);
    ck_assert(holds(disk, 4));
    end();
}
END_TEST

/* UNTRUSTED: what QEMU wrote. An image that names a file gets none opened, even a fifo that would
 * hold up whoever opens it. */
START_TEST(whatever_an_image_names_below_it_is_not_opened)
{
    own_free char *fifo = NULL, *disk = NULL, *raw = NULL;

    begin();
    raw = new_raw("raw", 1);
    disk = in_dir("disk");
    fifo = in_dir("fifo");
    ck_assert_msg(qcow2_from_raw(raw, disk, &err) == 0, "%s", err.text);
    mark(disk, "mark-1");
    const char *const argv[] = {"qemu-img", "rebase", "-u",  "-f", "qcow2", "-b",
                                fifo,       "-F",     "raw", disk, NULL};
    ck_assert_msg(tool(argv) == 0, "%s", err.text);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_msg(qcow2_revert(disk, NULL, "mark-1", &err) == 0, "%s", err.text);
    end();
}
END_TEST

SUITE("qcow2", a_disk_that_is_made_of_a_raw_one_holds_the_same_and_takes_no_more_room,
      what_cannot_be_made_is_named_and_leaves_nothing, a_disk_goes_back_to_any_mark_again_and_again,
      without_that_mark_the_disk_is_as_it_was_and_the_reason_is_given,
      an_overlay_goes_back_over_the_base_that_it_was_made_over,
      whatever_an_image_names_below_it_is_not_opened)
