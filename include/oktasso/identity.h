/* An identity: what a verified SAML Response or OpenID Connect ID token said, and nothing that it did not say.
 * Only the rooms saml and oidc make one (a guard test sees to it); everybody else reads. */
#ifndef OKTASSO_IDENTITY_H
#define OKTASSO_IDENTITY_H

#include "oktasso/base.h"

typedef struct oks_attribute_t {
    const char *name;                 /* as sent; NameFormat is ignored */
    apr_array_header_t *values;       /* const char *: UTF-8, ends trimmed; may be empty strings */
} oks_attribute_t;

typedef struct oks_identity_t {
    const char *protocol;             /* "saml" or "oidc" */
    const char *issuer;
    const char *subject;              /* SAML NameID, OIDC sub; never empty, and what oks_value_sanitize leaves as it is */
    const char *subject_format;       /* SAML NameID Format, the unspecified one when none was sent; "" of OIDC */
    const char *assertion_id;         /* one-time value to claim: Assertion ID, or the hash of the OIDC code */
    apr_time_t claim_until;           /* how long the claim has to be remembered, tolerance included */
    const char *in_response_to;       /* SAML request answered, NULL when the Response was unsolicited; OIDC nonce */
    const char *session_index;        /* or NULL */
    const char *authn_context;        /* AuthnContextClassRef or acr; or NULL */
    apr_time_t authn_instant;         /* 0 when not said */
    apr_time_t session_not_on_or_after; /* 0 when not said */
    apr_array_header_t *attributes;   /* oks_attribute_t, in the order sent; one entry per distinct name */
} oks_identity_t;

/* The attribute of that exact name, or NULL. */
const oks_attribute_t *oks_identity_attribute(const oks_identity_t *identity, const char *name);

#endif
