/*
 * declared: what a job may read, write and execute, held by Landlock on the process that starts it.
 *
 * How it works
 *   The host writes the plan's declared paths in front of the command, into the container's
 *   arguments: GUEST_DECLARED_READ PATH and the like, any number, then GUEST_DECLARED_END. As soon
 *   as there is one of them, what is below none of them is refused, but for what starting needs:
 *   shared/guest.h lists it. Landlock holds for the process and all that it starts, and is never
 * taken back. Names, sizes and modes of files are not what it hides.
 *
 *   A path is looked up once, here. Links are followed only where the whole way stays on the
 *   image's own root: one that a job could have made, in /work, leads nowhere.
 *
 * Must: fail where the kernel cannot hold what the plan promised.
 */
#ifndef LZ_AGENT_DECLARED_H
#define LZ_AGENT_DECLARED_H

#include <stdbool.h>
#include <stddef.h>

#define DECLARED_TEXT_MAX 200

/* Returns the command behind the options, or NULL: they are not as the host writes them. */
char **declared_command(char **args);
bool declared_is_any(char *const args[]);

/* Confines this process. `program` is the command's file or NULL: may be executed too. 0, or
 * -errno and in *ret_text what is wrong. */
int declared_apply(char *const args[], const char *program, char ret_text[DECLARED_TEXT_MAX]);

#endif
