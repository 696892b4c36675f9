/* What a query asks to see, and in which order: three lines, attributes, excludedAttributes and sortBy. */
#include "fuzz.h"
#include "samples.h"

static json_t *user;

void fuzz_start(apr_pool_t *pool)
{
    user = sample_user(pool);
    json_object_set_new(user, "id", json_string("1"));
    json_object_set_new(user, "schemas", json_pack("[s]", OKS_SCIM_SCHEMA_USER));
}

/* Nothing comes to be by leaving things out. */
static bool is_part(const json_t *part, const json_t *whole)
{
    const char *key;
    json_t *each;
    size_t i;
    if (!json_is_object(part) && !json_is_array(part)) return json_equal(part, whole);
    json_object_foreach((json_t *)(uintptr_t)part, key, each)
        if (!is_part(each, json_object_get(whole, key))) return false;
    json_array_foreach((json_t *)(uintptr_t)part, i, each)
        if (!is_part(each, json_array_get(whole, i))) return false;
    return true;
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    json_t *shown = oks_json_own(json_deep_copy(user), pool);
    oks_span_t wanted = fuzz_line(&input), unwanted = fuzz_line(&input);
    oks_scim_project(shown, &oks_scim_user, wanted, unwanted, pool);
    HOLDS(json_object_get(shown, "id") && json_object_get(shown, "schemas") && is_part(shown, user));
    json_t *again = oks_json_own(json_deep_copy(shown), pool);
    oks_scim_project(again, &oks_scim_user, wanted, unwanted, pool);
    HOLDS(json_equal(shown, again));
    json_t *all = oks_json_own(json_pack("[O, O, O]", shown, user, shown), pool);
    if (oks_scim_sort(all, &oks_scim_user, input, input.len & 1, pool)) return false;
    HOLDS(json_array_size(all) == 3);
    json_t *kept, *few = oks_json_own(json_array(), pool), *each;
    size_t i;
    json_array_foreach(all, i, each) {
        HOLDS(!oks_scim_reduce(&kept, each, &oks_scim_user, input, pool) && oks_json_string(kept, "id"));
        json_array_append_new(few, kept);
    }
    HOLDS(!oks_scim_sort(few, &oks_scim_user, input, input.len & 1, pool));
    return !json_equal(shown, user);
}
