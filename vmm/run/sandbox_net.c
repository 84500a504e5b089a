/* sandbox: its rules of the network, as its keeper is asked to change them. See sandbox.h. */
#include "run/sandbox_private.h"

#include "base/own.h"

#include <string.h>
#include <sys/socket.h>

#define ANSWER_S 30

static int ask(const char *data_dir, const char *name, const struct talk_request *r, const int *fds,
               size_t n_fds, struct err *e)
{
    const struct timeval patience = {.tv_sec = ANSWER_S};
    own_close int fd = -1;
    struct talk_answer a;

    if (sandbox_reach(data_dir, name, &fd, e) < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        talk_ask(fd, r, fds, n_fds, e) < 0 || talk_hear(fd, true, &a) != 1 || a.said != TALK_DONE)
        return sandbox_say_gone(name, e);
    if (a.result.err.class == ERR_NONE)
        return 0;
    *e = a.result.err;
    return -1;
}

int sandbox_change_network(const char *data_dir, const char *name, const struct net_rules *allow,
                           const struct strv *deny, struct secrets *secrets, struct err *e)
{
    own_strv struct strv texts = {0};
    int fds[TALK_FD_GATEWAY + WIRE_SECRETS_MAX], rc;
    own_close int words = -1;
    const struct talk_request r = {.version = TALK_VERSION,
                                   .what = TALK_NETWORK,
                                   .n_args = (uint32_t)allow->n,
                                   .n_env = (uint32_t)deny->n,
                                   .n_secrets = (uint32_t)secrets->files.n};

    for (size_t i = 0; i < allow->n; i++) {
        own_free char *text = net_rule_text(&allow->items[i]);

        strv_add(&texts, text);
    }
    if (talk_pack(&(struct talk_words){.argv = &texts, .env = deny, .secrets = &secrets->files},
                  &words, e) < 0)
        return -1;
    fds[TALK_FD_ARGS] = words;
    memcpy(fds + TALK_FD_GATEWAY, secrets->fds, secrets->n_fds * sizeof(int));
    rc = ask(data_dir, name, &r, fds, TALK_FD_GATEWAY + secrets->n_fds, e);
    secrets_close(secrets);
    return rc;
}
