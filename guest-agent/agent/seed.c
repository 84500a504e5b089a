/* seed: the guest's entropy and clock, from the host's HELLO. */
#include "agent/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000u

/* struct rand_pool_info (random(4)) with room for our seed. */
struct seed_pool {
    int entropy_bits, size_bytes;
    uint8_t seed[WIRE_SEED_SIZE];
};

int seed_apply(const struct wire_hello *m)
{
    const struct timespec now = {.tv_sec = (time_t)(m->time_ns / NS_PER_S),
                                 .tv_nsec = (long)(m->time_ns % NS_PER_S)};
    struct seed_pool pool = {.entropy_bits = WIRE_SEED_SIZE * 8, .size_bytes = WIRE_SEED_SIZE};
    int fd = open("/dev/random", O_RDONLY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return -errno;
    memcpy(pool.seed, m->seed, WIRE_SEED_SIZE);
    if (ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        rc = -errno;
    explicit_bzero(&pool, sizeof(pool));
    close(fd);
    if (rc == 0 && clock_settime(CLOCK_REALTIME, &now) < 0)
        rc = -errno;
    return rc;
}
