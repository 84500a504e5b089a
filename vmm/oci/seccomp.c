/*
 * seccomp: which system calls the container may make, and why.
 *
 * How it works
 *   Everything answers EPERM but what is listed here. what calls.c lists needs no look at the
 *   arguments; clone, ioctl, personality, socket and socketpair are allowed with harmless arguments
 *   only.
 *   memfd_create as well where the plan declares programs: a file that has no path is held by no
 *   Landlock, so there it must be one that cannot be executed.
 *   clone3 hides its flags in memory, which a filter cannot read, so it answers ENOSYS and the C
 *   library falls back to clone. The filter knows x86_64 only: i386 and x32 calls kill the process.
 *   Refusals are logged by the guest's kernel (SECCOMP_FILTER_FLAG_LOG).
 *   Arguments are compared as 64 bits although the kernel may look at 32 of them: an exact match is
 *   then stricter than the kernel, never laxer. What is refused by its value is compared by fewer
 *   bits than the kernel looks at.
 *
 * Must not: allow (but for --debug, see tracing()) what makes a namespace, a mount, a kernel-side
 * program or another process's memory reachable. test_oci keeps a list of such names.
 */
#include "oci/seccomp.h"

#include "oci/oci.h"
#include "shared/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define CLONE_NEW_ANY                                                                              \
    ((unsigned)CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |       \
     CLONE_NEWPID | CLONE_NEWNET)
#define SOCKET_TYPE_MASK  0xfu /* the rest are flags: SOCK_CLOEXEC, SOCK_NONBLOCK */
#define PERSONALITY_QUERY 0xffffffffu
#define NETLINK_PROTOCOL  0  /* NETLINK_ROUTE */
#define MEMFD_NOEXEC_SEAL 8u /* Linux 6.3 */

static struct doc *argument(unsigned index, uint64_t value, const char *op)
{
    struct doc *d = doc_new_object();

    doc_set_u64(d, "index", index);
    doc_set_u64(d, "value", value);
    doc_set_str(d, "op", op);
    return d;
}

static struct doc *equal(unsigned index, uint64_t value)
{
    return argument(index, value, "SCMP_CMP_EQ");
}

/* (argument & mask) == value: the OCI configuration calls the mask `value`. */
static struct doc *masked(unsigned index, uint64_t mask, uint64_t value)
{
    struct doc *d = doc_new_object();

    doc_set_u64(d, "index", index);
    doc_set_u64(d, "value", mask);
    doc_set_u64(d, "valueTwo", value);
    doc_set_str(d, "op", "SCMP_CMP_MASKED_EQ");
    return d;
}

/* One rule for one call: all of its arguments must match. Takes the arguments; NULL: none. */
static void allow_if(struct doc *rules, const char *name, struct doc *first, struct doc *second,
                     struct doc *third)
{
    struct doc *rule = doc_new_object(), *args = doc_new_array();
    struct doc *const given[] = {first, second, third};

    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
        if (given[i])
            doc_add(args, given[i]);
    doc_set_strv(rule, "names", (const char *const[]){name, NULL});
    doc_set_str(rule, "action", "SCMP_ACT_ALLOW");
    doc_set(rule, "args", args);
    doc_add(rules, rule);
}

/*
 * The container's network is an empty loopback, so only what programs cannot do without: local
 * sockets, TCP and UDP (not SCTP, MPTCP, raw, packet, vsock, ...), and of netlink only the routing
 * family, which getifaddrs(3) and if_nameindex(3) ask for the list of interfaces.
 */
static void sockets(struct doc *rules)
{
    static const struct {
        uint64_t family, type, protocol;
    } internet[] = {
        {AF_INET, SOCK_STREAM, 0},  {AF_INET, SOCK_STREAM, IPPROTO_TCP},
        {AF_INET, SOCK_DGRAM, 0},   {AF_INET, SOCK_DGRAM, IPPROTO_UDP},
        {AF_INET6, SOCK_STREAM, 0}, {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
        {AF_INET6, SOCK_DGRAM, 0},  {AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
    };

    allow_if(rules, "socketpair", equal(0, AF_UNIX), NULL, NULL);
    allow_if(rules, "socket", equal(0, AF_UNIX), NULL, NULL);
    allow_if(rules, "socket", equal(0, AF_NETLINK), equal(2, NETLINK_PROTOCOL), NULL);
    for (size_t i = 0; i < sizeof(internet) / sizeof(internet[0]); i++)
        allow_if(rules, "socket", equal(0, internet[i].family),
                 masked(1, SOCKET_TYPE_MASK, internet[i].type), equal(2, internet[i].protocol));
}

/*
 * Requests that are refused on whatever file. Of a request the lower 16 bits count, its type and
 * number: the kernel looks at 32 of the 64, so those above must not let a request through, and no
 * terminal's request needs them to differ from these.
 */
static const uint64_t no_requests[] = {
    TIOCSTI,   /* types into the terminal: what comes after the job, or beside it, would read it */
    TIOCLINUX, /* pastes what is selected on a console, the same by another way */
    TIOCCONS,  /* takes what is written to the console, which the host's log is made of */
    TIOCSETD,  /* another line discipline: modems' and networks' code in the kernel */
};

#define REQUEST_BITS 16
#define REQUESTS     (sizeof(no_requests) / sizeof(no_requests[0]))

/* One of the first `n` is like this down to bit `bit`. */
static bool begins_one(size_t n, uint64_t value, unsigned bit)
{
    for (size_t i = 0; i < n; i++)
        if (no_requests[i] >> bit == value >> bit)
            return true;
    return false;
}

/*
 * A filter allows by what it lists, so this is the list of all others: whatever agrees with one of
 * these down to some bit, and there with none of them.
 */
static void requests(struct doc *rules)
{
    for (size_t i = 0; i < REQUESTS; i++)
        for (unsigned bit = 0; bit < REQUEST_BITS; bit++) {
            uint64_t mask = (1u << REQUEST_BITS) - (1u << bit), value = no_requests[i];
            uint64_t other = (value ^ (1u << bit)) & mask;

            /* Said already, by one before that agrees down to here. */
            if (begins_one(i, value, bit) || begins_one(REQUESTS, other, bit))
                continue;
            allow_if(rules, "ioctl", masked(1, mask, other), NULL, NULL);
        }
}

static void plain(struct doc *rules, bool declared)
{
    struct doc *rule = doc_new_object(), *names = doc_new_array();

    for (size_t i = 0; oci_calls[i].name; i++)
        if (!declared || strcmp(oci_calls[i].name, "memfd_create") != 0)
            doc_add_str(names, oci_calls[i].name);
    doc_set(rule, "names", names);
    doc_set_str(rule, "action", "SCMP_ACT_ALLOW");
    doc_add(rules, rule);
    if (declared)
        allow_if(rules, "memfd_create", masked(1, MEMFD_NOEXEC_SEAL, MEMFD_NOEXEC_SEAL), NULL,
                 NULL);
}

static void conditional(struct doc *rules)
{
    struct doc *clone3 = doc_new_object();

    /* Processes and threads, in the namespaces that there are. */
    allow_if(rules, "clone", masked(0, CLONE_NEW_ANY, 0), NULL, NULL);
    /* What one is already, plain Linux, and which that is: setarch, debuggers. */
    allow_if(rules, "personality", equal(0, 0), NULL, NULL);
    allow_if(rules, "personality", equal(0, PERSONALITY_QUERY), NULL, NULL);
    sockets(rules);
    requests(rules);
    doc_set_strv(clone3, "names", (const char *const[]){"clone3", NULL});
    doc_set_str(clone3, "action", "SCMP_ACT_ERRNO");
    doc_set_u64(clone3, "errnoRet", ENOSYS);
    doc_add(rules, clone3);
}

/* strace and gdb, on processes of the same container: what a job without --debug never has. */
static void tracing(struct doc *rules)
{
    static const char *const names[] = {"ptrace", "process_vm_readv", "process_vm_writev", NULL};
    struct doc *rule = doc_new_object();

    doc_set_strv(rule, "names", names);
    doc_set_str(rule, "action", "SCMP_ACT_ALLOW");
    doc_add(rules, rule);
}

struct doc *oci_seccomp(bool declared, bool debug)
{
    struct doc *d = doc_new_object(), *rules = doc_new_array();

    doc_set_str(d, "defaultAction", "SCMP_ACT_ERRNO");
    doc_set_u64(d, "defaultErrnoRet", EPERM);
    doc_set_strv(d, "architectures", (const char *const[]){"SCMP_ARCH_X86_64", NULL});
    doc_set_strv(d, "flags", (const char *const[]){"SECCOMP_FILTER_FLAG_LOG", NULL});
    plain(rules, declared);
    conditional(rules);
    if (debug)
        tracing(rules);
    doc_set(d, "syscalls", rules);
    return d;
}

static void allow_bit(unsigned char *bits, const char *name)
{
    int n = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name);

    if (n >= 0 && n < PROBE_CALLS)
        bits[n / 4] |= (unsigned char)(8u >> n % 4);
}

char *oci_allowed_calls(void)
{
    static const char *const some[] = {"clone", "ioctl", "personality", "socket", "socketpair"};
    unsigned char bits[PROBE_CALLS / 4] = {0};
    struct str s = {0};

    for (size_t i = 0; oci_calls[i].name; i++)
        allow_bit(bits, oci_calls[i].name);
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
        allow_bit(bits, some[i]);
    for (size_t i = 0; i < sizeof(bits); i++)
        str_addf(&s, "%x", bits[i]);
    return s.data;
}
