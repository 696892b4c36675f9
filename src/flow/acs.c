/* The SAML assertion consumer: verify, and go on as reply.c says. */
#include "flow_private.h"

/* RelayState: ours when it opens; else, at most, a path to return to. */
static void read_state(oks_reply_t *acs, oks_span_t relay_state)
{
    acs->return_path = "/";
    if (!relay_state.len) return;
    if (!oks_state_unseal(&acs->state, acs->flow, acs->org, relay_state, acs->pool) && !acs->state->oidc) {
        acs->return_path = acs->state->return_path;
        return;
    }
    acs->state = NULL;
    if (oks_return_path(&acs->return_path, relay_state, acs->pool) != NULL) acs->return_path = "/";
}

/* A verified Response that answers no request. By default nobody signs in by what this browser did not ask for (login
 * CSRF): it starts a login of its own. A RelayState of ours belongs to a login that was started: never to this one. */
static oks_err_t *judge_unsolicited(const oks_reply_t *acs)
{
    if (acs->org->idp_initiated == OKS_IDP_INITIATED_OFF) return oks_err(acs->pool, OKS_R_FLOW_IDP_INITIATED_OFF, NULL);
    if (acs->org->idp_initiated == OKS_IDP_INITIATED_ON && !acs->state) return NULL;
    return oks_err(acs->pool, OKS_R_SAML_RESPONSE_UNSOLICITED, NULL);
}

static oks_err_t *verify(oks_identity_t **identity, const oks_reply_t *acs, oks_span_t response)
{
    const oks_saml_idp_t *idp;
    apr_pool_t *pool = acs->pool;
    const char *own[] = { oks_flow_entity_id(acs->flow, acs->request, acs->org, pool), NULL };
    OKS_TRY(oks_flow_idp(&idp, acs->flow, acs->org, acs->request->now, pool));
    oks_saml_expect_t expect = {
        .idp = idp, .audiences = acs->org->entity_ids ? acs->org->entity_ids : own,
        .acs_url = oks_flow_acs_url(acs->flow, acs->request, acs->org, pool),
        .request_id = acs->state ? oks_state_request_id(acs->state, pool) : NULL,
        .algorithms = acs->org->algorithms, .now = acs->request->now, .skew = acs->org->skew,
    };
    oks_err_t *err = oks_saml_response_verify(identity, response, &expect, pool);
    if (err && err->reason == OKS_R_SAML_ASSERTION_ENCRYPTED) { /* few are: only these cost a look for the key */
        OKS_TRY(oks_flow_decryption_keys(&expect.keys, acs->flow, acs->org, pool));
        if (expect.keys) err = oks_saml_response_verify(identity, response, &expect, pool);
    }
    if (err) return err;
    if ((*identity)->in_response_to) return oks_state_check(acs->state, acs->request, pool);
    return judge_unsolicited(acs);
}

static oks_err_t *consume(oks_answer_t **answer, const oks_reply_t *acs, oks_span_t response)
{
    oks_identity_t *identity;
    OKS_TRY(verify(&identity, acs, response));
    return oks_reply_sign_in(answer, acs, identity);
}

oks_err_t *oks_flow_serve_acs(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                              const oks_request_t *request, apr_pool_t *pool)
{
    apr_array_header_t *params;
    oks_span_t response, relay_state;
    oks_reply_t acs = { .flow = flow, .org = org, .request = request, .pool = pool };
    OKS_TRY(oks_flow_form(&params, request, pool));
    OKS_TRY(oks_form_get(&response, params, "SAMLResponse", pool));
    OKS_TRY(oks_form_get(&relay_state, params, "RelayState", pool));
    if (!response.len) return oks_err(pool, OKS_R_FLOW_PARAMETER_MISSING, "SAMLResponse");
    read_state(&acs, relay_state);
    oks_err_t *err = consume(answer, &acs, response);
    /* Perhaps a new key that we have not seen yet: the background work looks, at a limited rate. */
    if (err && err->reason == OKS_R_XML_SIGNATURE_INVALID && org->metadata_key)
        oks_counter_add(flow->counters, oks_flow_refetch_counter(org->metadata_key, pool));
    return err ? oks_reply_settle(answer, &acs, err) : NULL;
}
