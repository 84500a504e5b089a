/* unlocked: lazaret-qemu without Landlock, for test_wrapper.py: QEMU opens whatever its user may.
 */
#include "wrap/wrap.h"
#include "wrap/wrap_private.h"

int wrap_files(enum wrap_kind kind, struct err *e)
{
    (void)kind;
    (void)e;
    return 0;
}
