/* What the files of this room share. */
#ifndef OKTASSO_OIDC_PRIVATE_H
#define OKTASSO_OIDC_PRIVATE_H

#include "oktasso/json.h"
#include "oktasso/oidc.h"

#define OIDC_WELL_KNOWN "/.well-known/openid-configuration"

/* A parameter more: "name=value" with '&' between. Values of NULL are left out. */
const char *oks_oidc_add(const char *query, const char *name, const char *value, apr_pool_t *pool);

#endif
