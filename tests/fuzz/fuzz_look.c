/* fuzz_look: two file systems become rows and a tree; both are legal whatever the file systems say.
 *
 * The input is a first byte (bit 0: there is an earlier disk), the pieces of the later disk, and
 * then those of the earlier: offset u32, length u16, bytes. A piece at offset 0xffffffff ends a
 * disk; what no piece says is zeros.
 */
#include "base/own.h"
#include "base/str.h"
#include "look/differ.h"
#include "look/look.h"
#include "shared/bytes.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>

#define DISK_SIZE (1u << 20)
#define BUDGET    20000u

/* Makes a disk of the pieces at the front; returns the bytes used. */
static size_t make_disk(const uint8_t *data, size_t len, int fd)
{
    size_t at = 0;

    MUST(ftruncate(fd, DISK_SIZE) == 0);
    while (len - at >= 6) {
        uint32_t offset = bytes_get_u32(data + at);
        size_t n = bytes_get_u16(data + at + 4);

        at += 6;
        if (offset == UINT32_MAX)
            break;
        if (n > len - at)
            n = len - at;
        if (offset < DISK_SIZE && n <= DISK_SIZE - offset)
            MUST(pwrite(fd, data + at, n, offset) == (ssize_t)n);
        at += n;
    }
    return at;
}

static void check_rows(int fd)
{
    static struct look_rows rows;
    struct look_row row = {0};
    struct err e;
    bool more = true;

    rows = (struct look_rows){.fd = fd};
    while (more) {
        char text[LOOK_TEXT_SIZE];

        MUST(look_rows_next(&rows, &row, &more, &e) == 0);
        if (!more)
            break;
        MUST(str_is_printable(look_row_format_text(text, &row), sizeof(text)));
        doc_free(look_row_doc(&row));
    }
    MUST(row.change == LOOK_END && rows.start == rows.end);
}

static void check_tree(int fd)
{
    static uint8_t all[4 << 20];
    ssize_t len = pread(fd, all, sizeof(all), 0);
    struct tree_entry en = {0};
    size_t at = 0;

    while (en.kind != TREE_END) {
        long used = tree_entry_parse(all + at, (size_t)len - at, &en);

        MUST(used > 0 && en.size <= (size_t)len - at - (size_t)used);
        MUST(en.kind == TREE_SKIPPED || en.kind == TREE_END ||
             tree_name_check(en.name, en.name_len) == TREE_WHY_NONE);
        at += (size_t)used + en.size;
    }
    MUST(at == (size_t)len);
}

static void compare(struct disk *earlier, struct disk *later)
{
    static struct spool rows;
    static struct tree_out tree;
    static struct differ d;
    own_close int rows_fd = memfd_create("rows", MFD_CLOEXEC);
    own_close int tree_fd = memfd_create("tree", MFD_CLOEXEC);
    struct err e;

    MUST(rows_fd >= 0 && tree_fd >= 0);
    rows.fd = rows_fd;
    rows.n = 0;
    memset(&tree, 0, sizeof(tree));
    tree.spool.fd = tree_fd;
    tree.wanted = true;
    tree.left_bytes = 1 << 20;
    memset(&d, 0, sizeof(d));
    d.disk[0] = earlier;
    d.disk[1] = later;
    d.rows = &rows;
    d.tree = &tree;
    if (differ_run(&d, &e) < 0) {
        MUST(e.class == ERR_GUEST);
        return;
    }
    MUST(d.depth == 0 && later->names_bytes == 0 && (!earlier || earlier->names_bytes == 0));
    check_rows(rows_fd);
    check_tree(tree_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int fd[2] = {-1, -1};
    struct disk disk[2] = {{0}};
    bool two = len > 0 && (data[0] & 1);
    size_t used = 1;
    struct err e;

    if (len == 0)
        return 0;
    for (int i = 0; i < 1 + two; i++) {
        fd[i] = memfd_create("disk", MFD_CLOEXEC);
        MUST(fd[i] >= 0);
        used += make_disk(data + used, len - used, fd[i]);
        if (disk_open(&disk[i], fd[i], DISK_SIZE, "the disk", &e) < 0) {
            MUST(e.class == ERR_GUEST && str_is_printable(e.text, sizeof(e.text)));
            break;
        }
        disk[i].budget = BUDGET;
        if (i == two)
            compare(two ? &disk[1] : NULL, &disk[0]);
    }
    for (int i = 0; i < 2; i++) {
        disk_close(&disk[i]);
        if (fd[i] >= 0)
            close(fd[i]);
    }
    return 0;
}
