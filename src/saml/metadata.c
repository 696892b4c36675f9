/* Metadata: an identity provider's read, our own written (SAML Metadata 2.3, 2.4). */
#include <string.h>

#include <apr_strings.h>

#include "saml_private.h"

oks_err_t *oks_saml_init(apr_pool_t *pool)
{
    return oks_xml_init(pool);
}

unsigned oks_saml_algorithm(const char *name)
{
    return oks_xml_algorithm(name);
}

static bool speaks_saml2(const xmlNode *role, apr_pool_t *pool)
{
    const char *protocols = oks_xml_attribute(role, "protocolSupportEnumeration", pool);
    return protocols && strstr(protocols, OKS_NS_PROTOCOL);
}

/* How many IDPSSODescriptors for SAML 2.0 an EntityDescriptor has; *role is one of them. */
static int idp_roles(const xmlNode **role, const xmlNode *entity, apr_pool_t *pool)
{
    int count = 0;
    if (!oks_xml_is(entity, OKS_NS_METADATA, "EntityDescriptor")) return 0;
    for (const xmlNode *node = oks_xml_first_element(entity); node; node = oks_xml_next_element(node)) {
        if (!oks_xml_is(node, OKS_NS_METADATA, "IDPSSODescriptor") || !speaks_saml2(node, pool)) continue;
        *role = node;
        count++;
    }
    return count;
}

/* The one role of the one identity provider of the document. */
static oks_err_t *find_role(const xmlNode **role, const xmlNode *root, apr_pool_t *pool)
{
    int count = idp_roles(role, root, pool);
    if (oks_xml_is(root, OKS_NS_METADATA, "EntitiesDescriptor"))
        for (const xmlNode *node = oks_xml_first_element(root); node; node = oks_xml_next_element(node))
            count += idp_roles(role, node, pool);
    if (count > 1) return oks_err(pool, OKS_R_SAML_METADATA_AMBIGUOUS, "%d IDPSSODescriptors for SAML 2.0", count);
    if (!count) return oks_err(pool, OKS_R_SAML_METADATA_MALFORMED, "no EntityDescriptor with an IDPSSODescriptor for SAML 2.0");
    return NULL;
}

/* One that cannot be used trusts nobody, and is no reason to refuse the others; *skipped is why. */
static oks_err_t *read_certs(oks_saml_idp_t *idp, oks_err_t **skipped, const xmlNode *key, apr_pool_t *pool)
{
    xmlNode *info, *data;
    const char *use = oks_xml_attribute(key, "use", pool);
    if (use && strcmp(use, "signing") != 0) return NULL;
    if (!oks_xml_children(&info, key, OKS_NS_DSIG, "KeyInfo")) return NULL;
    for (data = oks_xml_first_element(info); data; data = oks_xml_next_element(data)) {
        if (!oks_xml_is(data, OKS_NS_DSIG, "X509Data")) continue;
        for (xmlNode *node = oks_xml_first_element(data); node; node = oks_xml_next_element(node)) {
            if (!oks_xml_is(node, OKS_NS_DSIG, "X509Certificate")) continue;
            const char *text = oks_xml_text(node, pool);
            if (idp->certs->nelts == OKS_SAML_KEYS_MAX)
                return oks_err(pool, OKS_R_SAML_METADATA_MALFORMED, "more than %d certificates", OKS_SAML_KEYS_MAX);
            oks_cert_t *cert;
            oks_err_t *err = oks_cert_parse(&cert, oks_span_z(text ? text : ""), pool);
            if (!err) APR_ARRAY_PUSH(idp->certs, oks_cert_t *) = cert;
            else if (!*skipped) *skipped = err;
        }
    }
    return NULL;
}

static oks_err_t *read_keys(oks_saml_idp_t *idp, const xmlNode *role, apr_pool_t *pool)
{
    oks_err_t *skipped = NULL;
    idp->certs = apr_array_make(pool, 2, sizeof(oks_cert_t *));
    for (xmlNode *node = oks_xml_first_element(role); node; node = oks_xml_next_element(node))
        if (oks_xml_is(node, OKS_NS_METADATA, "KeyDescriptor")) OKS_TRY(read_certs(idp, &skipped, node, pool));
    if (!idp->certs->nelts) return skipped ? skipped : oks_err(pool, OKS_R_SAML_METADATA_NO_KEY, NULL);
    if (skipped) idp->skipped = oks_err_text(skipped, pool);
    return NULL;
}

/* The earliest validUntil of the role and what it is in (SAML Metadata 2.3.1, 2.3.2, 2.4.1). */
static oks_err_t *read_validity(oks_saml_idp_t *idp, const xmlNode *role, apr_pool_t *pool)
{
    for (const xmlNode *node = role; node && node->type == XML_ELEMENT_NODE; node = node->parent) {
        apr_time_t until;
        const char *text = oks_xml_attribute(node, "validUntil", pool);
        if (!text) continue;
        OKS_TRY(oks_time_parse(&until, oks_span_z(text), pool));
        if (!until) until = 1;
        if (!idp->valid_until || until < idp->valid_until) idp->valid_until = until;
    }
    return NULL;
}

/* The first endpoint of that service and binding that has an https Location (http for loopback). */
static const char *endpoint(const xmlNode *role, const char *service, const char *binding, apr_pool_t *pool)
{
    for (xmlNode *node = oks_xml_first_element(role); node; node = oks_xml_next_element(node)) {
        oks_url_t url;
        if (!oks_xml_is(node, OKS_NS_METADATA, service)) continue;
        const char *its = oks_xml_attribute(node, "Binding", pool), *location = oks_xml_attribute(node, "Location", pool);
        if (!its || !location || strcmp(its, binding) != 0) continue;
        if (!oks_url_parse(&url, oks_span_z(location), pool) && oks_url_is_secure(&url)) return location;
    }
    return NULL;
}

static oks_err_t *read_idp(oks_saml_idp_t **idp, const xmlNode *role, apr_pool_t *pool)
{
    oks_saml_idp_t *made = apr_pcalloc(pool, sizeof *made);
    made->entity_id = oks_xml_attribute(role->parent, "entityID", pool);
    if (!made->entity_id || !*made->entity_id || strlen(made->entity_id) > 1024) /* SAML Metadata 2.2.1 */
        return oks_err(pool, OKS_R_SAML_METADATA_MALFORMED, "no usable entityID");
    OKS_TRY(read_keys(made, role, pool));
    OKS_TRY(read_validity(made, role, pool));
    made->sso_redirect_url = endpoint(role, "SingleSignOnService", OKS_BINDING_REDIRECT, pool);
    made->sso_post_url = endpoint(role, "SingleSignOnService", OKS_BINDING_POST, pool);
    made->slo_redirect_url = endpoint(role, "SingleLogoutService", OKS_BINDING_REDIRECT, pool);
    made->slo_post_url = endpoint(role, "SingleLogoutService", OKS_BINDING_POST, pool);
    if (!made->sso_redirect_url && !made->sso_post_url) return oks_err(pool, OKS_R_SAML_METADATA_NO_ENDPOINT, NULL);
    const char *want = oks_xml_attribute(role, "WantAuthnRequestsSigned", pool);
    made->want_authn_requests_signed = want && (!strcmp(want, "true") || !strcmp(want, "1"));
    *idp = made;
    return NULL;
}

/* What is kept of it may be kept for long, and the tree takes many times the size of the document. */
oks_err_t *oks_saml_metadata_parse(oks_saml_idp_t **idp, oks_span_t xml, apr_pool_t *pool)
{
    xmlDocPtr doc;
    const xmlNode *role;
    apr_pool_t *scratch;
    if (oks_is_html(xml)) /* the metadata's address asks for no sign-in: this is another one */
        return oks_err(pool, OKS_R_SAML_METADATA_MALFORMED, "an HTML page and no metadata: copy the Metadata URL from the Sign On "
                       "tab of the app in Okta");
    apr_pool_create(&scratch, pool);
    OKS_TRY(oks_xml_parse(&doc, xml, OKS_SAML_METADATA_MAX, scratch));
    OKS_TRY(find_role(&role, xmlDocGetRootElement(doc), scratch));
    OKS_TRY(read_idp(idp, role, pool));
    apr_pool_destroy(scratch); /* not after an error, which may lie in it */
    return NULL;
}

/* SAML Metadata 2.4.1.1. What we decrypt is said, the best first; AES-CBC is nothing to recommend. */
static const char *key_descriptors(const apr_array_header_t *certs, const char *use, const char *methods, apr_pool_t *pool)
{
    const char *all = "";
    for (int i = 0; certs && i < certs->nelts; i++)
        all = apr_pstrcat(pool, all, "    <md:KeyDescriptor use=\"", use, "\"><ds:KeyInfo xmlns:ds=\"" OKS_NS_DSIG
                          "\"><ds:X509Data><ds:X509Certificate>",
                          oks_base64_encode(APR_ARRAY_IDX(certs, i, const oks_cert_t *)->der, pool),
                          "</ds:X509Certificate></ds:X509Data></ds:KeyInfo>", methods, "</md:KeyDescriptor>\n", NULL);
    return all;
}

#define METHOD(uri) "<md:EncryptionMethod Algorithm=\"" uri "\"/>"
static const char encryption_methods[] = METHOD("http://www.w3.org/2009/xmlenc11#aes256-gcm")
    METHOD("http://www.w3.org/2009/xmlenc11#aes128-gcm") METHOD("http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p");

const char *oks_saml_sp_metadata(const oks_saml_sp_t *sp, apr_pool_t *pool)
{
    return apr_pstrcat(
        pool, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<md:EntityDescriptor xmlns:md=\"" OKS_NS_METADATA "\" entityID=\"",
        oks_html_escape(sp->entity_id, pool), "\">\n  <md:SPSSODescriptor AuthnRequestsSigned=\"",
        sp->signs_requests ? "true" : "false", "\" WantAssertionsSigned=\"true\" protocolSupportEnumeration=\""
        OKS_NS_PROTOCOL "\">\n", key_descriptors(sp->certs, "signing", "", pool),
        key_descriptors(sp->encryption_certs, "encryption", encryption_methods, pool),
        "    <md:AssertionConsumerService Binding=\"" OKS_BINDING_POST "\" Location=\"",
        oks_html_escape(sp->acs_url, pool), "\" index=\"0\" isDefault=\"true\"/>\n"
        "  </md:SPSSODescriptor>\n</md:EntityDescriptor>\n", NULL);
}
