/* What lies behind the seal: the input is sealed as a pending login's state and read again, as after a change of version. */
#include "../../src/flow/flow_private.h"
#include "fuzz.h"

static const char key[] = "101112131415161718191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f";
static oks_keyring_t *ring;
static oks_flow_t flow = { .path = "/sso/okta", .vhost = "app:443" };
static oks_org_t org = { .name = "acme" }, other = { .name = "globex" };

void fuzz_start(apr_pool_t *pool)
{
    FUZZ_GOOD(oks_keyring_parse(&ring, oks_span_z(key), pool));
    flow.keys = ring;
}

/* As it comes, nobody but us can have sealed it. */
static void as_it_comes(oks_span_t input, apr_pool_t *pool)
{
    oks_state_t *state;
    oks_demand_t demand;
    HOLDS(oks_state_unseal(&state, &flow, &org, input, pool) != NULL);
    HOLDS(oks_demand_unseal(&demand, &flow, &org, input, pool) != NULL);
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    oks_state_t *state, *again;
    const char *text;
    as_it_comes(input, pool);
    if (input.len > 4096) return false;
    char *plain = oks_span_dup(input, pool);
    if (input.len > 4) memset(plain + 2, 0, 3); /* times are ours: none beyond the year 30000 */
    FUZZ_GOOD(oks_seal(&text, ring, oks_span_z("state\nacme\napp:443"), oks_span(plain, input.len), pool));
    if (oks_state_unseal(&state, &flow, &org, oks_span_z(text), pool)) return false;
    HOLDS(oks_state_unseal(&again, &flow, &other, oks_span_z(text), pool) != NULL); /* another organization's */
    FUZZ_GOOD(oks_state_seal(&text, &flow, &org, state, pool));
    HOLDS(!*state->return_path || !oks_state_unseal(&again, &flow, &org, oks_span_z(text), pool));
    return true;
}
