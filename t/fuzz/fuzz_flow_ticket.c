/* A Cookie header with a session's ticket. */
#include "../../src/flow/flow_private.h"
#include "fuzz.h"

#define COOKIE "__Host-oktasso-session-acme"
/* One ticket was ever sealed by this key, and it stands in the corpus: for this session and user. */
static const char key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char session[OKS_ID_LEN] = "session-of-bjens", user[OKS_ID_LEN] = "user-of-bjensen!";
static oks_keyring_t *ring;
static oks_flow_t flow = { .path = "/sso/okta", .vhost = "app:443" };
static oks_org_t org = { .name = "acme" };

void fuzz_start(apr_pool_t *pool)
{
    FUZZ_GOOD(oks_keyring_parse(&ring, oks_span_z(key), pool));
    flow.keys = ring;
    oks_flow_name_cookies(&org, flow.vhost, pool);
    HOLDS(strcmp(org.cookie_tls, COOKIE) == 0);
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    oks_ticket_t ticket;
    oks_span_t value;
    oks_request_t request = { .tls = true, .cookies = input };
    if (oks_cookie_get(&value, input, COOKIE)) {
        HOLDS(value.ptr >= input.ptr && value.ptr + value.len <= input.ptr + input.len);
        HOLDS(!value.len || !memchr(value.ptr, ';', value.len));
        HOLDS(oks_span_eq(value, oks_span_trim(value)));
    }
    if (!oks_flow_ticket_read(&ticket, &flow, &org, &request)) return false;
    HOLDS(!memcmp(ticket.session.bytes, session, OKS_ID_LEN) && !memcmp(ticket.user.bytes, user, OKS_ID_LEN));
    HOLDS(ticket.issued <= ticket.idle_until && ticket.idle_until <= ticket.last_until);
    request.tls = false; /* the other cookie's binding */
    HOLDS(!oks_flow_ticket_read(&ticket, &flow, &org, &request));
    return true;
}
