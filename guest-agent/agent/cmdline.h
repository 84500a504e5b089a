/* cmdline: the words of the kernel's command line that are meant for the agent. */
#ifndef LZ_AGENT_CMDLINE_H
#define LZ_AGENT_CMDLINE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Copies what follows `name` ("lazaret.owner=") in the one word of `line` that starts with it.
 * 0; -ENODATA without such a word; -EINVAL with two of them, or a value of `size` bytes or more.
 */
int cmdline_value(const char *line, const char *name, char *ret_value, size_t size);

/* The same, of /proc/cmdline. */
int cmdline_read(const char *name, char *ret_value, size_t size);

/*
 * Takes a decimal number of at most `max` from *p, which moves behind it. No sign, no space, no
 * leading zero. 0 or -EINVAL.
 */
int cmdline_take_number(const char **p, uint32_t max, uint32_t *ret);

#endif
