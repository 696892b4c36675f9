/* A SAMLResponse as it comes, before its base64. Nobody here has the identity provider's key: whatever is accepted says what a
 * vector says. */
#include "expect.h"
#include "mutate.h"

static oks_saml_expect_t expect;

void fuzz_start(apr_pool_t *pool)
{
    expect_make(&expect, pool);
}

static bool is_signed(const char *subject)
{
    static const char *const subjects[] = { "alice@acme.example", "alice@acme.example.evil.example",
                                            "alice@acme.example<!---->.evil.example" };
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        if (strcmp(subject, subjects[i]) == 0) return true;
    return false;
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    oks_identity_t *identity;
    if (oks_saml_response_verify(&identity, oks_span_z(oks_base64_encode(input, pool)), &expect, pool)) return false;
    expect_identity(identity, &expect);
    HOLDS(is_signed(identity->subject) && !strcmp(identity->assertion_id, "id22222222222222222222222222"));
    return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_xml(data, size, max, seed);
}
