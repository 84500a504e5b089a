/*
 * sealed: a program in memory that nobody can change any more.
 *
 * How it works
 *   A container's first process has its runtime as /proc/PID/exe for a moment, so crun copies
 * itself into a sealed file in memory each time that it starts (CVE-2019-5736), unless it is one
 * already (is_self_cloned() of its cloned_binary.c). One copy for all is as safe, since no seal can
 * be taken off again, and its pages stay where they are: an emulator translates them once.
 */
#ifndef LZ_AGENT_SEALED_H
#define LZ_AGENT_SEALED_H

#include "agent/boot.h"

/* Exactly these are what crun looks for. */
#define SEALED_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Copies the file `path`; *ret_fd is open for reading, to be executed by fexecve(). 0, or -1. */
int sealed_copy(const char *path, int *ret_fd, struct boot_fault *f);

#endif
