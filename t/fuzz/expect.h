/* What the vectors of t/vectors/saml are judged against, nearly all of them. */
#ifndef OKTASSO_FUZZ_EXPECT_H
#define OKTASSO_FUZZ_EXPECT_H

#include "fuzz.h"
#include "oktasso/saml.h"

void expect_make(oks_saml_expect_t *expect, apr_pool_t *pool);
oks_keypair_t *expect_key(const char *name, apr_pool_t *pool); /* of t/vectors/saml/_keys */
/* What every identity is, however it came to be. */
void expect_identity(const oks_identity_t *identity, const oks_saml_expect_t *expect);

#endif
