/* disk: an ext4 file system that a guest wrote: superblock, inodes, marks. See disk.h. UNTRUSTED.
 */
#include "look/disk.h"

#include "look/pread_io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUPERBLOCK_AT  1024
#define INODE_SIZE     256u
#define LIBRARY_ERRORS 256          /* what is less is an errno: com_err(3) */
#define BUDGET_FACTOR  8u           /* hard links and the tree make us read blocks again */
#define BUDGET_MIN     (4ull << 20) /* and a small disk may have many inodes */

/* What mke2fs makes for us, and what its next versions will: nothing that has code of its own. */
#define COMPAT_OK                                                                                  \
    (EXT2_FEATURE_COMPAT_EXT_ATTR | EXT2_FEATURE_COMPAT_RESIZE_INODE |                             \
     EXT2_FEATURE_COMPAT_DIR_INDEX | EXT4_FEATURE_COMPAT_ORPHAN_FILE)
#define INCOMPAT_NEEDED (EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_EXTENTS)
#define INCOMPAT_OK                                                                                \
    (INCOMPAT_NEEDED | EXT4_FEATURE_INCOMPAT_64BIT | EXT4_FEATURE_INCOMPAT_FLEX_BG |               \
     EXT4_FEATURE_INCOMPAT_CSUM_SEED)
#define RO_COMPAT_OK                                                                               \
    (EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE |                     \
     EXT4_FEATURE_RO_COMPAT_HUGE_FILE | EXT4_FEATURE_RO_COMPAT_DIR_NLINK |                         \
     EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE | EXT4_FEATURE_RO_COMPAT_METADATA_CSUM |                   \
     EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT)

static bool super_is_ours(const struct ext2_super_block *s)
{
    return s->s_magic == EXT2_SUPER_MAGIC && s->s_rev_level == EXT2_DYNAMIC_REV &&
           s->s_log_block_size == 2 && s->s_log_cluster_size == 2 &&
           s->s_inode_size == INODE_SIZE && s->s_blocks_per_group == 8 * DISK_BLOCK &&
           s->s_first_ino == EXT2_GOOD_OLD_FIRST_INO &&
           (s->s_feature_compat & ~(uint32_t)COMPAT_OK) == 0 &&
           (s->s_feature_incompat & ~(uint32_t)INCOMPAT_OK) == 0 &&
           (s->s_feature_incompat & INCOMPAT_NEEDED) == INCOMPAT_NEEDED &&
           (s->s_feature_ro_compat & ~(uint32_t)RO_COMPAT_OK) == 0;
}

static int check_super(int fd, uint64_t size_bytes, const char *what, struct err *e)
{
    struct ext2_super_block s;
    uint64_t blocks;
    ssize_t n;

    do
        n = pread(fd, &s, sizeof(s), SUPERBLOCK_AT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read %s", what);
    if ((size_t)n != sizeof(s) || !super_is_ours(&s))
        return err_set(e, ERR_GUEST, "%s has no file system of the kind that we made", what);
    blocks = s.s_blocks_count;
    if (s.s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT)
        blocks |= (uint64_t)s.s_blocks_count_hi << 32;
    if (blocks > size_bytes / DISK_BLOCK)
        return err_set(e, ERR_GUEST, "%s has a file system that is larger than the disk", what);
    return 0;
}

int disk_open(struct disk *d, int fd, uint64_t size_bytes, const char *what, struct err *e)
{
    char name[PREAD_IO_NAME_SIZE];
    errcode_t r;

    *d = (struct disk){0};
    if (check_super(fd, size_bytes, what, e) < 0)
        return -1;
    (void)snprintf(name, sizeof(name), "%d", fd);
    r = ext2fs_open2(name, NULL, EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP, 0, DISK_BLOCK, &pread_io,
                     &d->fs);
    if (r == EXT2_ET_NO_MEMORY)
        return err_set(e, ERR_HOST, "there is too little memory to read %s", what);
    if (r > 0 && r < LIBRARY_ERRORS)
        return err_sys(e, ERR_HOST, (int)r, "cannot read %s", what);
    if (r)
        return err_set(e, ERR_GUEST, "%s has a damaged file system (libext2fs error %ld)", what,
                       (long)r);
    d->blocks = ext2fs_blocks_count(d->fs->super);
    d->budget = d->blocks * BUDGET_FACTOR + BUDGET_MIN;
    return 0;
}

void disk_close(struct disk *d)
{
    if (d->fs)
        ext2fs_free(d->fs);
    d->fs = NULL;
}

bool disk_is_spent(const struct disk *d)
{
    return d->budget == 0;
}

int disk_host_errno(const struct disk *d)
{
    return d->no_memory ? ENOMEM : pread_io_errno(d->fs->io);
}

static bool mode_is_known(uint32_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) ||
           S_ISFIFO(mode) || S_ISSOCK(mode);
}

int disk_file_read(struct disk *d, uint32_t number, struct disk_file *ret)
{
    struct ext2_inode *i = &ret->inode;

    if (disk_is_spent(d))
        return -1;
    d->budget--;
    /* Those below are the file system's own, but for the root. */
    if (number != DISK_ROOT_INODE && number < EXT2_GOOD_OLD_FIRST_INO)
        return -1;
    if (ext2fs_read_inode(d->fs, number, i) || i->i_links_count == 0 || !mode_is_known(i->i_mode))
        return -1;
    ret->number = number;
    ret->mode = i->i_mode;
    ret->uid = inode_uid(*i);
    ret->gid = inode_gid(*i);
    ret->size = EXT2_I_SIZE(i);
    ret->device[0] = ret->device[1] = 0;
    if (S_ISCHR(ret->mode) || S_ISBLK(ret->mode))
        memcpy(ret->device, i->i_block, sizeof(ret->device));
    return 0;
}

bool disk_is_whiteout(const struct disk_file *f)
{
    return S_ISCHR(f->mode) && f->device[0] == 0 && f->device[1] == 0;
}

int disk_link_read(struct disk *d, const struct disk_file *f, char out[DISK_LINK_MAX],
                   size_t *ret_len)
{
    uint8_t block[DISK_BLOCK];
    struct disk_reader r;
    bool zeros;
    int rc = -1;

    if (f->size == 0 || f->size > DISK_LINK_MAX)
        return -1;
    *ret_len = (size_t)f->size;
    if (!(f->inode.i_flags & EXT4_EXTENTS_FL)) {
        if (f->size >= sizeof(f->inode.i_block))
            return -1;
        memcpy(out, f->inode.i_block, *ret_len);
        return 0;
    }
    if (disk_reader_open(&r, d, f) < 0)
        return -1;
    if (disk_reader_stretch(&r, &zeros) == 1 && !zeros)
        rc = disk_reader_take(&r, 1, block);
    disk_reader_close(&r);
    if (rc == 0)
        memcpy(out, block, *ret_len);
    return rc;
}

static bool has_attribute(struct ext2_xattr_handle *h, const char *name)
{
    void *value = NULL;
    size_t len;
    bool there = ext2fs_xattr_get(h, name, &value, &len) == 0;

    if (there)
        ext2fs_free_mem(&value);
    return there;
}

int disk_marks_read(struct disk *d, const struct disk_file *f, struct disk_marks *ret)
{
    struct ext2_xattr_handle *h = NULL;
    errcode_t r;

    if (disk_is_spent(d))
        return -1;
    d->budget--;
    if (ext2fs_xattrs_open(d->fs, f->number, &h))
        return -1;
    r = ext2fs_xattrs_read(h);
    if (!r) {
        ret->opaque = S_ISDIR(f->mode) && has_attribute(h, "trusted.overlay.opaque");
        ret->copied = has_attribute(h, "trusted.overlay.origin");
    }
    ext2fs_xattrs_close(&h);
    return r ? -1 : 0;
}
