/* test_container_image: promises of reading other people's images: what is taken over, what is
 * refused. */
#include "images/docker_archive.h"
#include "images/oci_layout.h"
#include "tests/unit/bundle_make.h"
#include "tests/unit/suite.h"

static void check_line(void *arg, const char *line)
{
    (void)arg;
    ck_assert(str_is_printable(line, 200));
}

static const struct progress listener = {.line = check_line};

/* All of an import but the store. */
static int take(const struct bundle *b, bool docker, const char *tag, struct rootfs **ret_r,
                struct image_config *ret_c, struct strv *notes, struct err *e)
{
    own_container_image struct container_image ci = {0};
    own_rootfs struct rootfs *r = NULL;

    if ((docker ? docker_archive_find : oci_layout_find)(b, tag, &ci, e) < 0 ||
        rootfs_new(dir, &r, e) < 0 || container_image_unpack(&ci, b, dir, r, &listener, e) < 0 ||
        container_image_config(&ci, r, ret_c, notes, e) < 0)
        return -1;
    *ret_r = own_steal_ptr(r);
    return 0;
}

static int take_layout(const char *tag, struct rootfs **ret_r, struct image_config *ret_c,
                       struct strv *notes, struct err *e)
{
    own_bundle struct bundle *b = NULL;
    own_free char *path = in_dir("layout");

    return bundle_open_dir(path, &b, e) < 0 ? -1 : take(b, false, tag, ret_r, ret_c, notes, e);
}

START_TEST(a_layout_becomes_a_tree_and_what_to_run)
{
    own_rootfs struct rootfs *r = NULL;
    own_image_config struct image_config c = {0};
    own_strv struct strv notes = {0};
    struct err e;

    begin();
    put_layout(&(struct layout){0});
    ck_assert_msg(take_layout("v1", &r, &c, &notes, &e) == 0, "%s", e.text);
    ck_assert_ptr_nonnull(rootfs_find(r, "app/run"));
    ck_assert_ptr_null(rootfs_find(r, "app/old"));
    ck_assert_uint_eq(c.entrypoint.n, 2);
    ck_assert_str_eq(c.entrypoint.items[1], "-x");
    ck_assert_uint_eq(c.command.n, 0);
    ck_assert_str_eq(c.env.items[0], "A=b c");
    ck_assert_str_eq(c.workdir, "/srv/www");
    ck_assert_uint_eq(rootfs_find(r, "var/www")->mode, S_IFDIR | 0755); /* where the link leads */
    ck_assert_uint_eq(c.uid, 33);
    ck_assert_uint_eq(c.gid, 50);
    ck_assert_uint_eq(notes.n, 0);
    end();
}
END_TEST

START_TEST(an_image_that_says_nothing_gets_the_defaults_and_no_root)
{
    static const struct layout plain = {.config =
                                            "{'os':'linux','architecture':'amd64','rootfs':{'diff_"
                                            "ids':['sha256:$one.diff','sha256:$two.diff']}}"};
    own_rootfs struct rootfs *r = NULL;
    own_image_config struct image_config c = {0};
    own_strv struct strv notes = {0};
    struct err e;

    begin();
    put_layout(&plain);
    ck_assert_msg(take_layout(NULL, &r, &c, &notes, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(c.entrypoint.n + c.command.n + c.env.n, 0);
    ck_assert_str_eq(c.workdir, "/");
    ck_assert_uint_eq(c.uid, 1000);
    ck_assert_uint_eq(c.gid, 1000);
    ck_assert_uint_eq(notes.n, 1);
    ck_assert_ptr_nonnull(strstr(notes.items[0], "root"));
    end();
}
END_TEST

/* Index in index: docker buildx with attestations, and a foreign machine first. */
START_TEST(the_manifest_for_this_machine_is_chosen)
{
    static const char inner[] =
        "{'schemaVersion':2,'manifests':["
        "{'mediaType':'$OCImanifest.v1+json','digest':'sha256:$one','size':1,"
        "'platform':{'os':'linux','architecture':'arm64'}},"
        "{'mediaType':'application/vnd.docker.distribution.manifest.v2+json',"
        "'digest':'sha256:$manifest','size':$manifest.size,"
        "'platform':{'os':'linux','architecture':'amd64'}},"
        "{'mediaType':'$OCImanifest.v1+json','digest':'sha256:$two','size':1,"
        "'platform':{'os':'unknown','architecture':'unknown'}}]}";
    static const char outer[] =
        "{'manifests':[{'mediaType':'$OCIindex.v1+json','digest':'sha256:$inner',"
        "'size':$inner.size,'annotations':{'org.opencontainers.image.ref.name':'v1',"
        "'io.containerd.image.name':'docker.io/library/x:v1'}}]}";
    __attribute__((cleanup(names_done))) struct names v = {0};
    own_rootfs struct rootfs *r = NULL;
    own_image_config struct image_config c = {0};
    own_strv struct strv notes = {0};
    struct err e;

    begin();
    make_layout();
    blob_layer(&v, "one", LAYER_ONE, ARCHIVE_FILTER_NONE);
    blob_layer(&v, "two", LAYER_TWO, ARCHIVE_FILTER_GZIP);
    blob(&v, "config", CONFIG);
    blob(&v, "manifest", MANIFEST);
    blob(&v, "inner", inner);
    put_filled(&v, "layout/index.json", outer);
    ck_assert_msg(take_layout("docker.io/library/x:v1", &r, &c, &notes, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(c.uid, 33);
    end();
}
END_TEST

/* ---- what is refused ------------------------------------------------------------------------ */

#define A10              "[[[[[[[[[["
#define ONLY(descriptor) "{'manifests':[{" descriptor "}]}"

static const struct {
    const char *name;
    struct layout l;
    const char *tag, *says;
} bad_layouts[] = {
    {"no such tag", {0}, "v2", "it has no image 'v2' (its tags: 'v1')"},
    {"a tag that a terminal would obey", {0}, "\033[2J", "no image '\\x1b[2J'"},
    {"an index that is no JSON", {.index = "{"}, NULL, "index.json: not valid JSON"},
    {"an index that is a list", {.index = "[]"}, NULL, "key 'manifests' is missing"},
    {"an index of nothing", {.index = "{'manifests':[]}"}, NULL, "no image for linux/amd64"},
    {"an index of numbers", {.index = "{'manifests':[1]}"}, NULL, "key 'mediaType' is missing"},
    {"depth", {.index = A10 A10 A10}, NULL, "index.json: not valid JSON"},
    {"two images, no tag",
     {.index = "{'manifests':[{'mediaType':'$OCImanifest.v1+json'},{'mediaType':'$OCImanifest.v1+"
               "json'}]}"},
     NULL,
     "it has 2 images; say which by its tag (none)"},
    {"a digest of another kind",
     {.index = ONLY("'mediaType':'$OCImanifest.v1+json','digest':'sha512:00','size':1")},
     NULL,
     "has the digest 'sha512:00', which is not one by SHA-256"},
    {"a digest that is a path",
     {.index = ONLY(
          "'mediaType':'$OCImanifest.v1+json','digest':'sha256:../../../etc/passwd','size':1")},
     NULL,
     "which is not one by SHA-256"},
    {"a digest in capitals",
     {.index = ONLY("'mediaType':'$OCImanifest.v1+json','digest':'sha256:"
                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA','size':1")},
     NULL,
     "which is not one by SHA-256"},
    {"a blob that is not there",
     {.index = ONLY("'mediaType':'$OCImanifest.v1+json','digest':'sha256:"
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','size':1")},
     NULL,
     "aaaa' is not there"},
    {"a negative size",
     {.index = ONLY("'mediaType':'$OCImanifest.v1+json','digest':'sha256:$manifest','size':-1")},
     NULL,
     "key 'size' is out of range"},
    {"a type that a terminal would obey",
     {.index = ONLY("'mediaType':'\\u001b[2J','digest':'sha256:$manifest','size':$manifest.size")},
     NULL,
     "is of the type '\\x1b[2J', which is not that of an image"},
    {"a manifest as an index",
     {.index = ONLY(
          "'mediaType':'$OCIindex.v1+json','digest':'sha256:$manifest','size':$manifest.size")},
     NULL,
     "the index: key 'manifests' is missing"},
    {"an image for another machine",
     {.config = "{'os':'linux','architecture':'arm64'}"},
     NULL,
     "the image is for architecture 'arm64' (get the one for linux/amd64)"},
    {"an image for another system", {.config = "{'os':'windows'}"}, NULL, "for os 'windows'"},
    {"fewer contents than layers",
     {.config = "{'os':'linux','architecture':'amd64','rootfs':{'diff_ids':[]}}"},
     NULL,
     "the image has 2 layers, but its configuration names 0"},
    {"a content that is another",
     {.config = "{'os':'linux','architecture':'amd64','rootfs':{'diff_ids':['sha256:$one.diff','"
                "sha256:$one.diff']}}"},
     NULL,
     "layer 2 (sha256:"},
    {"a content that is a number",
     {.config = "{'os':'linux','architecture':'amd64','rootfs':{'diff_ids':[1,2]}}"},
     NULL,
     "a layer's content has the digest ''"},
    {"an artifact that is no image",
     {.manifest = "{'schemaVersion':2,'config':{'mediaType':'$OCIempty.v1+json','digest':'sha256:$"
                  "config','size':$config.size},'layers':[]}"},
     NULL,
     "the configuration is of the type 'application/vnd.oci.image.empty.v1+json'"},
    {"an old manifest", {.manifest = "{'schemaVersion':1,'config':{}}"}, NULL, "not of version 2"},
    {"a layer of an unknown type",
     {.manifest = HEAD "'layers':[" LAYER("tar+lzma", "one") "]}"},
     NULL,
     "layer 1 is of the type 'application/vnd.oci.image.layer.v1.tar+lzma'"},
    {"a layer that is not there",
     {.manifest = HEAD "'layers':[" LAYER("tar", "one") ",{'mediaType':'$OCIlayer.v1.tar',"
                                                        "'digest':'sha256:$two.diff','size':1}]}"},
     NULL,
     "' is not there"},
    {"a layer that lies about its size",
     {.manifest =
          HEAD "'layers':[{'mediaType':'$OCIlayer.v1.tar','digest':'sha256:$one','size':7}," LAYER(
              "tar", "two") "]}"},
     NULL,
     "bytes instead of 7 (it is damaged; get it again)"},
    {"an entry out of the image", {.two = "f a/../../b x"}, NULL, "entry 'a/../../b' has '..'"},
    {"a user who is not there",
     {.two = "f etc/passwd x"},
     NULL,
     "the image runs as 'web', who is not in its /etc/passwd"},
    {"a group that is not there",
     {.two = "f etc/group x\nf etc/passwd web:x:1:1"},
     NULL,
     "the image runs as 'staff', who is not in its /etc/group"},
    {"a user whom the guest has not",
     {.two = "f etc/passwd web:x:65536:1"},
     NULL,
     "with an id that the guest has not (ids go up to 65535)"},
    {"a working folder that is a file",
     {.two = "f etc/passwd web:x:1:1\nf var/www x"},
     NULL,
     "the image's working folder '/srv/www' cannot be made in it"},
    {"a working folder out of the image",
     {.two = "f etc/passwd web:x:1:1\nl srv/www /../../x/.."},
     NULL,
     "cannot be made in it"},
};

START_TEST(layouts_that_do_not_hold_together_are_refused)
{
    for (size_t i = 0; i < sizeof(bad_layouts) / sizeof(bad_layouts[0]); i++) {
        own_rootfs struct rootfs *r = NULL;
        own_image_config struct image_config c = {0};
        own_strv struct strv notes = {0};
        struct err e = {0};

        begin();
        put_layout(&bad_layouts[i].l);
        ck_assert_msg(take_layout(bad_layouts[i].tag, &r, &c, &notes, &e) < 0, "%s",
                      bad_layouts[i].name);
        ck_assert_msg(strstr(e.text, bad_layouts[i].says), "%s: %s", bad_layouts[i].name, e.text);
        ck_assert_msg(e.class == ERR_IMAGE, "%s: class %d", bad_layouts[i].name, e.class);
        ck_assert_msg(str_is_printable(e.text, sizeof(e.text)), "%s", bad_layouts[i].name);
        end();
    }
}
END_TEST

START_TEST(a_flipped_bit_in_any_blob_is_refused_by_its_digest)
{
    static const char *const names[] = {"one", "two", "config", "manifest"};

    for (size_t i = 0; i < 4; i++) {
        __attribute__((cleanup(names_done))) struct names v = {0};
        own_free char *path = NULL, *hex = NULL, *name = NULL, *file = NULL, *want = NULL;
        own_rootfs struct rootfs *r = NULL;
        own_image_config struct image_config c = {0};
        own_strv struct strv notes = {0};
        own_close int fd = -1;
        struct err e = {0};
        char byte;

        begin();
        make_layout();
        blob_layer(&v, "one", LAYER_ONE, ARCHIVE_FILTER_GZIP);
        blob_layer(&v, "two", LAYER_TWO, ARCHIVE_FILTER_ZSTD);
        blob(&v, "config", CONFIG);
        blob(&v, "manifest", MANIFEST);
        put_filled(&v, "layout/index.json", INDEX);
        name = str_printf("$%s", names[i]);
        hex = fill_in(&v, name);
        path = str_printf("layout/blobs/sha256/%s", hex);
        file = in_dir(path);
        fd = open(file, O_RDWR | O_CLOEXEC);
        ck_assert_int_eq(pread(fd, &byte, 1, 30), 1);
        byte ^= 1;
        ck_assert_int_eq(pwrite(fd, &byte, 1, 30), 1);
        ck_assert_int_lt(take_layout(NULL, &r, &c, &notes, &e), 0);
        want = str_printf("instead of sha256:%s (it is damaged; get it again)", hex);
        ck_assert_msg(strstr(e.text, want), "%s: %s", names[i], e.text);
        ck_assert_int_eq(e.class, ERR_IMAGE);
        end();
    }
}
END_TEST

/* ---- docker archives ------------------------------------------------------------------------ */

#define DOCKER_CONFIG                                                                              \
    "{'os':'linux','architecture':'amd64','config':{'User':'7'},'rootfs':{'diff_ids':['sha256:$"   \
    "one.diff','sha256:$one.diff']}}"

/* manifest.json, the configuration under its digest, and a layer that has two names. */
static void docker_archive(struct str *out, const char *manifest, const char *extra)
{
    __attribute__((cleanup(names_done))) struct names v = {0};
    own_free char *config = NULL, *name = NULL, *filled = NULL;
    own_str struct str layer = {0};
    struct made m = {.path = "1/layer.tar", .type = '0', .mode = 0600, .uid = 100000};
    char hex[DIGEST_HEX_SIZE];
    struct err e;

    make_layer(&layer, "f a x");
    make_end(&layer);
    ck_assert_int_eq(digest_bytes(layer.data, layer.len, hex, &e), 0);
    name_is(&v, "one.diff", hex);
    config = fill_in(&v, DOCKER_CONFIG);
    ck_assert_int_eq(digest_bytes(config, strlen(config), hex, &e), 0);
    name_is(&v, "config", hex);
    name = str_printf("%s.json", hex);
    make_file(out, name, config);
    m.size = layer.len;
    make_header(out, &m);
    make_content(out, layer.data, layer.len);
    make_layer(out, "l 2/layer.tar ../1/layer.tar");
    filled = fill_in(&v, manifest);
    make_file(out, "manifest.json", filled);
    make_layer(out, extra);
    make_end(out);
}

#define DOCKER_MANIFEST                                                                            \
    "[{'Config':'$config.json','RepoTags':['docker.io/library/app:latest','app:2'],'Layers':['1/"  \
    "layer.tar','2/layer.tar']}]"

static int take_archive(const char *manifest, const char *extra, int filter, const char *ref,
                        struct rootfs **ret_r, struct image_config *ret_c, struct err *e)
{
    own_bundle struct bundle *b = NULL;
    own_strv struct strv notes = {0};
    own_str struct str bytes = {0}, file = {0};
    own_free char *path = in_dir("x.tar");

    docker_archive(&bytes, manifest, extra);
    squeeze(filter, &bytes, &file);
    put_bytes("x.tar", file.data, file.len);
    return bundle_open_tar(path, dir, &b, e) < 0 ? -1 : take(b, true, ref, ret_r, ret_c, &notes, e);
}

START_TEST(a_docker_archive_becomes_a_tree_and_what_to_run)
{
    static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD};
    static const char *const refs[] = {NULL, "app", "app:2", "docker.io/library/app:2",
                                       "app:latest"};

    for (size_t i = 0; i < 5; i++) {
        own_rootfs struct rootfs *r = NULL;
        own_image_config struct image_config c = {0};
        struct err e;

        begin();
        ck_assert_msg(take_archive(DOCKER_MANIFEST, "", filters[i % 3], refs[i], &r, &c, &e) == 0,
                      "%zu: %s", i, e.text);
        ck_assert_ptr_nonnull(rootfs_find(r, "a"));
        ck_assert_uint_eq(c.uid, 7);
        ck_assert_uint_eq(c.gid, 7); /* not root's group */
        end();
    }
}
END_TEST

static const struct {
    const char *name, *manifest, *extra, *ref, *says;
} bad_archives[] = {
    {"no such name", DOCKER_MANIFEST, "", "app:3",
     "it has no image 'app:3' (its names: 'docker.io/library/app:latest', 'app:2')"},
    {"a list of none", "[]", "", NULL, "it has 0 images"},
    {"an object", "{}", "", NULL, "it has 0 images"},
    {"a list of numbers", "[1]", "", NULL, "manifest.json: key 'Config' is missing"},
    {"two images", "[{},{}]", "", NULL, "it has 2 images; say which by its name (none)"},
    {"not there", "[{'Config':'x.json','Layers':[]}]", "", NULL, "'x.json' is not there"},
    {"a way out", "[{'Config':'../../../../../../../etc/passwd','Layers':[]}]", "", NULL,
     "etc/passwd' is not there"},
    {"a link out", "[{'Config':'c','Layers':[]}]", "l c /etc/passwd", NULL, "'c' is not there"},
    {"a name that a terminal would obey", "[{'Config':'\\u001b[2J','Layers':[]}]", "", NULL,
     "manifest.json names a file '\\x1b[2J'"},
    {"a layer that is a number", "[{'Config':'$config.json','Layers':[1]}]", "", NULL,
     "manifest.json names a file ''"},
    {"a layer that is not there", "[{'Config':'$config.json','Layers':['1/layer.tar','3']}]", "",
     NULL, "layer 2 (sha256:"},
    {"another configuration under its name",
     "[{'Config':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.json','Layers':["
     "]}]",
     "f aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.json {}", NULL,
     "(it is damaged; get it again)"},
    {"another content", "[{'Config':'$config.json','Layers':['1/layer.tar','l']}]", "f l x", NULL,
     "(it is damaged; get it again)"},
    {"a hostile outer tar", DOCKER_MANIFEST, "f ../x y", NULL, "entry '../x' has '..' in its name"},
    {"a device in the outer tar", DOCKER_MANIFEST, "3 null", NULL, "entry 'null' is a device"},
};

START_TEST(docker_archives_that_do_not_hold_together_are_refused)
{
    for (size_t i = 0; i < sizeof(bad_archives) / sizeof(bad_archives[0]); i++) {
        own_rootfs struct rootfs *r = NULL;
        own_image_config struct image_config c = {0};
        struct err e = {0};

        begin();
        ck_assert_msg(take_archive(bad_archives[i].manifest, bad_archives[i].extra,
                                   ARCHIVE_FILTER_NONE, bad_archives[i].ref, &r, &c, &e) < 0,
                      "%s", bad_archives[i].name);
        ck_assert_msg(strstr(e.text, bad_archives[i].says), "%s: %s", bad_archives[i].name, e.text);
        ck_assert_msg(e.class == ERR_IMAGE, "%s: class %d", bad_archives[i].name, e.class);
        ck_assert_msg(str_is_printable(e.text, sizeof(e.text)), "%s", bad_archives[i].name);
        end();
    }
}
END_TEST

START_TEST(what_is_neither_is_said_to_be)
{
    own_bundle struct bundle *dir_bundle = NULL, *tar = NULL;
    own_container_image struct container_image ci = {0};
    own_str struct str bytes = {0};
    own_free char *path = NULL, *missing = NULL;
    struct err e = {0};

    begin();
    path = in_dir("x.tar");
    missing = in_dir("missing");
    make_layer(&bytes, "f a x");
    make_end(&bytes);
    put_bytes("x.tar", bytes.data, bytes.len);
    ck_assert_int_eq(bundle_open_tar(path, dir, &tar, &e), 0);
    ck_assert_int_lt(docker_archive_find(tar, NULL, &ci, &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "is not a docker archive: it has no manifest.json"));
    ck_assert_int_eq(bundle_open_dir(dir, &dir_bundle, &e), 0);
    ck_assert_int_lt(oci_layout_find(dir_bundle, NULL, &ci, &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "is not an OCI layout: it has no file 'oci-layout'"));
    bundle_free(own_steal_ptr(tar));
    ck_assert_int_lt(bundle_open_tar(missing, dir, &tar, &e), 0);
    ck_assert_int_eq(e.class, ERR_USAGE);
    ck_assert_int_lt(bundle_open_tar(dir, dir, &tar, &e), 0);
    ck_assert_int_lt(bundle_open_tar("/dev/zero", dir, &tar, &e), 0);
    end();
}
END_TEST

START_TEST(an_oci_layout_in_a_tar_is_read_as_one)
{
    static const char *const files[][2] = {
        {"config", "{'os':'linux','architecture':'amd64','rootfs':{'diff_ids':[]}}"},
        {"manifest", HEAD "'layers':[]}"},
    };
    __attribute__((cleanup(names_done))) struct names v = {0};
    own_container_image struct container_image ci = {0};
    own_bundle struct bundle *b = NULL;
    own_str struct str bytes = {0};
    own_free char *path = NULL, *index = NULL, *layout = NULL;
    struct err e;

    begin();
    make_layout();
    path = in_dir("x.tar");
    for (size_t i = 0; i < 2; i++) {
        own_free char *name = str_printf("./blobs/sha256/$%s", files[i][0]);
        own_free char *text = fill_in(&v, files[i][1]), *to = NULL;

        blob(&v, files[i][0], files[i][1]);
        to = fill_in(&v, name);
        make_file(&bytes, to, text);
    }
    index = fill_in(&v, INDEX);
    layout = fill_in(&v, "{'imageLayoutVersion':'1.1.0'}");
    make_file(&bytes, "index.json", index);
    make_file(&bytes, "./oci-layout", layout);
    make_end(&bytes);
    put_bytes("x.tar", bytes.data, bytes.len);
    ck_assert_int_eq(bundle_open_tar(path, dir, &b, &e), 0);
    ck_assert_msg(docker_archive_find(b, NULL, &ci, &e) == 0, "%s", e.text);
    ck_assert_str_eq(ci.kind, "oci");
    ck_assert_str_eq(ci.reference, "v1");
    end();
}
END_TEST

SUITE("container-image", a_layout_becomes_a_tree_and_what_to_run,
      an_image_that_says_nothing_gets_the_defaults_and_no_root,
      the_manifest_for_this_machine_is_chosen, layouts_that_do_not_hold_together_are_refused,
      a_flipped_bit_in_any_blob_is_refused_by_its_digest,
      a_docker_archive_becomes_a_tree_and_what_to_run,
      docker_archives_that_do_not_hold_together_are_refused, what_is_neither_is_said_to_be,
      an_oci_layout_in_a_tar_is_read_as_one)
