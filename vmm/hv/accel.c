/*
 * accel: the verdict about KVM on this host, its text, and its cache.
 *
 * Only what was measured is cached. Whether the device is there and may be opened is looked at each
 * time: that is cheap, and a user who follows the advice must not be told the old answer.
 */
#include "base/doc.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "hv/accel_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICE        "/dev/kvm"
#define CACHE_NAME    "accel.json"
#define CACHE_MAX     4096 /* bytes */
#define CACHE_VERSION 1

static void say(struct accel_result *r, enum accel_verdict v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct accel_result *r, enum accel_verdict v, const char *fmt, ...)
{
    va_list ap;

    r->verdict = v;
    va_start(ap, fmt);
    vsnprintf(r->text, sizeof(r->text), fmt, ap);
    va_end(ap);
}

void accel_judge(const struct accel_measure *m, struct accel_result *ret)
{
    uint64_t times = m->loops_per_ms ? m->native_per_ms / m->loops_per_ms : 0;

    memset(ret, 0, sizeof(*ret));
    ret->loops_per_ms = m->loops_per_ms;
    ret->native_per_ms = m->native_per_ms;
    if (m->failed_step)
        say(ret, ACCEL_BROKEN, "KVM does not work here: %s: %s (see the kernel's log)",
            m->failed_step, strerror(m->failed_errno));
    else if (m->native_per_ms == 0)
        say(ret, ACCEL_BROKEN, "the host was too busy to measure KVM (try again)");
    else if (m->loops_per_ms == 0)
        say(ret, ACCEL_SLOW,
            "KVM here did not run a short loop of kernel code in time (use a host whose CPU runs "
            "guests by itself)");
    else if (m->loops_per_ms < m->native_per_ms / ACCEL_SLOWEST)
        say(ret, ACCEL_SLOW,
            "KVM here emulates kernel code (%" PRIu64 " times slower than native; use a host whose "
            "CPU runs guests by itself)",
            times);
    else
        say(ret, ACCEL_GOOD, "KVM runs kernel code at native speed");
}

bool accel_open(const char *device, int *ret_fd, struct accel_result *ret)
{
    int fd = open(device, O_RDWR | O_CLOEXEC);

    if (fd >= 0) {
        *ret_fd = fd;
        return true;
    }
    memset(ret, 0, sizeof(*ret));
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        say(ret, ACCEL_MISSING,
            "there is no %s (load the module kvm_intel or kvm_amd, and enable virtualisation in "
            "the firmware, or nested virtualisation in the host above)",
            device);
    else if (errno == EACCES || errno == EPERM)
        say(ret, ACCEL_FORBIDDEN,
            "no permission for %s (add yourself to its group: 'sudo adduser USER kvm', then log in "
            "again)",
            device);
    else
        say(ret, ACCEL_BROKEN, "cannot open %s: %s", device, strerror(errno));
    return false;
}

static void read_boot_id(char out[64])
{
    own_fclose FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (!f || !fgets(out, 64, f))
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    /* cppcheck-suppress resourceLeak ; cleanup closes it */
}

char *accel_cache_key(int kvm_fd)
{
    struct stat st = {0};
    char boot[64];

    read_boot_id(boot);
    fstat(kvm_fd, &st);
    return str_printf("%s %u %ju %ju %o %jd.%09ld", boot, (unsigned)getuid(), (uintmax_t)st.st_dev,
                      (uintmax_t)st.st_rdev, (unsigned)st.st_mode, (intmax_t)st.st_ctim.tv_sec,
                      st.st_ctim.tv_nsec);
}

static bool read_cache(const char *cache_dir, const char *key, struct accel_result *ret)
{
    own_free char *path = str_printf("%s/" CACHE_NAME, cache_dir);
    own_free char *text = NULL;
    own_doc struct doc *d = NULL;
    struct accel_measure m = {0};
    const char *got;
    uint64_t version;
    size_t len;
    struct err e;

    if (file_read(AT_FDCWD, path, CACHE_MAX, &text, &len, &e) < 0 ||
        doc_parse(text, len, CACHE_NAME, &d, &e) < 0 ||
        doc_get_u64(d, "version", &version, &e) < 0 || version != CACHE_VERSION ||
        doc_get_str(d, "key", &got, &e) < 0 || strcmp(got, key) != 0 ||
        doc_get_u64(d, "loops_per_ms", &m.loops_per_ms, &e) < 0 ||
        doc_get_u64(d, "native_per_ms", &m.native_per_ms, &e) < 0 || m.native_per_ms == 0)
        return false;
    accel_judge(&m, ret);
    return true;
}

/* Without a cache the test only runs again, so a failure is no error. */
void accel_write_cache(const char *cache_dir, const char *key, const struct accel_measure *m)
{
    own_doc struct doc *d = doc_new_object();
    own_free char *text = NULL;
    own_close int fd = -1;
    struct err e;

    doc_set_u64(d, "version", CACHE_VERSION);
    doc_set_str(d, "key", key);
    doc_set_u64(d, "loops_per_ms", m->loops_per_ms);
    doc_set_u64(d, "native_per_ms", m->native_per_ms);
    text = doc_format(d, true);
    if (file_make_dirs(cache_dir, 0700, &e) == 0 && file_open_dir(cache_dir, &fd, &e) == 0)
        (void)file_write(fd, CACHE_NAME, text, strlen(text), 0600, &e);
}

void accel_test_device(const char *device, const char *cache_dir, struct accel_result *ret)
{
    own_close int fd = -1;
    own_free char *key = NULL;
    struct accel_measure m;

    if (!accel_open(device, &fd, ret))
        return;
    key = accel_cache_key(fd);
    if (cache_dir && read_cache(cache_dir, key, ret))
        return;
    accel_run(fd, &m);
    accel_judge(&m, ret);
    if (cache_dir && (ret->verdict == ACCEL_GOOD || ret->verdict == ACCEL_SLOW))
        accel_write_cache(cache_dir, key, &m);
}

void accel_test(struct accel_result *ret)
{
    accel_test_device(DEVICE, NULL, ret);
}

void accel_test_cached(const char *cache_dir, struct accel_result *ret)
{
    accel_test_device(DEVICE, cache_dir, ret);
}

uint64_t accel_parse_mhz(const char *line)
{
    uint64_t khz = 0;
    int decimals = -1; /* none seen yet */

    if (!str_starts_with(line, "cpu MHz") || !(line = strchr(line, ':')))
        return 0;
    for (line += strspn(line, ": \t"); *line && *line != '\n'; line++) {
        if (*line == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (*line < '0' || *line > '9' || khz > UINT32_MAX)
            return 0;
        if (decimals < 3)
            khz = khz * 10 + (uint64_t)(*line - '0');
        if (decimals >= 0 && decimals < 3)
            decimals++;
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 3; decimals++)
        khz *= 10;
    return khz;
}

int accel_tsc_khz(uint64_t *ret, struct err *e)
{
    own_fclose FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];
    uint64_t khz = 0;

    while (f && khz == 0 && fgets(line, sizeof(line), f))
        khz = accel_parse_mhz(line);
    if (!f || ferror(f))
        return err_sys(e, ERR_HOST, errno, "cannot read '/proc/cpuinfo'");
    *ret = khz;
    return 0;
}
