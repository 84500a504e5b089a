/* sandbox_private: between the sources of sandbox only. */
#ifndef LZ_RUN_SANDBOX_PRIVATE_H
#define LZ_RUN_SANDBOX_PRIVATE_H

#include "run/sandbox.h"
#include "run/talk.h"

/* Connects to the keeper of one that is up. */
int sandbox_reach(const char *data_dir, const char *name, int *ret_fd, struct err *e);
/* The connection ended, or what came was no answer. */
int sandbox_say_gone(const char *name, struct err *e);

/* Holds the supervisor's process, or returns -1: the folder's lock said a moment ago that it lives.
 */
int sandbox_hold_supervisor(int folder_fd);

#define SANDBOX_ANSWER_S 30 /* for what libvirt has to do */

/* One request without a job, and its answer within so many seconds. */
int sandbox_ask(const char *data_dir, const char *name, struct talk_request *r, unsigned patience_s,
                struct talk_answer *ret, struct err *e);

/* The same, with fds that go with it, and those that come with the answer; -1 where none does. */
int sandbox_ask_fds(const char *data_dir, const char *name, struct talk_request *r, const int *give,
                    size_t n_give, unsigned patience_s, struct talk_answer *ret,
                    int fds[TALK_GIVEN_MAX], struct err *e);

#endif
