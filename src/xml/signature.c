/* What a signature must look like before xmlsec1 may see it (SECURITY.md 15, 16; SAML Core 5.4). */
#include <string.h>
#include <strings.h>

#include <apr_hash.h>

#include "xml_private.h"

#define MORE "http://www.w3.org/2001/04/xmldsig-more#"
#define ENC "http://www.w3.org/2001/04/xmlenc#"

static const char *const signature_algorithms[] = {
    MORE "rsa-sha256", MORE "rsa-sha384", MORE "rsa-sha512", MORE "ecdsa-sha256", MORE "ecdsa-sha384",
    MORE "ecdsa-sha512", NULL,
};
static const char *const digest_algorithms[] = { ENC "sha256", MORE "sha384", ENC "sha512", NULL };
static const char *const c14n_algorithms[] = { OKS_XML_EXC_C14N, NULL };
static const char *const enveloped_algorithms[] = { OKS_XML_DS "enveloped-signature", NULL };

/* ---- IDs -------------------------------------------------------------------------------------------------- */

static oks_err_t *check_id(const xmlNode *element, const xmlAttr *attr, apr_hash_t *seen, apr_pool_t *pool)
{
    /* xml:id, wsu:Id and their like are IDs to somebody: two opinions about what "#x" means are one too many. */
    if (attr->ns)
        return oks_err(pool, OKS_R_XML_ID_MALFORMED, "an ID with a namespace on %s", (const char *)element->name);
    const char *value = oks_xml_attr(element, (const char *)attr->name, pool);
    if (!value || !oks_xml_id_ok(value))
        return oks_err(pool, OKS_R_XML_ID_MALFORMED, "the ID of %s", (const char *)element->name);
    if (apr_hash_get(seen, value, APR_HASH_KEY_STRING))
        return oks_err(pool, OKS_R_XML_ID_DUPLICATE, "on %s", (const char *)element->name);
    apr_hash_set(seen, value, APR_HASH_KEY_STRING, element);
    return NULL;
}

/* "ID", "Id" and "id" share one name space: every library takes another of them for the ID. */
static oks_err_t *check_ids(const oks_xml_doc_t *doc, apr_pool_t *pool)
{
    apr_hash_t *seen = apr_hash_make(pool);
    for (xmlNodePtr node = xmlDocGetRootElement(doc->tree); node; node = oks_xml_walk(node, NULL)) {
        if (node->type != XML_ELEMENT_NODE) continue;
        for (const xmlAttr *attr = node->properties; attr; attr = attr->next)
            if (strcasecmp((const char *)attr->name, "id") == 0) OKS_TRY(check_id(node, attr, seen, pool));
    }
    return NULL;
}

static xmlAttrPtr id_of(const xmlNode *element)
{
    for (xmlAttrPtr attr = element->properties; attr; attr = attr->next)
        if (!attr->ns && strcmp((const char *)attr->name, "ID") == 0) return attr;
    return NULL;
}

/* ---- The shape -------------------------------------------------------------------------------------------- */

static oks_err_t *shape(apr_pool_t *pool, const char *what)
{
    return oks_err(pool, OKS_R_XML_SIGNATURE_MALFORMED, "%s", what);
}

/* The element itself when it is the ds:`name` wanted, and holds elements only. */
static const oks_xml_node_t *wanted(const oks_xml_node_t *element, const char *name)
{
    return oks_xml_is(element, OKS_XML_DS, name) && oks_xml_is_element_only(element) ? element : NULL;
}

static oks_err_t *check_algorithm(const oks_xml_node_t *element, const char *const *allowed, oks_reason_t reason,
                                  apr_pool_t *pool)
{
    const char *value = oks_xml_attr(element, "Algorithm", pool);
    for (; value && *allowed; allowed++)
        if (strcmp(value, *allowed) == 0) return NULL;
    return oks_err(pool, reason, "%s of %s", value ? oks_log_escape(oks_span_z(value), 100, pool) : "no Algorithm",
                   oks_xml_name(element));
}

/* Base64 text of some length, without elements: DigestValue and SignatureValue. */
static oks_err_t *check_value(const oks_xml_node_t *element, const char *name, apr_pool_t *pool)
{
    oks_span_t bytes;
    const char *text = oks_xml_is(element, OKS_XML_DS, name) ? oks_xml_text(element, pool) : NULL;
    if (!text || oks_base64_decode(&bytes, oks_span_z(text), pool) || !bytes.len)
        return oks_err(pool, OKS_R_XML_SIGNATURE_MALFORMED, "%s is missing or no base64", name);
    return NULL;
}

/* Exclusive canonicalization, perhaps with its InclusiveNamespaces: Okta sends PrefixList="xs" (OKTA.md B.1.4). */
static oks_err_t *check_c14n(const oks_xml_node_t *element, apr_pool_t *pool)
{
    OKS_TRY(check_algorithm(element, c14n_algorithms, OKS_R_XML_SIGNATURE_TRANSFORM, pool));
    const oks_xml_node_t *list = oks_xml_first(element);
    if (!oks_xml_is_element_only(element) || (list && oks_xml_next(list)))
        return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "exclusive canonicalization with a strange content");
    if (!list) return NULL;
    const char *prefixes = oks_xml_attr(list, "PrefixList", pool);
    if (!oks_xml_is(list, OKS_XML_EXC_C14N, "InclusiveNamespaces") || list->children || !prefixes
        || strlen(prefixes) > OKS_XML_PREFIX_LIST_MAX)
        return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "InclusiveNamespaces");
    return NULL;
}

/* Exactly these two, in this order: without the second, XML Signature would canonicalize inclusively. */
static oks_err_t *check_transforms(const oks_xml_node_t *transforms, apr_pool_t *pool)
{
    if (!wanted(transforms, "Transforms")) return shape(pool, "no Transforms");
    const oks_xml_node_t *first = oks_xml_first(transforms), *second = first ? oks_xml_next(first) : NULL;
    for (const oks_xml_node_t *each = first; each; each = oks_xml_next(each))
        if (!oks_xml_is(each, OKS_XML_DS, "Transform")) return shape(pool, "Transforms with a strange content");
    if (!second || oks_xml_next(second))
        return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "not two Transforms");
    OKS_TRY(check_algorithm(first, enveloped_algorithms, OKS_R_XML_SIGNATURE_TRANSFORM, pool));
    if (first->children) return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "enveloped-signature with a content");
    return check_c14n(second, pool);
}

/* xmlsec1 formats the URI into an XPointer expression: only the parent's ID, whose characters are checked, may get
 * there. */
static oks_err_t *check_reference(const oks_xml_node_t *reference, const char *id, apr_pool_t *pool)
{
    const char *uri = oks_xml_attr(reference, "URI", pool);
    if (!uri || uri[0] != '#' || strcmp(uri + 1, id) != 0)
        return oks_err(pool, OKS_R_XML_SIGNATURE_REFERENCE, "URI %s, not #%s",
                       uri ? oks_log_escape(oks_span_z(uri), 100, pool) : "is missing", id);
    const oks_xml_node_t *transforms = oks_xml_first(reference);
    const oks_xml_node_t *method = transforms ? oks_xml_next(transforms) : NULL;
    const oks_xml_node_t *value = method ? oks_xml_next(method) : NULL;
    OKS_TRY(check_transforms(transforms, pool));
    if (!wanted(method, "DigestMethod") || method->children) return shape(pool, "no DigestMethod");
    OKS_TRY(check_algorithm(method, digest_algorithms, OKS_R_XML_SIGNATURE_ALGORITHM, pool));
    OKS_TRY(check_value(value, "DigestValue", pool));
    return oks_xml_next(value) ? shape(pool, "Reference with a strange content") : NULL;
}

static oks_err_t *check_signed_info(const oks_xml_node_t *info, const char *id, apr_pool_t *pool)
{
    const oks_xml_node_t *c14n = oks_xml_first(info);
    const oks_xml_node_t *method = c14n ? oks_xml_next(c14n) : NULL;
    const oks_xml_node_t *reference = method ? oks_xml_next(method) : NULL;
    if (!wanted(c14n, "CanonicalizationMethod")) return shape(pool, "no CanonicalizationMethod");
    OKS_TRY(check_c14n(c14n, pool));
    if (!wanted(method, "SignatureMethod")) return shape(pool, "no SignatureMethod");
    OKS_TRY(check_algorithm(method, signature_algorithms, OKS_R_XML_SIGNATURE_ALGORITHM, pool));
    if (method->children) return oks_err(pool, OKS_R_XML_SIGNATURE_ALGORITHM, "SignatureMethod with a content");
    if (!wanted(reference, "Reference") || oks_xml_next(reference))
        return oks_err(pool, OKS_R_XML_SIGNATURE_REFERENCE, "not exactly one Reference");
    return check_reference(reference, id, pool);
}

static oks_err_t *check_shape(const oks_xml_node_t *signature, const char *id, apr_pool_t *pool)
{
    const oks_xml_node_t *info = oks_xml_first(signature), *value = info ? oks_xml_next(info) : NULL;
    const oks_xml_node_t *key = value ? oks_xml_next(value) : NULL;
    if (!oks_xml_is_element_only(signature) || !wanted(info, "SignedInfo")) return shape(pool, "no SignedInfo");
    OKS_TRY(check_value(value, "SignatureValue", pool));
    if (key && (!oks_xml_is(key, OKS_XML_DS, "KeyInfo") || oks_xml_next(key)))
        return shape(pool, "more than SignedInfo, SignatureValue and KeyInfo");
    return check_signed_info(info, id, pool);
}

/* ---- The place -------------------------------------------------------------------------------------------- */

static oks_xml_signature_t *slot(oks_xml_signatures_t *found, const xmlNode *parent, const xmlNode *root,
                                 const oks_xml_trust_t *trust)
{
    if (parent == root) return oks_xml_is(parent, trust->root_ns, trust->root_name) ? &found->root : NULL;
    if (parent->parent != root) return NULL;
    return oks_xml_is(parent, trust->part_ns, trust->part_name) ? &found->part : NULL;
}

static oks_err_t *take(oks_xml_signatures_t *found, xmlNodePtr signature, const xmlNode *root,
                       const oks_xml_trust_t *trust, apr_pool_t *pool)
{
    xmlNodePtr parent = signature->parent;
    oks_xml_signature_t *into = signature != root ? slot(found, parent, root, trust) : NULL;
    if (!into)
        return oks_err(pool, OKS_R_XML_SIGNATURE_MISPLACED, "in %s",
                       signature != root ? (const char *)parent->name : "no element");
    if (into->signature) return oks_err(pool, OKS_R_XML_SIGNATURE_MISPLACED, "two of them");
    into->signature = signature;
    into->parent = parent;
    into->id = id_of(parent);
    if (!into->id)
        return oks_err(pool, OKS_R_XML_ID_MALFORMED, "%s is signed and has no ID", (const char *)parent->name);
    return check_shape(signature, oks_xml_attr(parent, "ID", pool), pool);
}

oks_err_t *oks_xml_find_signatures(oks_xml_signatures_t *found, const oks_xml_doc_t *doc,
                                   const oks_xml_trust_t *trust, apr_pool_t *pool)
{
    const xmlNode *root = xmlDocGetRootElement(doc->tree);
    memset(found, 0, sizeof *found);
    OKS_TRY(check_ids(doc, pool));
    for (xmlNodePtr node = xmlDocGetRootElement(doc->tree); node; node = oks_xml_walk(node, NULL))
        if (node->type == XML_ELEMENT_NODE && oks_xml_is(node, OKS_XML_DS, "Signature"))
            OKS_TRY(take(found, node, root, trust, pool));
    return NULL;
}
