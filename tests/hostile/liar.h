/* liar: what its sources share. */
#ifndef LZ_TESTS_HOSTILE_LIAR_H
#define LZ_TESTS_HOSTILE_LIAR_H

#include <stddef.h>
#include <stdint.h>

/* Reads all of it. */
void liar_get(int fd, void *to, size_t len);
/* Of a port with this name; waits for it. */
int liar_open(const char *port_name);
/* Meets the host, takes its command for what it is, and says that it runs. Returns the port. */
int liar_start(void);

/* Lies that take many frames, all that the protocol takes of each kind. */
void liar_flood_of_events(void);
void liar_flood_of_tries(void);

#endif
