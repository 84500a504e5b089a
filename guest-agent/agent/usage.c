/* usage: what the guest uses. See usage.h. */
#include "agent/usage.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>

void usage_take(const struct container_paths *p, const char *scratch, uint32_t running,
                struct wire_used *ret)
{
    struct sysinfo memory;
    struct statvfs disk;

    *ret = (struct wire_used){0};
    if (sysinfo(&memory) == 0) {
        ret->memory_total_bytes = (uint64_t)memory.totalram * memory.mem_unit;
        ret->memory_free_bytes = ((uint64_t)memory.freeram + memory.bufferram) * memory.mem_unit;
    }
    if (statvfs(scratch, &disk) == 0) {
        ret->disk_total_bytes = (uint64_t)disk.f_blocks * disk.f_frsize;
        ret->disk_free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    }
    for (unsigned exec = 1; exec <= WIRE_EXEC_MAX; exec++)
        if (running & wire_exec_bit(exec))
            container_used(p, exec, &ret->execs[exec - 1]);
}
