/* Reading an identity; only saml and oidc make one. */
#include <string.h>

#include "oktasso/identity.h"

const oks_attribute_t *oks_identity_attribute(const oks_identity_t *identity, const char *name)
{
    for (int i = 0; i < identity->attributes->nelts; i++) {
        const oks_attribute_t *attribute = &APR_ARRAY_IDX(identity->attributes, i, oks_attribute_t);
        if (strcmp(attribute->name, name) == 0) return attribute;
    }
    return NULL;
}
