/*
 * copy: the agent's binary as a command in a container, for `lazaret cp`: a file or folder to
 * stdout, or from stdin, as a tree stream (shared/tree.h).
 *
 *     GUEST_JOB_INIT --collect PATH CAP     GUEST_JOB_INIT --place PATH
 *
 * It runs as the user of the container and can do what they can. Its status is enum guest_copy.
 */
#ifndef LZ_AGENT_COPY_H
#define LZ_AGENT_COPY_H

/* `argv`: the arguments behind the program's name, NULL-terminated. Returns the exit status. */
int copy_main(char *const argv[]);

#endif
