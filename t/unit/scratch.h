/* What tests with a directory start from: a pool, and a folder that goes again, with a real SQLite file in it. Included by one file of
 * a program, which has these to itself. */
#ifndef OKS_SCRATCH_H
#define OKS_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "oktasso/directory.h"

#define REASON(call, wanted) do { oks_err_t *err_ = (call); assert_non_null(err_); if (err_->reason != (wanted)) \
    fail_msg("%s", oks_err_text(err_, pool)); } while (0)
#define GOOD(call) do { oks_err_t *err_ = (call); if (err_) fail_msg("%s", oks_err_text(err_, pool)); } while (0)

static apr_pool_t *pool;
static char folder[] = "/tmp/oktasso-unit-XXXXXX";
static const char *spec; /* of `directory`, for others of the same database */
static oks_counters_t *counters;
static oks_directory_t *directory;

static int scratch_set_up(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (!mkdtemp(folder)) return -1;
    counters = apr_pcalloc(pool, sizeof *counters);
    spec = apr_pstrcat(pool, "sqlite3:", folder, "/directory.db", NULL);
    if (oks_directory_open(&directory, spec, 4, counters, pool)) return -1;
    return oks_directory_migrate(directory, pool) ? -1 : 0;
}

static int scratch_tear_down(void **state)
{
    int status = system(apr_pstrcat(pool, "rm -rf ", folder, NULL));
    apr_pool_destroy(pool);
    apr_terminate();
    return status;
}

#endif
