/* accel_parts: the pieces of the accelerator self-test, apart so that each can be tested. */
#ifndef LZ_HV_ACCEL_PARTS_H
#define LZ_HV_ACCEL_PARTS_H

#include "hv/accel.h"

#include <stddef.h>

/* What the self-test saw. */
struct accel_measure {
    const char *failed_step; /* NULL: no call failed */
    int failed_errno;
    uint64_t loops_per_ms; /* of the longest loop that ended in the VM; 0: none did */
    uint64_t native_per_ms;
    bool timed_out;
};

/* Pure: from what was seen to the verdict and its text. */
void accel_judge(const struct accel_measure *m, struct accel_result *ret);
/* Opens the device; false with the verdict in `ret` if that fails. */
bool accel_open(const char *device, int *ret_fd, struct accel_result *ret);
/* Runs the loops in a child on an open KVM device, at most ACCEL_TEST_MS. */
void accel_run(int kvm_fd, struct accel_measure *ret);
/* accel_test_cached() on another device file. */
void accel_test_device(const char *device, const char *cache_dir, struct accel_result *ret);
/* Returns new: everything that a measured verdict depends on. */
char *accel_cache_key(int kvm_fd);
void accel_write_cache(const char *cache_dir, const char *key, const struct accel_measure *m);
/* "cpu MHz : 2596.140" to 2596140; 0 if it is another line. */
uint64_t accel_parse_mhz(const char *line);

#define ACCEL_TEST_MS 450 /* of the 500 that accel.h promises; the rest is fork and kill */
#define ACCEL_SLOWEST 20  /* good KVM runs kernel code at 1/20 of native speed at least */

#endif
