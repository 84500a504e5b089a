/* facts: what confines a job and only the guest's root can read. See facts.h. */
#include "agent/facts.h"

#include "agent/sysctls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void facts_take(const struct container_paths *p, unsigned exec, char ret_text[LINK_TEXT_MAX])
{
    struct sysctls_found s;

    sysctls_check(true, &s);
    (void)snprintf(ret_text, LINK_TEXT_MAX,
                   "memory=%" PRIu64 " swap=%" PRIu64 " pids=%" PRIu64 " weight=%" PRIu64
                   " settings=%u wrong=%.60s%s%.30s",
                   container_limit(p, exec, "/memory.max"),
                   container_limit(p, exec, "/memory.swap.max"),
                   container_limit(p, exec, "/pids.max"), container_weight(p), s.set,
                   s.wrong ? s.wrong : "", s.wrong ? ":" : "", s.wrong ? s.value : "");
}

/* "KEY=NUMBER " at *at, which moves behind it. */
static bool take(const char **at, const char *key, uint64_t *ret)
{
    size_t len = strlen(key);
    char *end;

    if (strncmp(*at, key, len) != 0 || (*at)[len] < '0' || (*at)[len] > '9')
        return false;
    *ret = strtoull(*at + len, &end, 10);
    *at = end + 1;
    return *end == ' ';
}

bool facts_parse(const char *text, struct facts *ret)
{
    static const char wrong[] = "wrong=";

    *ret = (struct facts){0};
    if (!take(&text, "memory=", &ret->memory_bytes) || !take(&text, "swap=", &ret->swap_bytes) ||
        !take(&text, "pids=", &ret->pids) || !take(&text, "weight=", &ret->cpu_weight) ||
        !take(&text, "settings=", &ret->settings) || strncmp(text, wrong, strlen(wrong)) != 0)
        return false;
    (void)snprintf(ret->wrong, sizeof(ret->wrong), "%s", text + strlen(wrong));
    return true;
}
