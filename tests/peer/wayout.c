/*
 * wayout: the guest's net process and the agent's side of it, with no guest around. The
 * argument is the number of the port's descriptor; the network namespace that it runs in is every
 * job's. Takes "serve N" and "forget N" on stdin, says "ok" or why not, and ends with it.
 */
#include "agent/egress.h"
#include "agent/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
    struct egress e;
    char line[32];
    int network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int port = argc == 2 ? (int)strtol(argv[1], NULL, 10) : -1, pair[2], status = 0;
    pid_t pid;

    if (fcntl(port, F_SETFL, O_NONBLOCK) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return 1;
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        close(pair[0]);
        _exit(-proxy_run(port, pair[1]));
    }
    close(pair[1]);
    close(port);
    e.control = pair[0];
    while (pid > 0 && fgets(line, sizeof(line), stdin)) {
        const char *number = strchr(line, ' ');
        unsigned exec = number ? (unsigned)strtoul(number, NULL, 10) : 0;
        int rc = 0;

        if (strncmp(line, "serve ", 6) == 0)
            rc = egress_serve(&e, exec, network);
        else
            egress_forget(&e, exec);
        printf("%s\n", rc < 0 ? strerror(-rc) : "ok");
        fflush(stdout);
    }
    close(e.control);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}
