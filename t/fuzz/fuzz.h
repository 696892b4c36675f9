/* What each fuzz target has: one function that judges an input, and properties that must hold whatever the input is. */
#ifndef OKTASSO_FUZZ_H
#define OKTASSO_FUZZ_H

#include <string.h>

#include "oktasso/base.h"

/* The target's own. Gives one input to the parser under test; true: it was accepted. `pool` is cleared afterwards. */
bool fuzz_one(oks_span_t input, apr_pool_t *pool);
/* The target's own too, before the first input. What it makes in `pool` stays. */
void fuzz_start(apr_pool_t *pool);

extern unsigned long fuzz_seen, fuzz_accepted; /* inputs so far */

/* A property; when it does not hold, the input is a finding. */
#define HOLDS(condition) ((condition) ? (void)0 : fuzz_violated(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_violated(const char *file, int line, const char *condition);

/* A file of t/vectors. */
oks_span_t fuzz_vector(const char *path, apr_pool_t *pool);
/* The first line of `rest` is cut off. */
oks_span_t fuzz_line(oks_span_t *rest);
/* An endpoint that was accepted, or NULL: https, or of this machine. */
void fuzz_endpoint(const char *url, apr_pool_t *pool);
/* What must not fail: the target's own preparations. */
#define FUZZ_GOOD(call) fuzz_good((call), __FILE__, __LINE__)
void fuzz_good(const oks_err_t *err, const char *file, int line);

#endif
