/*
 * sample: what a guest has used, by the host's kernel: QEMU's process and its disk's file.
 *
 * Not by libvirt, which would ask QEMU itself: one that a guest has taken over need not answer, and
 * whoever waits for it looks after no deadline meanwhile.
 */
#ifndef LZ_RUN_SAMPLE_H
#define LZ_RUN_SAMPLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sample {
    uint64_t user_ns, system_ns; /* in ticks of the kernel's clock */
    uint64_t resident_bytes;
};

/* 0; -1: there is no such process. */
int sample_read(pid_t pid, struct sample *ret);
/* What the guest's disk takes on the host, by the files of a run or sandbox in its `state_fd`. */
uint64_t sample_disk_bytes(int state_fd);
/* The text of /proc/PID/stat (proc_pid_stat(5)), whose second field its process chooses. */
int sample_parse(const char *stat, struct sample *ret);

#endif
