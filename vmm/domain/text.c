/*
 * text: what may be written into a domain XML.
 *
 * XML 1.0 cannot carry every path that Linux allows (section 2.2: no control characters, valid
 * UTF-8 only), and readers turn line ends and tabs into spaces. Such a path would name another file
 * after libvirt has read it, so it is refused here.
 */
#include "domain/text.h"

#include "base/digest.h"
#include "shared/guest.h"
#include "shared/utf8.h"

#include <ctype.h>
#include <libxml/parserInternals.h>
#include <string.h>

#define UUID_FORM "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"

/* True if XML gives the text back as it is. */
static bool is_xml_text(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);

    while (left) {
        uint32_t c;
        int len = utf8_decode(at, left, &c);

        if (len <= 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || !xmlIsCharQ(c))
            return false;
        at += len;
        left -= (size_t)len;
    }
    return true;
}

static int check_path(const char *what, const char *path, size_t max, struct err *e)
{
    char shown[256];

    if (!path || path[0] != '/')
        return err_set(e, ERR_USAGE, "%s: not an absolute path", what);
    str_escape(shown, sizeof(shown), path, strlen(path));
    if (strlen(path) > max)
        return err_set(e, ERR_USAGE, "%s '%s': longer than %zu bytes (use a shorter folder)", what,
                       shown, max);
    if (!is_xml_text(path))
        return err_set(e, ERR_USAGE,
                       "%s '%s': a control character or invalid UTF-8 in it (rename it)", what,
                       shown);
    return 0;
}

static bool is_uuid(const char *text)
{
    if (strlen(text) != strlen(UUID_FORM))
        return false;
    for (size_t i = 0; text[i]; i++)
        if (UUID_FORM[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    return true;
}

/* The agent takes no argument of ours from an image, and no argument twice. */
static bool has_argument_of_ours(const char *cmdline)
{
    for (const char *p = cmdline; (p = strstr(p, GUEST_ARG_OURS)); p++)
        if (p == cmdline || p[-1] == ' ')
            return true;
    return false;
}

static int check_verity(const struct domain_verity *v, struct err *e)
{
    if (!v->root_hash || !digest_is_hex(v->root_hash) || !v->salt || !digest_is_hex(v->salt))
        return err_set(e, ERR_USAGE, "verity: root hash or salt is not a digest");
    if (v->data_blocks == 0 || v->hash_start < v->data_blocks || v->hash_start > UINT32_MAX)
        return err_set(e, ERR_USAGE, "verity: a number of blocks is out of range");
    return 0;
}

static int check_paths(const struct domain_files *f, struct err *e)
{
    const bool boots = f->start == DOMAIN_BOOT || f->start == DOMAIN_TEMPLATE;
    const bool file = f->start != DOMAIN_BOOT && f->start != DOMAIN_INCOMING;
    const struct {
        bool needed;
        const char *what, *path;
        size_t max;
    } paths[] = {
        {true, "emulator", f->emulator, TEXT_PATH_MAX},
        {boots, "kernel", f->kernel, TEXT_PATH_MAX},
        {boots, "initramfs", f->initrd, TEXT_PATH_MAX},
        {true, "root disk", f->root, TEXT_PATH_MAX},
        {true, "scratch disk", f->scratch, TEXT_PATH_MAX},
        {f->base != NULL, "disk below it", f->base, TEXT_PATH_MAX},
        {f->input != NULL, "input disk", f->input, TEXT_PATH_MAX},
        {true, "channel socket", f->channel, TEXT_SOCKET_MAX},
        {true, "console socket", f->console, TEXT_SOCKET_MAX},
        {f->net != NULL, "socket of egress", f->net, TEXT_SOCKET_MAX},
        {file, "memory file", f->ram, TEXT_PATH_MAX},
        {f->start == DOMAIN_RESTORE, "preloaded library", f->preload, TEXT_PATH_MAX},
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (paths[i].needed && check_path(paths[i].what, paths[i].path, paths[i].max, e) < 0)
            return -1;
    /* Both stand in lists: ld.so(8), and QEMU's options. */
    if (file && strpbrk(f->ram, ", "))
        return err_set(e, ERR_USAGE, "memory file '%s': a comma or space in it (rename it)",
                       f->ram);
    if (f->start == DOMAIN_RESTORE && strpbrk(f->preload, ": "))
        return err_set(e, ERR_USAGE,
                       "preloaded library '%s': a colon or space in it (install it elsewhere)",
                       f->preload);
    return 0;
}

int text_check_files(const struct domain_files *f, struct err *e)
{
    if (!f->name || !str_is_name(f->name))
        return err_set(e, ERR_USAGE, "domain name: not 1 to 64 of A-Z a-z 0-9 . _ -");
    if (!f->uuid || !is_uuid(f->uuid) || !f->genid || !is_uuid(f->genid))
        return err_set(e, ERR_USAGE, "domain '%s': not a UUID", f->name);
    if (check_paths(f, e) < 0)
        return -1;
    if (!f->cmdline)
        return err_set(e, ERR_USAGE, "kernel arguments: missing");
    if (has_argument_of_ours(f->cmdline))
        return err_set(e, ERR_IMAGE,
                       "kernel arguments: '" GUEST_ARG_OURS "...' is not for an image to say");
    return check_verity(&f->verity, e);
}

int text_check_cmdline(const char *cmdline, struct err *e)
{
    size_t len = strlen(cmdline);

    if (len > TEXT_CMDLINE_MAX)
        return err_set(e, ERR_USAGE, "kernel arguments: %zu bytes, the kernel reads %d", len,
                       TEXT_CMDLINE_MAX);
    if (!str_is_printable(cmdline, len + 1))
        return err_set(e, ERR_USAGE, "kernel arguments: not printable ASCII");
    return 0;
}
