/* test_rootfs: promises of the merged tree: what hides what, what is refused, what is written. */
#include "base/digest.h"
#include "images/tar.h"
#include "images/tool.h"
#include "tests/unit/suite.h"
#include "tests/unit/tree.h"

static int add_spec(struct rootfs *r, const char *spec, struct err *e)
{
    while (*spec) {
        own_str struct str bytes = {0};

        spec = make_layer(&bytes, spec);
        make_end(&bytes);
        if (add_bytes(r, &bytes, true, e) < 0)
            return -1;
    }
    return 0;
}

/* "path=content", "path/", "path->target", parted by spaces. */
static int add_shown(void *arg, const char *path, const struct rootfs_entry *en, struct err *e)
{
    struct str *out = arg;

    (void)e;
    str_addf(out, "%s%s", out->len ? " " : "", path);
    if (S_ISDIR(en->mode))
        str_add(out, "/");
    else if (en->target)
        str_addf(out, "->%s", en->target);
    return 0;
}

static char *shown(struct rootfs *r)
{
    struct str out = {0};
    struct err e;

    ck_assert_int_eq(rootfs_each(r, add_shown, &out, &e), 0);
    return str_steal(&out);
}

/* ---- merging --------------------------------------------------------------------------------- */

static const struct {
    const char *name, *layers, *tree;
} merges[] = {
    {"names are normalised", "d ./\nd ./a/\nf /a/b x\nf a//c x\nf ./a/./d x", "a/ a/b a/c a/d"},
    {"missing folders are made", "f a/b/c x", "a/ a/b/ a/b/c"},
    {"order is by name, not by arrival", "f b x\nf a-b x\nd a\nf a/z x\nf a/b x",
     "a/ a/b a/z a-b b"},
    {"an upper file hides a lower one", "f a old\n--\nf a new", "a"},
    {"an upper folder keeps what is below", "f a/b x\n--\nd a 700\nf a/c x", "a/ a/b a/c"},
    {"a file hides a folder", "f a/b x\n--\nf a y", "a"},
    {"a folder hides a file", "f a x\n--\nf a/b y", NULL},
    {"a folder's entry hides a file", "f a x\n--\nd a\nf a/b y", "a/ a/b"},
    {"a link hides a folder", "f a/b x\n--\nl a c", "a->c"},
    {"a whiteout removes", "f a/b x\nf a/c x\n--\nf a/.wh.b", "a/ a/c"},
    {"a whiteout removes a folder", "f a/b/c x\n--\nf a/.wh.b", "a/"},
    {"a whiteout of nothing is fine", "f a x\n--\nf b/.wh.c\nf .wh.d", "a"},
    {"a whiteout spares its own layer", "f a/b x\n--\nf a/c y\nf .wh.a", "a/ a/c"},
    {"a whiteout spares it in any order", "f a/b x\n--\nf .wh.a\nf a/c y", "a/ a/c"},
    {"a whiteout spares a file of its layer", "f a x\n--\nf a y\nf .wh.a", "a"},
    {"a whiteout below what became a file", "f a/b x\n--\nf a y\nf a/.wh.b", "a"},
    {"a whiteout below what became a link",
     "f a/b x\nf c/b x\n--\nl a c\nf a/.wh.b\nf a/.wh..wh..opq", "a->c c/ c/b"},
    {"an upper layer brings a name back", "f a x\n--\nf .wh.a\n--\nf a y", "a"},
    {"opaque removes what is below", "f a/b x\nf a/d/e x\n--\nd a\nf a/.wh..wh..opq\nf a/c y",
     "a/ a/c"},
    {"opaque spares its own layer", "f a/b/c x\nf a/d x\n--\nf a/b/e y\nf a/.wh..wh..opq",
     "a/ a/b/ a/b/e"},
    {"opaque at the root", "f a x\n--\nf .wh..wh..opq\nf b x", "b"},
    {"opaque of nothing is fine", "f a x\n--\nf b/.wh..wh..opq", "a"},
    {"a folder loses its links' way", "f a/b x\nl c a\n--\nf .wh.a", "c->a"},
    {"links inside are kept", "l a/b ../c\nl d /e/../../f\nl g a/../h",
     "a/ a/b->../c d->/e/../../f g->a/../h"},
    {"a hard link to a link is a link", "l a b\nh c a", "a->b c->b"},
};

START_TEST(layers_merge_by_the_rules)
{
    for (size_t i = 0; i < sizeof(merges) / sizeof(merges[0]); i++) {
        own_rootfs struct rootfs *r = NULL;
        own_free char *tree = NULL;
        struct err e;

        must_be_new(&r);
        if (!merges[i].tree) {
            ck_assert_msg(add_spec(r, merges[i].layers, &e) < 0, "%s", merges[i].name);
            end();
            continue;
        }
        ck_assert_msg(add_spec(r, merges[i].layers, &e) == 0, "%s: %s", merges[i].name, e.text);
        tree = shown(r);
        ck_assert_msg(strcmp(tree, merges[i].tree) == 0, "%s: %s", merges[i].name, tree);
        end();
    }
}
END_TEST

START_TEST(the_upper_content_and_attributes_win)
{
    own_rootfs struct rootfs *r = NULL;
    struct err e;

    must_be_new(&r);
    ck_assert_int_eq(add_spec(r, "d a 700\nf a/b old\nf c one\n--\nf a/b newer\nd a 1777", &e), 0);
    must_read(r, "a/b", "newer");
    must_read(r, "/c", "one");
    ck_assert_uint_eq(rootfs_find(r, "a")->mode, S_IFDIR | 01777);
    ck_assert_uint_eq(rootfs_find(r, "./a/b")->size, 5);
    ck_assert_ptr_null(rootfs_find(r, "a/x"));
    ck_assert_ptr_null(rootfs_find(r, "c/x"));
    end();
}
END_TEST

START_TEST(a_hard_link_keeps_its_content_when_the_other_name_is_hidden)
{
    own_rootfs struct rootfs *r = NULL;
    struct err e;

    must_be_new(&r);
    ck_assert_int_eq(
        add_spec(r, "d d\nf d/a first\nh b d/a\nh c ./b\n--\nf d/a second\nf .wh.b", &e), 0);
    must_read(r, "d/a", "second");
    must_read(r, "c", "first");
    ck_assert_int_eq(add_spec(r, "h d d/a", &e), 0); /* hides the folder that it leads into */
    must_read(r, "d", "second");
    end();
}
END_TEST

START_TEST(whiteouts_are_plain_names_in_a_tar_that_is_no_layer)
{
    own_rootfs struct rootfs *r = NULL;
    own_str struct str bytes = {0};
    own_free char *tree = NULL;
    struct err e;

    must_be_new(&r);
    make_layer(&bytes, "f a x\nf .wh.a y");
    make_end(&bytes);
    ck_assert_int_eq(add_bytes(r, &bytes, false, &e), 0);
    tree = shown(r);
    ck_assert_str_eq(tree, ".wh.a a");
    end();
}
END_TEST

/* ---- what is refused ------------------------------------------------------------------------- */

static const struct {
    const char *name, *layers, *says;
} hostile[] = {
    {"parent at the start", "f ../x y", "entry '../x' has '..' in its name"},
    {"parent in the middle", "f x/../y z", "entry 'x/../y' has '..' in its name"},
    {"parent at the end", "d x/.. ", "entry 'x/..' has '..' in its name"},
    {"parent in an absolute path", "f /../etc/passwd z", "has '..' in its name"},
    {"a name that a terminal would obey", "3 \033[2Jx", "entry '\\x1b[2Jx' is a device"},
    {"below a file", "f a x\nf a/b y", "entry 'a/b' is below a name that is not a folder"},
    {"below a link of the same layer", "l a /etc\nf a/passwd y",
     "entry 'a/passwd' is below a name that is not a folder (links are not followed"},
    {"below a link of a lower layer", "l a .\n--\nf a/b y", "entry 'a/b' is below a name"},
    {"a whiteout below a link", "l a b\n--\nf a/.wh.c", "entry 'a/.wh.c' is below a name"},
    {"link above the root", "l a ..", "entry 'a' is a link that leads above the root"},
    {"link above the root from below", "l a/b ../../x", "entry 'a/b' is a link that leads above"},
    {"link above the root on the way", "l a b/../../c/d", "entry 'a' is a link that leads above"},
    {"link to nothing", "2 a", "is a link to nothing"},
    {"hard link out", "h a ../b", "entry 'a' is a hard link to a path with '..'"},
    {"hard link to nothing there", "h a b", "entry 'a' is a hard link to a name that is not there"},
    {"hard link to what comes later", "h a b\nf b x", "is a hard link to a name that is not there"},
    {"hard link to a folder", "d b\nh a b", "entry 'a' is a hard link to a folder"},
    {"hard link through a link", "f d/x y\nl b d\nh a b/x",
     "is a hard link to a name that is not there (links are not followed"},
    {"hard link to a whited out name", "f b x\n--\nf .wh.b\nh a b", "to a name that is not there"},
    {"character device", "3 dev/null", "entry 'dev/null' is a device (leave it out"},
    {"block device", "4 dev/sda", "entry 'dev/sda' is a device"},
    {"pipe", "6 p", "entry 'p' is a pipe"},
    {"sparse file", "S s", "entry at byte 0 is a sparse file"},
    {"unknown kind", "f a x\nM m", "entry at byte 1024 is of an unknown kind"},
    {"folder with a content", "f a/ x", "is a folder with a content"},
    {"root that is a file", "f . x", "entry '.' is the root of the image, but not a folder"},
    {"root that is a link", "l . x", "entry '.' is the root of the image, but not a folder"},
    {"whiteout of nothing", "f a/.wh. ", "entry 'a/.wh.' is a whiteout of an unknown kind"},
    {"whiteout of the parent", "f a/.wh... ", "is a whiteout of an unknown kind"},
    {"whiteout of aufs", "f .wh..wh.orph", "is a whiteout of an unknown kind"},
    {"whiteout that is a folder", "d .wh.a", "needs a folder with the name of a whiteout"},
    {"below a whiteout", "f .wh.a/b x", "needs a folder with the name of a whiteout"},
};

START_TEST(what_is_hostile_is_refused_with_its_name)
{
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        own_rootfs struct rootfs *r = NULL;
        struct err e = {0};

        must_be_new(&r);
        ck_assert_msg(add_spec(r, hostile[i].layers, &e) < 0, "%s", hostile[i].name);
        ck_assert_int_eq(e.class, ERR_IMAGE);
        ck_assert_msg(str_starts_with(e.text, "layer 1 (sha256:ab): ") &&
                          strstr(e.text, hostile[i].says),
                      "%s: %s", hostile[i].name, e.text);
        rootfs_free(own_steal_ptr(r));
        end();
    }
}
END_TEST

START_TEST(contents_over_the_limit_are_refused_before_they_are_read)
{
    own_rootfs struct rootfs *r = NULL;
    own_close int fd = memfd_create("big", MFD_CLOEXEC);
    own_str struct str bytes = {0};
    char block[512];
    struct made m = {.path = "a", .type = '0', .size = 8ull << 30};
    struct err e = {0};

    must_be_new(&r);
    make_header(&bytes, &m);
    memcpy(block, bytes.data, 512);
    memset(block + 124, 0, 12); /* 65 GiB does not fit into octal: base 256 */
    block[124] = (char)0x80;
    block[131] = 0x10;
    block[132] = 0x40;
    make_sum(block);
    ck_assert_int_eq(pwrite(fd, block, 512, 0), 512);
    ck_assert_int_eq(ftruncate(fd, (off_t)70 << 30), 0);
    ck_assert_int_lt(rootfs_add_layer(r, fd, "layer 1", true, &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "entry 'a' is over the limit of 68719476736 bytes"));
    end();
}
END_TEST

START_TEST(whiteouts_have_an_end)
{
    own_rootfs struct rootfs *r = NULL;
    own_str struct str bytes = {0};
    struct err e = {0};

    must_be_new(&r);
    for (int i = 0; i < 4000; i++) {
        own_free char *name = str_printf("d/%d", i);

        make_file(&bytes, name, "");
    }
    for (int i = 0; i < 4000; i++)
        make_file(&bytes, ".wh.d", "");
    make_end(&bytes);
    ck_assert_int_lt(add_bytes(r, &bytes, true, &e), 0);
    ck_assert_ptr_nonnull(
        strstr(e.text, "entry '.wh.d' is a whiteout of what whiteouts were about"));
    end();
}
END_TEST

START_TEST(single_things_are_judged_like_entries)
{
    own_rootfs struct rootfs *r = NULL;
    own_free char *tree = NULL;
    struct err e = {0};

    must_be_new(&r);
    ck_assert_int_eq(add_spec(r, "l lib usr/lib\nf etc/x y", &e), 0);
    ck_assert_int_eq(rootfs_add_file(r, "etc/x", 0600, 5, 6, "new", 3, &e), 0);
    ck_assert_int_eq(rootfs_add_file(r, "/etc/empty", 0644, 0, 0, "", 0, &e), 0);
    ck_assert_int_eq(rootfs_add_dir(r, "work", 0700, 1000, 1000, &e), 0);
    ck_assert_int_eq(rootfs_add_symlink(r, "bin", "usr/bin", &e), 0);
    tree = shown(r);
    ck_assert_str_eq(tree, "bin->usr/bin etc/ etc/empty etc/x lib->usr/lib work/");
    must_read(r, "etc/x", "new");
    ck_assert_uint_eq(rootfs_find(r, "etc/x")->gid, 6);
    ck_assert_uint_eq(rootfs_find(r, "etc/x")->mode, S_IFREG | 0600);
    ck_assert_int_lt(rootfs_add_file(r, "lib/y", 0600, 0, 0, "", 0, &e), 0);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    rootfs_free(own_steal_ptr(r));
    end();
    must_be_new(&r);
    ck_assert_int_lt(rootfs_add_dir(r, "a/..", 0700, 0, 0, &e), 0);
    ck_assert_int_lt(rootfs_add_dir(r, "a", 0700, 70000, 0, &e), 0);
    ck_assert_int_lt(rootfs_add_symlink(r, "a", "../b", &e), 0);
    ck_assert_int_lt(rootfs_add_symlink(r, "a", "", &e), 0);
    end();
}
END_TEST

START_TEST(folders_are_made_where_links_lead)
{
    own_rootfs struct rootfs *r = NULL;
    own_free char *tree = NULL;
    struct err e = {0};

    must_be_new(&r);
    ck_assert_int_eq(
        add_spec(r, "l var/run /run\nd run 700\nl loop loop\nf file x\nl up run/..", &e), 0);
    ck_assert_int_eq(rootfs_make_dirs(r, "/var/run/a/b", &e), 0);
    ck_assert_int_eq(rootfs_make_dirs(r, "/var/run", &e), 0);
    ck_assert_int_eq(rootfs_make_dirs(r, "/", &e), 0);
    ck_assert_int_eq(rootfs_make_dirs(r, "/up/c", &e), 0);
    ck_assert_uint_eq(rootfs_find(r, "run")->mode, S_IFDIR | 0700);
    tree = shown(r);
    ck_assert_str_eq(tree, "c/ file loop->loop run/ run/a/ run/a/b/ up->run/.. var/ var/run->/run");
    ck_assert_int_lt(rootfs_make_dirs(r, "/file", &e), 0);
    ck_assert_int_lt(rootfs_make_dirs(r, "/loop/x", &e), 0);
    ck_assert_int_lt(rootfs_make_dirs(r, "/new/../../x", &e), 0);
    ck_assert_int_lt(rootfs_make_dirs(r, "/file/x", &e), 0);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    end();
}
END_TEST

START_TEST(an_archive_is_a_tree_without_owners)
{
    own_rootfs struct rootfs *r = NULL;
    own_str struct str bytes = {0};
    own_close int fd = -1;
    struct made m = {.path = "a", .type = '0', .mode = 0644, .uid = 100000, .size = 3};
    struct rootfs_content c;
    char text[4] = "";
    struct err e;

    must_be_new(&r);
    make_header(&bytes, &m);
    make_content(&bytes, "abc", 3);
    make_layer(&bytes, "l d/b ../a\nf .wh.a");
    make_end(&bytes);
    fd = make_fd(&bytes);
    ck_assert_int_eq(rootfs_add_archive(r, fd, "archive", &e), 0);
    ck_assert_int_eq(rootfs_content(r, "d/b", &c, &e), 0);
    ck_assert_uint_eq(c.size, 3);
    ck_assert_int_eq(pread(c.fd, text, 3, (off_t)c.offset), 3);
    ck_assert_str_eq(text, "abc");
    ck_assert_int_lt(rootfs_content(r, "d", &c, &e), 0);
    end();
}
END_TEST

START_TEST(reading_follows_links_inside_the_tree_only)
{
    own_rootfs struct rootfs *r = NULL;
    own_free char *data = NULL;
    size_t len;
    struct err e = {0};

    must_be_new(&r);
    ck_assert_int_eq(
        add_spec(r,
                 "f usr/lib/a/x one\nl lib usr/lib\nl lib2 /lib\nl l1 lib2/../lib/a/x\n"
                 "l loop loop\nl usr/up /../../usr/lib/a\nf passwd two\nl abs /passwd",
                 &e),
        0);
    must_read(r, "lib/a/x", "one");
    must_read(r, "l1", "one");
    must_read(r, "usr/up/x", "one");
    must_read(r, "../../passwd", "two");
    must_read(r, "abs", "two");
    ck_assert_ptr_null(rootfs_resolve(r, "loop"));
    ck_assert_ptr_nonnull(rootfs_find(r, "loop"));
    ck_assert_int_lt(rootfs_read(r, "etc/passwd", 100, &data, &len, &e), 0);
    ck_assert_str_eq(e.text, "'etc/passwd' is not there");
    ck_assert_int_lt(rootfs_read(r, "lib", 100, &data, &len, &e), 0);
    ck_assert_int_lt(rootfs_read(r, "abs", 2, &data, &len, &e), 0);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    end();
}
END_TEST

/* ---- squashfs -------------------------------------------------------------------------------- */

static char *tool_says(const char *const *argv)
{
    struct tool t = {.argv = argv, .package = "squashfs-tools", .in = -1, .timeout_s = 60};
    char *out = NULL;
    struct err e;

    ck_assert_msg(tool_capture(&t, &out, &e) == 0, "%s", e.text);
    return out;
}

static void must_list(const char *squashfs, const char *const *lines)
{
    const char *const argv[] = {"unsquashfs", "-lln", "-UTC", squashfs, NULL};
    own_free char *said = tool_says(argv);

    for (; *lines; lines++)
        ck_assert_msg(strstr(said, *lines), "'%s' is not in:\n%s", *lines, said);
}

START_TEST(the_squashfs_has_what_the_tree_has)
{
    static const char *const lines[] = {"drwxr-xr-x 100000/100000",
                                        "2023-11-14 22:13 squashfs-root/a\n",
                                        "-rw-r--r-- 100000/100000",
                                        "5 2023-11-14 22:13 squashfs-root/a/b\n",
                                        "-rw-r----- 101000/101001",
                                        "3 2023-11-14 22:13 squashfs-root/a/c\n",
                                        "drwxrwxrwt 100000/100000",
                                        "3 1970-01-01 00:00 squashfs-root/tmp\n",
                                        "lrwxrwxrwx 100000/100000",
                                        "4 1970-01-01 00:00 squashfs-root/a/l -> ../x\n",
                                        "4 1970-01-01 00:00 squashfs-root/a/m -> ../x\n",
                                        "4 1970-01-01 00:00 squashfs-root/hard\n",
                                        NULL};
    const char *cat[] = {"unsquashfs", "-cat", NULL, "a/b", "a/c", "hard", NULL};
    own_rootfs struct rootfs *r = NULL;
    own_free char *path = NULL, *said = NULL;
    struct err e;

    must_be_new(&r);
    path = in_dir("root.squashfs");
    put("root.squashfs", "is overwritten");
    ck_assert_int_eq(add_spec(r,
                              "f a/b first\nd tmp 1777\nf x/y gone\n--\nf a/h hard\nh hard a/h\n"
                              "l a/l ../x\nh a/m a/l\n--\nf .wh.x\nf a/.wh.h",
                              &e),
                     0);
    ck_assert_int_eq(rootfs_add_file(r, "a/c", 0640, 1000, 1001, "abc", 3, &e), 0);
    ck_assert_int_eq(rootfs_add_file(r, "a/b", 0644, 0, 0, "12345", 5, &e), 0);
    ck_assert_msg(rootfs_write_squashfs(r, path, &e) == 0, "%s", e.text);
    must_list(path, lines);
    cat[2] = path;
    said = tool_says(cat);
    ck_assert_str_eq(said, "12345abchard");
    end();
}
END_TEST

START_TEST(hard_links_and_user_xattrs_reach_the_squashfs)
{
    own_rootfs struct rootfs *r = NULL;
    own_close int fd = make_by_libarchive(ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE);
    own_free char *path = NULL;
    struct err e;

    must_be_new(&r);
    path = in_dir("root.squashfs");
    ck_assert_int_eq(rootfs_add_layer(r, fd, "layer", true, &e), 0);
    ck_assert_msg(rootfs_write_squashfs(r, path, &e) == 0, "%s", e.text);
    {
        const char *const list[] = {"unsquashfs", "-stat", path, NULL};
        own_free char *said = tool_says(list);

        ck_assert_ptr_nonnull(strstr(said, "Number of inodes 7\n")); /* 8 names and the root */
        ck_assert_ptr_nonnull(strstr(said, "Number of xattr ids 1\n"));
    }
    end();
}
END_TEST

/* Layers of random files, so that order and content have a chance to differ. */
static void digest_of(const char *name, char hex[DIGEST_HEX_SIZE])
{
    own_rootfs struct rootfs *r = NULL;
    own_free char *path = in_dir(name);
    own_close int fd = -1;
    uint64_t size;
    struct err e;

    ck_assert_int_eq(rootfs_new(dir, &r, &e), 0);
    for (int layer = 0; layer < 3; layer++) {
        own_str struct str bytes = {0};

        for (int i = 0; i < 200; i++) {
            own_free char *file = str_printf("d%d/f%d", i * 7 % 13, i * 31 % 97 + layer);
            own_free char *text = str_printf("%d %d %0*d", layer, i, i * 100 + 1, i);

            make_file(&bytes, file, text);
        }
        make_end(&bytes);
        ck_assert_int_eq(add_bytes(r, &bytes, true, &e), 0);
    }
    ck_assert_msg(rootfs_write_squashfs(r, path, &e) == 0, "%s", e.text);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(digest_fd(fd, hex, &size, &e), 0);
}

START_TEST(the_same_tree_gives_the_same_bytes)
{
    char one[DIGEST_HEX_SIZE], two[DIGEST_HEX_SIZE];

    begin();
    digest_of("one", one);
    digest_of("two", two);
    ck_assert_str_eq(one, two);
    end();
}
END_TEST

START_TEST(a_tool_that_fails_is_reported_and_ends)
{
    own_rootfs struct rootfs *r = NULL;
    own_free char *path = NULL;
    struct err e = {0};

    must_be_new(&r);
    path = in_dir("missing/root.squashfs");
    ck_assert_int_eq(rootfs_add_file(r, "a", 0644, 0, 0, "abc", 3, &e), 0);
    ck_assert_int_lt(rootfs_write_squashfs(r, path, &e), 0);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert_ptr_nonnull(strstr(e.text, "'unshare' failed with status"));
    end();
}
END_TEST

SUITE("rootfs", layers_merge_by_the_rules, the_upper_content_and_attributes_win,
      a_hard_link_keeps_its_content_when_the_other_name_is_hidden,
      whiteouts_are_plain_names_in_a_tar_that_is_no_layer, what_is_hostile_is_refused_with_its_name,
      contents_over_the_limit_are_refused_before_they_are_read, whiteouts_have_an_end,
      single_things_are_judged_like_entries, reading_follows_links_inside_the_tree_only,
      folders_are_made_where_links_lead, an_archive_is_a_tree_without_owners,
      the_squashfs_has_what_the_tree_has, hard_links_and_user_xattrs_reach_the_squashfs,
      the_same_tree_gives_the_same_bytes, a_tool_that_fails_is_reported_and_ends)
