/* JSON from others: what is accepted is written, and reads as the same again. */
#include "fuzz.h"
#include "oktasso/json.h"

#define BYTES_MAX 65536

void fuzz_start(apr_pool_t *pool)
{
}

static int depth_of(const json_t *json)
{
    json_t *each;
    const char *key;
    size_t i;
    int deepest = 0, depth;
    json_array_foreach((json_t *)(uintptr_t)json, i, each)
        if ((depth = depth_of(each)) > deepest) deepest = depth;
    json_object_foreach((json_t *)(uintptr_t)json, key, each)
        if ((depth = depth_of(each)) > deepest) deepest = depth;
    return deepest + (json_is_array(json) || json_is_object(json));
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    json_t *object, *again;
    if (oks_json_parse(&object, input, BYTES_MAX, pool)) return false;
    HOLDS(json_is_object(object) && input.len <= BYTES_MAX && depth_of(object) <= OKS_JSON_DEPTH_MAX);
    const char *text = oks_json_text(json_incref(object), pool);
    HOLDS(text && !oks_json_parse(&again, oks_span_z(text), BYTES_MAX * 6, pool) && json_equal(object, again));
    return true;
}
