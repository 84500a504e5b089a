/* fuzz_archive: an archive becomes an image that is whole, or leaves nothing. */
#include "base/file.h"
#include "base/own.h"
#include "images/image.h"
#include "images/image_archive.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

static char dir[] = "/tmp/lz-fuzz-archive-XXXXXX";

static void remove_dir(void)
{
    struct err ignored;

    file_remove_tree(AT_FDCWD, dir, &ignored);
}

static void open_store(struct store *s)
{
    struct err e;

    if (strstr(dir, "XXXXXX"))
        MUST(mkdtemp(dir) && atexit(remove_dir) == 0);
    MUST(store_open(dir, STORE_ADD, s, &e) == 0);
}

static size_t count(const struct store *s, const char *folder)
{
    own_free char *path = str_printf("%s/%s", s->dir, folder);
    own_closedir DIR *d = opendir(path);
    size_t n = 0;

    MUST(d);
    while (readdir(d))
        n++;
    return n - 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_store struct store s = STORE_INIT;
    own_image struct image *im = NULL;
    own_close int fd = memfd_create("archive", MFD_CLOEXEC);
    char digest[DIGEST_HEX_SIZE];
    struct err e = {0};
    size_t before;

    open_store(&s);
    before = count(&s, "blobs/sha256");
    MUST(fd >= 0 && file_write_all(fd, data, len) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    if (image_archive_read(&s, fd, NULL, digest, &e) < 0) {
        MUST(e.class == ERR_IMAGE && e.text[0]);
        MUST(count(&s, "blobs/sha256") == before);
    } else {
        MUST(image_look(dir, digest, &im, &e) == 0 && image_verify(im, &e) == 0);
    }
    MUST(count(&s, "tmp") == 0);
    return 0;
}
