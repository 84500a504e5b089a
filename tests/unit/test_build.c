/* test_build: promises of the parts of images/ that make an image: initramfs, modules, libraries.
 */
#include "base/own.h"
#include "images/elf_facts.h"
#include "images/initramfs.h"
#include "images/kernel.h"
#include "images/runtime.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <sys/stat.h>

#define STATIC_PROGRAM "/sbin/ldconfig" /* of libc-bin, which is always there */

static void write_initramfs(const char *name, const struct fileset *files)
{
    own_free char *path = in_dir(name);
    own_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct err e;

    if (image_write_initramfs(fd, STATIC_PROGRAM, &files, 1, &e) < 0)
        ck_abort_msg("%s", e.text);
}

START_TEST(an_initramfs_is_whole_sorted_and_the_same_each_time)
{
    static const char *const want[] = {"dev",  "init",    "modules",     "modules/00-a.ko",
                                       "proc", "run",     "sys",         "tmp",
                                       "usr",  "usr/bin", "usr/bin/crun"};
    own_fileset struct fileset files = {0};
    own_free char *a = NULL;
    own_free char *b = NULL;
    own_free char *path = NULL;
    struct archive *r = archive_read_new();
    struct archive_entry *entry;
    size_t a_len, b_len, n = 0;
    struct err e;

    begin();
    fileset_add(&files, "usr/bin/crun", S_IFREG | 0555, str_dup("crun"), 4);
    fileset_add(&files, "modules/00-a.ko", S_IFREG | 0444, str_dup("module"), 6);
    write_initramfs("a", &files);
    write_initramfs("b", &files);
    path = in_dir("a");
    ck_assert_int_eq(file_read(AT_FDCWD, path, 1 << 24, &a, &a_len, &e), 0);
    free(path);
    path = in_dir("b");
    ck_assert_int_eq(file_read(AT_FDCWD, path, 1 << 24, &b, &b_len, &e), 0);
    ck_assert_uint_eq(a_len, b_len);
    ck_assert(memcmp(a, b, a_len) == 0);
    ck_assert(memcmp(a, "070701", 6) == 0); /* newc, not compressed */
    archive_read_support_format_cpio(r);
    ck_assert_int_eq(archive_read_open_memory(r, a, a_len), ARCHIVE_OK);
    while (archive_read_next_header(r, &entry) == ARCHIVE_OK) {
        ck_assert_uint_lt(n, sizeof(want) / sizeof(want[0]));
        ck_assert_str_eq(archive_entry_pathname(entry), want[n++]);
        ck_assert_int_eq(archive_entry_uid(entry), 0);
        ck_assert_int_eq(archive_entry_gid(entry), 0);
    }
    ck_assert_uint_eq(n, sizeof(want) / sizeof(want[0]));
    archive_read_free(r);
    end();
}
END_TEST

START_TEST(an_agent_that_is_not_a_static_program_is_refused)
{
    static const struct {
        const char *path, *says;
    } rows[] = {
        {"/bin/sh", "is not linked statically"},
        {"/etc/passwd", "not a 64-bit x86 ELF file"},
        {"/nowhere/agent", "No such file"},
        {"/tmp", "is not a regular file"},
    };
    struct err e;

    begin();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_free char *resolved = realpath(rows[i].path, NULL);
        own_close int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        ck_assert_int_eq(image_write_initramfs(fd, resolved ? resolved : rows[i].path, NULL, 0, &e),
                         -1);
        ck_assert_int_eq(e.class, ERR_HOST);
        ck_assert_msg(strstr(e.text, rows[i].says) != NULL, "%s", e.text);
    }
    end();
}
END_TEST

/* Adds an xz-compressed ELF file with a .modinfo section that says `depends`. */
static void add_module(struct fileset *s, const char *name, const char *depends)
{
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    own_free char *path = str_printf("lib/modules/6/kernel/%s.ko.xz", name);
    static const char names[] = "\0.modinfo\0";
    own_str struct str info = {0};
    own_str struct str elf = {0};
    Elf64_Ehdr h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
                    .e_machine = EM_X86_64,
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shoff = sizeof(Elf64_Ehdr),
                    .e_shnum = 2,
                    .e_shstrndx = 0};
    Elf64_Shdr sections[2] = {{.sh_offset = sizeof(h) + sizeof(sections), .sh_size = sizeof(names)},
                              {.sh_name = 1}};
    char *out = malloc(4096);
    size_t used = 0;

    str_addf(&info, "license=GPL");
    str_add_bytes(&info, "", 1);
    str_addf(&info, "depends=%s", depends);
    str_add_bytes(&info, "", 1);
    sections[1].sh_offset = sections[0].sh_offset + sizeof(names);
    sections[1].sh_size = info.len;
    str_add_bytes(&elf, &h, sizeof(h));
    str_add_bytes(&elf, sections, sizeof(sections));
    str_add_bytes(&elf, names, sizeof(names));
    str_add_bytes(&elf, info.data, info.len);
    archive_write_set_format_raw(a);
    archive_write_add_filter_xz(a);
    ck_assert_int_eq(archive_write_open_memory(a, out, 4096, &used), ARCHIVE_OK);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_write_header(a, entry);
    archive_write_data(a, elf.data, elf.len);
    ck_assert_int_eq(archive_write_close(a), ARCHIVE_OK);
    archive_entry_free(entry);
    archive_write_free(a);
    fileset_add(s, path, S_IFREG | 0644, out, used);
}

START_TEST(modules_are_ordered_by_what_they_depend_on)
{
    static const char *const wanted[] = {"virtio_blk", "virtio_pci", "top", NULL};
    static const char *const want[] = {"modules/00-virtio_blk.ko", "modules/01-base.ko",
                                       "modules/02-left-side.ko", "modules/03-right.ko",
                                       "modules/04-top.ko"};
    static const char builtin[] = "kernel/drivers/virtio/virtio_pci.ko\nkernel/lib/crc.ko\n";
    own_fileset struct fileset all = {0};
    own_fileset struct fileset got = {0};
    struct err e;

    add_module(&all, "top", "left_side,right");
    add_module(&all, "left-side", "base,crc");
    add_module(&all, "right", "base,left_side");
    add_module(&all, "base", "");
    add_module(&all, "virtio_blk", "");
    add_module(&all, "unwanted", "");
    fileset_add(&all, "lib/modules/6/modules.builtin", S_IFREG | 0644, str_dup(builtin),
                strlen(builtin));
    if (kernel_order_modules(&all, wanted, &got, &e) < 0)
        ck_abort_msg("%s", e.text);
    ck_assert_uint_eq(got.n, sizeof(want) / sizeof(want[0]));
    for (size_t i = 0; i < got.n; i++) {
        ck_assert_str_eq(got.items[i].path, want[i]);
        ck_assert(memcmp(got.items[i].data, ELFMAG, SELFMAG) == 0);
    }
}
END_TEST

START_TEST(a_module_that_is_missing_or_needs_itself_is_an_error)
{
    static const struct {
        const char *wanted, *says;
    } rows[] = {
        {"absent", "has no module 'absent'"},
        {"lonely", "has no module 'absent'"},
        {"egg", "depends on itself"},
        {"virtio", "has no module 'virtio'"}, /* not the end of another name */
    };
    own_fileset struct fileset all = {0};
    struct fileset got = {0};
    struct err e;

    add_module(&all, "lonely", "absent");
    add_module(&all, "egg", "hen");
    add_module(&all, "hen", "egg");
    add_module(&all, "nd_virtio", "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const wanted[] = {rows[i].wanted, NULL};

        ck_assert_int_eq(kernel_order_modules(&all, wanted, &got, &e), -1);
        ck_assert_msg(strstr(e.text, rows[i].says) != NULL, "%s", e.text);
    }
}
END_TEST

START_TEST(a_program_gets_its_loader_and_libraries_and_no_more)
{
    own_fileset struct fileset all = {0};
    own_fileset struct fileset none = {0};
    own_fileset struct fileset got = {0};
    own_free char *self = NULL;
    own_elf_facts struct elf_facts facts = {0};
    own_free char *exe = realpath("/bin/true", NULL);
    size_t len;
    struct err e;

    ck_assert_int_eq(file_read(AT_FDCWD, exe, 1 << 24, &self, &len, &e), 0);
    ck_assert_int_eq(elf_facts_read(self, len, &facts, &e), 0);
    ck_assert_str_eq(facts.interp, "/lib64/ld-linux-x86-64.so.2");
    ck_assert_uint_eq(facts.needed.n, 1);
    ck_assert_str_eq(facts.needed.items[0], "libc.so.6");
    fileset_add(&all, "usr/bin/true", S_IFREG | 0755, own_steal_ptr(self), len);
    ck_assert_int_eq(runtime_close(&all, "usr/bin/true", &none, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "/lib64/ld-linux-x86-64.so.2"));
    ck_assert_int_eq(file_read(AT_FDCWD, STATIC_PROGRAM, 1 << 24, &self, &len, &e), 0);
    /* Any file without needs of its own will do as loader and library. */
    fileset_add(&all, "lib/x86_64-linux-gnu/ld.so", S_IFREG | 0755, own_steal_ptr(self), len);
    fileset_add(&all, "lib64/ld-linux-x86-64.so.2", S_IFLNK | 0777,
                str_dup("/lib/x86_64-linux-gnu/ld.so"), 27);
    fileset_add(&all, "usr/lib/x86_64-linux-gnu/libc.so.6", S_IFLNK | 0777,
                str_dup("../../../lib/./x86_64-linux-gnu/ld.so"), 37);
    fileset_add(&all, "usr/lib/x86_64-linux-gnu/libother.so", S_IFREG | 0644, str_dup("x"), 1);
    if (runtime_close(&all, "usr/bin/true", &got, &e) < 0)
        ck_abort_msg("%s", e.text);
    ck_assert_uint_eq(got.n, 3);
    ck_assert_ptr_nonnull(fileset_find(&got, "usr/bin/true"));
    ck_assert_ptr_nonnull(fileset_find(&got, "lib64/ld-linux-x86-64.so.2"));
    ck_assert(S_ISREG(fileset_find(&got, "usr/lib/x86_64-linux-gnu/libc.so.6")->mode));
}
END_TEST

START_TEST(links_that_go_round_lead_nowhere)
{
    own_fileset struct fileset s = {0};

    fileset_add(&s, "a", S_IFLNK | 0777, str_dup("b"), 1);
    fileset_add(&s, "b", S_IFLNK | 0777, str_dup("/a"), 2);
    fileset_add(&s, "up", S_IFLNK | 0777, str_dup("../../../file"), 13);
    fileset_add(&s, "file", S_IFREG | 0644, str_dup("x"), 1);
    ck_assert_ptr_null(fileset_resolve(&s, "a"));
    ck_assert_ptr_null(fileset_resolve(&s, "absent"));
    ck_assert_ptr_eq(fileset_resolve(&s, "up"), fileset_find(&s, "file"));
}
END_TEST

START_TEST(a_cut_or_twisted_elf_file_is_an_error_or_harmless)
{
    own_free char *exe = realpath("/bin/true", NULL);
    own_free char *data = NULL;
    size_t len;
    struct err e;

    ck_assert_int_eq(file_read(AT_FDCWD, exe, 1 << 24, &data, &len, &e), 0);
    for (size_t cut = 0; cut < len; cut += cut < 1024 ? 1 : 997) {
        own_elf_facts struct elf_facts facts = {0};
        own_free char *part = malloc(cut + 1);

        memcpy(part, data, cut);
        elf_facts_read(part, cut, &facts, &e);
    }
    /* Every byte of the headers, in turn, all ones. */
    for (size_t i = 0; i < 1024; i++) {
        own_elf_facts struct elf_facts facts = {0};
        char was = data[i];

        data[i] = (char)0xff;
        elf_facts_read(data, len, &facts, &e);
        data[i] = was;
    }
}
END_TEST

SUITE("build", an_initramfs_is_whole_sorted_and_the_same_each_time,
      an_agent_that_is_not_a_static_program_is_refused, modules_are_ordered_by_what_they_depend_on,
      a_module_that_is_missing_or_needs_itself_is_an_error,
      a_program_gets_its_loader_and_libraries_and_no_more, links_that_go_round_lead_nowhere,
      a_cut_or_twisted_elf_file_is_an_error_or_harmless)
