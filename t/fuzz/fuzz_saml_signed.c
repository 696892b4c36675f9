/* A Response without its signature, which is put on here by the identity provider's key: what lies behind the signature. */
#include "expect.h"
#include "mutate.h"
#include "oktasso/xml.h"

#define ASSERTION "urn:oasis:names:tc:SAML:2.0:assertion"

static oks_saml_expect_t expect, another;
static oks_keypair_t *idp_key;

void fuzz_start(apr_pool_t *pool)
{
    static oks_saml_idp_t stranger;
    expect_make(&expect, pool);
    idp_key = expect_key("idp", pool);
    another = expect;
    stranger = *expect.idp;
    stranger.certs = apr_array_make(pool, 1, sizeof(oks_cert_t *));
    APR_ARRAY_PUSH(stranger.certs, oks_cert_t *) = expect_key("other", pool)->cert;
    another.idp = &stranger;
}

/* The Assertion's own NameID, found without the room saml. */
static const char *name_id(oks_span_t xml, apr_pool_t *pool)
{
    xmlDocPtr doc;
    xmlNode *assertion, *subject, *name;
    HOLDS(!oks_xml_parse(&doc, xml, xml.len, pool));
    HOLDS(oks_xml_children(&assertion, xmlDocGetRootElement(doc), ASSERTION, "Assertion") == 1);
    HOLDS(oks_xml_children(&subject, assertion, ASSERTION, "Subject") == 1);
    HOLDS(oks_xml_children(&name, subject, ASSERTION, "NameID") == 1);
    return oks_xml_text(name, pool);
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    oks_identity_t *identity;
    oks_span_t message;
    if (oks_xml_sign(&message, input, idp_key, pool)) return false;
    oks_span_t value = oks_span_z(oks_base64_encode(message, pool));
    if (oks_saml_response_verify(&identity, value, &expect, pool)) return false;
    expect_identity(identity, &expect);
    const char *name = name_id(input, pool);
    HOLDS(name && oks_span_eq_z(oks_span_trim(oks_span_z(name)), identity->subject));
    HOLDS(oks_saml_response_verify(&identity, value, &another, pool)); /* another one's certificate */
    return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_xml(data, size, max, seed);
}
