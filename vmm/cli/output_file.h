/* output_file: a file of the user's, whole or not at all. */
#ifndef LZ_CLI_OUTPUT_FILE_H
#define LZ_CLI_OUTPUT_FILE_H

#include "base/err.h"

#include <stddef.h>
#include <sys/types.h>

/* Puts the text where `path` is, also over a file that is there; a pipe or terminal is written to.
 */
int output_file(const char *path, const char *text, size_t len, mode_t mode, struct err *e);

#endif
