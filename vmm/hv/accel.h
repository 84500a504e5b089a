/*
 * accel: can this host run a guest kernel under KVM at native speed? Measured, not assumed.
 *
 * /dev/kvm may be missing, not permitted, or there and thousands of times too slow for kernel code.
 * The self-test makes a tiny VM with the KVM API and runs a counted loop in 64-bit kernel mode
 * (ring 0, paging on), bounded by half a second. Follows Documentation/virt/kvm/api.rst.
 */
#ifndef LZ_HV_ACCEL_H
#define LZ_HV_ACCEL_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum accel_verdict {
    ACCEL_GOOD,
    ACCEL_MISSING,   /* no /dev/kvm */
    ACCEL_FORBIDDEN, /* no permission */
    ACCEL_SLOW,      /* opens, but the loop did not end in time or ran far below native speed */
    ACCEL_BROKEN,    /* an ioctl failed */
};

struct accel_result {
    enum accel_verdict verdict;
    uint64_t loops_per_ms;  /* of the counted loop in the VM; 0 if it was not run */
    uint64_t native_per_ms; /* of the same loop on the host */
    char text[256];         /* one line for people, with the way out */
};

/* Runs the test (at most 500 ms). Never fails: what goes wrong is the verdict. */
void accel_test(struct accel_result *ret);
/* The same, cached in `cache_dir` (a folder of ours) per boot id, uid and state of /dev/kvm. */
void accel_test_cached(const char *cache_dir, struct accel_result *ret);
/* The host's TSC frequency in kHz for tsc_early_khz=, from /proc/cpuinfo; 0 if it is not there. A
 * guest without it may hang at its start: that it cannot be read is an error. */
int accel_tsc_khz(uint64_t *ret, struct err *e);

#endif
