/* sandbox: its rules of the network, as its keeper is asked to change them. See sandbox.h. */
#include "run/sandbox_private.h"

#include "base/own.h"

#include <string.h>

int sandbox_change_network(const char *data_dir, const char *name, const struct net_rules *allow,
                           const struct strv *deny, struct secrets *secrets, struct err *e)
{
    own_strv struct strv texts = {0};
    int fds[TALK_FD_GATEWAY + WIRE_SECRETS_MAX], given[TALK_GIVEN_MAX], rc;
    struct talk_answer a;
    own_close int words = -1;
    struct talk_request r = {.what = TALK_NETWORK,
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
    rc = sandbox_ask_fds(data_dir, name, &r, fds, TALK_FD_GATEWAY + secrets->n_fds,
                         SANDBOX_ANSWER_S, &a, given, e);
    for (size_t i = 0; rc == 0 && i < TALK_GIVEN_MAX; i++)
        own_close_p(&given[i]);
    secrets_close(secrets);
    return rc;
}
