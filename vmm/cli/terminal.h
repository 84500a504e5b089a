/*
 * terminal: raw mode of the user's terminal for `run -t`, always undone.
 */
#ifndef LZ_CLI_TERMINAL_H
#define LZ_CLI_TERMINAL_H

#include <stdint.h>

/* Size of the terminal on `fd`; 24 by 80 if it is none. */
void terminal_size(int fd, uint16_t *ret_rows, uint16_t *ret_cols);
/* Raw mode, again if it was lost meanwhile. Undone by terminal_restore(), exit() and fatal signals.
 */
void terminal_raw(int fd);
void terminal_restore(void);

/* For whoever runs a job (struct run_config); `arg` is a bool *: is stdin to be raw meanwhile? */
void terminal_on_started(void *arg);
void terminal_on_resize(void *arg, uint16_t *ret_rows, uint16_t *ret_cols);
void terminal_on_ended(void *arg);

#endif
