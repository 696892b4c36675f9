/* What the files of this room share. */
#ifndef OKTASSO_OIDC_PRIVATE_H
#define OKTASSO_OIDC_PRIVATE_H

#include "oktasso/json.h"
#include "oktasso/oidc.h"

#define OIDC_WELL_KNOWN "/.well-known/openid-configuration"

/* A parameter more: "name=value" with '&' between. Values of NULL are left out. */
const char *oks_oidc_add(const char *query, const char *name, const char *value, apr_pool_t *pool);

/* A JSON object out of an answer of 200 or 201 that reports no error. Reasons: oidc.error.*, oidc.answer.malformed, base.json.*. */
oks_err_t *oks_oidc_check_answer(json_t **json, int status, oks_span_t body, apr_pool_t *pool) OKS_MUST_USE;
/* application/jwt, which a provider may send instead of JSON. */
bool oks_oidc_is_jwt(const char *content_type);

#endif
