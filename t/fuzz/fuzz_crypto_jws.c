/* A compact JWS: as it comes, against the keys of t/vectors/oidc.json; or, where the input begins with "{", its first line as the
 * header and the rest as the payload of a token that is signed here. */
#include <apr_hash.h>
#include <apr_strings.h>

#include "oktasso/json.h"
#include "signer.h"

static signer_t signer;
static oks_jwks_t *keys;
static apr_hash_t *genuine; /* "header.payload" of every token of the vectors */
static json_t *vectors;

void fuzz_start(apr_pool_t *pool)
{
    json_t *each;
    size_t i;
    oks_span_t text = fuzz_vector("oidc.json", pool);
    signer_make(&signer, pool);
    vectors = oks_json_own(json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, NULL), pool);
    HOLDS(vectors);
    FUZZ_GOOD(oks_jwks_parse(&keys, oks_span_z(oks_json_string(vectors, "jwks")), pool));
    genuine = apr_hash_make(pool);
    json_array_foreach(json_object_get(vectors, "cases"), i, each) {
        const char *token = oks_json_string(each, "token"), *end = token ? strrchr(token, '.') : NULL;
        if (end) apr_hash_set(genuine, token, end - token, token);
    }
    HOLDS(apr_hash_count(genuine) > 50);
}

/* Nobody here has the keys: what is accepted was signed when the vectors were written. */
static bool as_it_comes(oks_span_t token, apr_pool_t *pool)
{
    oks_span_t payload, bytes;
    const char *digest;
    if (oks_jws_verify(&payload, &digest, token, keys, 0, NULL, pool)) return false;
    const char *end = memrchr(token.ptr, '.', token.len), *middle = memchr(token.ptr, '.', token.len);
    HOLDS(apr_hash_get(genuine, token.ptr, end - token.ptr));
    HOLDS(!oks_base64url_decode(&bytes, oks_span(middle + 1, (apr_size_t)(end - middle - 1)), pool) && oks_span_eq(bytes, payload));
    return true;
}

static bool with_header(oks_span_t rest, apr_pool_t *pool)
{
    static const char *const refused[] = { "jku", "jwk", "x5u", "x5c", "crit", "b64", "enc", "zip" };
    oks_span_t payload, header = fuzz_line(&rest);
    json_t *json;
    const char *token = signer_sign(&signer, header, rest, pool);
    if (oks_jws_verify(&payload, NULL, oks_span_z(token), signer.keys, 0, NULL, pool)) return false;
    HOLDS(oks_span_eq(payload, rest) && !oks_json_parse(&json, header, header.len, pool));
    HOLDS(oks_span_eq_z(oks_span_z("EdDSA"), oks_json_string(json, "alg")));
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) HOLDS(!json_object_get(json, refused[i]));
    HOLDS(oks_jws_verify(&payload, NULL, oks_span_z(token), signer.keys, OKS_JWS_RS256, NULL, pool));
    HOLDS(oks_jws_verify(&payload, NULL, oks_span_z(token), keys, 0, NULL, pool)); /* another one's keys */
    return true;
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    return input.len && input.ptr[0] == '{' ? with_header(input, pool) : as_it_comes(input, pool);
}
