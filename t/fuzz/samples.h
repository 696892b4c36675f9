/* A user and a group as they are stored. */
#ifndef OKTASSO_FUZZ_SAMPLES_H
#define OKTASSO_FUZZ_SAMPLES_H

#include "oktasso/scim.h"

json_t *sample_user(apr_pool_t *pool);
json_t *sample_group(apr_pool_t *pool);
/* A resource reads as itself: nothing is lost, and nothing is refused the second time. */
void sample_reads_again(json_t *resource, const oks_scim_kind_t *kind, apr_pool_t *pool);

#endif
