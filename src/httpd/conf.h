/* Configuration, from directive to completed organization. Populated while parsing, merged, completed once in
 * check_config, read-only from then on. */
#ifndef OKTASSO_HTTPD_CONF_H
#define OKTASSO_HTTPD_CONF_H

#include <apr_hash.h>
#include <httpd.h>
#include <http_config.h>

#include "oktasso/flow.h"

extern module AP_MODULE_DECLARE_DATA oktasso_module;

/* The settings of an organization: the one list from which storage, unset, merge and the check for disagreement come.
 * X(name, directive) */
#define OKS_ORG_SETTINGS(X)                    \
    X(METADATA, "OktaSSOIdPMetadata")          \
    X(METADATA_XML, "<OktaSSOIdPMetadataXML>") \
    X(SIGN_ON_URL, "OktaSSOIdPSignOnURL")      \
    X(ISSUER, "OktaSSOIdPIssuer")              \
    X(CERTIFICATE, "OktaSSOIdPCertificate")    \
    X(IDP_INITIATED, "OktaSSOIdPInitiated")    \
    X(CLIENT_ID, "OktaSSOClientID")            \
    X(CLIENT_SECRET, "OktaSSOClientSecret")    \
    X(CLIENT_KEY, "OktaSSOClientKey")          \
    X(SCOPE, "OktaSSOScope")                   \
    X(RESPONSE_MODE, "OktaSSOResponseMode")    \
    X(PAR, "OktaSSOPAR")                       \
    X(ENTITY_ID, "OktaSSOSPEntityID")          \
    X(ACS_URL, "OktaSSOACSURL")                \
    X(SIGN_REQUESTS, "OktaSSOSignRequests")    \
    X(SP_KEY, "OktaSSOSPKey")                  \
    X(SP_CERTIFICATE, "OktaSSOSPCertificate")  \
    X(ALGORITHMS, "OktaSSOAlgorithms")         \
    X(ATTRIBUTE, "OktaSSOAttribute")           \
    X(VERIFIED_EMAIL, "OktaSSORequireVerifiedEmail") \
    X(HEADER, "OktaSSOHeader")                 \
    X(ASSERTION_HEADER, "OktaSSOAssertionHeader") \
    X(USER_FIELD, "OktaSSOUserField")          \
    X(SESSION, "OktaSSOSession")               \
    X(CLOCK_SKEW, "OktaSSOClockSkew")          \
    X(UNAUTHORIZED, "OktaSSOUnauthorized")     \
    X(FORCE_AUTHN, "OktaSSOForceAuthn")        \
    X(AUTHN_CONTEXT, "OktaSSOAuthnContext")    \
    X(MAX_AUTHN_AGE, "OktaSSOMaxAuthnAge")     \
    X(NAME_ID_FORMAT, "OktaSSONameIDFormat")   \
    X(ENABLED, "OktaSSOEnabled")               \
    X(DEFAULT_ROLE, "OktaSSODefaultRole")      \
    X(ROLE, "OktaSSORole")                     \
    X(EMAIL_DOMAIN, "OktaSSOEmailDomain")      \
    X(REQUIRE_SSO, "OktaSSORequireSSO")        \
    X(PROVISIONING, "OktaSSOProvisioning")     \
    X(SCIM, "OktaSSOSCIM")                     \
    X(SCIM_TOKEN, "OktaSSOSCIMToken")          \
    X(GROUP_DEFAULT_ROLE, "OktaSSOGroupDefaultRole") \
    X(LOCAL_PROVIDER, "OktaSSOLocalProvider")  \
    X(BREAK_GLASS, "OktaSSOBreakGlass")

typedef enum oks_setting_id_t {
#define X(name, directive) OKS_SET_##name,
    OKS_ORG_SETTINGS(X)
#undef X
    OKS_SET_COUNT_
} oks_setting_id_t;

#define OKS_SETTING_LINES_MAX 1000 /* of one setting that collects lines, in one place */

typedef struct oks_setting_t {
    const char *text;  /* as written, NULL: unset; of a setting that collects lines, the first one's */
    const char *where; /* "file:line" */
    const void *value; /* parsed: its type belongs to the setting, see directives.c */
    apr_array_header_t *list; /* of a setting that collects lines, instead of value; */
    apr_array_header_t *lines; /* const char *, their texts */
} oks_setting_t;

/* One layer of an organization's settings: server, <OktaSSOOrg> section or Location. */
typedef struct oks_org_conf_t {
    const char *name;  /* NULL for a server's defaults */
    const char *where; /* of the section or the OktaSSOOrg line */
    oks_setting_t set[OKS_SET_COUNT_];
} oks_org_conf_t;

/* A row of OktaSSOHeader: which field goes out under which name; field NULL: none. */
typedef struct oks_header_t {
    const char *header;
    const char *folded; /* oks_header_fold() */
    const char *field;  /* oks_httpd_signed_field: the signed identity */
    const char *where;
} oks_header_t;
/* The header that goes to the backend without being asked for, and that a backend cannot tell from this one; or NULL. */
const char *oks_httpd_default_header(const char *name, apr_pool_t *pool);
extern const char oks_httpd_signed_field[]; /* told by its address: no field of that name counts */

typedef struct oks_org_entry_t {
    oks_org_t org; /* first: flow knows this alone */
    const apr_array_header_t *headers; /* oks_header_t, the defaults included */
    bool signs;                        /* one of them is the signed identity */
    const char *where;                 /* "file:line" of its section or Location, or its file; */
    const char *domains_where;         /* of OktaSSOEmailDomain, */
    const char *require_where;         /* and of OktaSSORequireSSO */
    const char *host;                  /* of the identity provider's URLs; NULL: its SAML metadata is a file */
    void *batch;                       /* of orgdir.c: what keeps it; NULL: it stays */
} oks_org_entry_t;

typedef struct oks_orgdir_t oks_orgdir_t; /* orgdir.h */

typedef struct oks_dir_conf_t {
    const char *org;                   /* NULL: unset */
    const oks_unauthorized_t *unauthorized;
    const int *force_authn;            /* the three of a demand, each by itself; NULL: unset */
    const apr_interval_time_t *max_authn_age;
    const char *const *authn_contexts; /* an empty list: any */
    const apr_array_header_t *headers; /* oks_header_t rows of this Location alone */
    oks_org_conf_t *own;               /* what this very section says of the organization; not inherited */
} oks_dir_conf_t;

typedef struct oks_server_conf_t {
    server_rec *server;
    const server_rec *main_server;     /* the first of all, completed */
    const char *state_dir, *directory, *keys; /* main server alone: one directory and one ring per httpd */
    oks_http_t http;                   /* main server alone; timeout 0: the default, once completed */
    const apr_interval_time_t *overlap; /* main server alone: of certificates that metadata drops; NULL: the default */
    const apr_interval_time_t *grace;   /* main server alone: of a directory that is away; NULL: the default */
    const char *path;
    const char *base_url;
    const char *org_dir;
    bool org_dir_private;              /* its organizations may be at private addresses */
    const char *audit_target;          /* OktaSSOAuditLog: a path, or "|" and a command; NULL: none */
    apr_file_t *audit;                 /* opened */
    oks_look_t look;
    oks_org_conf_t *defaults;
    apr_hash_t *sections;              /* name -> oks_org_conf_t */
    apr_array_header_t *locations;     /* oks_dir_conf_t *, those that say something */
    oks_org_conf_t *open_section;      /* while a section's children are read */
    /* completed */
    apr_hash_t *orgs;                  /* name -> oks_org_entry_t, of the configuration */
    oks_orgdir_t *dir;          /* those of files; NULL: none */
    apr_hash_t *issuers;               /* host of an OpenID provider -> oks_org_entry_t; a mark, of several */
    apr_hash_t *domains;               /* email domain, lower case -> oks_org_entry_t */
    const char *vhost;
    bool requires_sso;                 /* some organization here does */
    oks_flow_t *flow;                  /* made in each child */
} oks_server_conf_t;

extern const command_rec oks_httpd_commands[];
void *oks_httpd_create_dir_conf(apr_pool_t *pool, char *dir);
void *oks_httpd_merge_dir_conf(apr_pool_t *pool, void *base, void *add);
void *oks_httpd_create_server_conf(apr_pool_t *pool, server_rec *server);
void *oks_httpd_merge_server_conf(apr_pool_t *pool, void *base, void *add);

/* OktaSSOOrg *: whichever organization of the virtual host the visitor has chosen. */
bool oks_httpd_is_any_org(const char *name);
const char *oks_httpd_setting_directive(oks_setting_id_t id);
oks_dir_conf_t *oks_httpd_dir_conf(const request_rec *r);
oks_server_conf_t *oks_httpd_server_conf(const server_rec *s);

/* complete.c: check_config, builds every virtual host's organizations; tells what is wrong with file, line and the mend. */
int oks_httpd_complete(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
/* One of a section's settings, laid over the virtual host's defaults. What is wrong, or NULL. */
const char *oks_httpd_complete_org(oks_org_entry_t **made, const oks_server_conf_t *sc, oks_org_conf_t *conf, apr_pool_t *pool);
/* oks_header_t: under which names the organization's fields go out. */
const apr_array_header_t *oks_httpd_org_headers(const oks_org_t *org);
bool oks_httpd_org_signs(const oks_org_t *org);
bool oks_httpd_is_our_header(const char *name);
/* Of flow: `orgs` is an oks_server_conf_t. */
const oks_org_t *oks_httpd_find_org(void *orgs, oks_span_t name, apr_pool_t *pool);
/* One that requires SSO; or NULL. */
const oks_org_t *oks_httpd_find_requiring(const oks_server_conf_t *conf, apr_pool_t *pool);
/* `rows` laid over `base`, by folded name. */
apr_array_header_t *oks_httpd_overlay_headers(const apr_array_header_t *base, const apr_array_header_t *rows,
                                              apr_pool_t *pool);

/* provider.c: a whole regular file of at most `max` bytes, in `pool`; what is wrong, or NULL. For all files that configuration
 * names. */
const char *oks_httpd_read_file(oks_span_t *bytes, const char *path, apr_size_t max, apr_pool_t *pool);
/* Does it hold a certificate in PEM? What is wrong, or NULL. */
const char *oks_httpd_check_pem(const char *path, apr_pool_t *pool);
/* Where the identity provider's endpoint and keys come from; what is wrong, or NULL. */
const char *oks_httpd_provider(oks_org_t *org, const oks_org_conf_t *conf, apr_pool_t *pool);
/* The same of our own key. */
const char *oks_httpd_sp_keys(oks_org_t *org, const oks_org_conf_t *conf, apr_pool_t *pool);

/* oidc.c: OpenID Connect, where OktaSSOClientID is set; what is wrong, or NULL. */
const char *oks_httpd_oidc(oks_org_t *org, const oks_org_conf_t *conf, apr_pool_t *pool);
/* Where it is not: settings of OpenID Connect that stand there all the same. */
const char *oks_httpd_check_saml(const oks_org_conf_t *conf, apr_pool_t *pool);
void oks_httpd_index_issuers(oks_server_conf_t *conf, apr_pool_t *pool);
const oks_org_t *oks_httpd_find_issuer(void *orgs, const char *host, apr_pool_t *pool);
/* file:PATH (below ServerRoot, unless it begins with /), exec:COMMAND or env:NAME, read into `buffer`; what is wrong, or NULL. */
const char *oks_httpd_read_source(apr_size_t *len, char *buffer, apr_size_t size, const char *source, apr_pool_t *pool);

/* directives.c: do only settings of an organization stand there? What is wrong, or NULL. */
const char *oks_httpd_check_section(const ap_directive_t *first, apr_pool_t *pool);
#define OKS_XML_SECTION "OktaSSOIdPMetadataXML"
/* What OktaSSOAlgorithms allows of each protocol. */
typedef struct oks_algorithms_t { unsigned saml, jws; } oks_algorithms_t;
/* What OktaSSOSCIM says. */
typedef struct oks_scim_conf_t {
    bool on, bare_token;
    apr_size_t body_max;
} oks_scim_conf_t;
/* What OktaSSOClientSecret and OktaSSOClientKey say. */
typedef struct oks_client_conf_t { const char *source, *option; } oks_client_conf_t;

/* complete.c: the field, another one than row's, that goes out under this header by default or by the configuration; or NULL. */
const char *oks_httpd_other_field(const oks_server_conf_t *conf, const oks_header_t *row, apr_pool_t *pool);
/* orgfile.c: the settings of an organization's own file, into `section`, whose values live in `keep`. What is wrong, or NULL. */
const char *oks_httpd_parse_org(oks_org_conf_t *section, oks_server_conf_t *conf, const char *path, oks_span_t text,
                                apr_pool_t *keep, apr_pool_t *scratch);

/* advice.c: an OktaSSOOrg that guards nothing; local accounts whose passwords are nowhere to be found. */
void oks_httpd_tell_of_open(const server_rec *main_server, apr_pool_t *ptemp);
void oks_httpd_tell_of_passwords(const server_rec *main_server, apr_pool_t *ptemp);

/* runtime.c, for configtest: will start-up find its files usable, as far as root can tell? What is wrong, or NULL. */
const char *oks_httpd_check_state(const server_rec *main_server, apr_pool_t *pool);

/* authz.c: what is wrong with the names in Require lines, once all organizations are known; or NULL. */
const char *oks_httpd_check_required_names(const server_rec *main_server, apr_pool_t *pconf);
void oks_httpd_tell_of_roles(const server_rec *main_server, apr_pool_t *pconf);

/* domains.c: makes conf->domains of conf->orgs; what is wrong, or NULL. */
const char *oks_httpd_index_domains(oks_server_conf_t *conf, apr_pool_t *pool);
/* Whose domain it is, of a table like conf->domains; `domain` is changed, and changed back. */
oks_org_entry_t *oks_httpd_domain_owner(apr_hash_t *domains, char *domain);
const oks_org_t *oks_httpd_find_domain(void *orgs, oks_span_t domain, apr_pool_t *pool);
/* Another organization's domain among the entry's; what is wrong, or NULL. */
const char *oks_httpd_check_domains(apr_hash_t *domains, const oks_org_entry_t *entry, apr_pool_t *pool);
/* Each domain of `entry` is `owner`'s from now on; NULL: nobody's. */
void oks_httpd_set_domains(apr_hash_t *domains, const oks_org_entry_t *entry, const oks_org_entry_t *owner);

#endif
