/*
 * guest: names that the host and the guest agree on: disks, command line, paths inside the guest.
 *
 * Compiled by both sides. The host puts these paths into the OCI config; the agent makes them.
 */
#ifndef LZ_SHARED_GUEST_H
#define LZ_SHARED_GUEST_H

/* virtio-blk serials (/sys/block/X/serial): device names depend on the machine type. */
#define GUEST_DISK_ROOT    "lz-root"    /* the agent root, squashfs and hash tree, read-only */
#define GUEST_DISK_SCRATCH "lz-scratch" /* ext4, writable, of this run only */
#define GUEST_DISK_INPUT   "lz-input"   /* squashfs, read-only, of this run only; may be absent */

/* Mount points in the guest's own (not the container's) view. */
#define GUEST_DIR     "/run/lazaret"
#define GUEST_IMAGE   GUEST_DIR "/image"    /* GUEST_DISK_ROOT */
#define GUEST_SCRATCH GUEST_DIR "/scratch"  /* GUEST_DISK_SCRATCH: upper/ ovl/ work/ out/ */
#define GUEST_INPUT   GUEST_DIR "/input"    /* GUEST_DISK_INPUT */
#define GUEST_ROOTFS  GUEST_DIR "/rootfs"   /* overlay: image below, scratch/upper above */
#define GUEST_WORK    GUEST_SCRATCH "/work" /* bind-mounted at /work; owned by the job */
#define GUEST_OUT     GUEST_SCRATCH "/out"  /* bind-mounted at /out with --out; collected */
#define GUEST_SECRETS GUEST_DIR "/secrets"  /* below it: a tmpfs for each exec that has files */
#define GUEST_CGROUP  "/lazaret"            /* cgroup v2 parent of every container */
/* Of GUEST_CGROUP (cpu.weight). A process of the agent's weighs 100: what the host waits for, and
 * what ends a job, comes before jobs, however many they are. */
#define GUEST_CPU_WEIGHT 25u

/*
 * What a job finds on its loopback, where its plan has network rules: an HTTP proxy that also
 * speaks SOCKS5, http://NAME.lazaret/ on port 80, and a resolver, which GUEST_RESOLV names. The
 * agent makes that file, and the host has it mounted.
 */
#define GUEST_PROXY_PORT 3128
#define GUEST_PROXY      "http://127.0.0.1:3128"
#define GUEST_RESOLV     GUEST_DIR "/resolv.conf"

/*
 * The container's first process, in the container's view: process.args of the OCI config are this
 * path, what is declared, and then the command. It is the agent's own binary; it starts the command
 * as its child, because pid 1 of a pid namespace can neither be killed from inside nor by an
 * unhandled signal, and reports how the command started and ended. The agent puts it into
 * GUEST_ROOTFS.
 */
#define GUEST_JOB_INIT "/.lazaret/init"

/* With the number of an exec behind it: the name of the AppArmor profile of its container. */
#define GUEST_PROFILE "lazaret-exec-"

/*
 * Between GUEST_JOB_INIT and the command: what the plan declares, an option and a path each, and in
 * any case the end of it. With none declared nothing is refused beyond what always is.
 */
#define GUEST_DECLARED_READ  "--read"
#define GUEST_DECLARED_WRITE "--write"
#define GUEST_DECLARED_EXEC  "--exec"
#define GUEST_DECLARED_END   "--"

/*
 * As soon as one is declared, what nearly every program needs to start may be read and executed all
 * the same, where the image has it; nothing of it is the job's. First the folders of libraries and
 * the list of what is where in them; the dynamic loaders of glibc and musl, which the kernel
 * executes in the program's name; the devices, and the job's terminal, which may be written to,
 * too.
 */
#define GUEST_STARTING_READ                                                                        \
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"
#define GUEST_STARTING_EXEC "/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"
#define GUEST_STARTING_DEVICES                                                                     \
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/pts"

/*
 * The same program as a command in a container copies files for the host: GUEST_JOB_INIT
 * "--collect" PATH CAP writes a tree stream (tree.h) with one entry at its top to stdout, "--place"
 * PATH makes what it reads from stdin, "--place-in" PATH in a folder that is there. Its exit status
 * is the guest's word, like any other.
 */
enum guest_copy {
    GUEST_COPY_DONE = 0,
    GUEST_COPY_FAILED = 1,
    GUEST_COPY_NOT_FOUND = 2,
    GUEST_COPY_DENIED = 3, /* the user of the container may not */
    GUEST_COPY_OVER = 4,   /* larger than CAP, or too many entries */
    GUEST_COPY_FULL = 5,   /* no space */
    GUEST_COPY_NO_FOLDER = 6,
};

/* Container uid N is guest uid GUEST_ID_BASE + N, for N below GUEST_ID_COUNT. */
#define GUEST_ID_BASE  100000u
#define GUEST_ID_COUNT 65536u

/* Kernel command line: the host's words for the agent. An image's own arguments have none. */
#define GUEST_ARG_OURS "lazaret."

/*
 * "lazaret.verity=BLOCKS:START:SALT:ROOT" is how GUEST_DISK_ROOT is read, and nothing else is: the
 * number of its data blocks, the block where its hash tree starts (decimal), salt and root hash (64
 * lower-case hexadecimal digits each). dm-verity with SHA-256, hash type 1, no superblock. Without
 * it the agent does not bring the guest up.
 */
#define GUEST_ARG_VERITY   "lazaret.verity="
#define GUEST_VERITY_BLOCK 4096u /* bytes, of data and of hashes */

#endif
