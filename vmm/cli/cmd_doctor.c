/* cmd_doctor: `lazaret doctor`: what this host gives, and what to do about what it does not. */
#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"
#include "hv/accel.h"
#include "hv/hv.h"
#include "images/image.h"
#include "run/run.h"
#include "wrap/wrap.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum mark { GOOD, WARN, BAD };

/* One line: what was looked at, how it is, and the way out. */
struct finding {
    enum mark mark;
    char text[512];
};

static void say(struct finding *f, enum mark mark, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct finding *f, enum mark mark, const char *fmt, ...)
{
    va_list ap;

    f->mark = mark;
    va_start(ap, fmt);
    vsnprintf(f->text, sizeof(f->text), fmt, ap);
    va_end(ap);
}

static void check_accel(const struct cli_paths *paths, struct finding *f)
{
    struct accel_result r;

    (void)paths;
    accel_test(&r);
    say(f, r.verdict == ACCEL_GOOD ? GOOD : WARN, "%s", r.text);
}

static void check_namespaces(const struct cli_paths *paths, struct finding *f)
{
    unsigned long flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                          (geteuid() ? CLONE_NEWUSER : 0);
    long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);

    (void)paths;
    if (pid == 0)
        _exit(0);
    if (pid > 0) {
        waitpid((pid_t)pid, NULL, 0);
        say(f, GOOD, "pid, mount, network, ipc and uts namespaces can be made");
        return;
    }
    say(f, BAD,
        geteuid() ? "no namespaces: %s (allow unprivileged user namespaces: "
                    "sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)"
                  : "no namespaces: %s (root needs CAP_SYS_ADMIN)",
        strerror(errno));
}

static void check_program(const char *path, const char *package, struct finding *f)
{
    if (access(path, X_OK) == 0)
        say(f, GOOD, "%s", path);
    else
        say(f, BAD, "%s is missing (install Debian's package '%s')", path, package);
}

static void check_qemu(const struct cli_paths *paths, struct finding *f)
{
    (void)paths;
    check_program(WRAP_QEMU, "qemu-system-x86", f);
}

static void check_mke2fs(const struct cli_paths *paths, struct finding *f)
{
    (void)paths;
    check_program("/sbin/mke2fs", "e2fsprogs", f);
}

static void check_mksquashfs(const struct cli_paths *paths, struct finding *f)
{
    (void)paths;
    check_program("/usr/bin/mksquashfs", "squashfs-tools", f);
}

static void check_relay(const struct cli_paths *paths, struct finding *f)
{
    check_program(paths->relay, "lazaret", f);
}

static void check_unpack(const struct cli_paths *paths, struct finding *f)
{
    check_program(paths->unpack, "lazaret", f);
}

static void check_look(const struct cli_paths *paths, struct finding *f)
{
    check_program(paths->look, "lazaret", f);
}

static void check_wrap(const struct cli_paths *paths, struct finding *f)
{
    check_program(paths->wrap, "lazaret", f);
}

static void check_preload(const struct cli_paths *paths, struct finding *f)
{
    check_program(paths->preload, "lazaret", f);
}

static void check_qemu_img(const struct cli_paths *paths, struct finding *f)
{
    (void)paths;
    check_program("/usr/bin/qemu-img", "qemu-utils", f);
}

static void check_libvirt(const struct cli_paths *paths, struct finding *f)
{
    static const char driver[] = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/"
                                 "libvirt_driver_qemu.so";

    (void)paths;
    if (access(driver, R_OK) == 0)
        say(f, GOOD, "libvirt's QEMU driver");
    else
        say(f, BAD,
            "libvirt's QEMU driver is missing (install Debian's packages "
            "'libvirt-daemon' and 'libvirt-daemon-driver-qemu')");
}

static void check_qemu_user(const struct cli_paths *paths, struct finding *f)
{
    uid_t uid;
    gid_t gid;
    struct err e;

    (void)paths;
    if (hv_qemu_owner(NULL, &uid, &gid, &e) < 0)
        say(f, BAD, "%s", e.text);
    else
        say(f, GOOD, "QEMU will run as uid %u", uid);
}

static void check_image(const struct cli_paths *paths, struct finding *f)
{
    own_free char *store = str_printf("%s/images", paths->data_dir);
    own_image struct image *im = NULL;
    struct err e;

    if (image_open(store, "default", &im, &e) < 0 || image_verify(im, &e) < 0)
        say(f, BAD, "%s", e.text);
    else
        say(f, GOOD, "image 'default': every blob has its digest");
}

static void check_runs(const struct cli_paths *paths, struct finding *f)
{
    own_doc struct doc *list = NULL;
    size_t dead = 0;
    struct err e;

    if (run_list(paths->data_dir, true, &list, &e) < 0) {
        say(f, BAD, "%s", e.text);
        return;
    }
    for (size_t i = 0; i < doc_len(list); i++) {
        const char *state = "";

        doc_get_str(doc_at(list, i), "state", &state, &e);
        dead += strcmp(state, "dead") == 0;
    }
    if (dead)
        say(f, WARN, "%zu run(s) left by a crash (finish them with 'lazaret gc')", dead);
    else
        say(f, GOOD, "nothing is left of crashed runs");
}

static const struct {
    const char *name;
    void (*look)(const struct cli_paths *paths, struct finding *f);
} checks[] = {
    {"accelerator", check_accel},   {"namespaces", check_namespaces},
    {"libvirt", check_libvirt},     {"qemu", check_qemu},
    {"qemu-user", check_qemu_user}, {"qemu-img", check_qemu_img},
    {"mke2fs", check_mke2fs},       {"mksquashfs", check_mksquashfs},
    {"relay", check_relay},         {"unpack", check_unpack},
    {"look", check_look},           {"wrapper", check_wrap},
    {"preload", check_preload},     {"image", check_image},
    {"runs", check_runs},
};

static void add(struct doc *list, const char *name, const struct finding *f, bool json)
{
    static const char *const marks[] = {"good", "warning", "bad"};
    struct doc *row = doc_new_object();

    doc_set_str(row, "check", name);
    doc_set_str(row, "state", marks[f->mark]);
    doc_set_str(row, "text", f->text);
    doc_add(list, row);
    if (!json)
        printf("%-8s %-16s %s\n", marks[f->mark], name, f->text);
}

/* What will be around QEMU and jobs: what is missing is a warning, because a run does without. */
static void add_layers(struct doc *list, bool json)
{
    struct wrap_layer layers[WRAP_LAYERS];

    wrap_look(NULL, layers);
    for (size_t i = 0; i < WRAP_LAYERS; i++) {
        own_free char *name = str_printf("layer-%s", layers[i].name);
        struct finding f;

        say(&f, layers[i].holds ? GOOD : WARN, "%s", layers[i].text);
        add(list, name, &f, json);
    }
}

int cmd_doctor(int argc, char **argv)
{
    own_paths struct cli_paths paths = {0};
    own_doc struct doc *list = doc_new_array();
    bool json = false, bad = false;
    struct err e;
    int status = cli_simple_options(argc, argv, help_doctor, &json, NULL, NULL);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        struct finding f = {0};

        checks[i].look(&paths, &f);
        bad = bad || f.mark == BAD;
        add(list, checks[i].name, &f, json);
    }
    add_layers(list, json);
    if (json)
        cli_print_doc(list);
    status = cli_flush();
    return status ? status : bad ? 1 : 0;
}
