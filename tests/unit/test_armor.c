/*
 * test_armor: promises of a job's AppArmor profile: no path of a manifest is anything but that path
 * in it. Where apparmor_parser is installed, it compiles what is written, and the table that the
 * guest's kernel would get is asked.
 */
#include "base/file.h"
#include "base/own.h"
#include "oci/armor.h"
#include "plan/learn_paths.h"
#include "run/armor.h"
#include "shared/guest.h"
#include "shared/wire.h"
#include "tests/unit/suite.h"
#include "wrap/wrap.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Rights, as the kernel numbers them. */
#define MAY_READ  0x64u /* lock and map, too */
#define MAY_LIST  0x04u
#define MAY_WRITE 0x0au /* append, too */
#define MAY_EXEC  0x01u
#define PLAIN     0x07u /* of those, without what is in them, too */
#define OTHERS    14    /* those of files that are not the process's own are so far up */
#define ROUNDS    40

struct wish {
    const char *read, *write, *exec, *command, *path, *workdir;
    bool writable_root;
    const struct plan_declared *declared; /* in place of the first three */
};

/* Returns new: the profile's text, or, with `fd`, NULL and it is compiled into it. */
static char *profile(const struct wish *w, int fd)
{
    own_strv struct strv argv = {0}, env = {0}, read = {0}, write = {0}, exec = {0};
    own_free char *workdir = str_dup(w->workdir ? w->workdir : "/work");
    struct plan p = {.workdir = workdir, .apparmor = true, .writable_root = w->writable_root};
    struct err e;

    strv_add(&argv, w->command ? w->command : "true");
    strv_addf(&env, "PATH=%s", w->path ? w->path : "/usr/bin:/bin");
    if (w->read)
        strv_add(&read, w->read);
    if (w->write)
        strv_add(&write, w->write);
    if (w->exec)
        strv_add(&exec, w->exec);
    p.declared = w->declared ? *w->declared
                             : (struct plan_declared){.read = read, .write = write, .exec = exec};
    p.argv = argv;
    p.env = env;
    if (fd < 0)
        return armor_profile(&p, 7);
    ck_assert_msg(armor_compile(&p, 7, fd, &e) == 0, "%s", e.text);
    return NULL;
}

/* ---- the kernel's side: security/apparmor/match.c, tables of files ----------------------------
 */

enum { ACCEPT = 1, BASE, CHECK, DEFAULT, CLASSES, NEXT = 8, TABLES = 16 };
#define DIFFERS 0x80000000u

struct table {
    const uint8_t *at;
    unsigned width, n;
};

static uint32_t big(const uint8_t *at, unsigned width)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < width; i++)
        v = v << 8 | at[i];
    return v;
}

static uint32_t get(const struct table *t, uint32_t i)
{
    ck_assert_uint_lt(i, t->n);
    return big(t->at + i * t->width, t->width);
}

/* The last of a profile's tables is that of files. */
static void find_tables(const uint8_t *bytes, size_t len, struct table ret[TABLES])
{
    static const uint8_t magic[] = {0x1b, 0x5e, 0x78, 0x3d};
    const uint8_t *at = NULL, *end;

    for (const uint8_t *p = bytes; (p = memmem(p, len - (size_t)(p - bytes), magic, 4)); p++)
        at = p;
    ck_assert_ptr_nonnull(at);
    end = at + big(at + 8, 4);
    for (const uint8_t *t = at + big(at + 4, 4); t + 12 <= end;) {
        unsigned id = big(t, 2);
        struct table found = {.at = t + 12, .width = big(t + 2, 2), .n = big(t + 8, 4)};

        ck_assert(id < TABLES && found.n > 0);
        ret[id] = found;
        t = at + (((size_t)(found.at + found.n * found.width - at) + 7) & ~(size_t)7);
    }
}

struct compiled {
    void *at;
    size_t len;
    struct table tables[TABLES];
};

static void compiled_done(struct compiled *c)
{
    (void)munmap(c->at, c->len);
}

static void compile(const struct wish *w, struct compiled *ret)
{
    own_close int fd = memfd_create("profile", MFD_CLOEXEC);
    off_t len;

    ck_assert_int_ge(fd, 0);
    ck_assert_ptr_null(profile(w, fd));
    len = lseek(fd, 0, SEEK_END);
    ck_assert_int_gt(len, 0);
    *ret = (struct compiled){.len = (size_t)len};
    ret->at = mmap(NULL, ret->len, PROT_READ, MAP_PRIVATE, fd, 0);
    ck_assert_ptr_ne(ret->at, MAP_FAILED);
    find_tables(ret->at, ret->len, ret->tables);
}

/* What the kernel would allow. */
static uint32_t rights(const struct compiled *c, const char *path)
{
    const struct table *t = c->tables;
    uint32_t state = 1;

    for (; *path; path++) {
        uint32_t class = (uint8_t)*path;

        if (t[CLASSES].n)
            class = get(&t[CLASSES], class);
        for (;;) {
            uint32_t base = get(&t[BASE], state), at = (base & 0xffffffu) + class;

            if (get(&t[CHECK], at) == state) {
                state = get(&t[NEXT], at);
                break;
            }
            state = get(&t[DEFAULT], state);
            if (!(base & DIFFERS))
                break;
        }
    }
    return get(&t[ACCEPT], state) >> OTHERS & (MAY_READ | MAY_WRITE | MAY_EXEC);
}

static bool has_parser(void)
{
    return access(WRAP_ARMOR_PARSER, X_OK) == 0;
}

/* ---- hostile paths ----------------------------------------------------------------------------
 */

/* Of what means something to the parser, to the shape of a path, or to neither. */
static void make_path(unsigned seed, char ret[32])
{
    static const char bytes[] = "/ab.*?[]{}^,\\\"'# @$()|+-!\n\t\x01\xc3\xbf%~=<>&;";
    size_t n = 3 + (size_t)(rand_r(&seed) % 20);

    ret[0] = '/';
    for (size_t i = 1; i < n; i++)
        ret[i] = bytes[(size_t)rand_r(&seed) % (sizeof(bytes) - 1)];
    ret[n] = 'z'; /* neither a slash nor a dot at its end */
    ret[n + 1] = '\0';
}

START_TEST(no_byte_of_a_path_is_syntax)
{
    for (unsigned i = 0; i < 2000; i++) {
        own_free char *text = NULL;
        char path[32];
        unsigned quotes = 0;

        make_path(i, path);
        text = profile(&(struct wish){.read = path, .command = path, .write = path}, -1);
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
            size_t n = strcspn(line, "\n");
            const char *from = memchr(line, '"', n), *to;

            if (!from)
                continue;
            to = memchr(from + 1, '"', n - (size_t)(from + 1 - line));
            ck_assert_msg(to && !memchr(to + 1, '"', n - (size_t)(to + 1 - line)), "%s", text);
            quotes++;
            n = strspn(from + 1, "abcdefghijklmnopqrstuvwxyz0123456789/.-\\");
            ck_assert_msg(strncmp(from + 1 + n, "{,/,/**}\" ", 10) == 0, "%s", text);
        }
        ck_assert_uint_eq(quotes, strstr(path, "/../") ? 0 : 3);
    }
}
END_TEST

static void plain(const char *path, char ret[64])
{
    size_t n = 0;

    for (; *path; path++)
        if (!(path[0] == '/' && (path[1] == '/' || (path[1] == '.' && path[2] == '/'))))
            ret[n++] = *path;
        else if (path[1] == '.')
            path++;
    ret[n] = '\0';
}

START_TEST(a_path_is_itself_and_nothing_else_to_the_kernel)
{
    for (unsigned i = 0; has_parser() && i < ROUNDS; i++) {
        char path[32], is[64] = "", other[64], below[80];
        __attribute__((cleanup(compiled_done))) struct compiled c;

        make_path(i * 7919 + 1, path);
        compile(&(struct wish){.read = path}, &c);
        if (strstr(path, "/../"))
            continue;
        plain(path, is);
        snprintf(below, sizeof(below), "%s/q", is);
        ck_assert_msg(rights(&c, is) == MAY_READ, "'%s' of '%s'", is, path);
        ck_assert_msg(rights(&c, below) == MAY_READ, "'%s' of '%s'", below, path);
        for (size_t k = 1; k <= strlen(is); k++) {
            /* One byte is another, or is one too many. */
            memcpy(other, is, sizeof(other));
            other[k] = (char)(is[k] == 'q' ? 'r' : 'q');
            if (k == strlen(is))
                other[k + 1] = '\0';
            if (strncmp(other, is, strlen(is)) == 0 && other[strlen(is)] == '/')
                continue;
            ck_assert_msg(rights(&c, other) == 0, "'%s' of '%s'", other, path);
        }
    }
}
END_TEST

START_TEST(what_is_declared_is_held)
{
    static const struct {
        struct wish w;
        const char *path;
        uint32_t want;
    } rows[] = {
        {{0}, "/etc/shadow", MAY_READ | MAY_EXEC},
        {{0}, "/etc/x", MAY_READ | MAY_EXEC},
        {{0}, "/work/a/b", MAY_READ | MAY_WRITE | MAY_EXEC},
        {{0}, "/proc/sys/kernel/x", MAY_READ | MAY_EXEC},
        {{0}, "/proc/7/attr/exec", MAY_READ | MAY_EXEC},
        {{0}, "/proc/7/task/8/attr/apparmor/exec", MAY_READ | MAY_EXEC},
        {{.writable_root = true}, "/etc/x", MAY_READ | MAY_WRITE | MAY_EXEC},
        {{.writable_root = true}, "/sys/x", MAY_READ | MAY_EXEC},
        {{.read = "/in"}, "/in/a", MAY_READ},
        {{.read = "/in/"}, "/in", MAY_READ},
        {{.read = "//in/.//"}, "/in/a", MAY_READ},
        {{.read = "/in"}, "/inside", 0},
        {{.read = "/in"}, "/etc/shadow", 0},
        {{.read = "/in"}, "/", MAY_LIST},
        {{.read = "/in"}, "/proc/7/fd/", 0},
        {{.read = "/in"}, "/proc/7/task/8/fd/1", MAY_WRITE},
        {{.read = "/in"}, "/usr/bin/x", MAY_READ | MAY_EXEC},
        {{.read = "/"}, "/etc/shadow", MAY_READ},
        {{.read = "/var/run/x"}, "/run/x", MAY_READ},
        {{.write = "/out"}, "/out/x", MAY_READ | MAY_WRITE},
        {{.write = "/out"}, "/work/x", 0},
        {{.write = "/lib/x"}, "/usr/lib/x", MAY_READ | MAY_WRITE | MAY_EXEC},
        {{.write = "/proc"}, "/proc/sys/x", MAY_READ},
        {{.exec = "/work/run"}, "/work/run", MAY_READ | MAY_EXEC},
        {{.read = "/in", .command = "/work/a"}, "/work/a", MAY_READ | MAY_EXEC},
        {{.read = "/in", .command = "./a"}, "/work/a", MAY_READ | MAY_EXEC},
        {{.read = "/in", .command = "a", .path = "/bin:/work/bin:b"},
         "/work/bin/a",
         MAY_READ | MAY_EXEC},
        {{.read = "/in", .command = "a", .path = "/bin:/work/bin:b"},
         "/work/b/a",
         MAY_READ | MAY_EXEC},
        {{.read = "/in", .command = "a"}, "/work/a", 0},
        /* Where only the guest knows what it is, Landlock holds it alone. */
        {{.read = "/in/../x"}, "/etc/shadow", MAY_READ | MAY_EXEC},
    };

    for (size_t i = 0; has_parser() && i < sizeof(rows) / sizeof(rows[0]); i++) {
        __attribute__((cleanup(compiled_done))) struct compiled c;
        uint32_t is;

        compile(&rows[i].w, &c);
        is = rights(&c, rows[i].path);
        ck_assert_msg(is == rows[i].want, "row %zu: %x", i, is);
    }
}
END_TEST

/* What Landlock lets every job have. */
START_TEST(what_starting_needs_is_not_refused)
{
    static const struct {
        const char *paths[7];
        uint32_t want;
    } rows[] = {
        {{GUEST_STARTING_READ}, MAY_READ},
        {{GUEST_STARTING_EXEC}, MAY_READ | MAY_EXEC},
        {{GUEST_STARTING_DEVICES}, MAY_READ | MAY_WRITE},
    };
    __attribute__((cleanup(compiled_done))) struct compiled c = {.at = NULL};

    if (!has_parser())
        return;
    compile(&(struct wish){.read = "/in"}, &c);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t k = 0; k < 7 && rows[i].paths[k]; k++) {
            const char *path = rows[i].paths[k];
            own_free char *folder = str_printf("%s/", path), *below = str_printf("%s/x", path);
            uint32_t want = rows[i].want & PLAIN;

            ck_assert_msg((rights(&c, path) & want) == want ||
                              (rights(&c, folder) & rights(&c, below) & want) == want,
                          "%s", path);
        }
}
END_TEST

static void learn(const struct plan *p, enum learn_kind kind, const char *const *paths,
                  struct strv *ret)
{
    own_learn_lines struct learn_lines lines = {0};
    own_strv struct strv seen = {0};

    for (; *paths; paths++)
        strv_add(&seen, *paths);
    learn_lines_make(p, kind, &seen, &lines);
    for (size_t i = 0; i < lines.n; i++)
        strv_add(ret, lines.items[i].path);
}

/* The kernel names files for fanotify, by which is learned, as it does for AppArmor. */
START_TEST(what_was_learned_is_not_refused)
{
    static const char *const paths[LEARN_KINDS][32] = {
        [LEARN_READ] = {"/in/",
                        "/in/a.txt",
                        "/work/b/",
                        "/etc/",
                        "/usr/share/zoneinfo/UTC",
                        "/usr/lib/python3/os.py",
                        "/var/odd {*?}\"\\/a",
                        "/var/odd {*?}\"\\/",
                        "/var/a/b\nc/d",
                        "/proc/",
                        "/proc/7/task/8/stat",
                        "/proc/sys/kernel/osrelease",
                        "/sys/kernel/",
                        "/sys/devices/system/cpu/online",
                        "/dev/",
                        "/dev/shm/",
                        "/run/secrets/KEY",
                        "/srv/1",
                        "/srv/2",
                        "/srv/3",
                        "/srv/4",
                        "/srv/5",
                        "/srv/6",
                        "/srv/7",
                        "/srv/8",
                        "/srv/9",
                        "/etc/ld.so.cache"},
        [LEARN_WRITTEN] = {"/work/b/c", "/out/x", "/tmp/#77", "/dev/shm/y", "/proc/7/comm"},
        [LEARN_EXECUTED] = {"/usr/bin/dash", "/in/run", "/work/bin/tool", "/srv/tools/x",
                            "/bin/busybox", "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
                            "/lib/ld-musl-x86_64.so.1"},
    };
    static const uint32_t want[LEARN_KINDS] = {4, 2, 1};

    for (int writable = 0; has_parser() && writable < 2; writable++) {
        const struct plan p = {.writable_root = writable};
        own_strv struct strv read = {0}, write = {0}, exec = {0};
        struct plan_declared d;
        __attribute__((cleanup(compiled_done))) struct compiled c;

        learn(&p, LEARN_READ, paths[LEARN_READ], &read);
        learn(&p, LEARN_WRITTEN, paths[LEARN_WRITTEN], &write);
        learn(&p, LEARN_EXECUTED, paths[LEARN_EXECUTED], &exec);
        d = (struct plan_declared){.read = read, .write = write, .exec = exec};
        compile(&(struct wish){.writable_root = writable, .declared = &d}, &c);
        for (int kind = 0; kind < LEARN_KINDS; kind++)
            for (const char *const *path = paths[kind]; *path; path++)
                ck_assert_msg(rights(&c, *path) & want[kind], "%s", *path);
        ck_assert_uint_eq(rights(&c, "/opt/x") & want[LEARN_WRITTEN], 0);
        ck_assert_uint_eq(rights(&c, "/root/x"), 0);
    }
}
END_TEST

START_TEST(the_most_that_is_held_compiles_and_fits_into_a_message)
{
    __attribute__((cleanup(compiled_done))) struct compiled c = {.at = NULL};
    own_str struct str path = {0};

    if (!has_parser())
        return;
    /* Few paths that are long take the most time and room. */
    for (unsigned i = 0; path.len < PLAN_PATH_MAX - 8; i++)
        str_addf(&path, "/%u", i * 2654435761u);
    compile(&(struct wish){.read = path.data, .write = path.data + 12, .exec = path.data + 25}, &c);
    ck_assert_uint_gt(rights(&c, path.data), 0);
    ck_assert_uint_lt(c.len, WIRE_PROFILE_MAX * 3 / 4);
}
END_TEST

START_TEST(more_than_compiles_in_time_is_not_held)
{
    own_str struct str path = {0};
    own_free char *read = NULL, *search = NULL;

    while (path.len <= ARMOR_RULES_MAX)
        str_add(&path, "/abcdefgh:");
    read = profile(&(struct wish){.read = path.data}, -1);
    search = profile(&(struct wish){.read = "/in", .path = path.data}, -1);
    ck_assert_ptr_nonnull(strstr(read, "\n  /** rkmix,\n"));
    ck_assert_ptr_nonnull(strstr(search, "\n  /** rkmix,\n"));
    ck_assert(strlen(read) < 2000 && strlen(search) < 2000);
}
END_TEST

SUITE("armor", no_byte_of_a_path_is_syntax, a_path_is_itself_and_nothing_else_to_the_kernel,
      what_is_declared_is_held, what_starting_needs_is_not_refused, what_was_learned_is_not_refused,
      the_most_that_is_held_compiles_and_fits_into_a_message,
      more_than_compiles_in_time_is_not_held)
