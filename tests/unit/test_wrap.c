/* test_wrap: promises of vmm/wrap that need no guest; tests/e2e/test_wrapper.py has those that do.
 */
#include "base/landlock.h"
#include "base/own.h"
#include "base/spawn.h"
#include "tests/unit/suite.h"
#include "wrap/wrap.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>

/* From here on the kernel is one without Landlock, for what we execute too. */
static void lose_landlock(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

    ck_assert_int_eq(
        seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(landlock_create_ruleset), 0), 0);
    ck_assert_int_eq(seccomp_load(ctx), 0);
    seccomp_release(ctx);
}

static const struct wrap_layer *layer(const struct wrap_layer *all, const char *name)
{
    for (size_t i = 0; i < WRAP_LAYERS; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    ck_abort_msg("there is no layer '%s'", name);
    return NULL;
}

START_TEST(a_kernel_without_landlock_is_said)
{
    struct wrap_layer l[WRAP_LAYERS];

    wrap_look(NULL, l);
    ck_assert_int_eq(layer(l, "landlock")->holds, landlock_abi() > 0);
    ck_assert(layer(l, "calls")->holds);
    lose_landlock();
    wrap_look(NULL, l);
    ck_assert(!layer(l, "landlock")->holds);
    ck_assert_ptr_nonnull(strstr(layer(l, "landlock")->text, "no Landlock"));
    ck_assert(layer(l, "calls")->holds);
}
END_TEST

START_TEST(with_a_daemon_no_layer_is_claimed)
{
    struct wrap_layer l[WRAP_LAYERS];

    wrap_look("qemu:///session", l);
    for (size_t i = 0; i < WRAP_LAYERS; i++) /* but what is in the guest */
        ck_assert_msg(!l[i].holds || strcmp(l[i].name, "apparmor") == 0, "%s", l[i].name);
}
END_TEST

static void check_becomes_qemu(void)
{
    const char *const argv[] = {WRAP_PATH, "--version", NULL};
    own_free char *out = NULL;
    struct err e;

    ck_assert_msg(spawn_tool(&(struct spawn){.argv = argv, .stdio = {SPAWN_NULL}}, NULL, 15000,
                             &out, &e) == 0,
                  "%s", e.text);
    ck_assert_msg(strstr(out, "QEMU emulator version") != NULL, "%s", out);
}

START_TEST(becomes_qemu_with_landlock_and_without)
{
    check_becomes_qemu();
    lose_landlock();
    check_becomes_qemu();
}
END_TEST

SUITE("wrap", a_kernel_without_landlock_is_said, with_a_daemon_no_layer_is_claimed,
      becomes_qemu_with_landlock_and_without)
