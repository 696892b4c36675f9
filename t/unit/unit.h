/* What unit tests share: cmocka with all that it needs before it, and what is expected of a call that may fail. */
#ifndef OKTASSO_UNIT_H
#define OKTASSO_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_strings.h>

#include "oktasso/base.h"

#define VECTOR_MAX (512 * 1024)

/* The text of t/vectors/PATH, in `into`; for any thread. */
static inline const char *read_vector(const char *path, apr_pool_t *into)
{
    FILE *file = fopen(apr_pstrcat(into, OKS_SOURCE_DIR "/t/vectors/", path, NULL), "rb");
    char *text = apr_pcalloc(into, VECTOR_MAX);
    if (!file || !fread(text, 1, VECTOR_MAX - 1, file)) abort();
    fclose(file);
    return text;
}

/* The test's `pool` is meant. */
#define GOOD(call) do { oks_err_t *err_ = (call); if (err_) fail_msg("%s", oks_err_text(err_, pool)); } while (0)
#define REASON(call, wanted) do { oks_err_t *err_ = (call); assert_non_null(err_); \
    if (err_->reason != (wanted)) fail_msg("%s", oks_err_text(err_, pool)); } while (0)

#endif
