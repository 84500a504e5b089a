/* test_collect: promises of the guest agent's output tree. */
#include "base/file.h"
#include "shared/tree.h"
#include "tests/peer/peer.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE wire_stream(0, WIRE_TREE)

/* Collects into `buf`; returns the length and how it ended. Credit is given late, all at once. */
static size_t collect(struct peer *pe, uint64_t cap, uint8_t *buf, size_t size, uint32_t *ret_how)
{
    static struct peer_frame f;
    uint8_t raw[8];
    size_t n = 0, unacked = 0;

    wire_u64_format(raw, cap);
    peer_send(pe, WIRE_COLLECT, TREE, raw, sizeof(raw));
    for (;;) {
        ck_assert(peer_next(pe, &f, PEER_WAIT_MS));
        ck_assert_uint_eq(f.h.stream, TREE);
        if (f.h.type == WIRE_COLLECTED)
            break;
        ck_assert_uint_eq(f.h.type, WIRE_DATA);
        ck_assert_uint_le(f.h.length, size - n);
        memcpy(buf + n, f.p, f.h.length);
        n += f.h.length;
        unacked += f.h.length;
        ck_assert_uint_le(unacked, WIRE_WINDOW);
        if (unacked == WIRE_WINDOW) {
            peer_credit(pe, TREE, unacked);
            unacked = 0;
        }
    }
    ck_assert_int_eq(wire_collected_parse(f.p, f.h.length, ret_how), 0);
    return n;
}

/* Finds an entry of a legal stream; the stream must end with TREE_END. False: not in it. */
static bool find_entry(const uint8_t *p, size_t len, const char *name, struct tree_entry *ret)
{
    bool found = false, ended = false;

    while (len > 0) {
        struct tree_entry en;
        long used = tree_entry_parse(p, len, &en);

        ck_assert_int_gt(used, 0);
        ck_assert(!ended);
        ck_assert_uint_le(en.size, len - (size_t)used);
        p += used + (long)en.size;
        len -= (size_t)used + (size_t)en.size;
        ended = en.kind == TREE_END;
        if (strcmp(en.name, name) == 0 && !ended) {
            *ret = en;
            found = true;
        }
    }
    ck_assert(ended);
    return found;
}

/* Fills the output folder with one of each kind, and with folders 40 deep. */
static void make_tree(const struct peer *pe)
{
    static const struct {
        const char *name;
        mode_t mode; /* with the kind */
        const char *text;
    } nodes[] = {
        {"a", S_IFDIR | 0755, NULL},       {"a/b", S_IFDIR | 0755, NULL},
        {"a/b/f", S_IFREG | 0640, "one"},  {"empty", S_IFREG | 0644, ""},
        {"link", S_IFLNK, "/etc/passwd"},  {"dirlink", S_IFLNK, "/"},
        {"fifo", S_IFIFO | 0644, NULL},    {"setuid", S_IFREG | 04755, ""},
        {"setgid", S_IFDIR | 02755, NULL}, {"setgid/in", S_IFREG | 0644, ""},
        {"a\nb", S_IFREG | 0644, ""},
    };
    char path[128];
    struct err e;
    int out, big;

    (void)snprintf(path, sizeof(path), "%s/out", pe->dir);
    ck_assert_msg(file_open_dir(path, &out, &e) == 0, "%s", e.text);
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        const char *name = nodes[i].name, *text = nodes[i].text;
        mode_t mode = nodes[i].mode & 07777;
        int rc;

        if (S_ISLNK(nodes[i].mode))
            rc = symlinkat(text, out, name);
        else if (S_ISDIR(nodes[i].mode))
            rc = mkdirat(out, name, 0700) < 0 ? -1 : fchmodat(out, name, mode, 0);
        else if (S_ISFIFO(nodes[i].mode))
            rc = mkfifoat(out, name, mode);
        else
            rc = file_write(out, name, text, strlen(text), mode, &e);
        ck_assert_msg(rc == 0, "%s", name);
    }
    big = openat(out, "big", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ck_assert_int_ge(big, 0);
    ck_assert_int_eq(ftruncate(big, 1000000), 0);
    close(big);
    memcpy(path, "deep", 5);
    for (size_t len = 4, depth = 0; depth < 40; depth++, len += 2) {
        ck_assert_int_eq(mkdirat(out, path, 0755), 0);
        memcpy(path + len, "/d", 3);
    }
    close(out);
}

START_TEST(collects_files_and_folders_and_lists_the_rest)
{
    static const struct {
        const char *name;
        unsigned kind, why, mode;
        uint64_t size;
    } rows[] = {
        {"a", TREE_DIR, 0, 0755, 0},
        {"a/b", TREE_DIR, 0, 0755, 0},
        {"a/b/f", TREE_FILE, 0, 0640, 3},
        {"empty", TREE_FILE, 0, 0644, 0},
        {"big", TREE_FILE, 0, 0644, 1000000},
        {"link", TREE_SKIPPED, TREE_WHY_LINK, 0, 0},
        {"dirlink", TREE_SKIPPED, TREE_WHY_LINK, 0, 0},
        {"fifo", TREE_SKIPPED, TREE_WHY_SPECIAL, 0, 0},
        {"setuid", TREE_SKIPPED, TREE_WHY_SETID, 0, 0},
        {"setgid", TREE_SKIPPED, TREE_WHY_SETID, 0, 0},
        {"a\nb", TREE_SKIPPED, TREE_WHY_NAME, 0, 0},
        {"deep/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d", TREE_DIR, 0, 0755,
         0},
        {"deep/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d", TREE_SKIPPED,
         TREE_WHY_DEPTH, 0, 0},
    };
    static uint8_t buf[2u << 20];
    struct tree_entry en;
    struct peer pe;
    uint32_t how = 9;
    size_t n;

    umask(022);
    peer_open(&pe, NULL);
    make_tree(&pe);
    peer_meet(&pe);
    n = collect(&pe, 1u << 20, buf, sizeof(buf), &how);
    ck_assert_uint_eq(how, WIRE_COLLECT_DONE);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_msg(find_entry(buf, n, rows[i].name, &en), "%s", rows[i].name);
        ck_assert_msg(en.kind == rows[i].kind && en.why == rows[i].why && en.mode == rows[i].mode &&
                          en.size == rows[i].size,
                      "%s: kind %u why %u mode %o", rows[i].name, en.kind, en.why, en.mode);
    }
    ck_assert(!find_entry(buf, n, "setgid/in", &en));
    ck_assert(!find_entry(buf, n, "dirlink/etc", &en));
    ck_assert(!find_entry(
        buf, n, "deep/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d", &en));
    peer_close(&pe);
}
END_TEST

START_TEST(stops_before_the_file_that_passes_the_cap)
{
    static uint8_t buf[2u << 20];
    struct tree_entry en;
    struct peer pe;
    char path[128];
    struct err e;
    uint32_t how = 9;
    size_t n;

    peer_open(&pe, NULL);
    make_tree(&pe);
    peer_meet(&pe);
    n = collect(&pe, 999999, buf, sizeof(buf), &how);
    ck_assert_uint_eq(how, WIRE_COLLECT_OVER);
    ck_assert(!find_entry(buf, n, "big", &en));
    n = collect(&pe, 1000003, buf, sizeof(buf), &how);
    ck_assert_uint_eq(how, WIRE_COLLECT_DONE);
    ck_assert(find_entry(buf, n, "big", &en));
    (void)snprintf(path, sizeof(path), "%s/out", pe.dir);
    ck_assert_msg(file_remove_tree(AT_FDCWD, path, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(collect(&pe, 1, buf, sizeof(buf), &how), 0);
    ck_assert_uint_eq(how, WIRE_COLLECT_ERROR);
    peer_close(&pe);
}
END_TEST

SUITE("collect", collects_files_and_folders_and_lists_the_rest,
      stops_before_the_file_that_passes_the_cap)
