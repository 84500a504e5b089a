/* fuzz_copy: what a guest sends for `cp NAME:PATH -` is a tar whose entries are all below our name,
 * or is refused. */
#include "base/own.h"
#include "images/tar.h"
#include "run/copy_tar.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void check_tar(int fd)
{
    own_tar_reader struct tar_reader t;
    own_tar_entry struct tar_entry en = {0};
    struct stat st;
    struct err e;
    bool more;

    MUST(fstat(fd, &st) == 0);
    tar_reader_init(&t, fd, (uint64_t)st.st_size);
    for (;;) {
        MUST(tar_next(&t, &en, &more, &e) == 0);
        if (!more)
            return;
        MUST(en.type == TAR_FILE || en.type == TAR_DIR);
        MUST(strncmp(en.path.data, "top", 3) == 0);
        MUST(en.path.data[3] == '/' || en.path.data[3] == '\0');
        MUST(!strstr(en.path.data, "/../") && (en.mode & ~0755u) == 0 && en.size <= 10000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_close int tree = memfd_create("tree", MFD_CLOEXEC);
    own_close int tar = memfd_create("tar", MFD_CLOEXEC);
    struct copy_tar_made made;
    struct run_result notes = {0};
    struct err e;

    MUST(tree >= 0 && tar >= 0 && write(tree, data, len) == (ssize_t)len);
    if (copy_tree_to_tar(tree, "top", 10000, tar, &made, &notes, &e) == 0)
        check_tar(tar);
    else
        MUST(str_is_printable(e.text, sizeof(e.text)));
    MUST(str_is_printable(notes.notes, sizeof(notes.notes)) || strchr(notes.notes, '\n'));
    return 0;
}
