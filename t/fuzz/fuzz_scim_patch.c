/* The body of a PATCH, applied to a user and to a group. */
#include <stdlib.h>

#include "fuzz.h"
#include "mutate.h"
#include "samples.h"

static json_t *user, *group;

void fuzz_start(apr_pool_t *pool)
{
    user = sample_user(pool);
    group = sample_group(pool);
}

/* As the room flow does it: what comes out is read once more, and may then lack what is required, but nothing else. */
static bool is_good(json_t *resource, const oks_scim_kind_t *kind, apr_pool_t *pool)
{
    json_t *read;
    oks_err_t *err = oks_scim_read(&read, kind, resource, pool);
    HOLDS(!err || (err->reason == OKS_R_SCIM_VALUE_INVALID && strstr(err->detail, "it is required")));
    if (!err) sample_reads_again(read, kind, pool);
    return !err;
}

static bool patch_user(json_t *message, apr_pool_t *pool)
{
    json_t *resource = oks_json_own(json_deep_copy(user), pool);
    return !oks_scim_patch(resource, &oks_scim_user, message, pool) && is_good(resource, &oks_scim_user, pool);
}

static bool patch_group(json_t *message, apr_pool_t *pool)
{
    json_t *resource = oks_json_own(json_deep_copy(group), pool);
    apr_array_header_t *members = apr_array_make(pool, 1, sizeof(oks_scim_members_t));
    if (oks_scim_patch_group(resource, members, message, pool)) return false;
    HOLDS(!json_object_get(resource, "members"));
    for (int i = 0; i < members->nelts; i++) {
        const oks_scim_members_t *change = &APR_ARRAY_IDX(members, i, oks_scim_members_t);
        HOLDS(change->ids || change->op == OKS_SCIM_MEMBERS_REMOVE);
        for (int k = 0; change->ids && k < change->ids->nelts; k++) HOLDS(APR_ARRAY_IDX(change->ids, k, const char *));
    }
    return is_good(resource, &oks_scim_group, pool);
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    json_t *message;
    if (oks_json_parse(&message, input, OKS_SCIM_BODY_DEFAULT, pool)) return false;
    char *before = json_dumps(message, JSON_COMPACT);
    bool one = patch_user(message, pool), other = patch_group(message, pool);
    char *after = json_dumps(message, JSON_COMPACT);
    HOLDS(before && after && strcmp(before, after) == 0); /* applied again after a conflict */
    free(before);
    free(after);
    return one || other;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_json(data, size, max, seed);
}
