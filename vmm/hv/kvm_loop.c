/*
 * kvm_loop: a counted loop in 64-bit kernel mode in a tiny VM, and the same loop natively.
 *
 * How it works (Documentation/virt/kvm/api.rst; Intel SDM vol. 3, 4.5 and 9.8.5)
 *   A forked child makes the VM, so that whatever happens in there, or never returns, ends with one
 *   SIGKILL and leaves nothing behind. The VM is one page table of a single 2 MiB identity page,
 *   one vCPU that starts in long mode at ring 0, and four instructions. The loop count doubles
 *   until one run takes long enough to be measured; each finished run is put into a page shared
 *   with the parent, so that a KVM that is far too slow still has a figure.
 */
#include "base/clock.h"
#include "base/spawn.h"
#include "hv/accel_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define VM_BYTES 0x8000u
#define AT_PML4  0x1000u
#define AT_PDPT  0x2000u
#define AT_PD    0x3000u
#define AT_CODE  0x4000u
#define TSS_ADDR                                                                                   \
    0xfffbd000u /* three pages that Intel's KVM wants; anywhere outside of our memory */
#define CPUID_MAX  256
#define LOOPS_MIN  1024u
#define LOOPS_MAX  (1u << 28)
#define ENOUGH_US  3000u /* a run of this length is measured well enough */
#define PTE_P_W    0x3u
#define PDE_2M     0x80u
#define CR0_LONG   0x80050033u /* PG AM WP NE ET MP PE */
#define CR4_PAE    0x20u
#define EFER_LONG  0x500u /* LMA LME */
#define RFLAGS_ONE 0x2u

/* 1: dec %rcx; jnz 1b; hlt */
static const unsigned char code[] = {0x48, 0xff, 0xc9, 0x75, 0xfb, 0xf4};

struct vm {
    int vm_fd, cpu_fd;
    unsigned char *mem;
    struct kvm_run *run;
};

static bool failed(struct accel_measure *m, const char *step)
{
    m->failed_errno = errno;
    m->failed_step = step;
    return false;
}

static void put_u64(unsigned char *mem, uint32_t at, uint64_t v)
{
    memcpy(mem + at, &v, sizeof(v));
}

static bool make_vm(int kvm_fd, struct vm *v, struct accel_measure *m)
{
    struct kvm_userspace_memory_region region = {.memory_size = VM_BYTES};
    int run_bytes;

    if (ioctl(kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return failed(m, "KVM_GET_API_VERSION");
    v->vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
    if (v->vm_fd < 0)
        return failed(m, "KVM_CREATE_VM");
    if (ioctl(v->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDR) < 0)
        return failed(m, "KVM_SET_TSS_ADDR");
    v->mem = mmap(NULL, VM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v->mem == MAP_FAILED)
        return failed(m, "mmap");
    put_u64(v->mem, AT_PML4, AT_PDPT | PTE_P_W);
    put_u64(v->mem, AT_PDPT, AT_PD | PTE_P_W);
    put_u64(v->mem, AT_PD, PDE_2M | PTE_P_W);
    memcpy(v->mem + AT_CODE, code, sizeof(code));
    region.userspace_addr = (uintptr_t)v->mem;
    if (ioctl(v->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return failed(m, "KVM_SET_USER_MEMORY_REGION");
    v->cpu_fd = ioctl(v->vm_fd, KVM_CREATE_VCPU, 0);
    if (v->cpu_fd < 0)
        return failed(m, "KVM_CREATE_VCPU");
    run_bytes = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_bytes < (int)sizeof(*v->run))
        return failed(m, "KVM_GET_VCPU_MMAP_SIZE");
    v->run = mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->cpu_fd, 0);
    return v->run != MAP_FAILED || failed(m, "mmap of the vCPU");
}

/* The vCPU gets every feature that KVM has, so that long mode is one of them. */
static bool set_cpuid(int kvm_fd, int cpu_fd, struct accel_measure *m)
{
    static union {
        struct kvm_cpuid2 head;
        unsigned char room[sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
    } cpuid;

    cpuid.head.nent = CPUID_MAX;
    if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
        return failed(m, "KVM_GET_SUPPORTED_CPUID");
    return ioctl(cpu_fd, KVM_SET_CPUID2, &cpuid) == 0 || failed(m, "KVM_SET_CPUID2");
}

static bool enter_long_mode(int cpu_fd, struct accel_measure *m)
{
    const struct kvm_segment code_seg = {
        .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    const struct kvm_segment data_seg = {
        .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_sregs s;

    if (ioctl(cpu_fd, KVM_GET_SREGS, &s) < 0)
        return failed(m, "KVM_GET_SREGS");
    s.cs = code_seg;
    s.ds = s.es = s.fs = s.gs = s.ss = data_seg;
    s.cr3 = AT_PML4;
    s.cr4 = CR4_PAE;
    s.efer = EFER_LONG;
    s.cr0 = CR0_LONG;
    return ioctl(cpu_fd, KVM_SET_SREGS, &s) == 0 || failed(m, "KVM_SET_SREGS");
}

/* One run of `loops`, until hlt. */
static bool run_loops(const struct vm *v, uint64_t loops, struct accel_measure *m)
{
    const struct kvm_regs regs = {
        .rip = AT_CODE, .rcx = loops, .rsp = VM_BYTES, .rflags = RFLAGS_ONE};
    int r;

    if (ioctl(v->cpu_fd, KVM_SET_REGS, &regs) < 0)
        return failed(m, "KVM_SET_REGS");
    do
        r = ioctl(v->cpu_fd, KVM_RUN, 0);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return failed(m, "KVM_RUN");
    if (v->run->exit_reason == KVM_EXIT_HLT)
        return true;
    errno = EPROTO;
    return failed(m, "KVM_RUN (it did not end with hlt)");
}

static uint64_t per_ms(uint64_t loops, uint64_t us)
{
    return loops * 1000u / (us ? us : 1);
}

static void measure_native(struct accel_measure *m)
{
    uint64_t us = 0;

    for (uint64_t n = LOOPS_MIN; n <= LOOPS_MAX && us < ENOUGH_US; n *= 2) {
        uint64_t left = n, before_us = clock_mono_us();

        __asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(left) : : "cc");
        us = clock_mono_us() - before_us;
        m->native_per_ms = per_ms(n, us);
    }
}

static void measure_vm(int kvm_fd, struct accel_measure *m)
{
    struct vm v = {.vm_fd = -1, .cpu_fd = -1};
    uint64_t us = 0;

    if (!make_vm(kvm_fd, &v, m) || !set_cpuid(kvm_fd, v.cpu_fd, m) || !enter_long_mode(v.cpu_fd, m))
        return;
    for (uint64_t n = LOOPS_MIN; n <= LOOPS_MAX && us < ENOUGH_US; n *= 2) {
        uint64_t before_us = clock_mono_us();

        if (!run_loops(&v, n, m))
            return;
        us = clock_mono_us() - before_us;
        m->loops_per_ms = per_ms(n, us);
    }
}

void accel_run(int kvm_fd, struct accel_measure *ret)
{
    uint64_t deadline_ms = clock_mono_ms() + ACCEL_TEST_MS;
    struct accel_measure *shared;
    int status;
    struct err e;
    pid_t pid;

    memset(ret, 0, sizeof(*ret));
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        failed(ret, "mmap");
        return;
    }
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        measure_native(shared);
        measure_vm(kvm_fd, shared);
        _exit(0);
    }
    if (pid < 0)
        failed(shared, "fork");
    else
        shared->timed_out = spawn_wait(pid, "the KVM self-test", deadline_ms, &status, &e) < 0;
    *ret = *shared;
    munmap(shared, sizeof(*shared));
}
