/* See expect.h. */
#include <apr_strings.h>

#include "expect.h"

oks_keypair_t *expect_key(const char *name, apr_pool_t *pool)
{
    oks_keypair_t *pair;
    oks_span_t pem = fuzz_vector(apr_pstrcat(pool, "saml/_keys/", name, ".pem", NULL), pool);
    FUZZ_GOOD(oks_keypair_parse(&pair, pem, pem, pool));
    return pair;
}

void expect_make(oks_saml_expect_t *expect, apr_pool_t *pool)
{
    static const char *const audiences[] = { "https://app.example.com/sso/okta/metadata/acme", "urn:old-name", NULL };
    oks_saml_idp_t *idp;
    *expect = (oks_saml_expect_t){ .audiences = audiences, .acs_url = "https://app.example.com/sso/okta/acs/acme",
                                   .request_id = "_00112233445566778899aabbccddeeff", .skew = apr_time_from_sec(120) };
    FUZZ_GOOD(oks_saml_init(pool));
    FUZZ_GOOD(oks_saml_metadata_parse(&idp, fuzz_vector("saml/metadata.xml", pool), pool));
    FUZZ_GOOD(oks_time_parse(&expect->now, oks_span_z("2026-01-15T12:00:00Z"), pool));
    apr_array_header_t *keys = apr_array_make(pool, 2, sizeof(oks_keypair_t *));
    APR_ARRAY_PUSH(keys, oks_keypair_t *) = expect_key("sp", pool);
    APR_ARRAY_PUSH(keys, oks_keypair_t *) = expect_key("sp-next", pool);
    expect->idp = idp;
    expect->keys = keys;
}

void expect_identity(const oks_identity_t *identity, const oks_saml_expect_t *expect)
{
    HOLDS(!strcmp(identity->protocol, "saml") && !strcmp(identity->issuer, expect->idp->entity_id));
    HOLDS(*identity->subject && oks_utf8_ok(oks_span_z(identity->subject)) && identity->subject_format);
    HOLDS(*identity->assertion_id && identity->claim_until > expect->now);
    HOLDS(!identity->in_response_to || !strcmp(identity->in_response_to, expect->request_id));
    HOLDS(!identity->session_not_on_or_after || identity->session_not_on_or_after > expect->now - expect->skew);
    for (int i = 0; i < identity->attributes->nelts; i++) {
        const oks_attribute_t *each = &APR_ARRAY_IDX(identity->attributes, i, oks_attribute_t);
        HOLDS(*each->name && oks_identity_attribute(identity, each->name) == each); /* one of each name */
        for (int k = 0; k < each->values->nelts; k++) HOLDS(oks_utf8_ok(oks_span_z(APR_ARRAY_IDX(each->values, k, const char *))));
    }
}
