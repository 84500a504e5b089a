/* live: the numbers of sandboxes that are up. See live.h. */
#include "cli/live.h"

#include "base/own.h"
#include "cli/cli.h"

#include <string.h>

static bool is_up(const struct doc *row)
{
    const char *state = cli_text(row, "state");

    return strcmp(cli_text(row, "kind"), "sandbox") == 0 &&
           (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0);
}

int live_stats(const char *data_dir, const struct doc *rows, const char *only, struct doc **ret,
               struct err *e)
{
    own_doc struct doc *list = doc_new_array();

    for (size_t i = 0; i < doc_len(rows); i++) {
        const struct doc *row = doc_at(rows, i);
        struct doc *d = NULL;

        if ((only && strcmp(cli_text(row, "id"), only) != 0) || !is_up(row) ||
            sandbox_counts(data_dir, cli_text(row, "id"), &d, &(struct err){0}) < 0)
            continue;
        doc_set_str(d, "state", cli_text(row, "state"));
        doc_set_str(d, "image", cli_text(row, "image"));
        doc_add(list, d);
    }
    if (only && doc_len(list) == 0) {
        struct doc *d = NULL;

        /* It says why. */
        if (sandbox_counts(data_dir, only, &d, e) < 0)
            return -1;
        doc_set_str(d, "state", "-");
        doc_set_str(d, "image", "-");
        doc_add(list, d);
    }
    *ret = own_steal_ptr(list);
    return 0;
}
