/* qcow2: disks that keep what they held at a mark. See qcow2.h. */
#include "snapshots/qcow2.h"

#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"

#include <string.h>
#include <unistd.h>

#define CONVERT_MS 120000
#define REVERT_MS  60000

static int qemu_img(const char *const argv[], uint64_t timeout_ms, struct err *e)
{
    struct spawn s = {.argv = argv, .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}};

    return spawn_tool(&s, "qemu-utils", timeout_ms, NULL, e);
}

char *qcow2_image(const char *path, const char *base)
{
    own_free char *below =
        base ? str_printf("{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}",
                          base)
             : str_dup("null");

    return str_printf("json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\","
                      "\"filename\":\"%s\"},\"backing\":%s}",
                      path, below);
}

int qcow2_from_raw(const char *raw, const char *path, struct err *e)
{
    const char *const argv[] = {
        "/usr/bin/qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path, NULL};

    if (access(path, F_OK) == 0)
        return err_set(e, ERR_HOST, "'%s' exists already", path);
    if (qemu_img(argv, CONVERT_MS, e) == 0)
        return 0;
    unlink(path);
    return err_wrap(e, "cannot make the disk '%s'", path);
}

int qcow2_overlay(const char *base, const char *path, struct err *e)
{
    const char *const argv[] = {
        "/usr/bin/qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", path, NULL};

    if (qemu_img(argv, CONVERT_MS, e) == 0)
        return 0;
    unlink(path);
    return err_wrap(e, "cannot make the disk '%s'", path);
}

int qcow2_revert(const char *path, const char *base, const char *mark, struct err *e)
{
    own_free char *image = qcow2_image(path, base);
    const char *const argv[] = {"/usr/bin/qemu-img", "snapshot", "-q", "-a", mark, image, NULL};

    if (strpbrk(path, "\"\\") || (base && strpbrk(base, "\"\\")))
        return err_set(e, ERR_HOST, "'%s': a quote or backslash in the path of a disk", path);
    if (qemu_img(argv, REVERT_MS, e) < 0)
        return err_wrap(e, "cannot revert the disk");
    return 0;
}
