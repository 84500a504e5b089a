/* clock: monotonic and wall time, in the units that the names say. */
#ifndef LZ_BASE_CLOCK_H
#define LZ_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC; for deadlines and durations. */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
/* CLOCK_REALTIME since the epoch. */
uint64_t clock_real_ns(void);
/* What is left until `deadline_ms` (monotonic) as a poll() timeout; 0 when past, -1 for UINT64_MAX.
 */
int clock_poll_timeout(uint64_t deadline_ms);
/* "2026-11-24T10:22:15.123Z" into `out` (at least 32 bytes). Returns out. */
const char *clock_format_utc(char *out, uint64_t real_ns);
/* The same with all nine digits of the second (at least 36 bytes). */
const char *clock_format_utc_ns(char *out, uint64_t real_ns);

#endif
