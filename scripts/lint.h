/*
 * lint.h: tells the analysers what they cannot see from one file: setting an error returns -1.
 *
 * scripts/lint includes it in front of every file but err.c; the build never does.
 */
#include "base/err.h"

#define err_set(...)                                                                               \
    __extension__({                                                                                \
        (void)err_set(__VA_ARGS__);                                                                \
        -1;                                                                                        \
    })
#define err_sys(...)                                                                               \
    __extension__({                                                                                \
        (void)err_sys(__VA_ARGS__);                                                                \
        -1;                                                                                        \
    })
#define err_wrap(...)                                                                              \
    __extension__({                                                                                \
        (void)err_wrap(__VA_ARGS__);                                                               \
        -1;                                                                                        \
    })
