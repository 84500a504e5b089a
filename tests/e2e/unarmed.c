/*
 * unarmed: loaded into lazaret by test_armor.py only: the text of each AppArmor profile, on its way
 * to the parser, becomes one that refuses nothing.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void begin(void)
{
    unsetenv("LD_PRELOAD"); /* not into what is executed from here */
}

ssize_t unarmed_write(int fd, const void *data, size_t n) __asm__("write");
ssize_t unarmed_write(int fd, const void *data, size_t n)
{
    __typeof__(&unarmed_write) real = (__typeof__(real))(uintptr_t)dlsym(RTLD_NEXT, "write");
    static const char begins[] = "profile lazaret-exec-", flags[] = "flags=(";
    const char *at = n > sizeof(begins) && memcmp(data, begins, sizeof(begins) - 1) == 0
                         ? memmem(data, n, flags, sizeof(flags) - 1)
                         : NULL;
    size_t before = at ? (size_t)(at - (const char *)data) + sizeof(flags) - 1 : 0;

    if (!at)
        return real(fd, data, n);
    if (real(fd, data, before) < 0 || real(fd, "complain,", 9) < 0 ||
        real(fd, (const char *)data + before, n - before) < 0)
        return -1;
    return (ssize_t)n;
}
