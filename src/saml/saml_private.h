/* What the files of the room saml share. */
#ifndef OKTASSO_SAML_PRIVATE_H
#define OKTASSO_SAML_PRIVATE_H

#include "oktasso/saml.h"
#include "oktasso/xml.h"

#define OKS_NS_METADATA "urn:oasis:names:tc:SAML:2.0:metadata"
#define OKS_NS_PROTOCOL "urn:oasis:names:tc:SAML:2.0:protocol"
#define OKS_NS_ASSERTION "urn:oasis:names:tc:SAML:2.0:assertion"
#define OKS_NS_DSIG "http://www.w3.org/2000/09/xmldsig#"
#define OKS_BINDING_REDIRECT "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
#define OKS_BINDING_POST "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"

/* The facts of a verified assertion: `assertion` is the root or a descendant of a document made of signed bytes alone. */
oks_err_t *oks_saml_assertion_read(oks_identity_t **identity, const xmlNode *assertion, const oks_saml_expect_t *expect,
                                   apr_pool_t *pool) OKS_MUST_USE;

#endif
