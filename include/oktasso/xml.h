/* xml: one hardened parse, and verification that returns only what was signed (SECURITY.md 13 to 18). */
#ifndef OKTASSO_XML_H
#define OKTASSO_XML_H

#include <libxml/tree.h>

#include "oktasso/base.h"
#include "oktasso/crypto.h"

#define OKS_XML_TAG_MAX (16 * 1024)  /* bytes of one tag: libxml2 2.9 needs CPU seconds for a huge one */
#define OKS_XML_DEPTH_MAX 32         /* nested elements */
#define OKS_XML_TAGS_MAX 20000       /* tags in one document */
#define OKS_XML_ID_MAX 128           /* bytes of an ID */
#define OKS_XML_NAMESPACE_MAX 256    /* bytes of a namespace URI: canonical XML repeats it at every use */
#define OKS_XML_ATTRIBUTES_MAX 256   /* attributes of one tag: each is compared with each */
#define OKS_XML_QUALIFIED_MAX 16     /* those of them that have a namespace: canonicalization compares the URIs of each two */
#define OKS_XML_SCOPE_MAX 64         /* namespace declarations of an element and its ancestors: each is looked at for each prefix */
#define OKS_XML_PREFIX_LIST_MAX 256  /* bytes of a PrefixList, */
#define OKS_XML_PREFIXES_MAX 16      /* and prefixes in it: each is looked up at every element, */
#define OKS_XML_LOOKUPS_MAX 40000    /* in all so often */

/* Prepares libxml2 and xmlsec1: see oks_saml_init. base.internal.error. */
oks_err_t *oks_xml_init(apr_pool_t *pool) OKS_MUST_USE;

/* Parses UTF-8 without DTD, comments and processing instructions; at most `max` bytes. A BOM, leading blanks and an XML
 * declaration are tolerated. Freed with `pool`. Reasons: xml.document.*, xml.dtd.refused, xml.comment.refused,
 * xml.encoding.refused, xml.id.*. On return every un-namespaced ID is unique and well formed, and no namespace URI is
 * relative. */
oks_err_t *oks_xml_parse(xmlDocPtr *doc, oks_span_t bytes, apr_size_t max, apr_pool_t *pool) OKS_MUST_USE;

/* An element of that namespace and name; NULL is none. */
bool oks_xml_is(const xmlNode *node, const char *ns, const char *name);
/* Element children of that name; the first one through `first` (NULL when there is none). */
int oks_xml_children(xmlNode **first, const xmlNode *parent, const char *ns, const char *name);
xmlNode *oks_xml_first_element(const xmlNode *parent);
xmlNode *oks_xml_next_element(const xmlNode *node);
/* How many ds:Signature elements the document has, wherever they are. */
int oks_xml_count_signatures(const xmlNode *root);
/* The un-namespaced attribute, in `pool`; NULL when absent. */
const char *oks_xml_attribute(const xmlNode *node, const char *name, apr_pool_t *pool);
/* The whole text of an element, CDATA included; NULL when it has an element child. */
const char *oks_xml_text(const xmlNode *node, apr_pool_t *pool);

/* Signature algorithms (and with them the digests) that a peer may use: a set. 0 is the default, all of the SHA-2 family. */
typedef enum oks_xml_algorithm_t {
    OKS_XML_RSA_SHA256 = 1, OKS_XML_RSA_SHA384 = 2, OKS_XML_RSA_SHA512 = 4,
    OKS_XML_ECDSA_SHA256 = 8, OKS_XML_ECDSA_SHA384 = 16, OKS_XML_ECDSA_SHA512 = 32,
    OKS_XML_PSS_SHA256 = 64, OKS_XML_PSS_SHA384 = 128, OKS_XML_PSS_SHA512 = 256, /* "sha256-rsa-MGF1", … */
    OKS_XML_RSA_SHA1 = 512 /* broken: for a peer that can nothing else, and only where it was written down */
} oks_xml_algorithm_t;
/* "rsa-sha256", …; 0 for another name. */
unsigned oks_xml_algorithm(const char *name);

/* Verifies the one ds:Signature child of `element` against any of these certificates (oks_cert_t *), and returns the
 * bytes that were digested: the canonical element without its signature. Parse those, and read nothing else.
 * In `pool`. Reasons: xml.id.*, xml.signature.*. */
oks_err_t *oks_xml_verify(oks_span_t *signed_bytes, xmlNode *element, const apr_array_header_t *certs, unsigned algorithms,
                          apr_pool_t *pool) OKS_MUST_USE;

/* Decrypts the one xenc:EncryptedData of `element` with any of these keys (oks_keypair_t *), and returns the element that was in
 * it, parsed in the namespaces of its place. AES-GCM, and AES-CBC only where `authentic` says that a signature over it was
 * verified; RSA-OAEP; nothing is fetched or looked up elsewhere (SECURITY.md 19). Reasons: xml.encryption.malformed,
 * xml.encryption.algorithm, and xml.encryption.failed for everything that depends on a key or on what came out. */
oks_err_t *oks_xml_decrypt(xmlNode **plain, const xmlNode *element, const apr_array_header_t *keys, bool authentic,
                           apr_pool_t *pool) OKS_MUST_USE;

/* Signs a message of our own, whose root has an ID and Issuer as its first element: enveloped, RSA-SHA256 (SAML Core 5.4).
 * The text is in `pool`. Reasons: those of oks_xml_parse, xml.id.malformed, base.internal.error. */
oks_err_t *oks_xml_sign(oks_span_t *text, oks_span_t xml, const oks_keypair_t *key, apr_pool_t *pool) OKS_MUST_USE;

#endif
