/* assemble: from a root, boot parts and a configuration to an image in the store. */
#include "images/assemble.h"

#include "base/own.h"
#include "images/inventory.h"
#include "images/verity.h"
#include "shared/wire.h"

#include <string.h>
#include <sys/stat.h>

/* Where the container mounts something; crun would make them on the scratch disk at each start. */
static const struct {
    const char *path;
    mode_t mode;
} mount_points[] = {{"dev", 0755}, {"proc", 0755}, {"sys", 0755}, {"in", 0755},
                    {"out", 0755}, {"work", 0755}, {"tmp", 01777}};

static int add_mount_points(struct rootfs *root, struct err *e)
{
    for (size_t i = 0; i < sizeof(mount_points) / sizeof(mount_points[0]); i++)
        if (rootfs_add_dir(root, mount_points[i].path, mount_points[i].mode, 0, 0, e) < 0)
            return -1;
    return 0;
}

static int put_root(const struct assemble *a, struct manifest *m, struct err *e)
{
    own_store_blob struct store_blob blob = STORE_BLOB_INIT;

    if (store_blob_begin(a->store, &blob, e) < 0 ||
        rootfs_write_squashfs(a->root, blob.path, e) < 0 ||
        verity_append(blob.fd, &m->verity, e) < 0)
        return -1;
    return store_blob_commit(&blob, &m->parts[IMAGE_ROOT], e);
}

int assemble_image(const struct assemble *a, char ret_digest[DIGEST_HEX_SIZE], struct err *e)
{
    own_doc struct doc *packages = NULL;
    own_free char *text = NULL;
    struct manifest m = {
        /* everything in it is borrowed */
        .protocol = WIRE_VERSION,
        .cmdline = a->boot->cmdline,
        .kernel_flavour = a->boot->flavour,
        .kernel_release = a->boot->release,
        .parts = {[IMAGE_KERNEL] = a->boot->kernel, [IMAGE_INITRAMFS] = a->boot->initramfs},
        .config = *a->config,
        .recipe = a->recipe,
        .created_from = a->created_from};
    struct store_object manifest;
    size_t skipped;

    if (image_config_check(a->config, e) < 0 || add_mount_points(a->root, e) < 0 ||
        put_root(a, &m, e) < 0 || inventory_read(a->root, &packages, &skipped, e) < 0)
        return -1;
    if (skipped > 0)
        progress(a->progress, "packages: %zu entries cannot be read and are not listed", skipped);
    m.packages = packages;
    text = manifest_format(&m);
    if (store_put(a->store, text, strlen(text), &manifest, e) < 0)
        return -1;
    memcpy(ret_digest, manifest.sha256, DIGEST_HEX_SIZE);
    return 0;
}
