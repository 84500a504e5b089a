/* lazaret-agent: pid 1 of the guest; under the name GUEST_JOB_INIT, pid 1 of a container in it, or
 * a command there that copies files or tries what confines it. */
#include "agent/audit.h"
#include "agent/boot.h"
#include "agent/copy.h"
#include "agent/disks.h"
#include "agent/egress.h"
#include "agent/identity.h"
#include "agent/jobinit.h"
#include "agent/prefetch.h"
#include "agent/probe.h"
#include "agent/rights.h"
#include "agent/say.h"
#include "agent/sealed.h"
#include "agent/seed.h"
#include "agent/session.h"
#include "agent/wipe.h"
#include "shared/guest.h"
#include "shared/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int resync(const struct wire_hello *m, struct boot_fault *f)
{
    int rc = seed_apply(m);

    errno = -rc;
    return rc < 0 ? boot_fail(f, "set entropy and clock") : 0;
}

#define RUNTIME "/usr/bin/crun"

/* The copy is the one that runs; the file would only take memory. */
static int take_runtime(int *ret_fd, struct boot_fault *f)
{
    if (sealed_copy(RUNTIME, ret_fd, f) < 0)
        return -1;
    return unlink(RUNTIME) < 0 ? boot_fail(f, "remove '" RUNTIME "'") : 0;
}

static int park(struct boot_fault *f)
{
    (void)prefetch_read(GUEST_IMAGE);
    if (disks_park(f) < 0)
        return -1;
    wipe_free_memory();
    return 0;
}

static int arrive(const struct wire_hello *m, struct boot_fault *f)
{
    return disks_take(m, f) < 0 ? -1 : identity_apply(m, f);
}

int main(int argc, char *argv[])
{
    struct boot_fault fault = {.text = ""};
    struct egress egress = {.control = -1};
    struct session_config config = {
        .container = {.runtime_fd = -1,
                      .state = "/run/crun",
                      .cgroup = "/sys/fs/cgroup" GUEST_CGROUP},
        .secrets = {.dir = GUEST_SECRETS, .id_base = GUEST_ID_BASE, .own_filesystem = true},
        .run_dir = GUEST_DIR,
        .out_dir = GUEST_OUT,
        .scratch = GUEST_SCRATCH,
        .resync = resync,
        .park = park,
        .arrive = arrive,
        .egress = &egress,
    };
    int port, rc;

    if (argc > 0 && strcmp(argv[0], GUEST_JOB_INIT) == 0 && getpid() == 1)
        return jobinit_main(argv + 1);
    if (argc > 1 && strcmp(argv[0], GUEST_JOB_INIT) == 0 && strcmp(argv[1], PROBE_ALL) == 0)
        return probe_main(argv + 2);
    if (argc > 1 && strcmp(argv[0], GUEST_JOB_INIT) == 0 && strcmp(argv[1], PROBE_DECLARED) == 0)
        return probe_declared_main(argv + 2);
    if (argc > 0 && strcmp(argv[0], GUEST_JOB_INIT) == 0)
        return copy_main(argv + 1);
    if (getpid() != 1) {
        fprintf(stderr, "lazaret-agent: runs as init of a lazaret guest only\n");
        return 1;
    }
    if (boot_guest(&fault) < 0 || take_runtime(&config.container.runtime_fd, &fault) < 0) {
        say("bring-up failed: %s", fault.text);
        config.failed = fault.text;
    }
    port = boot_open_port();
    if (port < 0) {
        say("port '" WIRE_PORT_NAME "': %s", strerror(-port));
        power_off();
    }
    config.audit_fd = audit_open();
    if (config.audit_fd < 0)
        say("the kernel will not tell what jobs are refused: %s", strerror(errno));
    /* Where there is one, it is there with the other port: they are of one device. */
    if (!config.failed && (egress_start(&egress, &fault) < 0 || rights_drop(&fault) < 0)) {
        say("bring-up failed: %s", fault.text);
        config.failed = fault.text;
    }
    rc = session_run(port, &config);
    say("the session is over: %s", strerror(-rc));
    power_off();
}
