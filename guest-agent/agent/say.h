/* say: the agent's words to the console, and the end of the guest. */
#ifndef LZ_AGENT_SAY_H
#define LZ_AGENT_SAY_H

/* One line to stderr (the console), with the prefix "lazaret-agent: ". */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Syncs and powers the guest off. PID 1 must not return, so this does not. */
_Noreturn void power_off(void);

#endif
