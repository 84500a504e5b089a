/* fuzz_apart: whatever a broken reader of a tar says, what is believed is within bounds. */
#include "base/own.h"
#include "images/tar_apart.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARCHIVE 4096u /* bytes that it has */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_tar_apart struct tar_apart t = TAR_APART_INIT;
    own_tar_entry struct tar_entry en = {0};
    struct err e;
    bool more = true;

    t.size = ARCHIVE;
    t.reader.fd = memfd_create("said", MFD_CLOEXEC);
    MUST(t.reader.fd >= 0 && pwrite(t.reader.fd, data, len, 0) == (ssize_t)len);
    while (more) {
        if (tar_apart_next(&t, &en, &more, &e) < 0) {
            MUST(str_is_printable(e.text, sizeof(e.text)));
            return 0;
        }
        if (!more)
            return 0;
        MUST(en.type <= TAR_FIFO && en.mode <= 07777 && en.path.len > 0);
        MUST(strlen(en.path.data) == en.path.len);
        MUST(en.link.len == 0 || strlen(en.link.data) == en.link.len);
        MUST((en.link.len > 0) == (en.type == TAR_SYMLINK || en.type == TAR_HARDLINK));
        MUST(en.offset <= ARCHIVE && en.size <= ARCHIVE - en.offset);
        MUST(tar_xattrs_are_sound(&en.xattrs));
    }
    return 0;
}
