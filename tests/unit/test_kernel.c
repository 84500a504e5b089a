/* test_kernel: promises of kernels of our own: what they must be configured to be, how they are
 * made, and which one an image gets. The configurations are those of real builds. */
#include "images/kernel.h"
#include "images/kernel_config.h"
#include "images/kernel_make.h"
#include "images/kernel_record.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#define CONFIG_SIZE_MAX (256 * 1024)
#define SOME_DIGEST     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Returns new: the final configuration of a real build. */
static char *real_config(const char *flavour)
{
    own_free char *path = str_printf(GOLDEN_DIR "/kernel/%s.config", flavour);
    char *text;
    struct err e;

    ck_assert_msg(file_read(AT_FDCWD, path, CONFIG_SIZE_MAX, &text, NULL, &e) == 0, "%s", e.text);
    return text;
}

/* Returns new: `config` with the option as Kconfig writes it; NULL is "not set". */
static char *with_option(const char *config, const char *option, const char *value)
{
    own_free char *set = str_printf("CONFIG_%s=", option);
    own_free char *unset = str_printf("# CONFIG_%s is not set", option);
    own_str struct str out = {0};

    for (const char *line = config; *line;) {
        size_t len = strcspn(line, "\n");

        if (!str_starts_with(line, set) && !str_starts_with(line, unset)) {
            str_add_bytes(&out, line, len);
            str_add(&out, "\n");
        }
        line += len + (line[len] == '\n');
    }
    if (value)
        str_addf(&out, "%s%s\n", set, value);
    else
        str_addf(&out, "%s\n", unset);
    return str_steal(&out);
}

static void refused(const char *flavour, const char *config, const char *option, const char *why)
{
    own_free char *name = str_printf("CONFIG_%s=", option);
    struct err e;

    ck_assert_msg(kernel_config_check(flavour, config, &e) < 0, "%s: nobody minds", option);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert_msg(strstr(e.text, name) && strstr(e.text, why), "%s: %s", option, e.text);
}

START_TEST(the_configurations_that_were_built_are_what_they_must_be)
{
    for (size_t i = 0; kernel_flavours[i]; i++) {
        own_free char *config = real_config(kernel_flavours[i]);
        struct err e;

        ck_assert_msg(kernel_config_check(kernel_flavours[i], config, &e) == 0, "%s", e.text);
    }
}
END_TEST

START_TEST(each_required_option_is_missed_by_name)
{
    for (size_t i = 0; kernel_flavours[i]; i++) {
        own_free char *config = real_config(kernel_flavours[i]);

        for (size_t r = 0; r < kernel_required_n; r++) {
            const struct kernel_required *row = &kernel_required[r];
            own_free char *wrong = NULL;

            if (row->flavour && strcmp(row->flavour, kernel_flavours[i]) != 0)
                continue;
            wrong = with_option(config, row->option, row->value ? NULL : "y");
            refused(kernel_flavours[i], wrong, row->option, row->why);
            free(wrong);
            wrong = with_option(config, row->option, "other");
            refused(kernel_flavours[i], wrong, row->option, row->why);
        }
    }
}
END_TEST

/* CONFIG_NAME of the line, or NULL. */
static char *option_of(const char *line)
{
    return str_starts_with(line, "CONFIG_")
               ? str_printf("%.*s", (int)strcspn(line + 7, "="), line + 7)
               : NULL;
}

START_TEST(each_wanted_option_that_kconfig_drops_is_missed_by_name)
{
    size_t n = 0;

    for (size_t i = 0; kernel_flavours[i]; i++) {
        own_free char *config = real_config(kernel_flavours[i]);
        own_free char *wanted = kernel_config_wanted(kernel_flavours[i]);

        for (const char *line = wanted; *line;) {
            own_free char *option = option_of(line);

            if (option) {
                own_free char *wrong = with_option(config, option, NULL);

                refused(kernel_flavours[i], wrong, option, "");
                n++;
            }
            line += strcspn(line, "\n");
            line += *line == '\n';
        }
    }
    ck_assert_uint_gt(n, 300);
}
END_TEST

START_TEST(a_kernel_with_ip_is_no_airgap)
{
    own_free char *net = real_config(KERNEL_NET);
    own_free char *airgap = real_config(KERNEL_AIRGAP);

    refused(KERNEL_AIRGAP, net, "INET", "air gap");
    refused(KERNEL_NET, airgap, "INET", "what this flavour is for");
}
END_TEST

START_TEST(every_mitigation_of_the_source_is_required)
{
    own_free char *config = real_config(KERNEL_AIRGAP);
    size_t n = 0;

    /* What Kconfig knows is in the final configuration, set or not. */
    for (const char *p = config; (p = strstr(p, "CONFIG_MITIGATION_")); n++) {
        size_t len;

        p += strlen("CONFIG_");
        len = strcspn(p, "= ");
        for (size_t r = 0; r <= kernel_required_n; r++) {
            ck_assert_msg(r < kernel_required_n, "%.*s is not in the table", (int)len, p);
            if (strlen(kernel_required[r].option) == len &&
                strncmp(kernel_required[r].option, p, len) == 0)
                break;
        }
    }
    ck_assert_uint_gt(n, 20);
}
END_TEST

/* A source folder with this Makefile; its targets are told what the kernel's are. */
static int make_it(const char *makefile, const char *target, unsigned steps,
                   void (*progress)(void *arg, unsigned percent), void *arg, struct err *e)
{
    own_free char *source = in_dir("source");
    own_free char *objects = in_dir("objects");

    if (!exists("source")) {
        make("source");
        make("objects");
    }
    put("source/Makefile", makefile);
    return kernel_make_run(&(struct kernel_make){.source = source,
                                                 .objects = objects,
                                                 .jobs = 1,
                                                 .target = target,
                                                 .steps = steps,
                                                 .progress = progress,
                                                 .progress_arg = arg},
                           e);
}

static char *read_in_dir(const char *name)
{
    own_free char *path = in_dir(name);
    char *text;
    struct err e;

    ck_assert_msg(file_read(AT_FDCWD, path, 1 << 20, &text, NULL, &e) == 0, "%s", e.text);
    return text;
}

START_TEST(what_the_caller_has_in_its_environment_does_not_reach_make)
{
    static const char *const names[] = {
        "CC",        "CFLAGS",       "KCFLAGS",           "LLVM",      "ARCH",
        "MAKEFLAGS", "LOCALVERSION", "KBUILD_BUILD_USER", "LD_PRELOAD"};
    own_free char *said = NULL;
    struct err e;

    begin();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        setenv(names[i], "callers-own", 1);
    ck_assert_msg(make_it("all:\n\t@env > $(O)/said; echo $(CC) $(ARCH) >> $(O)/said\n", "all", 0,
                          NULL, NULL, &e) == 0,
                  "%s", e.text);
    said = read_in_dir("objects/said");
    ck_assert_ptr_null(strstr(said, "callers-own"));
    ck_assert_ptr_nonnull(strstr(said, "\ngcc x86_64\n"));
    ck_assert_ptr_nonnull(strstr(said, "KBUILD_BUILD_USER=lazaret\n"));
    ck_assert_ptr_nonnull(strstr(said, "objects/wanted.config\n"));
    end();
}
END_TEST

START_TEST(a_failing_compiler_is_quoted_with_the_log)
{
    struct err e;

    begin();
    ck_assert_int_lt(make_it("all:\n\t@echo '  CC a.o'\n\t@echo 'a.c:3: error: no such thing' >&2\n"
                             "\t@false\n",
                             "all", 0, NULL, NULL, &e),
                     0);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert_ptr_nonnull(strstr(e.text, "a.c:3: error: no such thing"));
    ck_assert_ptr_nonnull(strstr(e.text, "objects/make.log"));
    end();
}
END_TEST

static void note_percent(void *arg, unsigned percent)
{
    str_addf(arg, "%u ", percent);
}

START_TEST(progress_goes_on_where_the_last_attempt_stopped)
{
    own_str struct str seen = {0};
    struct err e;

    begin();
    ck_assert_int_lt(
        make_it("all:\n\t@echo one; echo two\n\t@false\n", "all", 10, note_percent, &seen, &e), 0);
    /* make's own complaint is a line too */
    ck_assert_str_eq(seen.data, "10 20 30 ");
    str_done(&seen);
    ck_assert_int_eq(make_it("all:\n\t@echo three; echo four\n", "all", 5, note_percent, &seen, &e),
                     0);
    ck_assert_str_eq(seen.data, "80 99 ");
    end();
}
END_TEST

static struct kernel_record some_record(const struct store_object *kernel)
{
    struct kernel_record r = {.flavour = str_dup(KERNEL_AIRGAP),
                              .release = str_dup("6.12.117-1~deb12u1"),
                              .cmdline = str_dup("console=ttyS0 quiet"),
                              .recipe = SOME_DIGEST,
                              .config = {.sha256 = SOME_DIGEST, .size_bytes = 1}};

    r.kernel = *kernel;
    return r;
}

/* Puts a kernel with this content into the store, as `name`. */
static void put_kernel(const struct store *s, const char *name, const char *content)
{
    own_kernel_record struct kernel_record r = {0};
    own_free char *text = NULL;
    struct store_object kernel, record;
    struct err e;

    ck_assert_int_eq(store_put(s, content, strlen(content), &kernel, &e), 0);
    r = some_record(&kernel);
    text = kernel_record_format(&r);
    ck_assert_int_eq(store_put(s, text, strlen(text), &record, &e), 0);
    ck_assert_msg(store_name_set(s, STORE_KERNELS, name, record.sha256, &e) == 0, "%s", e.text);
}

START_TEST(a_record_that_is_not_exactly_one_is_refused)
{
    static const struct {
        const char *from, *to, *says;
    } rows[] = {
        {"\"version\": 1", "\"version\": 2", "not a lazaret-kernel of version 1"},
        {"lazaret-kernel", "lazaret-image", "not a lazaret-kernel"},
        {"\"flavour\": \"airgap\"", "\"flavour\": \"../x\"", "there is no flavour"},
        {"console=ttyS0", "console=ttyS0\\n", "'cmdline'"},
        {"\"recipe\": \"0", "\"recipe\": \"g", "'recipe' is not a digest"},
        {"\"size\": 5", "\"size\": -5", "'kernel'"},
        {"\"size\": 5", "\"size\": 5, \"more\": 1", "more"},
        {"\"format\"", "\"more\": 1, \"format\"", "more"},
        {"\"release\"", "\"relase\"", "relase"},
        {"{", "", "kernel record"},
    };
    const struct store_object kernel = {.sha256 = SOME_DIGEST, .size_bytes = 5};
    own_kernel_record struct kernel_record r = some_record(&kernel);
    own_kernel_record struct kernel_record back = {0};
    own_free char *text = kernel_record_format(&r);
    own_free char *again = NULL;
    struct err e;

    ck_assert_msg(kernel_record_parse(text, strlen(text), &back, &e) == 0, "%s", e.text);
    again = kernel_record_format(&back);
    ck_assert_str_eq(again, text);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = strstr(text, rows[i].from);
        own_kernel_record struct kernel_record none = {0};
        own_free char *wrong = NULL;

        ck_assert_ptr_nonnull(at);
        wrong =
            str_printf("%.*s%s%s", (int)(at - text), text, rows[i].to, at + strlen(rows[i].from));
        ck_assert_msg(kernel_record_parse(wrong, strlen(wrong), &none, &e) < 0, "row %zu", i);
        ck_assert_int_eq(e.class, ERR_IMAGE);
        ck_assert_msg(strstr(e.text, rows[i].says), "row %zu: %s", i, e.text);
    }
}
END_TEST

START_TEST(auto_is_our_own_kernel_where_it_is_built)
{
    own_store struct store s = STORE_INIT;
    own_kernel struct kernel k = {0};
    own_free char *nowhere = in_dir("nowhere");
    const struct apt no_lists = {.conf = nowhere};
    struct err e;

    begin();
    ck_assert_msg(store_open(dir, STORE_ADD, &s, &e) == 0, "%s", e.text);
    ck_assert_int_lt(kernel_choose(&no_lists, &s, KERNEL_AUTO, &k, &e), 0);
    ck_assert_msg(strstr(e.text, "Debian's package lists"), "%s", e.text);
    ck_assert_int_lt(kernel_choose(&no_lists, &s, KERNEL_AIRGAP, &k, &e), 0);
    ck_assert_msg(strstr(e.text, "lazaret image kernel build"), "%s", e.text);
    put_kernel(&s, KERNEL_AIRGAP, "bzImage");
    ck_assert_msg(kernel_choose(&no_lists, &s, KERNEL_AUTO, &k, &e) == 0, "%s", e.text);
    ck_assert_str_eq(k.flavour, KERNEL_AIRGAP);
    ck_assert_str_eq(k.cmdline, "console=ttyS0 quiet");
    ck_assert_str_eq(k.package.version, "6.12.117-1~deb12u1");
    ck_assert_uint_eq(k.bzimage_len, strlen("bzImage"));
    ck_assert(memcmp(k.bzimage, "bzImage", k.bzimage_len) == 0);
    ck_assert_uint_eq(k.modules.n, 0);
    kernel_done(&k);
    ck_assert_int_lt(kernel_choose(&no_lists, &s, KERNEL_DEBIAN, &k, &e), 0);
    ck_assert_msg(strstr(e.text, "Debian's package lists"), "%s", e.text);
    ck_assert_int_lt(kernel_choose(&no_lists, &s, "own", &k, &e), 0);
    ck_assert_int_eq(e.class, ERR_USAGE);
    end();
}
END_TEST

START_TEST(a_damaged_kernel_is_refused_and_not_replaced)
{
    own_store struct store s = STORE_INIT;
    own_kernel struct kernel k = {0};
    own_kernel_record struct kernel_record r = {0};
    own_free char *path = NULL;
    own_doc struct doc *list = NULL;
    struct err e;

    begin();
    ck_assert_int_eq(store_open(dir, STORE_ADD, &s, &e), 0);
    put_kernel(&s, KERNEL_AIRGAP, "bzImage");
    put_kernel(&s, KERNEL_NET, "bzImage"); /* its record says airgap */
    ck_assert_int_lt(kernel_choose(NULL, &s, KERNEL_NET, &k, &e), 0);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_msg(strstr(e.text, "its record is of 'airgap'"), "%s", e.text);
    ck_assert_int_eq(kernel_record_open(&s, KERNEL_AIRGAP, &r, &e), 0);
    path = store_blob_path(&s, r.kernel.sha256);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_lt(kernel_choose(NULL, &s, KERNEL_AUTO, &k, &e), 0);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_msg(strstr(e.text, r.kernel.sha256) && strstr(e.text, "image kernel build"), "%s",
                  e.text);
    ck_assert_int_eq(kernel_record_list(dir, &list, &e), 0);
    ck_assert_uint_eq(doc_len(list), 2);
    ck_assert(!doc_has(doc_at(list, 0), "error") && doc_has(doc_at(list, 1), "error"));
    end();
}
END_TEST

SUITE("kernel", the_configurations_that_were_built_are_what_they_must_be,
      each_required_option_is_missed_by_name,
      each_wanted_option_that_kconfig_drops_is_missed_by_name, a_kernel_with_ip_is_no_airgap,
      every_mitigation_of_the_source_is_required,
      what_the_caller_has_in_its_environment_does_not_reach_make,
      a_failing_compiler_is_quoted_with_the_log, progress_goes_on_where_the_last_attempt_stopped,
      a_record_that_is_not_exactly_one_is_refused, auto_is_our_own_kernel_where_it_is_built,
      a_damaged_kernel_is_refused_and_not_replaced)
