/* test_disk_extract: promises of taking a raw file out of a qcow2 disk, with the real qemu-img. */
#include "base/spawn.h"
#include "snapshots/disk_extract.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#define SIZE (16u << 20)

static struct err err;

static void tool(const char *const *argv)
{
    const struct spawn s = {.argv = argv, .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}};

    ck_assert_msg(spawn_tool(&s, NULL, 20000, NULL, &err) == 0, "%s: %s", argv[0], err.text);
}

/* A disk of SIZE bytes; `more` (or NULL) is an option for qemu-img create. */
static char *new_disk(const char *name, const char *option, const char *value)
{
    own_free char *path = in_dir(name);
    const char *const plain[] = {"qemu-img", "create", "-q", "-f", "qcow2", path, "16M", NULL};
    const char *const more[] = {"qemu-img", "create", "-q",  "-f", "qcow2", option,
                                value,      "-F",     "raw", path, "16M",   NULL};
    const char *const data[] = {"qemu-img", "create", "-q", "-f",  "qcow2",
                                option,     value,    path, "16M", NULL};

    tool(!option ? plain : strcmp(option, "-b") == 0 ? more : data);
    return own_steal_ptr(path);
}

static void write_byte(const char *disk, const char *command)
{
    const char *const argv[] = {"qemu-io", "-f", "qcow2", "-c", command, disk, NULL};

    tool(argv);
}

static void mark(const char *disk, const char *name)
{
    const char *const argv[] = {"qemu-img", "snapshot", "-c", name, disk, NULL};

    tool(argv);
}

/* Every byte of the file's third MiB is `want`, all else is zero, and room is what that needs. */
static void expect(const char *name, uint8_t want)
{
    own_free char *path = in_dir(name), *all = malloc(SIZE);
    own_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_uint_eq(st.st_size, SIZE);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_uint_le((uint64_t)st.st_blocks * 512, 2u << 20);
    ck_assert_int_eq(pread(fd, all, SIZE, 0), SIZE);
    for (size_t i = 0; i < SIZE; i++)
        if ((uint8_t)all[i] != (i >> 20 == 2 ? want : 0))
            ck_abort_msg("%s: byte %zu is %d", name, i, all[i]);
}

static int extract(const char *disk, const char *snapshot, const char *raw)
{
    own_free char *path = in_dir(raw);

    return disk_extract(disk, NULL, snapshot, path, &err);
}

START_TEST(each_snapshot_and_the_disk_as_it_is_come_out_as_they_were)
{
    own_free char *disk = NULL;

    begin();
    disk = new_disk("disk", NULL, NULL);
    write_byte(disk, "write -P 1 2M 1M");
    mark(disk, "first");
    write_byte(disk, "write -P 2 2M 1M");
    mark(disk, "second");
    write_byte(disk, "write -P 3 2M 1M");
    ck_assert_msg(extract(disk, "first", "a") == 0, "%s", err.text);
    ck_assert_msg(extract(disk, "second", "b") == 0, "%s", err.text);
    ck_assert_msg(extract(disk, NULL, "c") == 0, "%s", err.text);
    expect("a", 1);
    expect("b", 2);
    expect("c", 3);
    end();
}
END_TEST

START_TEST(what_cannot_be_had_is_named_and_leaves_no_file)
{
    own_free char *disk = NULL, *raw = NULL;

    begin();
    disk = new_disk("disk", NULL, NULL);
    raw = in_dir("raw");
    mark(disk, "first");
    ck_assert_int_eq(extract(disk, "second", "raw"), -1);
    ck_assert_int_eq(err.class, ERR_HOST);
    ck_assert_msg(strstr(err.text, disk) && strstr(err.text, "snapshot"), "%s", err.text);
    ck_assert(!exists("raw"));
    ck_assert_int_eq(extract(disk, "id=1,x", "raw"), -1);
    ck_assert_int_eq(err.class, ERR_USAGE);
    ck_assert_int_eq(extract(raw, NULL, "raw"), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot open disk"));
    put("raw", "text");
    ck_assert_int_eq(extract(disk, "first", "raw"), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "File exists"));
    ck_assert(exists("raw"));
    end();
}
END_TEST

START_TEST(a_disk_in_use_gives_its_snapshots_but_not_what_changes)
{
    own_free char *disk = NULL;
    int in[2], out[2], status;
    char prompt;
    pid_t pid;

    begin();
    disk = new_disk("disk", NULL, NULL);
    write_byte(disk, "write -P 1 2M 1M");
    mark(disk, "first");
    ck_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    const char *const argv[] = {"qemu-io", "-f", "qcow2", disk, NULL};
    const struct spawn s = {.argv = argv, .stdio = {in[0], out[1], SPAWN_NULL}};
    ck_assert_msg(spawn_start(&s, &pid, &err) == 0, "%s", err.text);
    ck_assert_int_eq(read(out[0], &prompt, 1), 1); /* it has the disk */
    ck_assert_int_eq(extract(disk, NULL, "raw"), -1);
    ck_assert_msg(strstr(err.text, "another process") != NULL, "%s", err.text);
    ck_assert_msg(extract(disk, "first", "a") == 0, "%s", err.text);
    expect("a", 1);
    close(in[1]);
    ck_assert_int_eq(spawn_wait(pid, "qemu-io", UINT64_MAX, &status, &err), 0);
    close(in[0]);
    close(out[0]);
    close(out[1]);
    end();
}
END_TEST

START_TEST(a_disk_that_names_another_file_is_refused)
{
    own_free char *secret = NULL, *data = NULL;

    begin();
    put("secret", "secret");
    secret = in_dir("secret");
    data = str_printf("data_file=%s/data", dir);
    const struct {
        const char *option, *value;
    } rows[] = {{"-b", secret}, {"-o", data}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_free char *disk = new_disk("disk", rows[i].option, rows[i].value);

        ck_assert_int_eq(extract(disk, NULL, "raw"), -1);
        ck_assert_int_eq(err.class, ERR_HOST);
        ck_assert_msg(strstr(err.text, "names another file") != NULL, "%s", err.text);
        ck_assert(!exists("raw"));
    }
    end();
}
END_TEST

START_TEST(what_is_no_qcow2_is_not_guessed_at)
{
    own_free char *path = NULL, *link = NULL, *old = NULL;

    begin();
    put("disk", "short");
    path = in_dir("disk");
    ck_assert_int_eq(extract(path, NULL, "raw"), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "is not a qcow2 file"));
    ck_assert_int_eq(truncate(path, SIZE), 0);
    ck_assert_int_eq(extract(path, NULL, "raw"), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "is not a qcow2 file"));
    old = new_disk("old", "-o", "compat=0.10");
    ck_assert_int_eq(extract(old, NULL, "raw"), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "is not a qcow2 file of version 3"));
    link = in_dir("link");
    ck_assert_int_eq(symlink(path, link), 0);
    ck_assert_int_eq(extract(link, NULL, "raw"), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot open disk"));
    ck_assert(!exists("raw"));
    end();
}
END_TEST

SUITE("disk_extract", each_snapshot_and_the_disk_as_it_is_come_out_as_they_were,
      what_cannot_be_had_is_named_and_leaves_no_file,
      a_disk_in_use_gives_its_snapshots_but_not_what_changes,
      a_disk_that_names_another_file_is_refused, what_is_no_qcow2_is_not_guessed_at)
