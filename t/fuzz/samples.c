/* See samples.h. */
#include "fuzz.h"
#include "samples.h"

static const char user[] =
    "{\"userName\":\"bjensen@acme.com\",\"externalId\":\"00u1\",\"active\":true,\"displayName\":\"Babs Jensen\","
    "\"name\":{\"givenName\":\"Barbara\",\"familyName\":\"Jensen\"},\"roles\":[{\"value\":\"admin\"}],"
    "\"emails\":[{\"value\":\"bjensen@acme.com\",\"type\":\"work\",\"primary\":true},"
    "{\"value\":\"babs@jensen.org\",\"type\":\"home\"},{\"value\":\"b@acme.com\",\"type\":\"work\"}],"
    "\"phoneNumbers\":[{\"value\":\"555-5555\",\"type\":\"work\"}],"
    "\"addresses\":[{\"type\":\"work\",\"locality\":\"K\xc3\xb6ln\"}],"
    "\"" OKS_SCIM_SCHEMA_ENTERPRISE "\":{\"department\":\"Sales\",\"manager\":{\"value\":\"00u2\"}}}";
static const char group[] = "{\"displayName\":\"Sales\",\"externalId\":\"00g1\"}";

static json_t *stored(const char *text, const oks_scim_kind_t *kind, apr_pool_t *pool)
{
    json_t *json, *resource;
    FUZZ_GOOD(oks_json_parse(&json, oks_span_z(text), strlen(text), pool));
    FUZZ_GOOD(oks_scim_read(&resource, kind, json, pool));
    return resource;
}

json_t *sample_user(apr_pool_t *pool)
{
    return stored(user, &oks_scim_user, pool);
}

json_t *sample_group(apr_pool_t *pool)
{
    return stored(group, &oks_scim_group, pool);
}

void sample_reads_again(json_t *resource, const oks_scim_kind_t *kind, apr_pool_t *pool)
{
    json_t *again, *parsed;
    const char *text = oks_json_text(json_incref(resource), pool);
    HOLDS(text && !oks_json_parse(&parsed, oks_span_z(text), strlen(text), pool));
    HOLDS(!oks_scim_read(&again, kind, parsed, pool) && json_equal(again, resource));
}
