/* What a login must be: checked in the identity provider's answer, and again at each request of a Location that demands it. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define DEMAND_FORCE 1 /* of the first byte */
#define DEMAND_FIXED (1 + 4 + 2)

bool oks_demand_is_set(const oks_demand_t *demand)
{
    return demand->force || demand->max_age || demand->authn_contexts;
}

static bool names(const char *const *contexts, const char *context)
{
    for (; *contexts; contexts++)
        if (strcmp(*contexts, context) == 0) return true;
    return false;
}

/* Unknown, older than that, or later than now, which would never grow old. */
static bool is_old(apr_time_t instant, apr_interval_time_t max_age, apr_time_t now, apr_interval_time_t skew)
{
    return !instant || now - instant > max_age + skew || instant - now > skew;
}

oks_err_t *oks_demand_check_session(const oks_demand_t *demand, const oks_record_t *record, apr_time_t now,
                                    apr_interval_time_t skew, apr_pool_t *pool)
{
    if (demand->authn_contexts && !names(demand->authn_contexts, record->authn_context))
        return oks_err(pool, OKS_R_FLOW_AUTHN_WEAK, "wanted %s, got %s", *demand->authn_contexts,
                       oks_log_escape(oks_span_z(record->authn_context), 200, pool));
    if (demand->max_age && is_old(record->authn_instant, demand->max_age, now, skew))
        return oks_err(pool, OKS_R_FLOW_AUTHN_STALE, "older than %s", oks_interval_format(demand->max_age, pool));
    return NULL;
}

oks_err_t *oks_demand_check_login(const oks_demand_t *demand, const oks_identity_t *identity, apr_time_t started,
                                  apr_time_t now, apr_interval_time_t skew, apr_pool_t *pool)
{
    apr_time_t instant = identity->authn_instant;
    const char *context = identity->authn_context ? identity->authn_context : "";
    if (demand->authn_contexts && !names(demand->authn_contexts, context)) /* SAML Core 3.3.2.2.1 */
        return oks_err(pool, OKS_R_FLOW_AUTHN_INSUFFICIENT, "wanted %s, got %s", *demand->authn_contexts,
                       *context ? oks_log_escape(oks_span_z(context), 200, pool) : "none");
    if (demand->force && is_old(instant, now - started, now, skew)) /* SAML Core 3.4.1 */
        return oks_err(pool, OKS_R_FLOW_AUTHN_TOO_OLD, "AuthnInstant %s is before the request",
                       instant ? oks_time_format(instant, pool) : "missing");
    if (demand->max_age && is_old(instant, demand->max_age, now, skew))
        return oks_err(pool, OKS_R_FLOW_AUTHN_TOO_OLD, "AuthnInstant %s, wanted at most %s ago",
                       instant ? oks_time_format(instant, pool) : "missing", oks_interval_format(demand->max_age, pool));
    return NULL;
}

/* ---- On its way through the browser: force, the age in seconds, and the contexts, separated by blanks ---- */

apr_size_t oks_demand_encode(unsigned char *out, const oks_demand_t *demand)
{
    unsigned char *p = out, *start;
    uint32_t age = (uint32_t)apr_time_sec(demand->max_age);
    *p++ = demand->force ? DEMAND_FORCE : 0;
    for (int shift = 24; shift >= 0; shift -= 8) *p++ = (unsigned char)(age >> shift);
    start = p += 2;
    for (const char *const *uri = demand->authn_contexts; uri && *uri; uri++) {
        apr_size_t len = strlen(*uri);
        if ((apr_size_t)(p - start) + len + 1 > OKS_FLOW_CONTEXTS_BYTES_MAX) break; /* configtest allows no more */
        memcpy(p, *uri, len), p += len;
        *p++ = ' ';
    }
    apr_size_t len = (apr_size_t)(p - start);
    start[-2] = (unsigned char)(len >> 8), start[-1] = (unsigned char)len;
    return (apr_size_t)(p - out);
}

apr_size_t oks_demand_decode(oks_demand_t *demand, oks_span_t bytes, apr_pool_t *pool)
{
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    if (bytes.len < DEMAND_FIXED) return 0;
    apr_size_t len = (apr_size_t)p[5] << 8 | p[6];
    if (bytes.len - DEMAND_FIXED < len) return 0;
    memset(demand, 0, sizeof *demand);
    demand->force = (p[0] & DEMAND_FORCE) != 0;
    demand->max_age = apr_time_from_sec((apr_time_t)((uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4]));
    if (!len) return DEMAND_FIXED;
    const char **list = apr_pcalloc(pool, sizeof *list * (OKS_FLOW_CONTEXTS_MAX + 1));
    oks_span_t uri, rest = oks_span(bytes.ptr + DEMAND_FIXED, len);
    for (int count = 0; count < OKS_FLOW_CONTEXTS_MAX && oks_span_next(&uri, &rest, ' ');)
        if (uri.len) list[count++] = oks_span_dup(uri, pool);
    demand->authn_contexts = list;
    return DEMAND_FIXED + len;
}

static oks_span_t demand_aad(const oks_flow_t *flow, const oks_org_t *org, apr_pool_t *pool)
{
    return oks_span_z(apr_pstrcat(pool, "demand\n", org->name, "\n", flow->vhost, NULL));
}

oks_err_t *oks_demand_seal(const char **text, const oks_flow_t *flow, const oks_org_t *org, const oks_demand_t *demand,
                           apr_pool_t *pool)
{
    unsigned char plain[OKS_DEMAND_PLAIN_MAX];
    apr_size_t len = oks_demand_encode(plain, demand);
    return oks_seal(text, flow->keys, demand_aad(flow, org, pool), oks_span((char *)plain, len), pool);
}

oks_err_t *oks_demand_unseal(oks_demand_t *demand, const oks_flow_t *flow, const oks_org_t *org, oks_span_t text,
                             apr_pool_t *pool)
{
    oks_span_t plain;
    OKS_TRY(oks_unseal(&plain, flow->keys, demand_aad(flow, org, pool), text, pool));
    if (plain.len && oks_demand_decode(demand, plain, pool) == plain.len) return NULL;
    return oks_err(pool, OKS_R_CRYPTO_SEAL_BROKEN, "a demand of another version");
}
