/* The hardened parse, and canonical XML of what it lets through. */
#include <libxml/c14n.h>

#include "fuzz.h"
#include "oktasso/xml.h"

#define BYTES_MAX (256 * 1024)

void fuzz_start(apr_pool_t *pool)
{
    FUZZ_GOOD(oks_xml_init(pool));
}

/* SECURITY.md 13: elements and text, and nothing else. */
static int check_node(const xmlNode *node)
{
    int depth = 0;
    for (const xmlNode *child = node->children; child; child = child->next) {
        HOLDS(child->type == XML_ELEMENT_NODE || child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE);
        int below = child->type == XML_ELEMENT_NODE ? check_node(child) : 0;
        if (below > depth) depth = below;
    }
    return depth + 1;
}

static oks_span_t canonical(xmlDocPtr doc, apr_pool_t *pool)
{
    xmlChar *bytes = NULL;
    int len = xmlC14NDocDumpMemory(doc, NULL, XML_C14N_EXCLUSIVE_1_0, NULL, 0, &bytes);
    HOLDS(len > 0); /* SECURITY.md 14 */
    oks_span_t copy = oks_span(oks_span_dup(oks_span((char *)bytes, (apr_size_t)len), pool), (apr_size_t)len);
    xmlFree(bytes);
    return copy;
}

/* Canonical XML is XML: it means the same, and is its own canonical form. */
bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    xmlDocPtr doc, again;
    if (oks_xml_parse(&doc, input, BYTES_MAX, pool)) return false;
    HOLDS(!doc->intSubset && !doc->extSubset);
    HOLDS(check_node(xmlDocGetRootElement(doc)) <= OKS_XML_DEPTH_MAX);
    oks_span_t bytes = canonical(doc, pool);
    /* Namespaces may be said more often in it, so that a limit may be passed; nothing else may go wrong. */
    oks_err_t *err = oks_xml_parse(&again, bytes, BYTES_MAX * 4, pool);
    HOLDS(!err || err->reason == OKS_R_XML_DOCUMENT_TOO_LARGE);
    HOLDS(err || oks_span_eq(canonical(again, pool), bytes));
    return true;
}
