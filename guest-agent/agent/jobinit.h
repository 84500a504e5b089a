/* jobinit: the container's first process: starts the command as its child and reports on it. */
#ifndef LZ_AGENT_JOBINIT_H
#define LZ_AGENT_JOBINIT_H

/* `args`: what is declared, and the command (shared/guest.h). Returns the process's exit status. */
int jobinit_main(char *args[]);

#endif
