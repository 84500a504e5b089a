/* test_fence: each layer of confinement, broken on purpose, is named. The good case is e2e's. */
#include "base/own.h"
#include "run/fence.h"
#include "run/watch.h"
#include "tests/unit/suite.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

/* A process that does nothing, after `prepare`. */
static void start_child(void (*prepare)(void))
{
    int ready[2];
    char byte;

    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (prepare)
            prepare();
        (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
}

static void end_child(void)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static const struct fence_row *row(const struct fence *f, const char *name)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (strcmp(f->rows[i].name, name) == 0)
            return &f->rows[i];
    ck_abort_msg("there is no row '%s'", name);
}

static struct fence look(const struct fence_process *p)
{
    struct fence f = {0};

    fence_read_process(p, &f);
    return f;
}

static struct fence look_at_child(void)
{
    static struct fence_host host;

    fence_note_host(&host);
    return look(&(struct fence_process){
        .who = "qemu", .pid = child, .not_uid = geteuid(), .host = &host, .files = NULL});
}

START_TEST(an_unconfined_process_is_named_in_each_row)
{
    static const char *const broken[] = {"qemu-user", "qemu-privileges", "qemu-seccomp",
                                         "qemu-namespaces"};
    struct fence f;

    start_child(NULL);
    f = look_at_child();
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        ck_assert_msg(row(&f, broken[i])->verdict == FENCE_BROKEN, "%s: %s", broken[i],
                      row(&f, broken[i])->text);
    ck_assert_uint_eq(row(&f, "qemu-capabilities")->verdict,
                      geteuid() == 0 ? FENCE_BROKEN : FENCE_HOLDS);
    end_child();
}
END_TEST

START_TEST(a_gateway_that_is_not_confined_is_named_in_each_row)
{
    struct fence f = {0};
    struct rlimit core;

    start_child(NULL);
    fence_read_rights(
        &(struct fence_process){.who = "gateway", .pid = child, .not_uid = geteuid(), .filters = 1},
        &f);
    ck_assert_uint_eq(f.n, 5);
    ck_assert_int_eq(getrlimit(RLIMIT_CORE, &core), 0);
    for (uint32_t i = 0; i < f.n; i++)
        ck_assert_msg(f.rows[i].verdict == FENCE_BROKEN ||
                          (strcmp(f.rows[i].name, "gateway-capabilities") == 0 && geteuid() != 0) ||
                          (strcmp(f.rows[i].name, "gateway-core") == 0 && core.rlim_max <= 1),
                      "%s: %s", f.rows[i].name, f.rows[i].text);
    end_child();
}
END_TEST

static void open_a_file(void)
{
    (void)!open("/etc/hostname", O_RDONLY);
}

START_TEST(a_file_that_is_not_its_own_is_named)
{
    static const char *const mine[] = {"/etc/host", NULL};
    struct fence_host host;
    struct fence f;

    start_child(open_a_file);
    f = look_at_child();
    ck_assert_uint_eq(row(&f, "qemu-files")->verdict, FENCE_BROKEN);
    fence_note_host(&host);
    f = look(&(struct fence_process){.who = "qemu", .pid = child, .host = &host, .files = mine});
    ck_assert_ptr_null(strstr(row(&f, "qemu-files")->text, "hostname"));
    end_child();
}
END_TEST

static unsigned names_left = UINT_MAX;

/* In the C library's place: the list breaks off behind so many names. */
struct dirent *broken_readdir(DIR *d) __asm__("readdir64");
struct dirent *broken_readdir(DIR *d)
{
    __typeof__(&readdir) real = (__typeof__(&readdir))(uintptr_t)dlsym(RTLD_NEXT, "readdir64");

    if (names_left == 0) {
        errno = EIO;
        return NULL;
    }
    names_left--;
    return real(d);
}

START_TEST(files_that_cannot_all_be_listed_do_not_hold)
{
    static const char *const any[] = {"/", NULL};
    struct fence_host host;
    struct fence f;

    fence_note_host(&host);
    start_child(NULL);
    for (unsigned n = 0; n <= 4; n++) { /* ".", "..", and two of its files */
        names_left = n;
        f = look(&(struct fence_process){.who = "qemu", .pid = child, .host = &host, .files = any});
        names_left = UINT_MAX;
        ck_assert_uint_eq(row(&f, "qemu-files")->verdict, FENCE_BROKEN);
        ck_assert_str_eq(row(&f, "qemu-files")->text, "its open files cannot be read");
    }
    end_child();
}
END_TEST

static void allow_no_core(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

static void allow_no_core_to_a_program(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){1, 1});
}

START_TEST(core_dumps_are_named)
{
    struct rlimit now;
    struct fence f;

    ck_assert_int_eq(getrlimit(RLIMIT_CORE, &now), 0);
    if (now.rlim_max > 0) {
        start_child(NULL);
        f = look_at_child();
        ck_assert_uint_eq(row(&f, "qemu-core")->verdict, FENCE_BROKEN);
        end_child();
        start_child(allow_no_core_to_a_program);
        f = look_at_child();
        ck_assert_uint_eq(row(&f, "qemu-core")->verdict, FENCE_HOLDS);
        end_child();
    }
    start_child(allow_no_core);
    f = look_at_child();
    ck_assert_uint_eq(row(&f, "qemu-core")->verdict, FENCE_HOLDS);
    end_child();
}
END_TEST

START_TEST(a_process_that_is_gone_holds_nothing)
{
    struct fence f;

    start_child(NULL);
    end_child();
    f = look_at_child();
    ck_assert_uint_gt(f.n, 6);
    for (uint32_t i = 0; i < f.n; i++)
        ck_assert_msg(f.rows[i].verdict == FENCE_BROKEN, "%s: %s", f.rows[i].name, f.rows[i].text);
}
END_TEST

#define DOMAIN(devices) "<domain><devices>" devices "</devices></domain>"
#define RNG             "<rng model='virtio'/>"
#define NIC             "<interface type='user'><model type='virtio'/></interface>"
#define PS2             "<input type='mouse' bus='ps2'/>"

START_TEST(a_device_that_is_not_of_the_plan_is_named)
{
    static const struct {
        const char *live, *xml, *said; /* NULL: it holds */
    } rows[] = {
        {DOMAIN(RNG), DOMAIN(RNG), NULL},
        {DOMAIN(RNG PS2), DOMAIN(RNG), NULL},
        {DOMAIN(RNG NIC), DOMAIN(RNG), "'interface:user' is not of its plan"},
        {DOMAIN(NIC), DOMAIN(RNG), "'interface:user' is not of its plan"},
        {DOMAIN(RNG RNG), DOMAIN(RNG), "'rng:virtio' is not of its plan"},
        {DOMAIN("<hostdev mode='subsystem' type='usb'/>" RNG), DOMAIN(RNG), "'hostdev:usb' is not"},
        {DOMAIN(""), DOMAIN(RNG), "'rng:virtio' is missing"},
        {DOMAIN(PS2), DOMAIN(RNG), "'rng:virtio' is missing"},
        {"<domain/>", DOMAIN(RNG), "no <devices>"},
        {"<", DOMAIN(RNG), "no <devices>"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fence f = {0};

        fence_compare_devices(rows[i].live, rows[i].xml, &f);
        ck_assert_uint_eq(f.n, 1);
        ck_assert_uint_eq(f.rows[0].verdict, rows[i].said ? FENCE_BROKEN : FENCE_HOLDS);
        ck_assert_msg(!rows[i].said || strstr(f.rows[0].text, rows[i].said), "%zu: %s", i,
                      f.rows[0].text);
    }
}
END_TEST

#define Q        " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
#define ROOT(in) "<disk type='file'><serial>lz-root</serial>" in "</disk>"
#define WORK(in) "<disk type='file'><serial>lz-scratch</serial>" in "</disk>"
#define SHAPE(in)                                                                                  \
    "<domain type='kvm'" Q ">" in "<devices>" ROOT("<readonly/>") WORK("") "</devices></domain>"
#define LABEL(attrs) "<seclabel " attrs "><label>+9:+9</label></seclabel>"
#define ARGS(args)   "<qemu:commandline>" args "</qemu:commandline>"

/* Whatever is added, changed, moved or taken away, but what libvirt adds itself. */
START_TEST(every_element_and_attribute_that_is_not_of_the_plan_is_named)
{
    static const struct {
        const char *live, *xml, *said; /* NULL: it holds */
    } rows[] = {
        {SHAPE(""), SHAPE(""), NULL},
        {"<domain type='kvm' id='7'" Q "><currentMemory unit='KiB'>9</currentMemory><devices>" ROOT(
             "<readonly/><alias name='virtio-disk0'/><backingStore/>") WORK("") PS2
         "</devices>" LABEL("type='dynamic' model='dac' relabel='yes'") "</domain>",
         SHAPE(""), NULL},
        {SHAPE("<features><kvm><hidden state='on'/></kvm></features>"), SHAPE(""),
         "'domain/features' is not of its plan"},
        {SHAPE("<features><acpi/><hyperv/></features>"), SHAPE("<features><acpi/></features>"),
         "'domain/features/hyperv' is not"},
        {SHAPE(LABEL("type='none'")), SHAPE(""), "'domain/seclabel@type=none' is not"},
        {SHAPE(LABEL("type='dynamic' model='dac' relabel='no'")), SHAPE(""),
         "'domain/seclabel@relabel=no' is not"},
        {SHAPE(LABEL("type='static' model='apparmor' relabel='yes'")), SHAPE(""),
         "'domain/seclabel@type=static' is not"},
        {SHAPE(ARGS("<qemu:arg value='-a'/><qemu:arg value='-b'/>")),
         SHAPE(ARGS("<qemu:arg value='-a'/>")), "'domain/qemu:commandline/qemu:arg' is not"},
        {SHAPE(ARGS("<qemu:arg value='-b'/>")), SHAPE(ARGS("<qemu:arg value='-a'/>")),
         "'domain/qemu:commandline/qemu:arg@value=-a' is missing"},
        {SHAPE(ARGS("<qemu:env name='A' value='1'/>")), SHAPE(""),
         "'domain/qemu:commandline' is not"},
        {SHAPE("<memory dumpCore='on'>1</memory>"), SHAPE("<memory dumpCore='off'>1</memory>"),
         "'domain/memory@dumpCore=off' is missing"},
        {SHAPE("<memory>2</memory>"), SHAPE("<memory>1</memory>"), "'domain/memory=1' is missing"},
        {SHAPE("<launchSecurity type='sev'/>"), SHAPE(""), "'domain/launchSecurity' is not"},
        {SHAPE(""), SHAPE("<memoryBacking><nosharepages/></memoryBacking>"),
         "'domain/memoryBacking' is missing"},
        /* What is said of one disk is not said of another. */
        {"<domain type='kvm'" Q "><devices>" ROOT("") WORK("<readonly/>") "</devices></domain>",
         SHAPE(""), "'domain/devices/disk:lz-root/readonly' is missing"},
        {"<domain type='kvm'" Q "><devices>" ROOT("<readonly/>")
             WORK("<source startupPolicy='optional'/>") "</devices></domain>",
         SHAPE(""), "'domain/devices/disk:lz-scratch/source' is not"},
        {"<domain type='kvm'" Q "><devices>" ROOT("<readonly/>") WORK("") NIC "</devices></domain>",
         SHAPE(""), "'domain/devices/interface:user' is not"},
        {"<domain/>", SHAPE(""), "no <devices>"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fence f = {0};

        fence_compare_shape(rows[i].live, rows[i].xml, &f);
        ck_assert_uint_eq(f.n, 1);
        ck_assert_msg(f.rows[0].verdict == (rows[i].said ? FENCE_BROKEN : FENCE_HOLDS), "%zu: %s",
                      i, f.rows[0].text);
        ck_assert_msg(!rows[i].said || strstr(f.rows[0].text, rows[i].said), "%zu: %s", i,
                      f.rows[0].text);
    }
}
END_TEST

START_TEST(there_are_never_more_rows_than_fit_and_their_text_is_printable)
{
    struct fence f = {0};

    for (unsigned i = 0; i < 2 * FENCE_ROWS_MAX; i++)
        fence_add(&f, 5, "row", FENCE_HOLDS, "\033[2J%0300d", 1);
    ck_assert_uint_eq(f.n, FENCE_ROWS_MAX);
    ck_assert_ptr_null(strchr(f.rows[0].text, '\033'));
}
END_TEST

START_TEST(a_process_that_is_traced_or_stopped_is_named)
{
    struct fence f;
    int status;

    start_child(NULL);
    ck_assert(!fence_is_stopped(child));
    kill(child, SIGSTOP);
    ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
    ck_assert(fence_is_stopped(child));
    kill(child, SIGCONT);
    f = look_at_child();
    ck_assert_uint_eq(row(&f, "qemu-tracer")->verdict, FENCE_HOLDS);
    ck_assert_int_eq(ptrace(PTRACE_SEIZE, child, NULL, NULL), 0);
    f = look_at_child();
    ck_assert_uint_eq(row(&f, "qemu-tracer")->verdict, FENCE_BROKEN);
    end_child();
}
END_TEST

static void *live_on(void *arg)
{
    pause();
    return NULL;
}

static void end_but_for_a_thread(void)
{
    pthread_t thread;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (pthread_create(&thread, NULL, live_on, NULL) == 0)
        pthread_exit(NULL);
    _exit(1);
}

/* Until it has ended, whether or not a thread of it lives on. */
static void wait_zombie(void)
{
    char path[64], text[512] = "";

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
    for (int i = 0; i < 10000 && !strstr(text, ") Z"); i++) {
        own_close int fd = open(path, O_RDONLY | O_CLOEXEC);

        ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
        poll(NULL, 0, 1);
    }
    ck_assert_ptr_nonnull(strstr(text, ") Z"));
}

START_TEST(a_process_that_ends_is_told_from_one_whose_thread_lives_on)
{
    start_child(NULL);
    ck_assert(!fence_is_ending(child));
    kill(child, SIGKILL);
    wait_zombie();
    ck_assert(fence_is_ending(child));
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert(!fence_is_ending(child)); /* it is not there */
    child = fork();
    if (child == 0)
        end_but_for_a_thread();
    wait_zombie();
    ck_assert(!fence_is_ending(child));
    end_child();
}
END_TEST

START_TEST(a_fence_that_breaks_or_changes_is_named)
{
    static const struct {
        const char *name, *text, *said; /* NULL: it holds as it did */
        enum fence_verdict verdict;
    } rows[] = {
        {"qemu-user", "uid 5", NULL, FENCE_HOLDS},
        {"qemu-user", "uid 6", "changed: qemu-user: uid 6, was uid 5", FENCE_HOLDS},
        {"qemu-user", "uid 5", "broken: qemu-user: uid 5", FENCE_BROKEN},
        {"qemu-user", "uid 5", "changed: qemu-user", FENCE_ABSENT},
        {"qemu-label", "one", "changed: qemu-label: one, was not there", FENCE_HOLDS},
        {"qemu-files", "(9 open)", NULL, FENCE_HOLDS},
        {"qemu-files", "it holds 'x'", "broken: qemu-files", FENCE_BROKEN},
    };
    struct fence first = {0};

    fence_add(&first, 5, "qemu-user", FENCE_HOLDS, "uid 5");
    fence_add(&first, 5, "qemu-files", FENCE_HOLDS, "(3 open)");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fence now = {0};
        struct err why;

        fence_add(&now, 5, rows[i].name, rows[i].verdict, "%s", rows[i].text);
        if (!rows[i].said) {
            ck_assert_ptr_null(watch_compare(&first, &now, &why));
            continue;
        }
        ck_assert_ptr_nonnull(watch_compare(&first, &now, &why));
        ck_assert_int_eq(why.class, ERR_FENCE);
        ck_assert_msg(strstr(why.text, rows[i].said), "%zu: %s", i, why.text);
    }
}
END_TEST

SUITE("fence", a_process_that_is_traced_or_stopped_is_named,
      a_process_that_ends_is_told_from_one_whose_thread_lives_on,
      a_fence_that_breaks_or_changes_is_named, an_unconfined_process_is_named_in_each_row,
      a_gateway_that_is_not_confined_is_named_in_each_row, a_file_that_is_not_its_own_is_named,
      files_that_cannot_all_be_listed_do_not_hold, core_dumps_are_named,
      a_process_that_is_gone_holds_nothing, a_device_that_is_not_of_the_plan_is_named,
      every_element_and_attribute_that_is_not_of_the_plan_is_named,
      there_are_never_more_rows_than_fit_and_their_text_is_printable)
