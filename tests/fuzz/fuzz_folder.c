/*
 * fuzz_folder: the files of a run's folder, with a NUL between them: run.json, plan.json, journal,
 * result.json. Whatever is in them, runs are listed and shown, and what is printed is JSON.
 */
#include "base/file.h"
#include "base/own.h"
#include "run/folder.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[] = "/tmp/lz-fuzz-folder-XXXXXX";

static void remove_top(void)
{
    file_remove_tree(AT_FDCWD, top, &(struct err){0});
}

static void make_top(char run[64])
{
    static bool made;
    char runs[64];

    (void)snprintf(runs, sizeof(runs), "%s/runs", top);
    if (!made) {
        MUST(mkdtemp(top));
        (void)snprintf(runs, sizeof(runs), "%s/runs", top);
        MUST(mkdir(runs, 0700) == 0);
        atexit(remove_top);
    }
    (void)snprintf(run, 64, "%s/runs/a", top);
    MUST(made || mkdir(run, 0700) == 0);
    made = true;
}

static void put(const char *run, const char *name, const uint8_t *data, size_t len)
{
    char path[96];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", run, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(fd >= 0 && file_write_all(fd, data, len) == 0);
    close(fd);
}

static void check_json(const struct doc *d)
{
    own_free char *text = doc_format(d, false);
    own_doc struct doc *again = NULL;

    MUST(text && doc_parse(text, strlen(text), "again", &again, &(struct err){0}) == 0);
    for (const char *p = text; *p; p++)
        MUST((unsigned char)*p >= 0x20 && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const names[] = {"run.json", "plan.json", "journal", "result.json"};
    own_doc struct doc *list = NULL, *shown = NULL;
    struct err e = {0};
    char run[64];
    bool amnesic;
    own_close int fd = -1;

    make_top(run);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const uint8_t *end = len ? memchr(data, 0, len) : NULL;
        size_t n = end && i < 3 ? (size_t)(end - data) : len;

        put(run, names[i], data, n);
        n += n < len;
        data += n;
        len -= n;
    }
    MUST(run_list(top, true, &list, &e) == 0);
    check_json(list);
    if (run_show(top, "a", &shown, &e) == 0)
        check_json(shown);
    else
        MUST(e.text[0]);
    MUST(file_open_dir(run, &fd, &e) == 0);
    (void)folder_is_amnesic(fd, &amnesic, &e);
    return 0;
}
