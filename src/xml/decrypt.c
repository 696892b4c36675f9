/* Decryption of one element: a narrow form of XML Encryption 1.1, read by ourselves, so that nothing of the rest can happen. */
#include <string.h>

#include <apr_strings.h>
#include <libxml/xmlstring.h>

#include "xml_private.h"

#define XMLENC11 "http://www.w3.org/2009/xmlenc11#"
#define TYPE_ELEMENT XMLENC "Element"
#define PLAIN_MAX (256 * 1024) /* bytes: no Response is larger */
#define KEY_MAX 32

static const struct { const char *uri; apr_size_t key; bool gcm; } ciphers[] = {
    { XMLENC11 "aes128-gcm", 16, true }, { XMLENC11 "aes256-gcm", 32, true },
    { XMLENC "aes128-cbc", 16, false },  { XMLENC "aes256-cbc", 32, false },
};
static const struct { const char *uri, *name; } digests[] = { { DSIG "sha1", "SHA1" }, { XMLENC "sha256", "SHA256" } };
static const struct { const char *uri, *name; } masks[] = {
    { XMLENC11 "mgf1sha1", "SHA1" }, { XMLENC11 "mgf1sha256", "SHA256" },
};

typedef struct sealed_t {
    int cipher;              /* of `ciphers` */
    const char *digest, *mask;
    oks_span_t key, text;    /* as they came, decoded */
} sealed_t;

static oks_err_t *malformed(apr_pool_t *pool, const char *what)
{
    return oks_err(pool, OKS_R_XML_ENCRYPTION_MALFORMED, "%s", what);
}

static oks_err_t *unknown(const char *what, const char *uri, apr_pool_t *pool)
{
    return oks_err(pool, OKS_R_XML_ENCRYPTION_ALGORITHM, "%s \"%s\"", what, oks_log_escape(oks_span_z(uri), 120, pool));
}

/* The Algorithm of the one child of that name; "" when there is none. */
static oks_err_t *read_method(const char **uri, xmlNode **method, const xmlNode *parent, const char *ns, const char *name,
                              apr_pool_t *pool)
{
    int count = oks_xml_children(method, parent, ns, name);
    *uri = oks_xml_method(*method, pool);
    return count > 1 ? malformed(pool, apr_pstrcat(pool, "more than one ", name, NULL)) : NULL;
}

/* CipherData with its value beside it: a CipherReference is a URL that somebody else chose. */
static oks_err_t *read_cipher_value(oks_span_t *bytes, const xmlNode *parent, apr_pool_t *pool)
{
    xmlNode *data, *value;
    if (oks_xml_children(&data, parent, XMLENC, "CipherData") != 1 || oks_xml_children(&value, data, XMLENC, "CipherValue") != 1 ||
        oks_xml_next_element(value) || oks_xml_first_element(data) != value)
        return malformed(pool, "not exactly one CipherData with one CipherValue");
    const char *text = oks_xml_text(value, pool);
    if (text && oks_base64_decode(bytes, oks_span_z(text), pool) == NULL) return NULL;
    return malformed(pool, "a CipherValue that is no base64");
}

/* RSA-OAEP. The older name means a mask of SHA-1 whatever the digest (XML Encryption 1.1 5.5.2). */
static oks_err_t *read_key_method(sealed_t *sealed, const xmlNode *key, apr_pool_t *pool)
{
    xmlNode *method, *part;
    const char *uri, *digest, *mask;
    OKS_TRY(read_method(&uri, &method, key, XMLENC, "EncryptionMethod", pool));
    bool older = strcmp(uri, XMLENC "rsa-oaep-mgf1p") == 0;
    if (!older && strcmp(uri, XMLENC11 "rsa-oaep") != 0) return unknown("key transport", uri, pool);
    if (oks_xml_children(&part, method, XMLENC, "OAEPparams")) return unknown("key transport with OAEPparams", uri, pool);
    OKS_TRY(read_method(&digest, &part, method, DSIG, "DigestMethod", pool));
    OKS_TRY(read_method(&mask, &part, method, XMLENC11, "MGF", pool));
    if (!*digest) digest = digests[0].uri;
    if (!*mask) mask = masks[0].uri;
    if (older && strcmp(mask, masks[0].uri) != 0) return unknown("mask", mask, pool);
    for (apr_size_t i = 0; i < sizeof digests / sizeof digests[0]; i++)
        if (strcmp(digest, digests[i].uri) == 0) sealed->digest = digests[i].name;
    for (apr_size_t i = 0; i < sizeof masks / sizeof masks[0]; i++)
        if (strcmp(mask, masks[i].uri) == 0) sealed->mask = masks[i].name;
    return !sealed->digest ? unknown("digest", digest, pool) : !sealed->mask ? unknown("mask", mask, pool) : NULL;
}

/* The one EncryptedKey: in KeyInfo, or beside EncryptedData (SAML Core 2.3.4). */
static oks_err_t *find_key(xmlNode **key, const xmlNode *element, const xmlNode *data, apr_pool_t *pool)
{
    xmlNode *info, *inside = NULL, *beside, *retrieval = NULL;
    int infos = oks_xml_children(&info, data, DSIG, "KeyInfo"), within = 0;
    if (info) {
        within = oks_xml_children(&inside, info, XMLENC, "EncryptedKey");
        oks_xml_children(&retrieval, info, DSIG, "RetrievalMethod");
    }
    int near = oks_xml_children(&beside, element, XMLENC, "EncryptedKey");
    if (infos > 1 || within + near != 1 || retrieval) return malformed(pool, "not exactly one EncryptedKey, or a RetrievalMethod");
    *key = inside ? inside : beside;
    return NULL;
}

static oks_err_t *read_sealed(sealed_t *sealed, const xmlNode *element, bool authentic, apr_pool_t *pool)
{
    xmlNode *data, *key, *method;
    const char *uri;
    memset(sealed, 0, sizeof *sealed);
    sealed->cipher = -1;
    if (oks_xml_children(&data, element, XMLENC, "EncryptedData") != 1) return malformed(pool, "not exactly one EncryptedData");
    const char *type = oks_xml_attribute(data, "Type", pool);
    if (type && strcmp(type, TYPE_ELEMENT) != 0) return malformed(pool, "EncryptedData of something else than an element");
    OKS_TRY(read_method(&uri, &method, data, XMLENC, "EncryptionMethod", pool));
    for (int i = 0; i < (int)(sizeof ciphers / sizeof ciphers[0]); i++)
        if (strcmp(uri, ciphers[i].uri) == 0) sealed->cipher = i;
    if (sealed->cipher < 0) return unknown("cipher", uri, pool);
    if (!ciphers[sealed->cipher].gcm && !authentic) return unknown("without a signature around it, cipher", uri, pool);
    OKS_TRY(find_key(&key, element, data, pool));
    OKS_TRY(read_key_method(sealed, key, pool));
    OKS_TRY(read_cipher_value(&sealed->key, key, pool));
    OKS_TRY(read_cipher_value(&sealed->text, data, pool));
    return sealed->text.len > PLAIN_MAX ? malformed(pool, "an element that is too large") : NULL;
}

/* With a key that is no key, decryption goes on with a random one, and fails no earlier than with a right one. */
static bool open_sealed(oks_span_t *text, const sealed_t *sealed, const oks_keypair_t *pair, apr_pool_t *pool)
{
    unsigned char key[KEY_MAX];
    apr_size_t wanted = ciphers[sealed->cipher].key;
    if (oks_random_bytes(key, sizeof key, pool) != NULL) return false;
    bool ok = oks_rsa_oaep_decrypt(key, sizeof key, pair, sealed->digest, sealed->mask, sealed->key) == wanted;
    ok = oks_aes_decrypt(text, ciphers[sealed->cipher].gcm, oks_span((char *)key, wanted), sealed->text, pool) && ok;
    explicit_bzero(key, sizeof key);
    return ok;
}

static const char *declaration(const char *prefix, const char *uri, apr_pool_t *pool)
{
    return apr_pstrcat(pool, " xmlns", *prefix ? ":" : "", prefix, "=\"", oks_html_escape(uri, pool), "\"", NULL);
}

/* The namespaces that are in scope at `node`, as attributes of a start tag. Where that is what an exclusive signature covered,
 * those that only the encrypted part uses are gone; these two, of xsi:type, are taken for granted where nothing else is said. */
static const char *scope_of(const xmlNode *node, apr_pool_t *pool)
{
    static const struct { const char *prefix, *uri; } usual[] = {
        { "xs", "http://www.w3.org/2001/XMLSchema" }, { "xsi", "http://www.w3.org/2001/XMLSchema-instance" },
    };
    const char *text = "";
    xmlNsPtr *list = xmlGetNsList(node->doc, (xmlNode *)(uintptr_t)node);
    for (xmlNsPtr *ns = list; ns && *ns; ns++)
        text = apr_pstrcat(pool, text, declaration((*ns)->prefix ? (const char *)(*ns)->prefix : "",
                                                   (*ns)->href ? (const char *)(*ns)->href : "", pool), NULL);
    xmlFree(list);
    for (apr_size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (!xmlSearchNs(node->doc, (xmlNode *)(uintptr_t)node, (const xmlChar *)usual[i].prefix))
            text = apr_pstrcat(pool, text, declaration(usual[i].prefix, usual[i].uri, pool), NULL);
    return text;
}

/* What came out is a document's part: parsed in a root that declares what its place declares. */
static bool parse_plain(xmlNode **plain, oks_span_t text, const xmlNode *place, apr_pool_t *pool)
{
    xmlDocPtr doc;
    const char *whole = apr_pstrcat(pool, "<decrypted", scope_of(place, pool), ">", oks_span_dup(text, pool), "</decrypted>", NULL);
    if (!oks_utf8_ok(text) || oks_xml_parse(&doc, oks_span_z(whole), PLAIN_MAX * 2, pool) != NULL) return false;
    xmlNode *root = xmlDocGetRootElement(doc);
    *plain = oks_xml_first_element(root);
    return *plain && !oks_xml_next_element(*plain);
}

oks_err_t *oks_xml_decrypt(xmlNode **plain, const xmlNode *element, const apr_array_header_t *keys, bool authentic,
                           apr_pool_t *pool)
{
    sealed_t sealed;
    oks_span_t text;
    OKS_TRY(read_sealed(&sealed, element, authentic, pool));
    for (int i = 0; i < keys->nelts; i++)
        if (open_sealed(&text, &sealed, APR_ARRAY_IDX(keys, i, const oks_keypair_t *), pool) &&
            parse_plain(plain, text, element, pool))
            return NULL;
    return oks_err(pool, OKS_R_XML_ENCRYPTION_FAILED, NULL);
}
