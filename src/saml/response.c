/* Response -> identity: signatures first; then everything is read from signed bytes alone (SECURITY.md 16 to 20). */
#include <string.h>

#include "saml_private.h"

#define STATUS_SUCCESS "urn:oasis:names:tc:SAML:2.0:status:Success"

static bool version_ok(const xmlNode *node, apr_pool_t *pool)
{
    const char *version = oks_xml_attribute(node, "Version", pool);
    return version && strcmp(version, "2.0") == 0;
}

/* Status is looked at before the signature: a refusal is all that it can lead to, and Okta does not sign errors. */
static oks_err_t *check_status(const xmlNode *response, apr_pool_t *pool)
{
    xmlNode *status, *code, *message;
    if (oks_xml_children(&status, response, OKS_NS_PROTOCOL, "Status") != 1 ||
        oks_xml_children(&code, status, OKS_NS_PROTOCOL, "StatusCode") != 1)
        return oks_err(pool, OKS_R_SAML_RESPONSE_MALFORMED, "not exactly one Status with its StatusCode");
    const char *value = oks_xml_attribute(code, "Value", pool), *text = NULL;
    if (value && strcmp(value, STATUS_SUCCESS) == 0) return NULL;
    if (oks_xml_children(&message, status, OKS_NS_PROTOCOL, "StatusMessage")) text = oks_xml_text(message, pool);
    return oks_err(pool, OKS_R_SAML_STATUS_NOT_SUCCESS, "%s %s", oks_log_escape(oks_span_z(value), 120, pool),
                   oks_log_escape(oks_span_z(text), 200, pool));
}

static oks_err_t *check_response(const xmlNode *response, const oks_saml_expect_t *expect, bool is_signed, apr_pool_t *pool)
{
    xmlNode *issuer;
    const char *destination = oks_xml_attribute(response, "Destination", pool);
    if (!oks_xml_is(response, OKS_NS_PROTOCOL, "Response") || !version_ok(response, pool))
        return oks_err(pool, OKS_R_SAML_RESPONSE_MALFORMED, "not a Response of version 2.0");
    OKS_TRY(check_status(response, pool));
    /* SAML Bindings 3.5.5.2: a signed message says where it is meant to go. */
    if (destination ? strcmp(destination, expect->acs_url) != 0 : is_signed)
        return oks_err(pool, OKS_R_SAML_DESTINATION_MISMATCH, "wanted %s, got %s", expect->acs_url,
                       destination ? oks_log_escape(oks_span_z(destination), 200, pool) : "none");
    int issuers = oks_xml_children(&issuer, response, OKS_NS_ASSERTION, "Issuer");
    const char *name = issuer ? oks_xml_text(issuer, pool) : NULL;
    /* SAML Profiles 4.1.4.2: a signed Response names its Issuer. */
    if (issuers > 1 || (issuer ? !name || strcmp(name, expect->idp->entity_id) != 0 : is_signed))
        return oks_err(pool, OKS_R_SAML_ISSUER_MISMATCH, "of the Response: wanted %s, got %s", expect->idp->entity_id,
                       name ? oks_log_escape(oks_span_z(name), 200, pool) : "none");
    return NULL;
}

/* The one Assertion of a Response, or what hides it. */
static oks_err_t *find_assertion(xmlNode **assertion, bool *encrypted, const xmlNode *response, apr_pool_t *pool)
{
    xmlNode *hidden;
    int plain = oks_xml_children(assertion, response, OKS_NS_ASSERTION, "Assertion");
    int covered = oks_xml_children(&hidden, response, OKS_NS_ASSERTION, "EncryptedAssertion");
    if (plain + covered != 1) return oks_err(pool, OKS_R_SAML_ASSERTION_COUNT, "%d", plain + covered);
    *encrypted = covered == 1;
    if (covered) *assertion = hidden;
    return NULL;
}

static int count_everywhere(const xmlNode *node, const char *name)
{
    int count = oks_xml_is(node, OKS_NS_ASSERTION, name) ? 1 : 0;
    for (const xmlNode *child = oks_xml_first_element(node); child; child = oks_xml_next_element(child))
        count += count_everywhere(child, name);
    return count;
}

/* Exactly one, and none in Extensions or Advice either (SECURITY.md 19). */
static oks_err_t *check_only_assertion(const xmlNode *root, apr_pool_t *pool)
{
    int count = count_everywhere(root, "Assertion") + count_everywhere(root, "EncryptedAssertion");
    return count == 1 ? NULL : oks_err(pool, OKS_R_SAML_ASSERTION_COUNT, "%d in the whole message", count);
}

/* A Response to a request is one to this request, and its Assertion says so too (SAML Core 3.2.2, Profiles 4.1.4.3). */
static oks_err_t *check_answer(const xmlNode *response, const oks_identity_t *identity, const oks_saml_expect_t *expect,
                               apr_pool_t *pool)
{
    const char *answered = oks_xml_attribute(response, "InResponseTo", pool);
    if (!answered) return NULL;
    if (!expect->request_id || strcmp(answered, expect->request_id) != 0 || !identity->in_response_to)
        return oks_err(pool, OKS_R_SAML_IN_RESPONSE_TO_MISMATCH, "of the Response: %s",
                       expect->request_id ? "another request, or the Assertion has none" : "no request known");
    return NULL;
}

static bool has_signature(const xmlNode *node)
{
    xmlNode *signature;
    return oks_xml_children(&signature, node, OKS_NS_DSIG, "Signature") > 0;
}

/* Parses what was signed. The root is what the signature was in. */
static oks_err_t *parse_signed(xmlNode **root, oks_span_t bytes, apr_pool_t *pool)
{
    xmlDocPtr doc;
    OKS_TRY(oks_xml_parse(&doc, bytes, OKS_SAML_RESPONSE_MAX * 2, pool));
    *root = xmlDocGetRootElement(doc);
    return NULL;
}

static oks_err_t *check_signature_count(const xmlNode *root, int wanted, apr_pool_t *pool)
{
    if (oks_xml_count_signatures(root) == wanted) return NULL;
    return oks_err(pool, OKS_R_XML_SIGNATURE_MISPLACED, "a Signature elsewhere than in Response or Assertion");
}

/* Its signature, and the signed bytes parsed: what is judged from here on. */
static oks_err_t *verify_response(xmlNode **root, xmlNode *response, const oks_saml_expect_t *expect, apr_pool_t *pool)
{
    oks_span_t bytes;
    OKS_TRY(oks_xml_verify(&bytes, response, expect->idp->certs, expect->algorithms, pool));
    OKS_TRY(parse_signed(root, bytes, pool));
    return check_response(*root, expect, true, pool);
}

static oks_err_t *verify_assertion(xmlNode **assertion, xmlNode *raw, const oks_saml_expect_t *expect, apr_pool_t *pool)
{
    oks_span_t bytes;
    OKS_TRY(oks_xml_verify(&bytes, raw, expect->idp->certs, expect->algorithms, pool));
    return parse_signed(assertion, bytes, pool);
}

/* Every signature that is there must verify. The assertion is taken from the outermost signed bytes. */
static oks_err_t *verify_plain(xmlNode **assertion, xmlNode *response, xmlNode *raw, const oks_saml_expect_t *expect,
                               apr_pool_t *pool)
{
    xmlNode *root;
    bool response_signed = has_signature(response), assertion_signed = has_signature(raw), encrypted;
    if (!response_signed && !assertion_signed) return oks_err(pool, OKS_R_SAML_RESPONSE_UNSIGNED, NULL);
    OKS_TRY(check_signature_count(response, response_signed + assertion_signed, pool));
    if (assertion_signed) OKS_TRY(verify_assertion(assertion, raw, expect, pool));
    if (!response_signed) return NULL;
    OKS_TRY(verify_response(&root, response, expect, pool));
    return find_assertion(assertion, &encrypted, root, pool);
}

/* The Response's signature first, over what is encrypted; then the one inside, where there is one. One of them there must be. */
static oks_err_t *verify_encrypted(xmlNode **assertion, xmlNode *response, xmlNode *hidden, const oks_saml_expect_t *expect,
                                   apr_pool_t *pool)
{
    xmlNode *root, *plain;
    bool response_signed = has_signature(response), encrypted;
    if (!expect->keys) return oks_err(pool, OKS_R_SAML_ASSERTION_ENCRYPTED, NULL);
    OKS_TRY(check_signature_count(response, response_signed, pool));
    if (response_signed) {
        OKS_TRY(verify_response(&root, response, expect, pool));
        OKS_TRY(find_assertion(&hidden, &encrypted, root, pool));
    }
    OKS_TRY(oks_xml_decrypt(&plain, hidden, expect->keys, response_signed, pool));
    if (!oks_xml_is(plain, OKS_NS_ASSERTION, "Assertion")) return oks_err(pool, OKS_R_SAML_ASSERTION_COUNT, "none was encrypted");
    OKS_TRY(check_only_assertion(plain, pool));
    bool assertion_signed = has_signature(plain);
    if (!response_signed && !assertion_signed) return oks_err(pool, OKS_R_SAML_RESPONSE_UNSIGNED, "nor what is encrypted");
    OKS_TRY(check_signature_count(plain, assertion_signed, pool));
    *assertion = plain;
    return assertion_signed ? verify_assertion(assertion, plain, expect, pool) : NULL;
}

oks_err_t *oks_saml_response_verify(oks_identity_t **identity, oks_span_t base64, const oks_saml_expect_t *expect,
                                    apr_pool_t *pool)
{
    oks_span_t xml;
    xmlDocPtr doc;
    xmlNode *found, *assertion;
    bool encrypted;
    if (base64.len > OKS_SAML_RESPONSE_MAX / 3 * 4 + OKS_SAML_RESPONSE_MAX / 32) /* line ends included */
        return oks_err(pool, OKS_R_SAML_RESPONSE_TOO_LARGE, "%" APR_SIZE_T_FMT " bytes of base64", base64.len);
    OKS_TRY(oks_base64_decode(&xml, base64, pool));
    OKS_TRY(oks_xml_parse(&doc, xml, OKS_SAML_RESPONSE_MAX, pool));
    xmlNode *response = xmlDocGetRootElement(doc);
    OKS_TRY(check_response(response, expect, false, pool));
    OKS_TRY(find_assertion(&found, &encrypted, response, pool));
    OKS_TRY((encrypted ? verify_encrypted : verify_plain)(&assertion, response, found, expect, pool));
    OKS_TRY(check_only_assertion(response, pool));
    oks_identity_t *read;
    OKS_TRY(oks_saml_assertion_read(&read, assertion, expect, pool));
    OKS_TRY(check_answer(response, read, expect, pool));
    *identity = read;
    return NULL;
}
