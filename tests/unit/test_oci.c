/* test_oci: promises of vmm/oci that a golden file cannot make. */
#include "base/own.h"
#include "oci/oci.h"
#include "shared/guest.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct strv words(const char *first, const char *second)
{
    struct strv v = {0};

    strv_add(&v, first);
    if (second)
        strv_add(&v, second);
    return v;
}

static bool debugging; /* in the plans of config() */

/* Returns new: the configuration of a plan with these extras. */
static struct doc *config(const char *input, const char *out, bool tty)
{
    own_strv struct strv argv = words("sh", "-c"), env = words("PATH=/bin", NULL);
    own_strv struct strv inputs = {0};
    struct plan p = {
        .memory_bytes = 256 * PLAN_MIB,
        .tmp_bytes = 128 * PLAN_MIB,
        .pids = 64,
        .open_files = 4096,
        .uid = 1000,
        .gid = 1001,
        .workdir = (char[]){"/work"},
        .out = NULL,
        .argv = argv,
        .env = env,
        .tty = tty,
        .debug = debugging,
    };
    own_free char *out_copy = out ? str_dup(out) : NULL;

    if (input)
        strv_add(&inputs, input);
    p.inputs = inputs;
    p.out = out_copy;
    return oci_config(&p, 3);
}

static struct doc *config_of(bool debug)
{
    struct doc *d;

    debugging = debug;
    d = config(NULL, NULL, false);
    debugging = false;
    return d;
}

static const struct doc *object(const struct doc *d, const char *key)
{
    const struct doc *ret = NULL;
    struct err e;

    ck_assert_msg(doc_get_object(d, key, &ret, &e) == 0, "%s", key);
    return ret;
}

static const struct doc *array(const struct doc *d, const char *key)
{
    const struct doc *ret = NULL;
    struct err e;

    ck_assert_msg(doc_get_array(d, key, &ret, &e) == 0, "%s", key);
    return ret;
}

static const char *string(const struct doc *d, const char *key)
{
    const char *ret = NULL;
    struct err e;

    ck_assert_msg(doc_get_str(d, key, &ret, &e) == 0, "%s", key);
    return ret;
}

static bool has_word(const struct doc *list, const char *word)
{
    for (size_t i = 0; i < doc_len(list); i++)
        if (strcmp(doc_str_at(list, i), word) == 0)
            return true;
    return false;
}

static const struct doc *mount_at(const struct doc *d, const char *at)
{
    const struct doc *list = array(d, "mounts");

    for (size_t i = 0; i < doc_len(list); i++)
        if (strcmp(string(doc_at(list, i), "destination"), at) == 0)
            return doc_at(list, i);
    return NULL;
}

START_TEST(every_system_call_has_a_name_that_libseccomp_knows)
{
    for (size_t i = 0; oci_calls[i].name; i++) {
        const char *name = oci_calls[i].name;

        ck_assert_msg(seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name) >= 0, "%s", name);
        for (size_t k = 0; k < i; k++)
            ck_assert_msg(strcmp(name, oci_calls[k].name) != 0, "%s twice", name);
    }
}
END_TEST

/* "The same" is of the line before, so it has no use at the beginning. */
START_TEST(every_system_call_has_a_reason)
{
    static const char same[] = "the same";

    for (size_t i = 0; oci_calls[i].name; i++) {
        const char *why = oci_calls[i].why;

        ck_assert_msg(why && strlen(why) > 1, "%s", oci_calls[i].name);
        ck_assert_msg(i > 0 || strncmp(why, same, strlen(same)) != 0, "%s", oci_calls[i].name);
    }
}
END_TEST

/* What would widen the kernel that the job can reach, or reach around the container. */
START_TEST(dangerous_system_calls_are_in_no_rule)
{
    static const char *const never[] = {"io_uring_setup",
                                        "io_uring_enter",
                                        "io_uring_register",
                                        "io_setup",
                                        "io_submit",
                                        "keyctl",
                                        "add_key",
                                        "request_key",
                                        "bpf",
                                        "perf_event_open",
                                        "userfaultfd",
                                        "ptrace",
                                        "process_vm_readv",
                                        "process_vm_writev",
                                        "process_madvise",
                                        "pidfd_getfd",
                                        "kcmp",
                                        "mount",
                                        "umount2",
                                        "move_mount",
                                        "open_tree",
                                        "fsopen",
                                        "fsconfig",
                                        "fsmount",
                                        "fspick",
                                        "mount_setattr",
                                        "pivot_root",
                                        "chroot",
                                        "unshare",
                                        "setns",
                                        "open_by_handle_at",
                                        "name_to_handle_at",
                                        "kexec_load",
                                        "kexec_file_load",
                                        "init_module",
                                        "finit_module",
                                        "delete_module",
                                        "create_module",
                                        "reboot",
                                        "swapon",
                                        "swapoff",
                                        "quotactl",
                                        "quotactl_fd",
                                        "acct",
                                        "syslog",
                                        "iopl",
                                        "ioperm",
                                        "modify_ldt",
                                        "settimeofday",
                                        "clock_settime",
                                        "clock_adjtime",
                                        "adjtimex",
                                        "sethostname",
                                        "setdomainname",
                                        "vhangup",
                                        "fanotify_init",
                                        "fanotify_mark",
                                        "lookup_dcookie",
                                        "nfsservctl",
                                        "uselib",
                                        "ustat",
                                        "sysfs",
                                        "_sysctl",
                                        "vmsplice",
                                        "remap_file_pages",
                                        "mbind",
                                        "set_mempolicy",
                                        "migrate_pages",
                                        "move_pages",
                                        "memfd_secret",
                                        "capset",
                                        "setgroups",
                                        "setfsuid",
                                        "setfsgid",
                                        "mq_open",
                                        "msgget",
                                        "clone",
                                        "clone3",
                                        "socket",
                                        "socketpair",
                                        "personality",
                                        "ioctl"};

    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        ck_assert_msg(seccomp_syscall_resolve_name(never[i]) != __NR_SCMP_ERROR, "%s: no such call",
                      never[i]);
        for (size_t k = 0; oci_calls[k].name; k++)
            ck_assert_msg(strcmp(never[i], oci_calls[k].name) != 0, "%s", never[i]);
    }
}
END_TEST

/* name, index:op:value[:second] of each argument: the whole list, in order. */
START_TEST(some_calls_are_allowed_with_harmless_arguments_only)
{
    static const char *const want[] = {
        "clone ALLOW 0 MASKED_EQ 2114060288 0",
        "personality ALLOW 0 EQ 0",
        "personality ALLOW 0 EQ 4294967295",
        "socketpair ALLOW 0 EQ 1",
        "socket ALLOW 0 EQ 1",
        "socket ALLOW 0 EQ 16 2 EQ 0",
        "socket ALLOW 0 EQ 2 1 MASKED_EQ 15 1 2 EQ 0",
        "socket ALLOW 0 EQ 2 1 MASKED_EQ 15 1 2 EQ 6",
        "socket ALLOW 0 EQ 2 1 MASKED_EQ 15 2 2 EQ 0",
        "socket ALLOW 0 EQ 2 1 MASKED_EQ 15 2 2 EQ 17",
        "socket ALLOW 0 EQ 10 1 MASKED_EQ 15 1 2 EQ 0",
        "socket ALLOW 0 EQ 10 1 MASKED_EQ 15 1 2 EQ 6",
        "socket ALLOW 0 EQ 10 1 MASKED_EQ 15 2 2 EQ 0",
        "socket ALLOW 0 EQ 10 1 MASKED_EQ 15 2 2 EQ 17",
        "clone3 ERRNO",
    };
    own_doc struct doc *d = config(NULL, NULL, false);
    const struct doc *rules = array(object(object(d, "linux"), "seccomp"), "syscalls");
    size_t n = 0;

    for (size_t i = 1; i < doc_len(rules); i++) { /* the first one is oci_calls[] */
        const struct doc *rule = doc_at(rules, i);
        const struct doc *args = doc_has(rule, "args") ? array(rule, "args") : NULL;
        own_str struct str got = {0};

        if (strcmp(doc_str_at(array(rule, "names"), 0), "ioctl") == 0)
            continue; /* they are tried */
        ck_assert_uint_lt(n, sizeof(want) / sizeof(want[0]));
        ck_assert_uint_eq(doc_len(array(rule, "names")), 1);
        str_addf(&got, "%s %s", doc_str_at(array(rule, "names"), 0),
                 string(rule, "action") + strlen("SCMP_ACT_"));
        for (size_t k = 0; args && k < doc_len(args); k++) {
            uint64_t index, value, two = 0;
            struct err e;

            ck_assert_int_eq(doc_get_u64(doc_at(args, k), "index", &index, &e), 0);
            ck_assert_int_eq(doc_get_u64(doc_at(args, k), "value", &value, &e), 0);
            str_addf(&got, " %lu %s %lu", index,
                     string(doc_at(args, k), "op") + strlen("SCMP_CMP_"), value);
            if (doc_get_u64(doc_at(args, k), "valueTwo", &two, &e) == 0)
                str_addf(&got, " %lu", two);
        }
        ck_assert_str_eq(got.data, want[n++]);
    }
    ck_assert_uint_eq(n, sizeof(want) / sizeof(want[0]));
}
END_TEST

/* The rules for ioctl, in a filter that lets nothing else through but what tells of it. */
static scmp_filter_ctx filter_ioctl(const struct doc *rules)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    struct err e;

    ck_assert_ptr_nonnull(ctx);
    ck_assert_int_eq(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(exit_group), 0), 0);
    for (size_t i = 1; i < doc_len(rules); i++) {
        const struct doc *rule = doc_at(rules, i), *arg;
        struct scmp_arg_cmp cmp = {.op = SCMP_CMP_MASKED_EQ};
        uint64_t index;

        if (strcmp(doc_str_at(array(rule, "names"), 0), "ioctl") != 0)
            continue;
        ck_assert_uint_eq(doc_len(array(rule, "args")), 1);
        arg = doc_at(array(rule, "args"), 0);
        ck_assert_str_eq(string(arg, "op"), "SCMP_CMP_MASKED_EQ");
        ck_assert_str_eq(string(rule, "action"), "SCMP_ACT_ALLOW");
        ck_assert(doc_get_u64(arg, "index", &index, &e) == 0 &&
                  doc_get_u64(arg, "value", &cmp.datum_a, &e) == 0 &&
                  doc_get_u64(arg, "valueTwo", &cmp.datum_b, &e) == 0);
        cmp.arg = (unsigned)index;
        ck_assert_int_eq(seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &cmp), 0);
    }
    return ctx;
}

/* By their numbers: TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD. */
static bool is_refused(uint64_t request)
{
    const uint64_t low = request & 0xffff;

    return low == 0x5412 || low == 0x541c || low == 0x541d || low == 0x5423;
}

START_TEST(requests_that_reach_for_a_terminal_or_the_console_are_refused)
{
    /* The kernel looks at the lower 32 bits, and the C library may fill those above with the sign.
     */
    static const uint64_t above[] = {0, 1u << 16, 1u << 31, 1ull << 32, 0xffffffff80000000};
    own_doc struct doc *d = config(NULL, NULL, false);
    scmp_filter_ctx ctx = filter_ioctl(array(object(object(d, "linux"), "seccomp"), "syscalls"));
    int status = -1;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_load(ctx) < 0)
            _exit(2);
        /* Not by _exit(): a sanitizer would do more than the filter lets through. */
        for (size_t i = 0; i < sizeof(above) / sizeof(above[0]); i++)
            for (uint64_t low = 0; low < 1u << 16; low++) {
                const uint64_t request = above[i] | low;

                errno = 0;
                if (syscall(SYS_ioctl, -1, request, NULL) != -1 ||
                    errno != (is_refused(request) ? EPERM : EBADF))
                    syscall(SYS_exit_group, 1);
            }
        syscall(SYS_exit_group, 0);
    }
    seccomp_release(ctx);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* Every name of every rule that allows. */
static void list_allowed(const struct doc *seccomp, struct strv *ret)
{
    const struct doc *rules = array(seccomp, "syscalls");

    for (size_t i = 0; i < doc_len(rules); i++) {
        const struct doc *names = array(doc_at(rules, i), "names");
        const char *action = NULL;
        struct err e;

        ck_assert_int_eq(doc_get_str(doc_at(rules, i), "action", &action, &e), 0);
        for (size_t k = 0; k < doc_len(names) && strcmp(action, "SCMP_ACT_ALLOW") == 0; k++)
            strv_add(ret, doc_str_at(names, k));
    }
}

START_TEST(debug_allows_tracing_and_nothing_else)
{
    static const char *const more[] = {"ptrace", "process_vm_readv", "process_vm_writev"};
    own_doc struct doc *plain = config_of(false), *debug = config_of(true);
    own_strv struct strv before = {0}, after = {0};

    list_allowed(object(object(plain, "linux"), "seccomp"), &before);
    list_allowed(object(object(debug, "linux"), "seccomp"), &after);
    ck_assert_uint_eq(after.n, before.n + 3);
    for (size_t i = 0; i < after.n; i++)
        ck_assert_str_eq(after.items[i], i < before.n ? before.items[i] : more[i - before.n]);
}
END_TEST

START_TEST(everything_else_is_refused_and_only_for_one_architecture)
{
    own_doc struct doc *d = config(NULL, NULL, false);
    const struct doc *seccomp = object(object(d, "linux"), "seccomp");

    ck_assert_str_eq(string(seccomp, "defaultAction"), "SCMP_ACT_ERRNO");
    ck_assert_uint_eq(doc_len(array(seccomp, "architectures")), 1);
    ck_assert_str_eq(doc_str_at(array(seccomp, "architectures"), 0), "SCMP_ARCH_X86_64");
    ck_assert(has_word(array(seccomp, "flags"), "SECCOMP_FILTER_FLAG_LOG"));
}
END_TEST

START_TEST(the_job_has_no_capability_and_all_namespaces)
{
    static const char *const sets[] = {"bounding", "effective", "inheritable", "permitted",
                                       "ambient"};
    static const char *const spaces[] = {"user", "pid", "mount", "ipc", "uts", "cgroup", "network"};
    own_doc struct doc *d = config("/i", "/o", true);
    const struct doc *process = object(d, "process"), *list;
    bool yes = false;
    struct err e;

    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        ck_assert_uint_eq(doc_len(array(object(process, "capabilities"), sets[i])), 0);
    ck_assert(doc_get_bool(process, "noNewPrivileges", &yes, &e) == 0 && yes);
    yes = false;
    ck_assert(doc_get_bool(object(d, "root"), "readonly", &yes, &e) == 0 && yes);
    list = array(object(d, "linux"), "namespaces");
    ck_assert_uint_eq(doc_len(list), sizeof(spaces) / sizeof(spaces[0]));
    for (size_t i = 0; i < doc_len(list); i++) {
        ck_assert_str_eq(string(doc_at(list, i), "type"), spaces[i]);
        ck_assert(!doc_has(doc_at(list, i), "path")); /* a new one, not somebody's */
    }
}
END_TEST

START_TEST(the_build_of_an_image_may_change_files_and_nothing_else)
{
    static const char *const files[] = {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"};
    own_request struct request r = {0};
    own_plan struct plan *p = NULL;
    own_doc struct doc *d = NULL;
    const struct doc *caps;
    bool yes = false, readonly = true;
    struct err e;

    request_add(&r, KEY_COMMAND, "true");
    ck_assert_int_eq(plan_resolve(&(struct plan_wish){.command_line = &r, .build = true}, &p, &e),
                     0);
    d = oci_config(p, 1);
    caps = object(object(d, "process"), "capabilities");
    ck_assert_uint_eq(doc_len(array(caps, "bounding")), 3);
    ck_assert_uint_eq(doc_len(array(caps, "effective")), 3);
    ck_assert_uint_eq(doc_len(array(caps, "ambient")), 0);
    for (size_t i = 0; i < 3; i++)
        ck_assert(has_word(array(caps, "bounding"), files[i]));
    ck_assert(doc_get_bool(object(d, "process"), "noNewPrivileges", &yes, &e) == 0 && yes);
    ck_assert(doc_get_bool(object(d, "root"), "readonly", &readonly, &e) == 0 && !readonly);
    ck_assert_uint_eq(doc_len(array(object(d, "linux"), "namespaces")), 7);
}
END_TEST

START_TEST(no_mount_carries_set_id_or_device_files_but_dev)
{
    own_doc struct doc *d = config("/i", "/o", false);
    const struct doc *list = array(d, "mounts");

    for (size_t i = 0; i < doc_len(list); i++) {
        const struct doc *options = array(doc_at(list, i), "options");
        const char *at = string(doc_at(list, i), "destination");

        ck_assert_msg(has_word(options, "nosuid"), "%s", at);
        ck_assert_msg(has_word(options, "nodev") || str_starts_with(at, "/dev"), "%s", at);
    }
    ck_assert(has_word(array(mount_at(d, "/tmp"), "options"), "size=134217728"));
    ck_assert(has_word(array(mount_at(d, "/tmp"), "options"), "noexec"));
    ck_assert(has_word(array(mount_at(d, "/dev/shm"), "options"), "nodev"));
    ck_assert(has_word(array(mount_at(d, "/in"), "options"), "ro"));
    ck_assert(has_word(array(mount_at(d, "/sys"), "options"), "ro"));
}
END_TEST

START_TEST(in_and_out_are_there_only_when_asked_for)
{
    own_doc struct doc *none = config(NULL, NULL, false), *in = config("/i", NULL, false);
    own_doc struct doc *out = config(NULL, "/o", false);

    ck_assert(!mount_at(none, "/in") && !mount_at(none, "/out"));
    ck_assert(mount_at(in, "/in") && !mount_at(in, "/out"));
    ck_assert(!mount_at(out, "/in") && mount_at(out, "/out"));
    ck_assert_str_eq(string(mount_at(in, "/in"), "source"), GUEST_INPUT);
    ck_assert_str_eq(string(mount_at(out, "/out"), "source"), GUEST_OUT); /* not the host's path */
}
END_TEST

START_TEST(the_command_runs_below_the_agents_init)
{
    own_doc struct doc *d = config(NULL, NULL, true);
    const struct doc *process = object(d, "process"), *args = array(process, "args");
    bool tty = false;
    struct err e;

    ck_assert_uint_eq(doc_len(args), 4);
    ck_assert_str_eq(doc_str_at(args, 0), GUEST_JOB_INIT);
    ck_assert_str_eq(doc_str_at(args, 1), GUEST_DECLARED_END);
    ck_assert_str_eq(doc_str_at(args, 2), "sh");
    ck_assert(doc_get_bool(process, "terminal", &tty, &e) == 0 && tty);
    ck_assert_str_eq(string(object(d, "linux"), "cgroupsPath"), GUEST_CGROUP "/exec-3");
}
END_TEST

START_TEST(what_is_declared_stands_in_front_of_the_command)
{
    static const char *const want[] = {GUEST_JOB_INIT,       "--read", "/in",
                                       GUEST_DECLARED_WRITE, "/out",   GUEST_DECLARED_EXEC,
                                       "/bin/true",          "--",     "sh"};
    own_strv struct strv argv = words("sh", NULL), read = words("/in", NULL);
    own_strv struct strv write = words("/out", NULL), exec = words("/bin/true", NULL);
    const struct plan p = {.workdir = (char[]){"/"},
                           .argv = argv,
                           .declared = {.read = read, .write = write, .exec = exec}};
    own_doc struct doc *d = oci_config(&p, 1);
    const struct doc *args = array(object(d, "process"), "args");

    ck_assert_uint_eq(doc_len(args), sizeof(want) / sizeof(want[0]));
    for (size_t i = 0; i < doc_len(args); i++)
        ck_assert_str_eq(doc_str_at(args, i), want[i]);
}
END_TEST

/* A file without a path is beyond Landlock. */
START_TEST(a_job_with_declared_programs_makes_no_memory_file_that_executes)
{
    own_strv struct strv argv = words("sh", NULL), read = words("/in", NULL);
    const struct plan p = {.workdir = (char[]){"/"}, .argv = argv, .declared = {.read = read}};
    own_doc struct doc *d = oci_config(&p, 1);
    const struct doc *rules = array(object(object(d, "linux"), "seccomp"), "syscalls");
    unsigned found = 0;

    for (size_t i = 0; i < doc_len(rules); i++) {
        const struct doc *rule = doc_at(rules, i);
        uint64_t value = 0;
        struct err e;

        if (!has_word(array(rule, "names"), "memfd_create"))
            continue;
        found++;
        ck_assert_int_eq(doc_get_u64(doc_at(array(rule, "args"), 0), "valueTwo", &value, &e), 0);
        ck_assert_uint_eq(value, 8); /* MFD_NOEXEC_SEAL */
    }
    ck_assert_uint_eq(found, 1);
}
END_TEST

START_TEST(windows_into_the_kernel_are_masked)
{
    static const char *const want[] = {
        "/proc/kcore",         "/proc/keys",     "/proc/timer_list", "/proc/scsi",  "/proc/acpi",
        "/proc/sysrq-trigger", "/proc/kallsyms", "/sys/firmware",    "/sys/kernel", "/sys/fs"};
    own_doc struct doc *d = config(NULL, NULL, false);

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        ck_assert_msg(has_word(array(object(d, "linux"), "maskedPaths"), want[i]), "%s", want[i]);
    ck_assert(has_word(array(object(d, "linux"), "readonlyPaths"), "/proc/sys"));
}
END_TEST

SUITE("oci", every_system_call_has_a_name_that_libseccomp_knows, every_system_call_has_a_reason,
      dangerous_system_calls_are_in_no_rule, some_calls_are_allowed_with_harmless_arguments_only,
      requests_that_reach_for_a_terminal_or_the_console_are_refused,
      everything_else_is_refused_and_only_for_one_architecture,
      debug_allows_tracing_and_nothing_else, the_job_has_no_capability_and_all_namespaces,
      the_build_of_an_image_may_change_files_and_nothing_else,
      no_mount_carries_set_id_or_device_files_but_dev, in_and_out_are_there_only_when_asked_for,
      the_command_runs_below_the_agents_init, what_is_declared_stands_in_front_of_the_command,
      a_job_with_declared_programs_makes_no_memory_file_that_executes,
      windows_into_the_kernel_are_masked)
