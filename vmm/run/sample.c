/* sample: what a guest has used, by the host's kernel. See sample.h. */
#include "run/sample.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "run/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FIELD_UTIME 14u
#define FIELD_STIME 15u
#define FIELD_RSS   24u

int sample_parse(const char *stat, struct sample *ret)
{
    const uint64_t tick_ns = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
    const char *p = strrchr(stat, ')');
    uint64_t values[FIELD_RSS + 1] = {0};

    if (!p)
        return -1;
    p++;
    for (unsigned field = 3; field <= FIELD_RSS; field++) {
        char *end;

        if (*p != ' ')
            return -1;
        p++;
        values[field] = strtoull(p, &end, 10);
        p = end + strcspn(end, " "); /* the third is a letter */
    }
    *ret = (struct sample){.user_ns = values[FIELD_UTIME] * tick_ns,
                           .system_ns = values[FIELD_STIME] * tick_ns,
                           .resident_bytes = values[FIELD_RSS] * (uint64_t)sysconf(_SC_PAGESIZE)};
    return 0;
}

int sample_read(pid_t pid, struct sample *ret)
{
    own_free char *path = str_printf("/proc/%d/stat", (int)pid);
    own_close int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char text[1024];
    ssize_t n = fd < 0 ? -1 : file_read_up_to(fd, text, sizeof(text) - 1);

    if (n <= 0)
        return -1;
    text[n] = '\0';
    return sample_parse(text, ret);
}

uint64_t sample_disk_bytes(int state_fd)
{
    static const char *const names[] = {FOLDER_SCRATCH, FOLDER_DISK};
    uint64_t bytes = 0;
    struct stat st;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (fstatat(state_fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)st.st_blocks * 512;
    return bytes;
}
