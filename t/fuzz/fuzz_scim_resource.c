/* The body of a POST or PUT: read once, it is in its canonical form, and reads as itself. */
#include "fuzz.h"
#include "mutate.h"
#include "samples.h"

void fuzz_start(apr_pool_t *pool)
{
}

static bool read_as(const oks_scim_kind_t *kind, json_t *body, apr_pool_t *pool)
{
    json_t *resource;
    if (oks_scim_read(&resource, kind, body, pool)) return false;
    HOLDS(!json_object_get(resource, "password") && !json_object_get(resource, "id") && !json_object_get(resource, "meta"));
    sample_reads_again(resource, kind, pool);
    return true;
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    json_t *body;
    if (oks_json_parse(&body, input, OKS_SCIM_BODY_DEFAULT, pool)) return false;
    bool user = read_as(&oks_scim_user, body, pool), group = read_as(&oks_scim_group, body, pool);
    return user || group;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_json(data, size, max, seed);
}
