/* verity: the root disk behind dm-verity: only blocks that the root hash stands for are ever read.
 */
#include "agent/verity.h"

#include "agent/cmdline.h"
#include "shared/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CONTROL           "/dev/" DM_DIR "/" DM_CONTROL_NODE
#define DEVICE_NAME       GUEST_DISK_ROOT
#define SECTORS_PER_BLOCK (GUEST_VERITY_BLOCK / 512)

/* What the ioctls take: a header, and for the table one target with its parameters. */
struct request {
    struct dm_ioctl head;
    struct dm_target_spec target;
    char line[VERITY_LINE_SIZE];
};

/* 64 lower-case hexadecimal digits at *p, which moves behind them. */
static int take_hex(const char **p, char ret[VERITY_HEX_SIZE])
{
    if (strspn(*p, "0123456789abcdef") != VERITY_HEX_SIZE - 1)
        return -EINVAL;
    memcpy(ret, *p, VERITY_HEX_SIZE - 1);
    ret[VERITY_HEX_SIZE - 1] = '\0';
    *p += VERITY_HEX_SIZE - 1;
    return 0;
}

int verity_parse(const char *value, struct verity_table *ret)
{
    struct verity_table t;
    const char *p = value;

    if (cmdline_take_number(&p, UINT32_MAX, &t.data_blocks) < 0 || *p++ != ':' ||
        cmdline_take_number(&p, UINT32_MAX, &t.hash_start) < 0 || *p++ != ':' ||
        take_hex(&p, t.salt) < 0 || *p++ != ':' || take_hex(&p, t.root_hash) < 0 || *p != '\0')
        return -EINVAL;
    if (t.data_blocks == 0 || t.hash_start < t.data_blocks)
        return -EINVAL;
    *ret = t;
    return 0;
}

int verity_format_line(const struct verity_table *t, unsigned major, unsigned minor, char *out,
                       size_t size)
{
    int n = snprintf(out, size, "1 %u:%u %u:%u %u %u %u %u sha256 %s %s 1 panic_on_corruption",
                     major, minor, major, minor, GUEST_VERITY_BLOCK, GUEST_VERITY_BLOCK,
                     t->data_blocks, t->hash_start, t->root_hash, t->salt);

    return n < 0 || (size_t)n >= size ? -ENOSPC : 0;
}

/* Each ioctl wants the whole header anew: the kernel writes its answer over it. */
static void set_head(struct request *r)
{
    r->head = (struct dm_ioctl){
        .version = {DM_VERSION_MAJOR, 0, 0},
        .data_size = sizeof(*r),
        .data_start = offsetof(struct request, target),
        .flags = DM_READONLY_FLAG,
        .name = DEVICE_NAME,
    };
}

static int create(int control, unsigned *ret_minor, struct boot_fault *f)
{
    struct request r = {0};

    set_head(&r);
    if (ioctl(control, DM_DEV_CREATE, &r) < 0) {
        (void)boot_fail(f, "verity: make the device");
        return -1;
    }
    /* As the kernel's new_encode_dev() packs it: 12 bits of major between the minor's. */
    *ret_minor = (unsigned)((r.head.dev & 0xff) | ((r.head.dev >> 12) & 0xfff00));
    return 0;
}

static int load(int control, const struct verity_table *t, const struct stat *disk,
                struct boot_fault *f)
{
    struct request r = {0};
    int rc =
        verity_format_line(t, major(disk->st_rdev), minor(disk->st_rdev), r.line, sizeof(r.line));

    set_head(&r);
    r.head.target_count = 1;
    r.target.length = (uint64_t)t->data_blocks * SECTORS_PER_BLOCK;
    (void)snprintf(r.target.target_type, sizeof(r.target.target_type), "verity");
    errno = -rc;
    if (rc < 0 || ioctl(control, DM_TABLE_LOAD, &r) < 0)
        return boot_fail(f, "verity: load the table");
    /* Without DM_SUSPEND_FLAG this is "resume": the table goes live. */
    set_head(&r);
    if (ioctl(control, DM_DEV_SUSPEND, &r) < 0)
        return boot_fail(f, "verity: start the device");
    return 0;
}

static int read_argument(struct verity_table *ret, struct boot_fault *f)
{
    char value[VERITY_VALUE_SIZE];
    int rc = cmdline_read(GUEST_ARG_VERITY, value, sizeof(value));

    if (rc == 0)
        rc = verity_parse(value, ret);
    if (rc == 0)
        return 0;
    errno = -rc;
    (void)boot_fail(f, "%skernel argument '" GUEST_ARG_VERITY "BLOCKS:START:SALT:ROOT'",
                    rc == -ENODATA ? "no " : "");
    return -1;
}

int verity_open(const char *disk, char *ret_dev, size_t size, struct boot_fault *f)
{
    struct verity_table table;
    struct stat st;
    unsigned minor;
    int control, rc;

    if (read_argument(&table, f) < 0)
        return -1;
    if (stat(disk, &st) < 0)
        return boot_fail(f, "verity: disk '%s'", disk);
    control = open(CONTROL, O_RDWR | O_CLOEXEC);
    if (control < 0)
        return boot_fail(f, "verity: open '" CONTROL "'");
    rc = create(control, &minor, f);
    if (rc == 0)
        rc = load(control, &table, &st, f);
    close(control);
    if (rc == 0)
        (void)snprintf(ret_dev, size, "/dev/dm-%u", minor);
    return rc;
}
