/* A pending login costs the server nothing: it travels in RelayState or state, sealed, bound to one browser. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define STATE_VERSION 5 /* of SAML; */
#define STATE_VERSION_OIDC 6 /* has the secret as well */
#define STATE_FIXED (1 + 1 + 8 + 16 + 16 + OKS_ID_LEN)
#define BINDING_BYTES 32
#define BINDING_TEXT 43 /* BINDING_BYTES in base64url */

static const oks_id_t no_session; /* ids are random: none is all zeros */

static oks_span_t state_aad(const oks_flow_t *flow, const oks_org_t *org, apr_pool_t *pool)
{
    return oks_span_z(apr_pstrcat(pool, "state\n", org->name, "\n", flow->vhost, NULL));
}

const char *oks_state_request_id(const oks_state_t *state, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "_", oks_hex_encode(oks_span((const char *)state->request, sizeof state->request), pool),
                       NULL);
}

const char *oks_state_verifier(const oks_state_t *state, apr_pool_t *pool)
{
    return oks_base64url_encode(oks_span((const char *)state->secret, sizeof state->secret), pool);
}

oks_err_t *oks_state_seal(const char **text, const oks_flow_t *flow, const oks_org_t *org, const oks_state_t *state,
                          apr_pool_t *pool)
{
    apr_size_t path_len = strlen(state->return_path);
    unsigned char *plain = apr_palloc(pool, STATE_FIXED + sizeof state->secret + OKS_DEMAND_PLAIN_MAX + path_len), *p = plain;
    uint64_t expires = (uint64_t)apr_time_sec(state->expires);
    *p++ = state->oidc ? STATE_VERSION_OIDC : STATE_VERSION;
    *p++ = (unsigned char)state->restarts;
    for (int shift = 56; shift >= 0; shift -= 8) *p++ = (unsigned char)(expires >> shift);
    memcpy(p, state->request, 16), p += 16;
    memcpy(p, state->binding, 16), p += 16;
    memcpy(p, state->replaces ? state->replaces : &no_session, OKS_ID_LEN), p += OKS_ID_LEN;
    if (state->oidc) memcpy(p, state->secret, sizeof state->secret), p += sizeof state->secret;
    p += oks_demand_encode(p, &state->demand);
    memcpy(p, state->return_path, path_len), p += path_len;
    return oks_seal(text, flow->keys, state_aad(flow, org, pool), oks_span((char *)plain, (apr_size_t)(p - plain)), pool);
}

oks_err_t *oks_state_unseal(oks_state_t **state, const oks_flow_t *flow, const oks_org_t *org, oks_span_t text,
                            apr_pool_t *pool)
{
    oks_span_t plain;
    OKS_TRY(oks_unseal(&plain, flow->keys, state_aad(flow, org, pool), text, pool));
    oks_state_t *s = apr_pcalloc(pool, sizeof *s);
    const unsigned char *p = (const unsigned char *)plain.ptr;
    uint64_t expires = 0;
    s->oidc = plain.len && *p == STATE_VERSION_OIDC;
    apr_size_t fixed = STATE_FIXED + (s->oidc ? sizeof s->secret : 0);
    if (plain.len <= fixed || (!s->oidc && *p != STATE_VERSION))
        return oks_err(pool, OKS_R_CRYPTO_SEAL_BROKEN, "a state of another version");
    s->restarts = *++p;
    for (int i = 0; i < 8; i++) expires = expires << 8 | *++p;
    s->expires = apr_time_from_sec((apr_time_t)expires);
    memcpy(s->request, ++p, 16), p += 16;
    memcpy(s->binding, p, 16), p += 16;
    if (memcmp(p, &no_session, OKS_ID_LEN) != 0) s->replaces = apr_pmemdup(pool, p, OKS_ID_LEN);
    p += OKS_ID_LEN;
    if (s->oidc) memcpy(s->secret, p, sizeof s->secret);
    oks_span_t rest = oks_span(plain.ptr + fixed, plain.len - fixed);
    apr_size_t len = oks_demand_decode(&s->demand, rest, pool);
    if (!len || len == rest.len) return oks_err(pool, OKS_R_CRYPTO_SEAL_BROKEN, "a state of another version");
    s->return_path = oks_span_dup(oks_span(rest.ptr + len, rest.len - len), pool);
    *state = s;
    return NULL;
}

static void hash_binding(unsigned char out[16], oks_span_t cookie)
{
    unsigned char digest[OKS_SHA256_LEN];
    oks_sha256(digest, cookie);
    memcpy(out, digest, 16);
}

static bool read_binding(unsigned char out[16], const oks_request_t *request, apr_pool_t *pool)
{
    oks_span_t cookie;
    if (!oks_cookie_get(&cookie, request->cookies, oks_flow_cookie_name(request->tls, "binding", pool))) return false;
    if (cookie.len != BINDING_TEXT) return false;
    hash_binding(out, cookie);
    return true;
}

oks_err_t *oks_state_bind(oks_state_t *state, oks_answer_t *answer, const oks_request_t *request, apr_pool_t *pool)
{
    unsigned char fresh[BINDING_BYTES];
    if (read_binding(state->binding, request, pool)) return NULL;
    OKS_TRY(oks_random_bytes(fresh, sizeof fresh, pool));
    const char *value = oks_base64url_encode(oks_span((char *)fresh, sizeof fresh), pool);
    hash_binding(state->binding, oks_span_z(value));
    /* SameSite=None, so that the identity provider's cross-site POST brings it back. */
    oks_flow_set_cookie(answer, oks_flow_cookie(request, oks_flow_cookie_name(request->tls, "binding", pool), value,
                                                OKS_SAME_SITE_NONE, -1, pool));
    return NULL;
}

oks_err_t *oks_state_check(const oks_state_t *state, const oks_request_t *request, apr_pool_t *pool)
{
    unsigned char binding[16];
    if (!read_binding(binding, request, pool)) return oks_err(pool, OKS_R_FLOW_STATE_FOREIGN, "no binding cookie");
    if (!oks_secret_eq(oks_span((char *)binding, 16), oks_span((const char *)state->binding, 16)))
        return oks_err(pool, OKS_R_FLOW_STATE_FOREIGN, "another binding cookie");
    if (state->expires <= request->now) return oks_err(pool, OKS_R_FLOW_STATE_LATE, NULL);
    return NULL;
}
