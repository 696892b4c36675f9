/* The session cookie: a sealed ticket (DESIGN.md 1). A forged or foreign one costs one failed decryption. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define TICKET_VERSION 1
#define TICKET_FIXED (OKS_TICKET_PLAIN_MAX - OKS_ORG_NAME_MAX)

static void put_number(unsigned char *out, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, value >>= 8) out[i] = (unsigned char)value;
}

static uint64_t get_number(const unsigned char *in, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | in[i];
    return value;
}

static const char *cookie_name(const oks_org_t *org, const oks_request_t *request)
{
    return request->tls ? org->cookie_tls : org->cookie_plain;
}

static oks_span_t binding(const oks_org_t *org, const oks_request_t *request)
{
    return oks_span_z(request->tls ? org->ticket_aad_tls : org->ticket_aad_plain);
}

void oks_flow_name_cookies(oks_org_t *org, const char *vhost, apr_pool_t *pool)
{
    const char *suffix = apr_pstrcat(pool, "session-", org->name, NULL);
    org->cookie_tls = oks_flow_cookie_name(true, suffix, pool);
    org->cookie_plain = oks_flow_cookie_name(false, suffix, pool);
    /* '\n' occurs in none of the parts, so that no two triples read alike. */
    org->ticket_aad_tls = apr_pstrcat(pool, "ticket\n", org->cookie_tls, "\n", vhost, NULL);
    org->ticket_aad_plain = apr_pstrcat(pool, "ticket\n", org->cookie_plain, "\n", vhost, NULL);
}

void oks_ticket_issue(oks_ticket_t *ticket, const oks_org_t *org, apr_time_t now)
{
    ticket->issued = apr_time_from_sec(apr_time_sec(now));
    ticket->idle_until = ticket->issued + org->session.idle;
    if (ticket->idle_until > ticket->last_until) ticket->idle_until = ticket->last_until;
}

oks_err_t *oks_flow_ticket_cookie(const char **set_cookie, const oks_flow_t *flow, const oks_org_t *org,
                                  const oks_request_t *request, const oks_ticket_t *ticket, apr_pool_t *pool)
{
    unsigned char plain[OKS_TICKET_PLAIN_MAX], *p = plain;
    apr_size_t org_len = strlen(org->name);
    *p++ = TICKET_VERSION;
    memcpy(p, ticket->session.bytes, OKS_ID_LEN), p += OKS_ID_LEN;
    memcpy(p, ticket->user.bytes, OKS_ID_LEN), p += OKS_ID_LEN;
    put_number(p, (uint64_t)apr_time_sec(ticket->issued), 8), p += 8;
    put_number(p, (uint64_t)apr_time_sec(ticket->idle_until - ticket->issued), 4), p += 4;
    put_number(p, (uint64_t)apr_time_sec(ticket->last_until - ticket->issued), 4), p += 4;
    memcpy(p, org->name, org_len), p += org_len;

    const char *text;
    OKS_TRY(oks_seal(&text, flow->keys, binding(org, request), oks_span((char *)plain, (apr_size_t)(p - plain)), pool));
    *set_cookie = oks_flow_cookie(request, cookie_name(org, request), text, OKS_SAME_SITE_LAX, -1, pool);
    return NULL;
}

bool oks_flow_ticket_read(oks_ticket_t *ticket, const oks_flow_t *flow, const oks_org_t *org,
                          const oks_request_t *request)
{
    unsigned char plain[OKS_TICKET_PLAIN_MAX];
    oks_span_t text;
    if (!oks_cookie_get(&text, request->cookies, cookie_name(org, request))) return false;
    apr_ssize_t len = oks_unseal_into(plain, sizeof plain, flow->keys, binding(org, request), text);
    if (len <= TICKET_FIXED || plain[0] != TICKET_VERSION) return false;
    /* The cookie's name already says the organization; the sealed copy makes it independent of naming rules. */
    if (!oks_span_eq_z(oks_span((char *)plain + TICKET_FIXED, (apr_size_t)len - TICKET_FIXED), org->name)) return false;

    const unsigned char *p = plain + 1;
    memcpy(ticket->session.bytes, p, OKS_ID_LEN), p += OKS_ID_LEN;
    memcpy(ticket->user.bytes, p, OKS_ID_LEN), p += OKS_ID_LEN;
    ticket->issued = apr_time_from_sec((apr_time_t)get_number(p, 8)), p += 8;
    ticket->idle_until = ticket->issued + apr_time_from_sec((apr_time_t)get_number(p, 4)), p += 4;
    ticket->last_until = ticket->issued + apr_time_from_sec((apr_time_t)get_number(p, 4));
    return true;
}

const char *oks_flow_ticket_clear(const oks_org_t *org, const oks_request_t *request, apr_pool_t *pool)
{
    return oks_flow_cookie(request, cookie_name(org, request), "", OKS_SAME_SITE_LAX, 0, pool);
}
