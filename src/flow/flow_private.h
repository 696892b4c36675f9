/* What the files of the room flow share. */
#ifndef OKTASSO_FLOW_PRIVATE_H
#define OKTASSO_FLOW_PRIVATE_H

#include "oktasso/flow.h"
#include "oktasso/json.h"

/* ---- answer.c: answers and cookies ---- */

oks_answer_t *oks_flow_answer(int status, const char *event, apr_pool_t *pool);
/* 303: the browser goes on with GET (RFC 9110 15.4.4). `location` must be ours or the IdP's, never taken from input. */
oks_answer_t *oks_flow_see_other(const char *location, const char *event, apr_pool_t *pool);
/* Does a person look at the answer? Else it is a script, a preflight or an API client, and gets JSON. */
bool oks_flow_is_navigation(const oks_request_t *request);
bool oks_flow_is_foreign(const oks_request_t *request); /* a link, form or picture of another site */
const char *oks_flow_json_refusal(const oks_request_t *request, const oks_err_t *err, const char *login_url,
                                  apr_pool_t *pool);

typedef enum oks_same_site_t { OKS_SAME_SITE_LAX, OKS_SAME_SITE_NONE } oks_same_site_t;
/* A Set-Cookie value; max_age < 0: as long as the browser runs, 0: removes it. */
const char *oks_flow_cookie(const oks_request_t *request, const char *name, const char *value, oks_same_site_t same_site,
                            int max_age, apr_pool_t *pool);
void oks_flow_set_cookie(oks_answer_t *answer, const char *set_cookie);
/* "__Host-oktasso-<suffix>" under TLS, without the prefix else. */
const char *oks_flow_cookie_name(bool tls, const char *suffix, apr_pool_t *pool);

/* ---- page.c ---- */

const char *oks_flow_refusal_page(const oks_request_t *request, const oks_err_t *err, const char *again_url,
                                  apr_pool_t *pool);
/* A page with a heading, a sentence and one link; `link` may be NULL: without one. All texts but `label` are plain. */
const char *oks_flow_notice_page(const oks_request_t *request, const char *heading, const char *sentence, const char *link,
                                 const char *label, apr_pool_t *pool);
/* The form that carries an AuthnRequest to the identity provider: posts itself, or by its button without JavaScript. */
const char *oks_flow_post_page(const oks_request_t *request, const char *destination, const char *saml_request,
                               const char *relay_state, apr_pool_t *pool);

#define OKS_PAGE_INPUT_MAX 320 /* characters of an input: 64 + @ + 255 of an address */

/* A form for people: posts to `action`, which is ours. All texts are plain. */
typedef struct oks_page_form_t {
    const char *heading;
    const char *error;          /* what was wrong with the last try; or NULL */
    const char *action;
    const char *const *hidden;  /* name, value, name, …, NULL */
    const char *const *inputs;  /* name, label, value, autocomplete, …, NULL; the one named "password" is hidden from view */
    const char *submit;         /* the button's label */
    const char *other_url;      /* another way in; or NULL */
    const char *other_label;
    const char *note;           /* a sentence below; or NULL */
} oks_page_form_t;
const char *oks_flow_form_page(const oks_request_t *request, const oks_page_form_t *form, apr_pool_t *pool);

/* Makes `html` the answer's body, with the Content-Security-Policy that belongs to it. */
typedef enum oks_page_kind_t {
    OKS_PAGE_PLAIN,  /* posts to this site alone */
    OKS_PAGE_FORM,   /* its form's answer leads elsewhere: browsers hold form-action against redirects, too */
    OKS_PAGE_SUBMIT  /* the same, and it posts itself */
} oks_page_kind_t;
void oks_flow_show(oks_answer_t *answer, const oks_request_t *request, oks_page_kind_t kind, const char *html, apr_pool_t *pool);

/* ---- ticket.c: the sealed session cookie ---- */

#define OKS_TICKET_PLAIN_MAX (1 + 2 * OKS_ID_LEN + 8 + 4 + 4 + OKS_ORG_NAME_MAX)

typedef struct oks_ticket_t {
    oks_id_t session;
    oks_id_t user;
    apr_time_t issued;      /* whole seconds */
    apr_time_t idle_until;
    apr_time_t last_until;
} oks_ticket_t;

/* Issues it at `now`: the idle deadline, within the last one. */
void oks_ticket_issue(oks_ticket_t *ticket, const oks_org_t *org, apr_time_t now);
/* The Set-Cookie value of a session's ticket. */
oks_err_t *oks_flow_ticket_cookie(const char **set_cookie, const oks_flow_t *flow, const oks_org_t *org,
                                  const oks_request_t *request, const oks_ticket_t *ticket, apr_pool_t *pool)
    OKS_MUST_USE;
/* False when there is no cookie, or one that is not ours. */
bool oks_flow_ticket_read(oks_ticket_t *ticket, const oks_flow_t *flow, const oks_org_t *org,
                          const oks_request_t *request);
const char *oks_flow_ticket_clear(const oks_org_t *org, const oks_request_t *request, apr_pool_t *pool);

/* ---- state.c: a pending login, sealed into RelayState or state ---- */

typedef struct oks_state_t {
    bool oidc;                 /* of OpenID Connect: has the secret */
    unsigned char request[16]; /* the AuthnRequest's ID, and the nonce: '_' and these in hexadecimal */
    unsigned char secret[32];  /* PKCE's verifier */
    unsigned char binding[16]; /* of SHA-256 of the binding cookie */
    apr_time_t expires;
    int restarts;
    const oks_id_t *replaces;  /* the session that the browser had, whose cookie does not come with a cross-site POST; or NULL */
    oks_demand_t demand;       /* what was asked of the identity provider */
    const char *return_path;
} oks_state_t;

const char *oks_state_request_id(const oks_state_t *state, apr_pool_t *pool);
const char *oks_state_verifier(const oks_state_t *state, apr_pool_t *pool); /* RFC 7636 4.1 */
oks_err_t *oks_state_seal(const char **text, const oks_flow_t *flow, const oks_org_t *org, const oks_state_t *state,
                          apr_pool_t *pool) OKS_MUST_USE;
/* crypto.seal.broken: another organization's, another virtual host's, or nobody's. */
oks_err_t *oks_state_unseal(oks_state_t **state, const oks_flow_t *flow, const oks_org_t *org, oks_span_t text,
                            apr_pool_t *pool) OKS_MUST_USE;
/* The browser's binding: of its cookie, or of a new one that `answer` then sets. */
oks_err_t *oks_state_bind(oks_state_t *state, oks_answer_t *answer, const oks_request_t *request, apr_pool_t *pool)
    OKS_MUST_USE;
/* flow.state.late, flow.state.foreign */
oks_err_t *oks_state_check(const oks_state_t *state, const oks_request_t *request, apr_pool_t *pool) OKS_MUST_USE;

/* ---- demand.c: see flow.h ---- */

#define OKS_DEMAND_PLAIN_MAX (1 + 4 + 2 + OKS_FLOW_CONTEXTS_BYTES_MAX)

/* Into at most OKS_DEMAND_PLAIN_MAX bytes; how many. */
apr_size_t oks_demand_encode(unsigned char *out, const oks_demand_t *demand);
/* From the start of `bytes`; how many were read, 0 when they are no demand. */
apr_size_t oks_demand_decode(oks_demand_t *demand, oks_span_t bytes, apr_pool_t *pool);
/* As a parameter of /login/{org}: sealed, so that nobody makes a visitor's login ask for what no Location demands. */
oks_err_t *oks_demand_seal(const char **text, const oks_flow_t *flow, const oks_org_t *org, const oks_demand_t *demand,
                           apr_pool_t *pool) OKS_MUST_USE;
/* crypto.seal.broken */
oks_err_t *oks_demand_unseal(oks_demand_t *demand, const oks_flow_t *flow, const oks_org_t *org, oks_span_t text,
                             apr_pool_t *pool) OKS_MUST_USE;

/* ---- idp.c, fetch.c ---- */

/* May metadata still be used? SAML Metadata 2.3.2: saml.metadata.expired. */
oks_err_t *oks_idp_check_valid(const oks_saml_idp_t *idp, apr_time_t now, apr_interval_time_t skew, apr_pool_t *pool) OKS_MUST_USE;
/* Of a kept document: oidc.discovery.*, crypto.jwks.*, base.json.*. */
oks_err_t *oks_provider_parse(oks_provider_t *provider, const oks_org_t *org, oks_span_t content, apr_pool_t *pool) OKS_MUST_USE;

/* ---- overlap.c: certificates that metadata has just dropped ---- */

typedef struct oks_overlap_t {
    apr_interval_time_t window; /* how long they stay good; 0: not at all */
    apr_time_t now;
} oks_overlap_t;

/* Keeps what `before` (NULL: nothing) lists and `next`, which is about to replace it, does not. */
oks_err_t *oks_overlap_note(oks_directory_t *directory, const char *key, const oks_saml_idp_t *before, const oks_saml_idp_t *next,
                            const oks_overlap_t *overlap, apr_pool_t *pool) OKS_MUST_USE;
/* Adds those that are still good to idp->certs, in `pool`; *until is when the next of them ends, 0: none was added. */
oks_err_t *oks_overlap_add(oks_saml_idp_t *idp, apr_time_t *until, oks_directory_t *directory, const char *key,
                           const oks_overlap_t *overlap, apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_overlap_forget(oks_directory_t *directory, const char *key, apr_pool_t *pool) OKS_MUST_USE;

/* ---- profile.c: identity -> profile -> rendered record ---- */

/* flow.email.*, flow.attribute.missing, flow.profile.too_large */
oks_err_t *oks_flow_profile(oks_profile_t **profile, const oks_org_t *org, const oks_identity_t *identity,
                            apr_pool_t *pool) OKS_MUST_USE;
/* Is the address of one of the organization's OktaSSOEmailDomain, or are there none? */
bool oks_flow_domain_allowed(const oks_org_t *org, oks_span_t email);
/* The other organization whose OktaSSOEmailDomain the address lies in, or one of a list, or what a backend may take for it (see
 * oks_loose_key()); NULL: none, or what is no address. */
const oks_org_t *oks_flow_other_owner(const oks_flow_t *flow, const oks_org_t *org, const char *address, apr_pool_t *pool);
/* Of a rendered record. A backend that reads a user's address need not look at the organization: flow.email.foreign;
 * and strips no blanks that make another user of it: flow.user.malformed. */
oks_err_t *oks_flow_check_addresses(const oks_flow_t *flow, const oks_org_t *org, const oks_record_t *draft,
                                    apr_pool_t *pool) OKS_MUST_USE;
/* Under which key of the directory the last failure to fetch a document stands, while there is no good copy of it. */
const char *oks_flow_failure_key(const char *metadata_key, apr_pool_t *pool);
/* flow.user.empty, with what to map in Okta. */
oks_err_t *oks_flow_no_user(const oks_org_t *org, apr_pool_t *pool) OKS_MUST_USE;
/* Does the identity lack a value for a field that is mapped? `name` can be made of the other two. */
bool oks_flow_lacks(const oks_org_t *org, const oks_identity_t *identity, apr_pool_t *pool);
/* A draft of the record with its fields rendered; in `pool`. flow.profile.too_large */
oks_err_t *oks_flow_render(oks_record_t **draft, const oks_org_t *org, const oks_session_t *session, apr_pool_t *pool)
    OKS_MUST_USE;

/* ---- signin.c: the end of every sign-in ---- */

/* A login of `profile` with fresh ids, by the organization's policies; claim, protocol and the like are the caller's. */
oks_err_t *oks_login_init(oks_login_t *login, const oks_flow_t *flow, const oks_org_t *org, const oks_profile_t *profile,
                          apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;
/* Writes it, if requests can carry what it says: flow.user.empty, flow.email.foreign, flow.profile.too_large, directory.*. */
oks_err_t *oks_login_write(oks_id_t *user, const oks_flow_t *flow, const oks_org_t *org, const oks_login_t *login,
                           apr_pool_t *pool) OKS_MUST_USE;
/* The same, and the answer: the ticket, and on to return_path. The session of the request's own ticket ends. */
oks_err_t *oks_flow_sign_in(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                            const oks_login_t *login, const char *return_path, apr_pool_t *pool) OKS_MUST_USE;

/* ---- client.c ---- */

/* The key of limits by address: of IPv6 it is the network, since one visitor has all of its addresses. */
const char *oks_flow_client_net(const char *client, apr_pool_t *pool);

/* ---- local.c: local accounts ---- */

/* Are there local accounts, and may they be used? */
bool oks_flow_offers_local(const oks_org_t *org);
/* The form for them, with the way to the identity provider beside it; the answer to it goes to /login/{org}. */
oks_err_t *oks_flow_local_form(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                               const char *return_path, const oks_demand_t *demand, apr_pool_t *pool) OKS_MUST_USE;
/* A POST of that form. flow.sso.required, flow.state.*, flow.parameter.missing, crypto.seal.broken, flow.local.*, directory.* */
oks_err_t *oks_flow_local_login(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                                const apr_array_header_t *params, apr_pool_t *pool) OKS_MUST_USE;
/* May a session that a local account made go on? flow.session.local. */
oks_err_t *oks_local_check_session(const oks_org_t *org, const oks_record_t *record, const char *user, apr_pool_t *pool)
    OKS_MUST_USE;
/* Of the local account that made the session; NULL: none did. */
const char *oks_local_account(const oks_session_t *session);
/* Is it the group of break-glass accounts, and the session of somebody else? Okta may have a group of that name. */
bool oks_local_withholds(const oks_org_t *org, const oks_session_t *session, const char *group);

/* ---- check.c ---- */

/* The record of a session whose user is known, and who it is. flow.session.expired, flow.session.local, flow.user.empty,
 * flow.email.foreign, directory.*. */
oks_err_t *oks_flow_find_session(oks_pass_t *pass, const oks_flow_t *flow, const oks_org_t *org, const oks_id_t *session,
                                 const oks_id_t *user, apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;

/* ---- serve.c ---- */

/* Also for names in other cases; a disabled organization is as unknown as one that never was: flow.org.unknown. */
oks_err_t *oks_flow_find_org(const oks_org_t **org, const oks_flow_t *flow, oks_span_t name, apr_pool_t *pool) OKS_MUST_USE;
/* Is `method` one of an Allow header's value? */
bool oks_flow_method_allowed(const char *allow, const char *method);

/* ---- login.c: where things are, what a request says, and how a login starts ---- */

/* base + path + "/what/org". */
const char *oks_flow_url(const oks_flow_t *flow, const oks_request_t *request, const char *what, const oks_org_t *org,
                         apr_pool_t *pool);
const char *oks_flow_entity_id(const oks_flow_t *flow, const oks_request_t *request, const oks_org_t *org, apr_pool_t *pool);
/* Where Responses go: OktaSSOACSURL, or ours. */
const char *oks_flow_acs_url(const oks_flow_t *flow, const oks_request_t *request, const oks_org_t *org, apr_pool_t *pool);
/* "/login/{org}?[again=…&]return=…[&demand=…]"; again and demand may be NULL. */
const char *oks_flow_login_url(const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request, const char *again,
                               const char *return_path, const oks_demand_t *demand, apr_pool_t *pool);

/* The form of a POST to an own URL, or a GET's query, as oks_form_parse() has it: flow.body.type, base.form.*. */
oks_err_t *oks_flow_form(apr_array_header_t **params, const oks_request_t *request, apr_pool_t *pool) OKS_MUST_USE;
/* The `return` parameter by the return-URL policy; "/" when there is none. base.return.refused, base.form.repeated */
oks_err_t *oks_flow_return(const char **path, const apr_array_header_t *params, apr_pool_t *pool) OKS_MUST_USE;
/* The host of an `iss` parameter, in lower case: oidc.initiate.issuer. */
oks_err_t *oks_flow_issuer_host(const char **host, oks_span_t issuer, apr_pool_t *pool) OKS_MUST_USE;

typedef struct oks_start_t {
    const char *return_path;
    int restarts;
    const oks_demand_t *demand; /* NULL: none */
    const oks_id_t *replaces;   /* a session, where the request has no cookie of one; or NULL */
    const char *login_hint;     /* these two of OpenID Connect alone; or NULL */
    const char *prompt;
} oks_start_t;
/* Sends the browser to the identity provider. flow.idp.unavailable, saml.metadata.expired, directory.database.unavailable; of
 * OpenID Connect what oks_flow_authorize() says. */
oks_err_t *oks_flow_start(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                          const oks_start_t *start, apr_pool_t *pool) OKS_MUST_USE;

/* ---- authorize.c: OpenID Connect's authorization request, and our own requests to a provider ---- */

/* The URL of the authorization request; pushes it where that is wanted (RFC 9126). `sealed` is the state. flow.idp.unavailable,
 * oidc.*, net.*. */
oks_err_t *oks_flow_authorize(const char **url, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                              const oks_state_t *state, const char *sealed, const oks_start_t *start, apr_pool_t *pool)
    OKS_MUST_USE;
/* As oks_net_send, with the server's settings, and as far as the organization's requests may reach. */
oks_err_t *oks_flow_send(oks_net_response_t **response, const oks_flow_t *flow, const oks_org_t *org,
                         const oks_net_request_t *request, apr_pool_t *pool) OKS_MUST_USE;
/* Posts a form of ours to the organization's provider. */
oks_err_t *oks_flow_post(oks_net_response_t **response, const oks_flow_t *flow, const oks_org_t *org, const oks_oidc_post_t *post,
                         apr_pool_t *pool) OKS_MUST_USE;
/* Before a request that anybody can have us send to the provider: it costs the provider's patience and a worker's time. So many
 * of one kind (`what`) and from one address: flow.login.limited; what went well does not count. */
oks_err_t *oks_flow_may_ask(const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request, const char *what,
                            apr_pool_t *pool) OKS_MUST_USE;
void oks_flow_asked_well(const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request, const char *what,
                         apr_pool_t *pool);
/* `err`, with the Retry-After that came with it. */
oks_err_t *oks_flow_told(oks_err_t *err, const oks_net_response_t *response);
/* A fresh jti (RFC 7519 4.1.7). */
oks_err_t *oks_flow_jti(const char **jti, apr_pool_t *pool) OKS_MUST_USE;

/* ---- reply.c: what the answer of an identity provider leads to, in either protocol ---- */

typedef struct oks_reply_t {
    const oks_flow_t *flow;
    const oks_org_t *org;
    const oks_request_t *request;
    oks_state_t *state;        /* NULL: none that we can open */
    const char *return_path;
    apr_pool_t *pool;
} oks_reply_t;

/* Signs in: the demand, the profile, the record and the session, and on to the return path. */
oks_err_t *oks_reply_sign_in(oks_answer_t **answer, const oks_reply_t *reply, const oks_identity_t *identity) OKS_MUST_USE;
/* Of a failure: asks the identity provider again, starts the login once more, shows a page; or hands it on. */
oks_err_t *oks_reply_settle(oks_answer_t **answer, const oks_reply_t *reply, oks_err_t *err) OKS_MUST_USE;

/* ---- kept.c: what we keep sealed in a document of the directory ---- */

/* Opens it, and seals it anew when session.keys was rolled over. flow.keys.gone */
oks_err_t *oks_flow_open_kept(oks_span_t *plain, const oks_flow_t *flow, const char *key, const oks_document_t *document,
                              apr_pool_t *pool) OKS_MUST_USE;

/* ---- spkey.c: our own key of an organization. All three: flow.keys.gone, directory.database.unavailable ---- */

/* What signs; made at first need. */
oks_err_t *oks_flow_sp_key(const oks_keypair_t **pair, const oks_flow_t *flow, const oks_org_t *org, apr_time_t now,
                           apr_pool_t *pool) OKS_MUST_USE;
/* *keys: const oks_keypair_t *; NULL when there is none. */
oks_err_t *oks_flow_decryption_keys(const apr_array_header_t **keys, const oks_flow_t *flow, const oks_org_t *org,
                                    apr_pool_t *pool) OKS_MUST_USE;
/* *certs: oks_cert_t *, what others are told; made at first need. */
oks_err_t *oks_flow_sp_certs(const apr_array_header_t **certs, const oks_flow_t *flow, const oks_org_t *org, apr_time_t now,
                             apr_pool_t *pool) OKS_MUST_USE;
/* Are requests signed? By setting, or because the identity provider wants it (idp may be NULL: not known yet). */
bool oks_flow_signs(const oks_org_t *org, const oks_saml_idp_t *idp);

/* ---- scimtoken.c ---- */

/* *id: of the token, as oktassoctl shows it. scim.token.*, directory.database.unavailable */
oks_err_t *oks_flow_scim_authorize(const char **id, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                                   apr_pool_t *pool) OKS_MUST_USE;

/* ---- The coordinators that serve.c's table names and other files have ---- */

/* An error is answered there. `org` is NULL where the URL names none. */
typedef oks_err_t *(*oks_flow_serve_fn)(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                        const oks_request_t *request, apr_pool_t *pool);
oks_err_t *oks_flow_serve_acs(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                              const oks_request_t *request, apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_flow_serve_break_glass(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                      const oks_request_t *request, apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_flow_serve_callback(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                   const oks_request_t *request, apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_flow_serve_chooser(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                  const oks_request_t *request, apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_flow_serve_jwks(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                               const oks_request_t *request, apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_flow_serve_login(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                const oks_request_t *request, apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_flow_serve_pem(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                              const oks_request_t *request, apr_pool_t *pool) OKS_MUST_USE;

#endif
