/* fuzz_unpack: a whole tree stream becomes files; nothing appears beside the folder. */
#include "base/file.h"
#include "channel/extract.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void refused(struct extract *x, enum tree_why why, bool by_guest, const char *name,
                    size_t len)
{
    MUST(why > TREE_WHY_NONE && why < TREE_WHY_END && len <= TREE_NAME_MAX && name[len] == '\0');
}

/* "tree" is the only entry of the folder that we made. */
static void check_beside(int top)
{
    struct err e;
    bool empty;

    MUST(file_remove_tree(top, "tree", &e) == 0);
    MUST(file_dir_is_empty(top, &empty, &e) == 0 && empty);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct extract x;
    static char path[] = "/dev/shm/lazaret-fuzz-XXXXXX";
    int spool = memfd_create("spool", MFD_CLOEXEC), top;
    struct err e;

    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    MUST(spool >= 0 && write(spool, data, len) == (ssize_t)len && mkdtemp(path));
    top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(top >= 0 && mkdirat(top, "tree", 0700) == 0);
    x = (struct extract){.spool_fd = spool, .max_bytes = 10000, .parent_fd = -1};
    x.dir_fd = openat(top, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    x.refused = refused;
    MUST(x.dir_fd >= 0);
    if (extract_run(&x, &e) == 0)
        MUST(x.bytes <= x.content_bytes && x.content_bytes <= 10000);
    MUST(x.parent_fd == -1 && faccessat(x.dir_fd, EXTRACT_PART, F_OK, AT_SYMLINK_NOFOLLOW) < 0);
    close(x.dir_fd);
    check_beside(top);
    close(top);
    close(spool);
    MUST(rmdir(path) == 0);
    return 0;
}
