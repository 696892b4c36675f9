/* What unit tests share: cmocka with all that it needs before it, and what is expected of a call that may fail. */
#ifndef OKTASSO_UNIT_H
#define OKTASSO_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "oktasso/base.h"

/* The test's `pool` is meant. */
#define GOOD(call) do { oks_err_t *err_ = (call); if (err_) fail_msg("%s", oks_err_text(err_, pool)); } while (0)
#define REASON(call, wanted) do { oks_err_t *err_ = (call); assert_non_null(err_); \
    if (err_->reason != (wanted)) fail_msg("%s", oks_err_text(err_, pool)); } while (0)

#endif
