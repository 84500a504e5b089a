/*
 * probe: the agent's binary as a command in a container, for `lazaret prove`: what confines a job,
 * tried from inside (shared/probe.h).
 *
 * Must: change nothing outside its own container, and leave no file and no process there.
 */
#ifndef LZ_AGENT_PROBE_H
#define LZ_AGENT_PROBE_H

/* `argv`: the arguments behind PROBE_ALL, NULL-terminated. Returns the exit status. */
int probe_main(char *const argv[]);
/* `argv`: N, and behind it what is declared. */
int probe_declared_main(char *const argv[]);

#endif
