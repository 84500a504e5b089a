/* jobinit: the container's first process: starts the command as its child and reports on it. */
#ifndef LZ_AGENT_JOBINIT_H
#define LZ_AGENT_JOBINIT_H

/* `argv`: the command, NULL-terminated. Returns the exit status of the process. */
int jobinit_main(char *const argv[]);

#endif
