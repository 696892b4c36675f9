/* flow: the coordinators. A request comes in as a value, an answer goes out as one; no httpd, no global state.
 * Reads no clock: request->now is the time. */
#ifndef OKTASSO_FLOW_H
#define OKTASSO_FLOW_H

#include "oktasso/base.h"
#include "oktasso/crypto.h"
#include "oktasso/directory.h"
#include "oktasso/identity.h"
#include "oktasso/net.h"
#include "oktasso/oidc.h"
#include "oktasso/saml.h"

#define OKS_FLOW_FORM_MAX (512 * 1024)      /* bytes of a form body: the largest Response in base64, and RelayState */
#define OKS_FLOW_FIELD_MAX (8 * 1024)       /* bytes of one rendered field; httpd backends refuse header fields above 8190 */
#define OKS_FLOW_PENDING_LIFETIME apr_time_from_sec(60 * 60) /* of a pending login: sealed in RelayState or state */
#define OKS_FLOW_RESTARTS_MAX 1             /* how often a failed callback starts the login again */
#define OKS_FLOW_DIRECTORY_GRACE apr_time_from_sec(5 * 60) /* OktaSSODirectoryGrace, by default */
#define OKS_FLOW_CERTIFICATE_OVERLAP apr_time_from_sec(24 * 3600) /* OktaSSOCertificateOverlap, by default */
#define OKS_FLOW_IDP_KEPT apr_time_from_sec(5 * 60) /* an identity provider's keys in the memory of a child, after their last use */
#define OKS_FLOW_BREAK_GLASS_LIFETIME apr_time_from_sec(30 * 60) /* of a break-glass session */
#define OKS_FLOW_FAILURES_MAX 20            /* wrong passwords of one account, and from one address, in */
#define OKS_FLOW_FAILURES_WINDOW apr_time_from_sec(5 * 60)
#define OKS_FLOW_PASSWORD_MAX 1024          /* bytes */
#define OKS_FLOW_PASSWORD_WAIT apr_time_from_sec(5) /* for other passwords that are being checked, where these use up the limit */
#define OKS_FLOW_PUSHED_MAX 120             /* logins whose request is pushed, and as many codes that sign nobody in, of one
                                               organization and from one address, in */
#define OKS_FLOW_PUSHED_WINDOW apr_time_from_sec(60)
#define OKS_FLOW_VISITOR_ORGS_MAX 16        /* session cookies that are looked at, where any organization may enter */
#define OKS_SCIM_SCAN_MAX 10000             /* resources that a filter without an index looks at, */
#define OKS_SCIM_SCAN_BYTES_MAX (32 * 1024 * 1024) /* their bytes, as they are stored, */
#define OKS_SCIM_SCAN_MEMBERS_MAX 1000000   /* and members of groups, or groups of users */
#define OKS_FLOW_CONTEXTS_MAX 8             /* authentication contexts of one demand */
#define OKS_FLOW_CONTEXTS_BYTES_MAX 512     /* and their bytes, all together: they travel in RelayState */

/* ---- What a login must be, where a Location or an organization demands more than a session ------------------ */

/* In no protocol's words: SAML has ForceAuthn and RequestedAuthnContext, OpenID Connect prompt=login, max_age and
 * acr_values. All zero: nothing is demanded. */
typedef struct oks_demand_t {
    bool force;                        /* a login that starts here has the credentials asked for again */
    apr_interval_time_t max_age;       /* of the act of signing in, in whole seconds; 0: any age */
    const char *const *authn_contexts; /* one of them, NULL-terminated; NULL: any */
} oks_demand_t;

bool oks_demand_is_set(const oks_demand_t *demand);
/* Does what the identity provider says now meet what it was asked for at `started`? flow.authn.too_old,
 * flow.authn.insufficient. What was not said does not meet it. */
oks_err_t *oks_demand_check_login(const oks_demand_t *demand, const oks_identity_t *identity, apr_time_t started,
                                  apr_time_t now, apr_interval_time_t skew, apr_pool_t *pool) OKS_MUST_USE;
/* Does a session's login meet the demand still? flow.authn.stale, flow.authn.weak; `force` is for logins that start. */
oks_err_t *oks_demand_check_session(const oks_demand_t *demand, const oks_record_t *record, apr_time_t now,
                                    apr_interval_time_t skew, apr_pool_t *pool) OKS_MUST_USE;

/* ---- An organization, complete: read-only from start-up on ------------------------------------------------- */

typedef enum oks_unauthorized_t {
    OKS_UNAUTHORIZED_AUTO, OKS_UNAUTHORIZED_REDIRECT, OKS_UNAUTHORIZED_401, OKS_UNAUTHORIZED_PASS
} oks_unauthorized_t;

/* An unsolicited Response, verified: starts a login of its own, signs in, or is refused. */
typedef enum oks_idp_initiated_t {
    OKS_IDP_INITIATED_UPGRADE, OKS_IDP_INITIATED_ON, OKS_IDP_INITIATED_OFF
} oks_idp_initiated_t;

/* DESIGN.md 5. */
typedef enum oks_require_sso_t { OKS_REQUIRE_SSO_OFF, OKS_REQUIRE_SSO_ON, OKS_REQUIRE_SSO_MEMBERS } oks_require_sso_t;

typedef struct oks_session_limits_t {
    apr_interval_time_t lifetime; /* the last deadline, from the login */
    apr_interval_time_t idle;
} oks_session_limits_t;

/* Which attributes feed a field; the first one that has a value wins. */
typedef struct oks_attribute_rule_t {
    const char *field;
    const char *const *sources; /* NULL-terminated */
    bool required;              /* nobody signs in without a value */
} oks_attribute_rule_t;

/* A role for members of any of these groups; rules are tried in the order written. */
typedef struct oks_role_rule_t {
    const char *role;
    const char *const *groups; /* NULL-terminated */
} oks_role_rule_t;

/* What an organization needs that signs in by OpenID Connect. */
typedef struct oks_oidc_settings_t {
    oks_oidc_client_t client;
    const char *scope;
    bool form_post;                 /* response_mode; else query */
    bool par;                       /* push the request where the provider takes that */
    unsigned algorithms;            /* oks_jws_algorithm_t, of the provider's signatures; 0: all that are implemented */
    oks_span_t discovery;           /* out of a file; empty: it is fetched */
    const char *host;               /* of the issuer, lower case */
} oks_oidc_settings_t;

typedef struct oks_org_t {
    const char *name;
    uint32_t version;               /* another one when it was read again in this process: its records are made anew */
    bool enabled;
    const oks_oidc_settings_t *oidc; /* NULL: it signs in by SAML */
    const char *metadata_key;       /* of the fetched document in the directory; NULL when all of it is a file */
    const char *metadata_url;       /* what to fetch: SAML metadata, or OpenID Connect discovery; NULL when that is a file */
    const oks_saml_idp_t *static_idp; /* out of a file or the configuration itself; else NULL */
    const char *const *entity_ids;  /* OktaSSOSPEntityID, NULL-terminated; NULL: the metadata URL */
    bool of_file;                   /* of OktaSSOOrgDir: who wrote it need not be the administrator */
    oks_net_reach_t reach;          /* of requests to its identity provider */
    const char *acs_url;            /* OktaSSOACSURL; NULL: our own */
    unsigned algorithms;            /* oks_saml_algorithm(), of the identity provider's signatures; 0: the SHA-2 family */
    bool sign_requests;
    const apr_array_header_t *sp_keys;  /* oks_keypair_t *: configured; the first signs, all decrypt; NULL: made at first need */
    const apr_array_header_t *sp_certs; /* oks_cert_t *: theirs, and perhaps the next one of a rollover */
    const apr_array_header_t *attributes; /* oks_attribute_rule_t, the defaults included */
    const apr_array_header_t *roles;      /* oks_role_rule_t */
    const char *default_role;
    const char *const *email_domains;     /* lower case, NULL-terminated; NULL: any */
    bool verified_email;                  /* only who has email_verified = true */
    const char *user_field;
    const char *name_id_format;           /* of the NameIDPolicy that is sent; NULL: none is */
    oks_demand_t demand;                  /* of all Locations that say nothing else */
    oks_session_limits_t session;
    apr_interval_time_t skew;
    oks_unauthorized_t unauthorized;
    oks_idp_initiated_t idp_initiated;
    oks_require_sso_t require_sso;
    bool scim_off;                   /* OktaSSOSCIM Off */
    bool scim_bare_token;            /* Authorization may be the token alone */
    apr_size_t scim_body_max;        /* bytes of a request */
    const apr_array_header_t *scim_tokens; /* const char *: OKS_SHA256_LEN bytes each; NULL: none */
    const char *group_default_role;  /* of groups that SCIM pushes from now on; NULL: none */
    oks_provisioning_t provisioning; /* who creates user records: a login is one of them in JIT alone */
    const char *const *local_providers; /* httpd's authn providers, in their order, NULL-terminated; NULL: none */
    const char *const *break_glass;     /* local accounts that always work, NULL-terminated; NULL: none */
    const char *cookie_tls;         /* the session cookie's name under TLS */
    const char *cookie_plain;       /* and without */
    const char *ticket_aad_tls;     /* what the ticket is bound to: purpose, cookie name, virtual host */
    const char *ticket_aad_plain;
} oks_org_t;

/* ---- How often something may fail: in shared memory, for all children -------------------------------------- */

#define OKS_LIMITER_SLOTS 65536 /* keys that are counted at a time */
typedef struct oks_limiter_t {
    unsigned char secret[OKS_SHA256_LEN];
    _Atomic uint64_t slot[OKS_LIMITER_SLOTS];
} oks_limiter_t; /* zeroed shared memory */

/* Gives it a secret, unless it has one: without, whoever knows a key can tell which others come into its way. Before any child is
 * there. crypto.random.unavailable */
oks_err_t *oks_limiter_init(oks_limiter_t *limiter, apr_pool_t *pool) OKS_MUST_USE;
/* Has `key` failed fewer than `max` times in this window (aligned, `window` long, in whole seconds)? Of more keys at a time than
 * there are slots those are forgotten that have failed least. */
bool oks_limiter_allows(oks_limiter_t *limiter, const char *key, unsigned max, apr_interval_time_t window, apr_time_t now);
void oks_limiter_fail(oks_limiter_t *limiter, const char *key, apr_interval_time_t window, apr_time_t now);
/* Both in one step: counts `key`, unless it has been counted `max` times in this window already. Of several at once, `max` win. */
bool oks_limiter_take(oks_limiter_t *limiter, const char *key, unsigned max, apr_interval_time_t window, apr_time_t now);
/* Takes one back that was counted in the window of `now`: it turned out to be none. */
void oks_limiter_give(oks_limiter_t *limiter, const char *key, apr_interval_time_t window, apr_time_t now);

/* ---- What the coordinators work with ------------------------------------------------------------------------ */

/* Prepares the libraries below, once per process, before its threads start. */
oks_err_t *oks_flow_init(apr_pool_t *pool) OKS_MUST_USE;

typedef struct oks_idp_store_t oks_idp_store_t; /* the parsed documents of each organization, swapped when they change */

/* Of outgoing requests. */
typedef struct oks_http_t {
    apr_interval_time_t timeout;
    const char *ca_file;            /* see oks_net_request_t, and so below */
    const char *proxy;
} oks_http_t;

typedef struct oks_assertions_t oks_assertions_t; /* signed identities for backends, and the keys that sign them: of one child */

typedef struct oks_flow_t {
    const char *path;               /* OktaSSOPath, "/sso/okta" */
    const char *vhost;              /* the virtual host's identity: sessions and states are bound to it */
    const oks_keyring_t *keys;
    oks_directory_t *directory;
    oks_counters_t *counters;
    const _Atomic int64_t *followed; /* when the change log was last read, by any child; 0: never; NULL: nobody reads it */
    apr_interval_time_t grace;       /* for how long after that the records in memory are true: OktaSSODirectoryGrace */
    oks_cache_t *cache;
    oks_idp_store_t *idps;
    oks_net_t *net;
    const oks_http_t *http;
    oks_limiter_t *limiter;
    oks_assertions_t *assertions;
    /* An organization, there until `pool` is cleared: by its name; by the domain of an email address, in any case; by the host of
     * an OpenID provider, in lower case, that belongs to one organization alone. */
    const oks_org_t *(*find_org)(void *orgs, oks_span_t name, apr_pool_t *pool);
    const oks_org_t *(*find_domain)(void *orgs, oks_span_t domain, apr_pool_t *pool);
    const oks_org_t *(*find_issuer)(void *orgs, const char *host, apr_pool_t *pool);
    void *orgs;
} oks_flow_t;

/* A store for organizations' fetched documents, parsed at first use. A certificate that new SAML metadata drops stays good for
 * `overlap` from when that was seen. */
oks_err_t *oks_idp_store_create(oks_idp_store_t **store, oks_directory_t *directory, oks_counters_t *counters,
                                apr_interval_time_t overlap, apr_pool_t *pool) OKS_MUST_USE;
/* The organization's SAML identity provider, valid until `pool` is cleared: the file's, or the last good copy of the
 * directory. flow.idp.unavailable when there is none yet, saml.metadata.expired when it must not be used any more. */
oks_err_t *oks_flow_idp(const oks_saml_idp_t **idp, const oks_flow_t *flow, const oks_org_t *org, apr_time_t now, apr_pool_t *pool)
    OKS_MUST_USE;
/* The same of OpenID Connect: the provider, and its keys of the same moment. flow.idp.unavailable. */
typedef struct oks_provider_t {
    const oks_oidc_provider_t *provider;
    const oks_jwks_t *keys;
} oks_provider_t;
oks_err_t *oks_flow_provider(oks_provider_t *provider, const oks_flow_t *flow, const oks_org_t *org, apr_time_t now,
                             apr_pool_t *pool)
    OKS_MUST_USE;

/* The counter that moves when somebody wants SAML metadata fetched again (a signature did not verify). */
uint32_t oks_flow_refetch_counter(const char *key, apr_pool_t *pool);
uint32_t oks_flow_missing_counter(const char *key, apr_pool_t *pool); /* the same, when a document is not there */
typedef struct oks_fetch_t {
    const oks_org_t *org;
    const oks_http_t *http;
    apr_interval_time_t overlap; /* as for oks_idp_store_create */
} oks_fetch_t;
/* Fetches what the organization's metadata_url names (of OpenID Connect, the keys with it), checks that it is usable, and keeps
 * it; after an error the copy that was there is still good. *max_age: for how many seconds the answers say that they are good;
 * -1: they do not say. net.*, saml.metadata.*, oidc.discovery.*, crypto.jwks.*, base.json.*, directory.database.unavailable */
oks_err_t *oks_flow_fetch(int *max_age, oks_directory_t *directory, oks_net_t *net, const oks_fetch_t *fetch, apr_time_t now,
                          apr_pool_t *pool) OKS_MUST_USE;
/* Removes what was fetched for that metadata_key, and what was kept beside it. directory.database.unavailable */
oks_err_t *oks_flow_fetch_forget(oks_directory_t *directory, const char *key, apr_pool_t *pool) OKS_MUST_USE;

/* ---- How our pages look, in a virtual host ------------------------------------------------------------------- */

#define OKS_LOOK_TEMPLATE_MAX (256 * 1024) /* bytes of OktaSSOPageTemplate */

/* Read-only. Both NULL: our own look. */
typedef struct oks_look_t {
    const apr_array_header_t *template_parts; /* oks_span_t: HTML between the placeholders, and these as "{{name}}" */
    const char *logo;                         /* a path on this site */
} oks_look_t;

/* A template is HTML in UTF-8 with {{content}} once, {{title}} and {{logo}} as often as wanted, and {{style}}, once at
 * most, where our own style sheet shall stand. What is wrong is the error's detail: flow.template.malformed. */
oks_err_t *oks_look_parse(const apr_array_header_t **parts, oks_span_t text, apr_pool_t *pool) OKS_MUST_USE;

/* ---- Local accounts --------------------------------------------------------------------------------------- */

typedef enum oks_password_t { OKS_PASSWORD_GOOD, OKS_PASSWORD_WRONG, OKS_PASSWORD_UNAVAILABLE } oks_password_t;
/* Asks the organization's local providers. */
typedef oks_password_t oks_check_password_fn(void *baton, const oks_org_t *org, const char *user, const char *password);

/* ---- A request and its answer -------------------------------------------------------------------------------- */

typedef struct oks_request_t {
    const char *method;
    const char *base_url;      /* "https://host[:port]": OktaSSOBaseURL or ServerName; never from Host */
    bool tls;
    const char *local_path;    /* own URLs: the path below OktaSSOPath, "/acs/acme"; decoded by httpd */
    oks_span_t query;          /* raw */
    oks_span_t target;         /* protected URLs: the path and query asked for, raw */
    oks_span_t cookies;        /* the Cookie header */
    const char *content_type;  /* "" when absent */
    oks_span_t body;           /* of a POST to an own URL; of SCIM, of a PUT and a PATCH, too */
    const char *accept;        /* "" when absent, and so on below */
    const char *sec_fetch_mode;
    const char *sec_fetch_dest;
    const char *sec_fetch_site;
    const char *requested_with;
    const char *authorization;
    const char *if_match;
    const char *if_none_match;
    const char *id;            /* quoted on pages and in the log */
    apr_time_t now;
    const oks_demand_t *demand; /* of the Location; NULL: none, and always so for own URLs */
    const oks_look_t *look;    /* NULL: our own */
    const char *client;        /* the visitor's address */
    oks_check_password_fn *check_password;
    void *baton;               /* of check_password */
} oks_request_t;

typedef struct oks_answer_t {
    int status;
    const char *content_type;  /* NULL: no body */
    const char *body;
    apr_table_t *headers;      /* Location, Allow, Set-Cookie (several), … */
    const oks_err_t *err;      /* why, or NULL; for the log */
    bool loud;                 /* logged as a warning, whatever was decided */
    const char *event;         /* what was decided, for the log: "login.start", "login.done", "logout", … */
    const char *org;           /* or NULL */
    const char *user;          /* or NULL */
    const char *group;         /* of SCIM, that was written; or NULL */
    const char *token;         /* of SCIM: the id of the caller's; or NULL */
} oks_answer_t;

/* Any URL under OktaSSOPath but SCIM's, which are oks_flow_serve_scim()'s. Always an answer. */
oks_answer_t *oks_flow_serve(const oks_flow_t *flow, const oks_request_t *request, apr_pool_t *pool);

/* Is it one of SCIM's, whose answers are all SCIM's JSON? */
bool oks_flow_is_scim(const char *local_path);
/* Who asks. */
typedef struct oks_scim_caller_t {
    const oks_org_t *org;
    const char *token;         /* its id, as oktassoctl shows it */
} oks_scim_caller_t;
/* May who asks speak for the organization? Before the body is read: it may be large. Both are set whatever comes back, to NULL
 * where it is not known. scim.token.*, flow.org.unknown, directory.database.unavailable */
oks_err_t *oks_flow_scim_admits(oks_scim_caller_t *caller, const oks_flow_t *flow, const oks_request_t *request,
                                apr_pool_t *pool) OKS_MUST_USE;
/* Where errors of httpd itself lead, and their answer; the log has httpd's own line. */
#define OKS_FLOW_SCIM_ERROR "/scim-error"
oks_answer_t *oks_flow_scim_error(int status, apr_pool_t *pool);
/* The answer to who is not admitted, or whose body cannot be read. */
oks_answer_t *oks_flow_scim_refuse(const oks_err_t *err, const oks_scim_caller_t *caller, apr_pool_t *pool);
/* SCIM, of an admitted caller. */
oks_answer_t *oks_flow_serve_scim(const oks_flow_t *flow, const oks_scim_caller_t *caller, const oks_request_t *request,
                                  apr_pool_t *pool);

/* What an audit log says of a decision, as one line of JSON without its end. */
typedef struct oks_audit_t {
    apr_time_t now;
    const char *client;   /* the visitor's address */
    const char *server;   /* the outside URL of the virtual host */
    const char *request;  /* its id */
} oks_audit_t;
const char *oks_flow_audit_line(const oks_answer_t *answer, const oks_audit_t *facts, apr_pool_t *pool);

/* What the check of a protected request found. */
typedef struct oks_pass_t {
    const oks_record_t *record; /* released when `pool` is cleared */
    const char *user;           /* REMOTE_USER; never empty */
    const char *set_cookie;     /* the re-issued ticket, or NULL */
    bool began;                 /* HTTP Basic: this request is the first one of the account's session */
} oks_pass_t;

/* Is there a live session for this organization, and does its login meet request->demand? Success is a pass; everything else
 * is a reason: flow.session.none, flow.session.expired, flow.authn.stale, flow.authn.weak, directory.session.absent,
 * directory.user.inactive, directory.database.unavailable, … */
oks_err_t *oks_flow_check(oks_pass_t *pass, const oks_flow_t *flow, const oks_org_t *org,
                          const oks_request_t *request, apr_pool_t *pool) OKS_MUST_USE;
/* The same for a request that carries a local account's name and password (HTTP Basic): the session is the account's, without a
 * cookie, and the password is checked each time. flow.local.*, flow.sso.required, flow.authn.weak, directory.*. */
oks_err_t *oks_flow_check_basic(oks_pass_t *pass, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                                const char *user, const char *password, apr_pool_t *pool) OKS_MUST_USE;
/* Of one child: freed with `pool`, when its threads have ended. */
oks_err_t *oks_assertions_create(oks_assertions_t **assertions, apr_pool_t *pool) OKS_MUST_USE;
/* The identity of a session as a JWT of ES256 that ends within a minute: iss (base URL and path), sub (the user record), aud (the
 * base URL), iat, exp, user, email, name, role, org, groups; without the groups where they would make it too long for a header, and
 * then groups_left_out is true. Signed once in half a minute for each session. In `pool`. flow.keys.gone,
 * directory.database.unavailable */
oks_err_t *oks_flow_assertion(const char **token, const oks_flow_t *flow, const oks_record_t *record, const char *base_url,
                              apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;
/* What to answer to a protected request that `refusal` refused: start a login, 401 JSON, or a page. */
oks_answer_t *oks_flow_challenge(const oks_flow_t *flow, const oks_org_t *org, oks_unauthorized_t unauthorized,
                                 const oks_request_t *request, const oks_err_t *refusal, apr_pool_t *pool);
/* The same where the visitor's organization is not known: first to the page that asks for it. */
oks_answer_t *oks_flow_challenge_any(const oks_flow_t *flow, oks_unauthorized_t unauthorized, const oks_request_t *request,
                                     const oks_err_t *refusal, apr_pool_t *pool);
/* The organization whose session this browser has: of several, the one chosen last on the sign-in page, else the first cookie's.
 * The ticket is good; whether the session is, oks_flow_check() tells. NULL: of none. */
const oks_org_t *oks_flow_visitors_org(const oks_flow_t *flow, const oks_request_t *request, apr_pool_t *pool);
/* The page (or JSON, as the request wants) for a refusal; again_url (may be NULL) is where to sign in again. */
oks_answer_t *oks_flow_refuse(const oks_request_t *request, const oks_err_t *err, const char *again_url,
                              apr_pool_t *pool);

/* ---- Values that configuration needs ------------------------------------------------------------------------- */

/* The default rules of DESIGN.md 4. */
const apr_array_header_t *oks_flow_default_attributes(apr_pool_t *pool);
/* user, email, firstName, lastName, name, groups, role, org. */
bool oks_flow_field_is_builtin(const char *field);
/* The one of them that is `name` but for case, and so has the same variable of the environment; or NULL. */
const char *oks_flow_builtin_field(const char *name);
/* Does one of its rules feed the field? */
bool oks_flow_has_field(const oks_org_t *org, const char *field);
/* Sets the cookie names and bindings of an organization. */
void oks_flow_name_cookies(oks_org_t *org, const char *vhost, apr_pool_t *pool);
/* Every cookie of ours starts so, after an optional "__Host-". */
#define OKS_COOKIE_PREFIX "oktasso-"

#endif
