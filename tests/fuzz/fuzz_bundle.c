/*
 * fuzz_bundle: whatever the documents and the layer of an image say, it becomes a tree and what it
 * runs, or is refused in printable words.
 *
 * The input is up to four parts with 0xff between them: index.json or manifest.json, manifest,
 * configuration, layer. Digests that no fuzzer finds are put in for $m $c $l (of manifest,
 * configuration, layer) and $d (of the layer's content), sizes for $M $C $L.
 */
#include "base/digest.h"
#include "base/own.h"
#include "images/docker_archive.h"
#include "images/expand.h"
#include "images/tar.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char values[256][DIGEST_HEX_SIZE]; /* what $X stands for */

static void set_values(char digest, char size, const struct str *s)
{
    struct err e;

    MUST(digest_bytes(s->data ? s->data : "", s->len, values[(uint8_t)digest], &e) == 0);
    snprintf(values[(uint8_t)size], DIGEST_HEX_SIZE, "%zu", s->len);
}

/* The next part, filled in unless it is raw. */
static void take_part(const uint8_t **at, const uint8_t *end, bool raw, struct str *ret)
{
    for (; *at < end && (raw || **at != 0xff); (*at)++) {
        if (!raw && **at == '$' && end - *at > 1 && values[(*at)[1]][0])
            str_add(ret, values[*++*at]);
        else
            str_add_bytes(ret, *at, 1);
    }
    if (*at < end)
        (*at)++;
}

static int make_fd(const struct str *s)
{
    int fd = memfd_create("bytes", MFD_CLOEXEC);

    MUST(fd >= 0 && write(fd, s->data, s->len) == (ssize_t)s->len);
    return fd;
}

static void set_content(const struct str *layer)
{
    own_close int in = make_fd(layer), out = memfd_create("out", MFD_CLOEXEC);
    struct err e;
    uint64_t size;
    bool over;

    MUST(out >= 0);
    if (expand(in, 0, layer->len, out, 1u << 20, &over, &e) < 0)
        MUST(e.class == ERR_IMAGE && str_is_printable(e.text, sizeof(e.text)));
    MUST(digest_fd(out, values['d'], &size, &e) == 0 && size <= 1u << 20);
}

static void add_file(struct str *tar, const char *name, const struct str *s)
{
    static const char zeros[TAR_BLOCK];
    struct tar_entry en = {.type = TAR_FILE, .mode = 0644, .size = s->len};

    str_add(&en.path, name);
    tar_format(tar, &en);
    str_add_bytes(tar, s->data ? s->data : "", s->len);
    str_add_bytes(tar, zeros, tar_padding(s->len));
    tar_entry_done(&en);
}

static void add_blob(struct str *tar, char which, const struct str *s)
{
    own_free char *name = str_printf("blobs/sha256/%s", values[(uint8_t)which]);

    add_file(tar, name, s);
}

static int import(const char *path, struct err *e)
{
    own_bundle struct bundle *b = NULL;
    own_container_image struct container_image ci = {0};
    own_rootfs struct rootfs *r = NULL;
    own_image_config struct image_config c = {0};
    own_strv struct strv notes = {0};

    MUST(bundle_open_tar(path, "/dev/shm", &b, e) == 0);
    if (docker_archive_find(b, NULL, &ci, e) < 0)
        return -1;
    MUST(ci.n_layers <= ROOTFS_LAYERS_MAX &&
         (!ci.reference || str_is_printable(ci.reference, 256)));
    MUST(rootfs_new("/dev/shm", &r, e) == 0);
    if (container_image_unpack(&ci, b, "/dev/shm", r, NULL, e) < 0 ||
        container_image_config(&ci, r, &c, &notes, e) < 0)
        return -1;
    MUST(image_config_check(&c, e) == 0 && c.uid > 0 && c.uid < 65536 && c.gid > 0 &&
         c.gid < 65536);
    MUST(rootfs_resolve(r, c.workdir));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_str struct str first = {0}, manifest = {0}, config = {0}, layer = {0}, tar = {0};
    own_str struct str layout = {0};
    const uint8_t *parts[4] = {data}, *end = data + len;
    own_close int fd = -1;
    own_free char *path = NULL;
    struct err e;

    memset(values, 0, sizeof(values));
    for (int i = 1; i < 4; i++) {
        parts[i] = memchr(parts[i - 1], 0xff, (size_t)(end - parts[i - 1]));
        parts[i] = parts[i] ? parts[i] + 1 : end;
    }
    take_part(&parts[3], end, true, &layer);
    set_values('l', 'L', &layer);
    set_content(&layer);
    take_part(&parts[2], end, false, &config);
    set_values('c', 'C', &config);
    take_part(&parts[1], end, false, &manifest);
    set_values('m', 'M', &manifest);
    take_part(&parts[0], end, false, &first);
    str_add(&layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
    add_file(&tar, first.len > 0 && first.data[0] == '[' ? "manifest.json" : "index.json", &first);
    add_file(&tar, "oci-layout", &layout);
    add_blob(&tar, 'm', &manifest);
    add_blob(&tar, 'c', &config);
    add_blob(&tar, 'l', &layer);
    str_add_bytes(&tar, (const char[2 * TAR_BLOCK]){0}, 2 * TAR_BLOCK);
    fd = make_fd(&tar);
    path = str_printf("/proc/self/fd/%d", fd);
    if (import(path, &e) < 0)
        MUST(e.class == ERR_IMAGE && str_is_printable(e.text, sizeof(e.text)));
    return 0;
}
