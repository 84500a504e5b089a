/*
 * test_state: a guest is saved and restored through the embedded driver, as root and as a user.
 *
 * "test_state root PRELOAD" and "user". The guest is 64 KiB of ROM: it counts the bytes that come
 * over the serial port in its memory, and answers each with the count.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "hv/hv.h"
#include "tests/hv/stage.h"
#include "tests/unit/suite.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ROM_SIZE  65536
#define RAM_BYTES (16u << 20)
#define ANSWER_MS 10000
#define SAVE_MS   10000
#define UUID_A    "11111111-2222-4333-8444-555555555555"
#define UUID_B    "11111111-2222-4333-8444-666666666666"

/* clang-format off: machine code */
static const unsigned char code_counts[] = {
    0xba, 0xfd, 0x03,       /* 1: mov dx, 0x3fd  line status */
    0xec,                   /* 2: in al, dx */
    0xa8, 0x01,             /*    test al, 1     a byte is there */
    0x74, 0xfb,             /*    jz 2b */
    0xba, 0xf8, 0x03,       /*    mov dx, 0x3f8  data */
    0xec,                   /*    in al, dx */
    0xfe, 0x06, 0x00, 0x10, /*    inc byte [0x1000] */
    0xa0, 0x00, 0x10,       /*    mov al, [0x1000] */
    0xee,                   /*    out dx, al */
    0xeb, 0xea,             /*    jmp 1b */
};
/* clang-format on */

/* How a guest's memory is backed; DISK: as PLAIN, with a disk that keeps marks. */
enum kind { PLAIN, TEMPLATE, RESTORE, RESTORE_PLAIN, DISK };

static const char *preload;
static char root[64];

static const char xml_format[] =
    "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
    "<name>guest-%s</name><uuid>%s</uuid><memory unit='KiB'>%u</memory><vcpu>1</vcpu>"
    "<os><type arch='x86_64' machine='microvm'>hvm</type>"
    "<loader readonly='yes' type='rom'>%s.rom</loader></os><features><acpi/></features>"
    "<cpu mode='custom' match='exact' check='none'><model>qemu64</model></cpu>"
    "<on_poweroff>destroy</on_poweroff><on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>"
    "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>"
    "<controller type='usb' model='none'/><memballoon model='none'/>"
    "<serial type='unix'><source mode='bind' path='%s.serial'/><target type='isa-serial' port='0'>"
    "<model name='isa-serial'/></target></serial>%s</devices>"
    "<qemu:commandline>%s</qemu:commandline>"
    "<qemu:capabilities><qemu:del capability='cpu-unavailable-features'/></qemu:capabilities>"
    "</domain>";

/* Returns new. `ram`: the file that backs its memory. */
static char *make_xml(enum kind kind, const char *uuid, const char *ram, unsigned ram_bytes)
{
    own_str struct str args = {0};
    own_free char *given = NULL, *disk = NULL;

    if (kind == DISK)
        disk = str_printf("<disk type='file' device='disk' model='virtio'>"
                          "<driver name='qemu' type='qcow2' cache='unsafe'/>"
                          "<source file='%s.disk'/><target dev='vdb' bus='virtio'/>"
                          "<address type='virtio-mmio'/></disk>",
                          root);
    if (kind == TEMPLATE || kind == RESTORE)
        str_addf(&args,
                 "<qemu:arg value='-object'/><qemu:arg value='memory-backend-file,id=lz-ram,"
                 "mem-path=%s,size=%u,share=%s'/><qemu:arg value='-machine'/>"
                 "<qemu:arg value='memory-backend=lz-ram'/>",
                 ram, ram_bytes, kind == TEMPLATE ? "on" : "off");
    if (kind == RESTORE || kind == RESTORE_PLAIN)
        str_add(&args, "<qemu:arg value='-incoming'/><qemu:arg value='defer'/>");
    if (kind == RESTORE)
        str_addf(&args,
                 "<qemu:env name='LD_PRELOAD' value='%s'/>"
                 "<qemu:env name='LAZARET_READONLY' value='%s'/>",
                 preload, ram);
    given = str_steal(&args);
    return str_printf(xml_format, uuid + 24, uuid, ram_bytes / 1024, root, root, disk ? disk : "",
                      given);
}

static struct hv *open_embedded(void)
{
    static const unsigned char reset_vector[] = {0xe9, 0x0d, 0x00}; /* jmp to offset 0 */
    own_free unsigned char *bytes = calloc(1, ROM_SIZE);
    own_free char *rom = NULL;
    struct hv_config c = {
        .root = root, .cache_dir = STAGE_DIR "/cache", .log_path = STAGE_DIR "/log"};
    struct hv *h = NULL;
    struct err e;

    snprintf(root, sizeof(root), STAGE_DIR "/root-%d", (int)getpid());
    rom = str_printf("%s.rom", root);
    memcpy(bytes, code_counts, sizeof(code_counts));
    memcpy(bytes + ROM_SIZE - 16, reset_vector, sizeof(reset_vector));
    ck_assert_msg(file_write(AT_FDCWD, rom, bytes, ROM_SIZE, 0644, &e) == 0, "%s", e.text);
    ck_assert_int_eq(mkdir(root, 0711), 0);
    ck_assert_msg(hv_open(&c, &h, &e) == 0, "%s", e.text);
    return h;
}

/* Until libvirt has seen the end of the last domain, and let go of its name. */
static void wait_stopped(struct hv *h)
{
    struct pollfd p = {.fd = hv_event_fd(h), .events = POLLIN};
    uint64_t deadline_ms = clock_mono_ms() + ANSWER_MS;
    struct hv_event ev;

    while (poll(&p, 1, clock_poll_timeout(deadline_ms)) > 0)
        while (hv_next_event(h, &ev))
            if (ev.type == HV_STOPPED)
                return;
    ck_abort_msg("the end did not come");
}

static int connect_serial(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    snprintf(at.sun_path, sizeof(at.sun_path), "%s.serial", root);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

/* One byte to the guest, and its answer: how many there were. */
static int count(int serial)
{
    struct pollfd p = {.fd = serial, .events = POLLIN};
    unsigned char answer;

    ck_assert_int_eq(write(serial, "x", 1), 1);
    ck_assert_int_eq(poll(&p, 1, ANSWER_MS), 1);
    ck_assert_int_eq(read(serial, &answer, 1), 1);
    return answer;
}

/* An empty memory file that QEMU's user may write. Returns new: its path. */
static char *make_ram(void)
{
    char *path = str_printf("%s.ram", root);
    own_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct err e;
    uid_t uid;
    gid_t gid;

    ck_assert_int_eq(hv_qemu_owner(NULL, &uid, &gid, &e), 0);
    ck_assert_int_eq(ftruncate(fd, RAM_BYTES), 0);
    if (uid != geteuid())
        ck_assert_int_eq(fchown(fd, uid, gid), 0);
    return path;
}

/* As the store keeps it: nobody may write it, and its place is a read-only mount. */
static void seal(const char *ram)
{
    ck_assert_int_eq(chown(ram, geteuid(), getegid()), 0);
    ck_assert_int_eq(chmod(ram, 0444), 0);
    ck_assert_int_eq(mount(ram, ram, NULL, MS_BIND, NULL), 0);
    ck_assert_int_eq(
        mount(NULL, ram, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL), 0);
}

static int state_file(const char *name)
{
    own_free char *path = str_printf("%s.%s", root, name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* A guest that has counted to `n`, saved and gone. Returns the state's fd. */
static int save_guest(struct hv *h, enum kind kind, const char *ram, int n)
{
    own_free char *xml = make_xml(kind, UUID_A, ram, RAM_BYTES);
    int state = state_file("state");
    own_close int serial = -1;
    struct err e;

    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    serial = connect_serial();
    ck_assert_int_eq(hv_resume(h, &e), 0);
    for (int i = 1; i <= n; i++)
        ck_assert_int_eq(count(serial), i);
    ck_assert_msg(hv_save_state(h, state, kind == TEMPLATE ? HV_RAM_APART : HV_RAM_IN_STATE,
                                SAVE_MS, &e) == 0,
                  "%s", e.text);
    ck_assert_msg(hv_destroy(h, &e) == 0, "%s", e.text);
    ck_assert_int_eq(stage_count_qemu(), 0);
    wait_stopped(h);
    return state;
}

/* -1 and the error if the state is not taken. */
static int restore(struct hv *h, enum kind kind, const char *uuid, const char *ram, int state,
                   struct err *e)
{
    own_free char *xml = make_xml(kind, uuid, ram, RAM_BYTES);

    ck_assert_int_eq(lseek(state, 0, SEEK_SET), 0);
    return hv_create_incoming(h, xml, state, kind == RESTORE ? HV_RAM_APART : HV_RAM_IN_STATE,
                              SAVE_MS, e);
}

START_TEST(a_restored_guest_goes_on_where_it_was_saved_with_its_memory_in_the_state)
{
    struct hv *h = open_embedded();
    own_close int state = save_guest(h, PLAIN, NULL, 3);
    own_close int serial = -1;
    struct err e;

    ck_assert_msg(restore(h, RESTORE_PLAIN, UUID_B, NULL, state, &e) == 0, "%s", e.text);
    serial = connect_serial();
    ck_assert_int_eq(hv_resume(h, &e), 0);
    ck_assert_int_eq(count(serial), 4);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

START_TEST(a_guest_whose_memory_is_apart_saves_its_devices_only_and_is_restored_again_and_again)
{
    struct hv *h = open_embedded();
    own_free char *ram = make_ram();
    own_close int state = save_guest(h, TEMPLATE, ram, 5);
    char before[DIGEST_HEX_SIZE], after[DIGEST_HEX_SIZE];
    own_close int ram_fd = open(ram, O_RDONLY | O_CLOEXEC);
    uint64_t size;
    struct stat st;
    struct err e;

    ck_assert_int_eq(fstat(state, &st), 0);
    ck_assert_int_lt(st.st_size, 1 << 20);
    seal(ram);
    ck_assert_int_eq(digest_fd(ram_fd, before, &size, &e), 0);
    ck_assert_uint_eq(size, RAM_BYTES);
    for (int i = 0; i < 2; i++) {
        own_close int serial = -1;

        ck_assert_msg(restore(h, RESTORE, i % 2 ? UUID_A : UUID_B, ram, state, &e) == 0, "%s",
                      e.text);
        serial = connect_serial();
        ck_assert_int_eq(hv_resume(h, &e), 0);
        ck_assert_int_eq(count(serial), 6); /* what another one counted is not seen */
        ck_assert_int_eq(count(serial), 7);
        ck_assert_int_eq(hv_destroy(h, &e), 0);
        wait_stopped(h);
    }
    ck_assert_int_eq(digest_fd(ram_fd, after, &size, &e), 0);
    ck_assert_str_eq(before, after);
    hv_close(h);
}
END_TEST

/* The number of QEMU's fds of this file; none of them may be open for writing. */
static int check_fds(pid_t pid, const struct stat *file)
{
    own_free char *dir = str_printf("/proc/%d/fd", (int)pid);
    own_closedir DIR *d = opendir(dir);
    const struct dirent *en;
    int found = 0;

    ck_assert_ptr_nonnull(d);
    while ((en = readdir(d))) {
        own_free char *info_path = str_printf("/proc/%d/fdinfo/%s", (int)pid, en->d_name);
        own_fclose FILE *info = NULL;
        char line[128];
        struct stat st;

        if (fstatat(dirfd(d), en->d_name, &st, 0) < 0 || st.st_ino != file->st_ino ||
            st.st_dev != file->st_dev)
            continue;
        found++;
        info = fopen(info_path, "re");
        ck_assert_ptr_nonnull(info);
        while (fgets(line, sizeof(line), info))
            if (str_starts_with(line, "flags:"))
                ck_assert_uint_eq(strtoul(line + 6, NULL, 8) & O_ACCMODE, O_RDONLY);
    }
    return found;
}

/* The number of its mappings; none of them may be shared and writable. */
static int check_maps(pid_t pid, const struct stat *file)
{
    own_free char *path = str_printf("/proc/%d/maps", (int)pid);
    own_free char *want = str_printf("%ju", (uintmax_t)file->st_ino);
    own_fclose FILE *maps = fopen(path, "re");
    char line[4096 + 128];
    int found = 0;

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof(line), maps)) {
        char rights[5], inode[24];

        if (sscanf(line, "%*s %4s %*s %*s %23s", rights, inode) != 2 || strcmp(inode, want) != 0)
            continue;
        found++;
        ck_assert_msg(rights[3] == 'p', "%s", line);
    }
    return found;
}

START_TEST(qemu_holds_nothing_by_which_it_could_write_the_saved_memory)
{
    struct hv *h = open_embedded();
    own_free char *ram = make_ram();
    own_close int state = save_guest(h, TEMPLATE, ram, 1);
    struct stat st;
    struct err e;

    seal(ram);
    ck_assert_msg(restore(h, RESTORE, UUID_B, ram, state, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_resume(h, &e), 0);
    ck_assert_int_eq(stat(ram, &st), 0);
    ck_assert_int_eq(check_fds(hv_qemu_pid(h), &st), 1);
    ck_assert_int_ge(check_maps(hv_qemu_pid(h), &st), 1);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

START_TEST(without_the_preload_qemu_does_not_start_on_a_sealed_memory_file)
{
    struct hv *h = open_embedded();
    own_free char *ram = make_ram();
    own_close int state = save_guest(h, TEMPLATE, ram, 1);
    struct err e;

    seal(ram);
    preload = "/nonexistent/preload.so";
    ck_assert_int_eq(restore(h, RESTORE, UUID_B, ram, state, &e), -1);
    ck_assert_msg(strstr(e.text, "lz-ram") || strstr(e.text, ".ram"), "%s", e.text);
    ck_assert_int_eq(stage_count_qemu(), 0);
    hv_close(h);
}
END_TEST

START_TEST(a_saved_guest_may_go_on)
{
    struct hv *h = open_embedded();
    own_free char *xml = make_xml(PLAIN, UUID_A, NULL, RAM_BYTES);
    own_close int first = state_file("first"), second = state_file("second"), serial = -1;
    struct err e;

    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    serial = connect_serial();
    ck_assert_int_eq(hv_resume(h, &e), 0);
    ck_assert_int_eq(count(serial), 1);
    ck_assert_msg(hv_save_state(h, first, HV_RAM_IN_STATE, SAVE_MS, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_resume(h, &e), 0);
    ck_assert_int_eq(count(serial), 2);
    ck_assert_msg(hv_save_state(h, second, HV_RAM_IN_STATE, SAVE_MS, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    wait_stopped(h);
    close(serial);
    ck_assert_msg(restore(h, RESTORE_PLAIN, UUID_B, NULL, first, &e) == 0, "%s", e.text);
    serial = connect_serial();
    ck_assert_int_eq(hv_resume(h, &e), 0);
    ck_assert_int_eq(count(serial), 2);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

/* It says that the save is done before its guest may go on. */
START_TEST(a_saved_guest_may_go_on_at_once_each_time)
{
    struct hv *h = open_embedded();
    own_free char *xml = make_xml(PLAIN, UUID_A, NULL, RAM_BYTES);
    own_close int state = state_file("state"), serial = -1;
    struct err e;

    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    serial = connect_serial();
    for (int i = 1; i <= 100; i++) {
        ck_assert_msg(hv_resume(h, &e) == 0, "after %d saves: %s", i - 1, e.text);
        ck_assert_int_eq(count(serial), i);
        ck_assert_int_eq(ftruncate(state, 0), 0);
        ck_assert_msg(hv_save_state(h, state, HV_RAM_IN_STATE, SAVE_MS, &e) == 0, "%s", e.text);
    }
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

/* Returns new: its path. QEMU's user owns it. */
static char *make_disk(void)
{
    char *path = str_printf("%s.disk", root);
    const char *const argv[] = {
        "/usr/bin/qemu-img", "create", "-q", "-f", "qcow2", path, "8M", NULL};
    struct spawn s = {.argv = argv, .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}};
    struct err e;
    uid_t uid;
    gid_t gid;

    ck_assert_msg(spawn_tool(&s, "qemu-utils", ANSWER_MS, NULL, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_qemu_owner(NULL, &uid, &gid, &e), 0);
    if (uid != geteuid())
        ck_assert_int_eq(chown(path, uid, gid), 0);
    return path;
}

/* What qemu-img says of going back to it, once no QEMU has the disk open. */
static int go_back(const char *disk, const char *mark)
{
    const char *const argv[] = {"/usr/bin/qemu-img", "snapshot", "-q", "-a", mark, disk, NULL};
    struct spawn s = {.argv = argv, .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}};
    struct err e;

    return spawn_tool(&s, "qemu-utils", ANSWER_MS, NULL, &e);
}

START_TEST(a_disk_keeps_its_marks_until_they_are_forgotten)
{
    struct hv *h = open_embedded();
    own_free char *disk = make_disk(), *xml = make_xml(DISK, UUID_A, NULL, RAM_BYTES);
    struct err e;

    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_resume(h, &e), 0);
    ck_assert_int_eq(hv_pause(h, &e), 0);
    for (int i = 1; i <= 100; i++) {
        own_free char *name = str_printf("mark-%d", i);

        ck_assert_msg(hv_disk_keep(h, name, &e) == 0, "%d: %s", i, e.text);
    }
    ck_assert_int_eq(hv_disk_keep(h, "mark-7", &e), -1);
    ck_assert_msg(strstr(e.text, "cannot keep the disk's state"), "%s", e.text);
    ck_assert_msg(hv_disk_forget(h, "mark-7", &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_disk_forget(h, "mark-7", &e), -1);
    ck_assert_msg(strstr(e.text, "cannot forget the disk's state"), "%s", e.text);
    ck_assert_msg(str_is_printable(e.text, sizeof(e.text)), "%s", e.text);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    ck_assert_int_eq(go_back(disk, "mark-6"), 0);
    ck_assert_int_eq(go_back(disk, "mark-7"), -1);
    ck_assert_int_eq(go_back(disk, "mark-100"), 0);
    hv_close(h);
}
END_TEST

START_TEST(a_guest_without_a_disk_of_that_kind_can_keep_nothing)
{
    struct hv *h = open_embedded();
    own_free char *xml = make_xml(PLAIN, UUID_A, NULL, RAM_BYTES);
    struct err e;

    ck_assert_int_eq(hv_disk_keep(h, "a", &e), -1);
    ck_assert_msg(strstr(e.text, "there is no domain"), "%s", e.text);
    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_disk_keep(h, "a", &e), -1);
    ck_assert_msg(strstr(e.text, "no disk of this guest"), "%s", e.text);
    ck_assert_int_eq(hv_disk_forget(h, "a", &e), -1);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

START_TEST(a_state_that_does_not_fit_is_refused_and_leaves_no_qemu)
{
    static const struct {
        const char *what;
        off_t cut;  /* keep so many bytes of the state; 0: all */
        off_t flip; /* invert the byte there; 0: none */
        unsigned ram_bytes;
    } rows[] = {
        {"an empty state", 1, 0, RAM_BYTES},
        {"half a state", 20000, 0, RAM_BYTES},
        {"another magic", 0, 1, RAM_BYTES},
        {"a smaller memory", 0, 0, RAM_BYTES / 2},
    };
    struct hv *h = open_embedded();
    own_close int state = save_guest(h, PLAIN, NULL, 1);
    struct err e;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_free char *xml = make_xml(RESTORE_PLAIN, UUID_B, NULL, rows[i].ram_bytes);
        own_free char *bytes = malloc(4 * RAM_BYTES);
        own_close int bad = state_file(rows[i].what);
        ssize_t n = pread(state, bytes, 4 * RAM_BYTES, 0);

        ck_assert_int_gt(n, rows[i].cut);
        bytes[rows[i].flip] = (char)(rows[i].flip ? ~bytes[rows[i].flip] : bytes[rows[i].flip]);
        n = rows[i].cut ? rows[i].cut : n;
        ck_assert_int_eq(pwrite(bad, bytes, (size_t)n, 0), n);
        e.text[0] = '\0';
        ck_assert_msg(hv_create_incoming(h, xml, bad, HV_RAM_IN_STATE, SAVE_MS, &e) == -1, "%s",
                      rows[i].what);
        ck_assert_int_eq(e.class, ERR_HOST);
        ck_assert_msg(strstr(e.text, "cannot restore the guest's state"), "%s: %s", rows[i].what,
                      e.text);
        ck_assert_msg(str_is_printable(e.text, sizeof(e.text)), "%s", rows[i].what);
        ck_assert_int_eq(stage_count_qemu(), 0);
        wait_stopped(h);
    }
    ck_assert_msg(restore(h, RESTORE_PLAIN, UUID_B, NULL, state, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    hv_close(h);
}
END_TEST

/* Even its zero pages are more than a pipe holds, so QEMU is held up before its last stage, in
 * which it answers nobody: that is why a state goes to a regular file. */
START_TEST(a_state_that_nobody_takes_ends_at_the_deadline)
{
    struct hv *h = open_embedded();
    own_free char *xml = make_xml(PLAIN, UUID_A, NULL, 16 * RAM_BYTES);
    uint64_t before_ms;
    int pair[2];
    struct err e;

    ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_resume(h, &e), 0);
    before_ms = clock_mono_ms();
    ck_assert_int_eq(hv_save_state(h, pair[1], HV_RAM_IN_STATE, 300, &e), -1);
    ck_assert_msg(strstr(e.text, "not done within 300 ms"), "%s", e.text);
    ck_assert_uint_ge(clock_mono_ms() - before_ms, 300);
    ck_assert_uint_lt(clock_mono_ms() - before_ms, 5000);
    ck_assert_msg(hv_destroy(h, &e) == 0, "%s", e.text);
    ck_assert_int_eq(stage_count_qemu(), 0);
    hv_close(h);
}
END_TEST

START_TEST(without_a_guest_there_is_nothing_to_save)
{
    struct hv *h = open_embedded();
    own_close int state = state_file("state");
    struct err e;

    ck_assert_int_eq(hv_save_state(h, state, HV_RAM_IN_STATE, SAVE_MS, &e), -1);
    ck_assert_msg(strstr(e.text, "there is no domain"), "%s", e.text);
    ck_assert_int_eq(hv_pause(h, &e), -1);
    hv_close(h);
}
END_TEST

static int run_all(void)
{
    const TTest *const all[] = {
        a_restored_guest_goes_on_where_it_was_saved_with_its_memory_in_the_state,
        a_guest_whose_memory_is_apart_saves_its_devices_only_and_is_restored_again_and_again,
        qemu_holds_nothing_by_which_it_could_write_the_saved_memory,
        without_the_preload_qemu_does_not_start_on_a_sealed_memory_file,
        a_saved_guest_may_go_on,
        a_saved_guest_may_go_on_at_once_each_time,
        a_disk_keeps_its_marks_until_they_are_forgotten,
        a_guest_without_a_disk_of_that_kind_can_keep_nothing,
        a_state_that_does_not_fit_is_refused_and_leaves_no_qemu,
        a_state_that_nobody_takes_ends_at_the_deadline,
        without_a_guest_there_is_nothing_to_save,
    };

    return suite_main("state", NULL, NULL, all, sizeof(all) / sizeof(all[0]));
}

int main(int argc, char **argv)
{
    bool as_user = argc == 3 && strcmp(argv[1], "user") == 0;

    if (argc != 3) {
        fprintf(stderr, "usage: test_state root|user PRELOAD\n");
        return EXIT_FAILURE;
    }
    preload = argv[2];
    if (!as_user && geteuid() != 0) {
        printf("1..0 # SKIP needs root\n");
        return EXIT_SUCCESS;
    }
    return stage_run(as_user, false, run_all);
}
