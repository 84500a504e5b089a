/*
 * tar_make: small tar archives from a few words, good ones and bad ones, header by header.
 *
 * A line is one entry: "TYPE PATH [ARG]" with TYPE f (file, ARG its content), d (folder, ARG its
 * mode), l (symbolic link, ARG its target), h (hard link), or any other letter or digit as it is in
 * the header. Lines of "--" part layers.
 */
#ifndef LZ_TESTS_TAR_MAKE_H
#define LZ_TESTS_TAR_MAKE_H

#include "base/str.h"

#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct made {
    const char *path, *link;
    char type; /* as in the header */
    unsigned mode, uid, gid;
    uint64_t size, mtime; /* as the header says */
};

static inline void make_sum(char *block)
{
    unsigned sum = 0;

    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
}

static inline void make_padding(struct str *out)
{
    static const char zeros[512];

    str_add_bytes(out, zeros, -out->len & 511);
}

/* A header with whatever it is told; the checksum is right. */
static inline void make_header(struct str *out, const struct made *m)
{
    char block[512] = "";

    memcpy(block, m->path, strnlen(m->path, 100));
    snprintf(block + 100, 8, "%07o", m->mode);
    snprintf(block + 108, 8, "%07o", m->uid);
    snprintf(block + 116, 8, "%07o", m->gid);
    snprintf(block + 124, 12, "%011lo", (unsigned long)m->size);
    snprintf(block + 136, 12, "%011lo", (unsigned long)m->mtime);
    block[156] = m->type;
    if (m->link)
        memcpy(block + 157, m->link, strnlen(m->link, 100));
    memcpy(block + 257,
           "ustar\0"
           "00",
           8);
    make_sum(block);
    str_add_bytes(out, block, sizeof(block));
}

static inline void make_content(struct str *out, const void *data, size_t len)
{
    str_add_bytes(out, data, len);
    make_padding(out);
}

static inline void make_file(struct str *out, const char *path, const char *text)
{
    struct made m = {.path = path, .type = '0', .mode = 0644, .size = strlen(text)};

    make_header(out, &m);
    make_content(out, text, strlen(text));
}

/* An extended header ('x', 'g', 'L', 'K') with that body. */
static inline void make_extended(struct str *out, char type, const void *body, size_t len)
{
    struct made m = {.path = "ext", .type = type, .mode = 0644, .size = len};

    make_header(out, &m);
    make_content(out, body, len);
}

static inline void make_end(struct str *out)
{
    static const char zeros[1024];

    str_add_bytes(out, zeros, sizeof(zeros));
}

static inline void make_line(struct str *out, char *line)
{
    char *path = line + 2, *arg = strchr(path, ' ');
    struct made m = {.path = path, .type = line[0], .mode = 0644};

    if (arg)
        *arg++ = '\0';
    switch (line[0]) {
    case 'f':
        make_file(out, path, arg ? arg : "");
        return;
    case 'd':
        m.type = '5';
        m.mode = arg ? (unsigned)strtoul(arg, NULL, 8) : 0755;
        break;
    case 'l':
        m.type = '2';
        m.link = arg;
        break;
    case 'h':
        m.type = '1';
        m.link = arg;
        break;
    default:
        m.link = arg;
        break;
    }
    make_header(out, &m);
}

/* Entries of one layer, up to "--" or the end, without the end mark. Returns what is behind. */
static inline const char *make_layer(struct str *out, const char *spec)
{
    while (*spec) {
        size_t len = strcspn(spec, "\n");
        char line[8192];
        bool parting = len == 2 && strncmp(spec, "--", 2) == 0;

        ck_assert_uint_lt(len, sizeof(line));
        memcpy(line, spec, len);
        line[len] = '\0';
        spec += len + (spec[len] == '\n');
        if (parting)
            break;
        make_line(out, line);
    }
    return spec;
}

static inline int make_fd(const struct str *bytes)
{
    int fd = memfd_create("layer", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes->data, bytes->len), (ssize_t)bytes->len);
    return fd;
}

/* An archive by libarchive, in one of its formats. */
static inline int make_by_libarchive(int format)
{
    static const char long_name[] =
        "a-folder-with-a-long-name-0123456789/another-folder-with-a-long-name-0123456789/"
        "a-file-with-a-long-name-0123456789-0123456789-0123456789-0123456789-0123456789";
    const struct {
        const char *path, *link;
        mode_t type;
        const char *content;
    } all[] = {{"d\303\244", NULL, AE_IFDIR, NULL},
               {"d\303\244/e\314\201\377", NULL, AE_IFREG, "not one form, not UTF-8"},
               {long_name, NULL, AE_IFREG, "long"},
               {"link", format == ARCHIVE_FORMAT_TAR_USTAR ? "hard" : long_name, AE_IFLNK, NULL},
               {"hard", "d\303\244/e\314\201\377", 0, NULL}};
    int fd = memfd_create("tar", MFD_CLOEXEC);
    struct archive *a = archive_write_new();

    ck_assert_int_eq(archive_write_set_format(a, format), ARCHIVE_OK);
    if (format == ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE)
        ck_assert_int_eq(archive_write_set_options(a, "hdrcharset=BINARY"), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_open_fd(a, fd), ARCHIVE_OK);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct archive_entry *en = archive_entry_new();
        size_t len = all[i].content ? strlen(all[i].content) : 0;

        archive_entry_copy_pathname(en, all[i].path);
        archive_entry_set_mode(en, all[i].type | 06751);
        archive_entry_set_uid(en, 1000);
        archive_entry_set_gid(en, 65535);
        archive_entry_set_mtime(en, 1600000000, 5);
        archive_entry_set_size(en, (la_int64_t)len);
        if (all[i].type == AE_IFLNK)
            archive_entry_copy_symlink(en, all[i].link);
        else if (all[i].link)
            archive_entry_copy_hardlink(en, all[i].link);
        if (all[i].content && format == ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE) {
            archive_entry_xattr_add_entry(en, "user.colour", "re\0d", 4);
            archive_entry_xattr_add_entry(en, "security.capability", "xx", 2);
        }
        ck_assert_msg(archive_write_header(a, en) >= ARCHIVE_WARN, "%s", archive_error_string(a));
        ck_assert_int_eq(archive_write_data(a, all[i].content, len), (la_ssize_t)len);
        archive_entry_free(en);
    }
    ck_assert_int_eq(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    return fd;
}

#endif
