/* saml: metadata, AuthnRequest, and Response -> identity. Pure: time, IDs and keys are arguments. */
#ifndef OKTASSO_SAML_H
#define OKTASSO_SAML_H

#include "oktasso/base.h"
#include "oktasso/crypto.h"
#include "oktasso/identity.h"

#define OKS_SAML_METADATA_MAX (1024 * 1024)  /* bytes of an IdP's metadata document */
#define OKS_SAML_RESPONSE_MAX (256 * 1024)   /* bytes of a decoded Response */
#define OKS_SAML_REQUEST_ID_LEN 33           /* '_' and 32 hexadecimal digits */
#define OKS_SAML_KEYS_MAX 16                 /* signing certificates of one identity provider */

/* Prepares libxml2 and xmlsec1 for this process: idempotent, harmless where another module did it already, and never
 * undone (SECURITY.md 23). Call in each child before any other function here but oks_saml_metadata_parse. base.internal.error. */
oks_err_t *oks_saml_init(apr_pool_t *pool) OKS_MUST_USE;

/* One identity provider, out of metadata. Read-only once made. */
typedef struct oks_saml_idp_t {
    const char *entity_id;
    const char *sso_redirect_url;   /* SingleSignOnService HTTP-Redirect, or NULL */
    const char *sso_post_url;       /* SingleSignOnService HTTP-POST, or NULL */
    const char *slo_redirect_url;   /* SingleLogoutService, or NULL */
    const char *slo_post_url;
    bool want_authn_requests_signed;
    apr_array_header_t *certs;      /* oks_cert_t *: all active signing certificates, at least one */
    const char *skipped;            /* why a certificate beside them was left out, for the log; NULL: none was */
    apr_time_t valid_until;         /* not to be used after (SAML Metadata 2.3.2); 0: no end */
} oks_saml_idp_t;

/* Reads an md:EntityDescriptor (or md:EntitiesDescriptor with exactly one IdP) with one IDPSSODescriptor for SAML 2.0
 * (SAML Metadata 2.3, 2.4). Leading blanks and a BOM are tolerated, and so is a certificate that cannot be used beside one
 * that can. Whether it is still valid is for the caller to judge. All in `pool`.
 * Reasons: saml.metadata.*, xml.*, base.time.malformed; crypto.cert.malformed or crypto.key.weak when no certificate is usable. */
oks_err_t *oks_saml_metadata_parse(oks_saml_idp_t **idp, oks_span_t xml, apr_pool_t *pool) OKS_MUST_USE;

typedef struct oks_saml_authn_request_t {
    const char *id;            /* xs:ID, OKS_SAML_REQUEST_ID_LEN characters */
    apr_time_t issue_instant;
    const char *issuer;        /* our entity ID */
    const char *acs_url;
    const char *destination;   /* the IdP's endpoint */
    bool force_authn;
    const char *const *authn_contexts; /* RequestedAuthnContext, exactly one of them; NULL: none is requested */
    const char *name_id_format;        /* of a NameIDPolicy; NULL: none */
    const oks_keypair_t *key;  /* signs the request; NULL: unsigned */
} oks_saml_authn_request_t;

/* The URL to send the browser to: HTTP-Redirect binding, DEFLATE, and with a key the signature over the exact
 * octets of the query (SAML Bindings 3.4.4, 3.4.4.1). In `pool`, as all below. base.internal.error. */
oks_err_t *oks_saml_authn_request_url(const char **url, const oks_saml_authn_request_t *request,
                                      const char *relay_state, apr_pool_t *pool) OKS_MUST_USE;

/* The SAMLRequest value of a form to post to the destination: HTTP-POST binding, with a key an enveloped signature (SAML
 * Bindings 3.5.4). base.internal.error. */
oks_err_t *oks_saml_authn_request_form(const char **value, const oks_saml_authn_request_t *request, apr_pool_t *pool)
    OKS_MUST_USE;

/* Our own metadata: application/samlmetadata+xml. */
typedef struct oks_saml_sp_t {
    const char *entity_id;
    const char *acs_url;
    bool signs_requests;
    const apr_array_header_t *certs; /* const oks_cert_t *: what signs our requests, or NULL */
    const apr_array_header_t *encryption_certs; /* const oks_cert_t *: of keys that we hold and decrypt with, or NULL */
} oks_saml_sp_t;
const char *oks_saml_sp_metadata(const oks_saml_sp_t *sp, apr_pool_t *pool);

/* The bit of "rsa-sha256" and so on (oks_xml_algorithm_t); 0 for a name that is not known. */
unsigned oks_saml_algorithm(const char *name);

/* What a Response is judged against. All required but request_id, algorithms and keys. */
typedef struct oks_saml_expect_t {
    const oks_saml_idp_t *idp;
    const char *const *audiences; /* our entity IDs, NULL-terminated; one must be named by the assertion */
    const char *acs_url;          /* Destination and Recipient */
    const char *request_id;       /* the request this browser started, or NULL when it started none we know of */
    unsigned algorithms;          /* oks_xml_algorithm_t; 0: the SHA-2 family */
    const apr_array_header_t *keys; /* const oks_keypair_t *: what decrypts an EncryptedAssertion; NULL: saml.assertion.encrypted */
    apr_time_t now;
    apr_interval_time_t skew;
} oks_saml_expect_t;

/* Verifies a SAMLResponse form value (base64) and returns what was signed in it, as SECURITY.md 13 to 21 (but the
 * replay claim, which is the directory's). An assertion with an InResponseTo must equal expect->request_id; one
 * without yields identity->in_response_to == NULL, and the caller decides. The identity is in `pool`. Reasons: saml.*, xml.*,
 * base.base64.malformed, base.time.malformed. */
oks_err_t *oks_saml_response_verify(oks_identity_t **identity, oks_span_t base64, const oks_saml_expect_t *expect,
                                    apr_pool_t *pool) OKS_MUST_USE;

#endif
