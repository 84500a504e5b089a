/* cmdline: the words of the kernel's command line that are meant for the agent. */
#include "agent/cmdline.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 4096 /* bytes; the kernel itself keeps 2048 */
#define SPACES    " \t\n"

int cmdline_value(const char *line, const char *name, char *ret_value, size_t size)
{
    const size_t name_len = strlen(name);
    const char *found = NULL;
    size_t found_len = 0;

    for (const char *p = line + strspn(line, SPACES); *p; p += strspn(p, SPACES)) {
        size_t len = strcspn(p, SPACES);

        if (len >= name_len && memcmp(p, name, name_len) == 0) {
            if (found)
                return -EINVAL;
            found = p + name_len;
            found_len = len - name_len;
        }
        p += len;
    }
    if (!found)
        return -ENODATA;
    if (found_len >= size)
        return -EINVAL;
    memcpy(ret_value, found, found_len);
    ret_value[found_len] = '\0';
    return 0;
}

int cmdline_read(const char *name, char *ret_value, size_t size)
{
    char line[LINE_SIZE];
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    int error = errno;

    if (fd >= 0)
        close(fd);
    if (n < 0)
        return -error;
    line[n] = '\0';
    return cmdline_value(line, name, ret_value, size);
}

int cmdline_take_number(const char **p, uint32_t max, uint32_t *ret)
{
    const char *at = *p;
    uint64_t value = 0;

    if (*at == '0' && at[1] >= '0' && at[1] <= '9')
        return -EINVAL;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
        if (value > max)
            return -EINVAL;
    }
    if (at == *p)
        return -EINVAL;
    *p = at;
    *ret = (uint32_t)value;
    return 0;
}
