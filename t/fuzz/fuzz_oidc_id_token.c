/* The claims of an ID token that is signed as it should be; and, where they say so, what userinfo adds: a second line. */
#include <apr_strings.h>

#include "mutate.h"
#include "oktasso/json.h"
#include "oktasso/oidc.h"
#include "signer.h"

#define NOW 1800000000
#define CLIENT "0oa1client"
#define NONCE "n-0S6_WzA2Mj"
#define ISSUER "https://acme.okta.com"

static signer_t signer;
static const oks_oidc_provider_t provider = { .issuer = ISSUER };
static oks_oidc_expect_t expect = { .provider = &provider, .client_id = CLIENT, .nonce = NONCE, .access_token = "the-access-token",
                                    .now = apr_time_from_sec(NOW), .skew = apr_time_from_sec(120) };

void fuzz_start(apr_pool_t *pool)
{
    signer_make(&signer, pool);
    expect.keys = signer.keys;
    expect.code = oks_span_z("the-code");
}

static bool names_us(const json_t *audience)
{
    size_t i;
    json_t *each;
    if (oks_span_eq_z(oks_span_z(CLIENT), json_string_value(audience))) return true;
    json_array_foreach((json_t *)(uintptr_t)audience, i, each)
        if (oks_span_eq_z(oks_span_z(CLIENT), json_string_value(each))) return true;
    return false;
}

/* OIDC Core 3.1.3.7, looked at once more in the plainest way. */
static void check_claims(const oks_identity_t *identity, oks_span_t text, apr_pool_t *pool)
{
    json_t *claims;
    HOLDS(!oks_json_parse(&claims, text, text.len, pool));
    HOLDS(!strcmp(oks_json_string(claims, "iss"), ISSUER) && !strcmp(oks_json_string(claims, "nonce"), NONCE));
    HOLDS(names_us(json_object_get(claims, "aud")) && json_number_value(json_object_get(claims, "exp")) > NOW - 121);
    const char *party = oks_json_string(claims, "azp");
    HOLDS(!party || !strcmp(party, CLIENT));
    HOLDS(*identity->subject && !strcmp(identity->subject, oks_json_string(claims, "sub")) && !strcmp(identity->issuer, ISSUER));
    HOLDS(identity->claim_until > expect.now && identity->attributes && *identity->assertion_id);
}

static void check_attributes(const oks_identity_t *identity)
{
    for (int i = 0; i < identity->attributes->nelts; i++) {
        const oks_attribute_t *each = &APR_ARRAY_IDX(identity->attributes, i, oks_attribute_t);
        HOLDS(oks_identity_attribute(identity, each->name) == each); /* one of each name */
        for (int k = 0; k < each->values->nelts; k++) HOLDS(oks_utf8_ok(oks_span_z(APR_ARRAY_IDX(each->values, k, const char *))));
    }
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    static const char header[] = "{\"alg\":\"EdDSA\",\"kid\":\"fuzz\"}";
    oks_identity_t *identity;
    oks_span_t claims = fuzz_line(&input);
    const char *token = signer_sign(&signer, oks_span_z(header), claims, pool);
    if (oks_oidc_id_token_verify(&identity, oks_span_z(token), &expect, pool)) return false;
    check_claims(identity, claims, pool);
    check_attributes(identity);
    const char *subject = apr_pstrdup(pool, identity->subject);
    if (!input.len) return true;
    const char *userinfo = signer_sign(&signer, oks_span_z(header), input, pool);
    bool plain = !oks_oidc_userinfo_merge(identity, 200, "application/json", input, &expect, pool);
    bool is_signed = !oks_oidc_userinfo_merge(identity, 200, "application/jwt", oks_span_z(userinfo), &expect, pool);
    HOLDS(plain || !is_signed); /* a signature asks for more, never for less */
    HOLDS(!strcmp(identity->subject, subject));
    check_attributes(identity);
    return plain;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_json(data, size, max, seed);
}
