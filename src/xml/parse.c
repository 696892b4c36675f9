/* The hardened parse. A lexical look over the bytes refuses what no SAML message needs before libxml2 sees them. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>
#include <libxml/parser.h>
#include <libxml/uri.h>

#include "xml_private.h"

typedef struct scan_t {
    const char *p, *end;
    int depth, tags;
    int declared[OKS_XML_DEPTH_MAX + 1]; /* namespaces on the way to what is open at this depth */
    apr_pool_t *pool;
} scan_t;

static bool at(const scan_t *scan, const char *text)
{
    apr_size_t len = strlen(text);
    return (apr_size_t)(scan->end - scan->p) >= len && memcmp(scan->p, text, len) == 0;
}

/* libxml2 (its canonicalization, too) looks through all declarations on the way for each prefix, and through all attributes of a
 * tag for each of them: too many are refused before it does. */
static oks_err_t *count_attributes(scan_t *scan, int attributes, int declared, bool open)
{
    if (attributes > OKS_XML_ATTRIBUTES_MAX)
        return oks_err(scan->pool, OKS_R_XML_DOCUMENT_TOO_LARGE, "more than %d attributes", OKS_XML_ATTRIBUTES_MAX);
    if (scan->depth > 0) declared += scan->declared[scan->depth];
    if (declared > OKS_XML_SCOPE_MAX)
        return oks_err(scan->pool, OKS_R_XML_DOCUMENT_TOO_LARGE, "more than %d namespaces in one place", OKS_XML_SCOPE_MAX);
    if (open && scan->depth >= 0 && scan->depth < OKS_XML_DEPTH_MAX) scan->declared[scan->depth + 1] = declared;
    return NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One start, end or empty tag. Quotes may hold '>', nothing may hold '<'. */
static oks_err_t *scan_tag(scan_t *scan)
{
    const char *start = scan->p;
    bool closing = start + 1 < scan->end && start[1] == '/';
    int attributes = 0, declared = 0;
    char quote = 0;
    for (scan->p++; scan->p < scan->end; scan->p++) {
        char c = *scan->p;
        if (quote) {
            if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '=') {
            attributes++;
        } else if (c == '>') {
            break;
        } else if (c == 'x' && is_blank(scan->p[-1]) && at(scan, "xmlns")) {
            declared++;
        }
        if (scan->p - start > OKS_XML_TAG_MAX)
            return oks_err(scan->pool, OKS_R_XML_DOCUMENT_TOO_LARGE, "a tag of more than %d bytes", OKS_XML_TAG_MAX);
    }
    if (scan->p == scan->end) return oks_err(scan->pool, OKS_R_XML_DOCUMENT_MALFORMED, "an open tag at the end");
    if (++scan->tags > OKS_XML_TAGS_MAX)
        return oks_err(scan->pool, OKS_R_XML_DOCUMENT_TOO_LARGE, "more than %d tags", OKS_XML_TAGS_MAX);
    OKS_TRY(count_attributes(scan, attributes, declared, !closing && scan->p[-1] != '/'));
    if (closing) scan->depth--;
    else if (scan->p[-1] != '/') scan->depth++;
    if (scan->depth > OKS_XML_DEPTH_MAX)
        return oks_err(scan->pool, OKS_R_XML_DOCUMENT_TOO_DEEP, "more than %d levels", OKS_XML_DEPTH_MAX);
    scan->p++;
    return NULL;
}

static oks_err_t *scan_cdata(scan_t *scan)
{
    const char *close = memmem(scan->p, (apr_size_t)(scan->end - scan->p), "]]>", 3);
    if (!close) return oks_err(scan->pool, OKS_R_XML_DOCUMENT_MALFORMED, "an open CDATA section");
    scan->p = close + 3;
    return NULL;
}

/* <?xml … ?> at the very start: no other encoding than UTF-8. */
static oks_err_t *scan_declaration(scan_t *scan)
{
    if (!at(scan, "<?xml ")) return NULL;
    const char *close = memmem(scan->p, (apr_size_t)(scan->end - scan->p), "?>", 2);
    if (!close) return oks_err(scan->pool, OKS_R_XML_DOCUMENT_MALFORMED, "an open XML declaration");
    const char *encoding = memmem(scan->p, (apr_size_t)(close - scan->p), "encoding", 8);
    if (encoding) {
        encoding += 8;
        encoding += strspn(encoding, " \t\r\n=\"'");
        if (close - encoding < 6 || apr_cstr_casecmpn(encoding, "utf-8", 5) != 0 || !strchr("\"'", encoding[5]))
            return oks_err(scan->pool, OKS_R_XML_ENCODING_REFUSED, "a declared encoding that is not UTF-8");
    }
    scan->p = close + 2;
    return NULL;
}

static oks_err_t *scan_document(scan_t *scan)
{
    OKS_TRY(scan_declaration(scan));
    while ((scan->p = memchr(scan->p, '<', (apr_size_t)(scan->end - scan->p))) != NULL) {
        if (at(scan, "<![CDATA[")) OKS_TRY(scan_cdata(scan));
        else if (at(scan, "<!--")) return oks_err(scan->pool, OKS_R_XML_COMMENT_REFUSED, "a comment");
        else if (at(scan, "<!")) return oks_err(scan->pool, OKS_R_XML_DTD_REFUSED, "a declaration");
        else if (at(scan, "<?")) return oks_err(scan->pool, OKS_R_XML_COMMENT_REFUSED, "a processing instruction");
        else OKS_TRY(scan_tag(scan));
    }
    return NULL;
}

/* ---- What the tree must not have ---- */

static bool id_ok(const char *id)
{
    static const char start[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789.-";
    apr_size_t len = strlen(id);
    return len && len <= OKS_XML_ID_MAX && strchr(start, *id) && strspn(id, rest) == len;
}

static oks_err_t *check_qualified(const xmlNode *node, apr_pool_t *pool)
{
    int count = 0;
    for (const xmlAttr *attr = node->properties; attr; attr = attr->next) {
        if (!attr->ns) continue;
        if (apr_cstr_casecmp((const char *)attr->name, "id") == 0)
            return oks_err(pool, OKS_R_XML_ID_MALFORMED, "an ID attribute with a namespace");
        if (++count > OKS_XML_QUALIFIED_MAX)
            return oks_err(pool, OKS_R_XML_DOCUMENT_TOO_LARGE, "more than %d attributes with a namespace", OKS_XML_QUALIFIED_MAX);
    }
    return NULL;
}

static oks_err_t *check_id(xmlNode *node, apr_array_header_t *ids, apr_pool_t *pool)
{
    const char *id = oks_xml_attribute(node, "ID", pool);
    if (!id) return NULL;
    if (!id_ok(id)) return oks_err(pool, OKS_R_XML_ID_MALFORMED, "\"%s\"", oks_log_escape(oks_span_z(id), 60, pool));
    APR_ARRAY_PUSH(ids, const char *) = id;
    return NULL;
}

/* Canonicalization gives up on a namespace URI that is not absolute, and a caller that misses it digests nothing
 * (SECURITY.md 14). The question is put as libxml2's canonicalization puts it. */
static oks_err_t *check_namespace(const xmlNs *ns, apr_pool_t *pool)
{
    const char *name = ns->href ? (const char *)ns->href : "";
    if (!*name && !ns->prefix) return NULL;
    if (strlen(name) > OKS_XML_NAMESPACE_MAX)
        return oks_err(pool, OKS_R_XML_DOCUMENT_TOO_LARGE, "a namespace URI of more than %d bytes", OKS_XML_NAMESPACE_MAX);
    xmlURIPtr uri = xmlParseURI(name);
    bool absolute = uri && uri->scheme && *uri->scheme;
    xmlFreeURI(uri);
    return absolute ? NULL : oks_err(pool, OKS_R_XML_DOCUMENT_MALFORMED, "a relative namespace URI");
}

static oks_err_t *check_tree(xmlNode *node, apr_array_header_t *ids, apr_pool_t *pool)
{
    OKS_TRY(check_qualified(node, pool));
    OKS_TRY(check_id(node, ids, pool));
    for (const xmlNs *ns = node->nsDef; ns; ns = ns->next) OKS_TRY(check_namespace(ns, pool));
    for (xmlNode *child = oks_xml_first_element(node); child; child = oks_xml_next_element(child))
        OKS_TRY(check_tree(child, ids, pool));
    return NULL;
}

static apr_status_t free_doc(void *doc)
{
    xmlFreeDoc(doc);
    return APR_SUCCESS;
}

/* The parser keeps its last error by itself; this keeps it from handlers that other modules set (SECURITY.md 23). */
#if LIBXML_VERSION >= 21200
static void swallow(void *context, const xmlError *error)
#else
static void swallow(void *context, xmlErrorPtr error)
#endif
{
}

static oks_err_t *read_tree(xmlDocPtr *doc, const scan_t *scan, const char *start, apr_pool_t *pool)
{
    xmlParserCtxtPtr ctxt = xmlNewParserCtxt();
    if (!ctxt) return oks_err(pool, OKS_R_INTERNAL, "out of memory for a parser");
    ctxt->sax->serror = swallow;
    ctxt->keepBlanks = 1; /* whatever xmlKeepBlanksDefault() says in this process: blanks are signed */
    ctxt->sax->ignorableWhitespace = ctxt->sax->characters;
    xmlResetLastError();
    xmlDocPtr made = xmlCtxtReadMemory(ctxt, start, (int)(scan->end - start), NULL, "UTF-8",
                                       XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    const xmlError *last = xmlGetLastError();
    const char *message = ctxt->lastError.message;
    bool namespaces_ok = made && ctxt->nsWellFormed;
    oks_err_t *err = namespaces_ok ? NULL : oks_err(pool, OKS_R_XML_DOCUMENT_MALFORMED, "%s", message ? oks_log_escape(
        oks_span_trim(oks_span_z(message)), 120, pool) : "");
    /* A text, or an attribute, for which there is no memory is left out of the tree, and the document called well-formed. */
    if (last && last->code == XML_ERR_NO_MEMORY) err = oks_err(pool, OKS_R_INTERNAL, "out of memory for a document");
    xmlFreeParserCtxt(ctxt);
    if (made) apr_pool_cleanup_register(pool, made, free_doc, apr_pool_cleanup_null);
    if (err) return err;
    if (made->intSubset || made->extSubset) return oks_err(pool, OKS_R_XML_DTD_REFUSED, "a document type");
    *doc = made;
    return NULL;
}

oks_err_t *oks_xml_parse(xmlDocPtr *doc, oks_span_t bytes, apr_size_t max, apr_pool_t *pool)
{
    if (bytes.len > max) return oks_err(pool, OKS_R_XML_DOCUMENT_TOO_LARGE, "more than %" APR_SIZE_T_FMT " bytes", max);
    bytes = oks_span_skip_mark(bytes);
    if (!oks_utf8_ok(bytes)) return oks_err(pool, OKS_R_XML_ENCODING_REFUSED, "not UTF-8");
    bytes = oks_span_trim(bytes);
    if (!bytes.len) return oks_err(pool, OKS_R_XML_DOCUMENT_MALFORMED, "empty");
    scan_t scan = { .p = bytes.ptr, .end = bytes.ptr + bytes.len, .pool = pool };
    OKS_TRY(scan_document(&scan));
    OKS_TRY(read_tree(doc, &scan, bytes.ptr, pool));
    apr_array_header_t *ids = apr_array_make(pool, 4, sizeof(const char *));
    OKS_TRY(check_tree(xmlDocGetRootElement(*doc), ids, pool));
    const char *repeated = oks_find_repeated(ids);
    return repeated ? oks_err(pool, OKS_R_XML_ID_DUPLICATE, "\"%s\"", repeated) : NULL;
}

/* ---- Reading the tree ---- */

bool oks_xml_is(const xmlNode *node, const char *ns, const char *name)
{
    return node && node->type == XML_ELEMENT_NODE && node->ns && node->ns->href &&
           strcmp((const char *)node->ns->href, ns) == 0 && strcmp((const char *)node->name, name) == 0;
}

xmlNode *oks_xml_first_element(const xmlNode *parent)
{
    xmlNode *node = parent->children;
    while (node && node->type != XML_ELEMENT_NODE) node = node->next;
    return node;
}

xmlNode *oks_xml_next_element(const xmlNode *node)
{
    xmlNode *next = node->next;
    while (next && next->type != XML_ELEMENT_NODE) next = next->next;
    return next;
}

int oks_xml_children(xmlNode **first, const xmlNode *parent, const char *ns, const char *name)
{
    int count = 0;
    *first = NULL;
    for (xmlNode *node = oks_xml_first_element(parent); node; node = oks_xml_next_element(node))
        if (oks_xml_is(node, ns, name) && count++ == 0) *first = node;
    return count;
}

int oks_xml_count_signatures(const xmlNode *root)
{
    int count = oks_xml_is(root, DSIG, "Signature") ? 1 : 0;
    for (const xmlNode *node = oks_xml_first_element(root); node; node = oks_xml_next_element(node))
        count += oks_xml_count_signatures(node);
    return count;
}

const char *oks_xml_attribute(const xmlNode *node, const char *name, apr_pool_t *pool)
{
    /* xmlGetNoNsProp says NULL of one that is there, too, when memory is out. */
    xmlAttr *attr = xmlHasNsProp(node, (const xmlChar *)name, NULL);
    return attr ? oks_xml_text((const xmlNode *)attr, pool) : NULL;
}

const char *oks_xml_text(const xmlNode *node, apr_pool_t *pool)
{
    /* Measured first: joining pair by pair would take memory with the square of the number of CDATA sections. */
    apr_size_t len = 0;
    for (const xmlNode *child = node->children; child; child = child->next) {
        if (child->type != XML_TEXT_NODE && child->type != XML_CDATA_SECTION_NODE) return NULL;
        if (child->content) len += strlen((const char *)child->content);
    }
    char *text = apr_palloc(pool, len + 1), *end = text;
    for (const xmlNode *child = node->children; child; child = child->next)
        if (child->content) end = stpcpy(end, (const char *)child->content);
    *end = '\0';
    return text;
}
