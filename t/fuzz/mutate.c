/* See mutate.h. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "mutate.h"

/* Of libFuzzer; a replay has none, and mutates nothing. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

#define NODES_MAX 512
#define VALUE_MAX 256
typedef struct nodes_t {
    xmlNode *all[NODES_MAX];
    unsigned count, seed;
} nodes_t;

unsigned mutate_draw(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % below;
}

static void collect(nodes_t *nodes, xmlNode *node)
{
    for (; node && nodes->count < NODES_MAX; node = node->next) {
        if (node->type != XML_ELEMENT_NODE) continue;
        nodes->all[nodes->count++] = node;
        collect(nodes, node->children);
    }
}

static bool is_within(const xmlNode *node, const xmlNode *other)
{
    for (; node; node = node->parent)
        if (node == other) return true;
    return false;
}

/* A text or an attribute's value, changed as libFuzzer changes bytes. */
static void change_value(nodes_t *nodes, xmlNode *node)
{
    char value[VALUE_MAX + 1];
    xmlAttr *attr = node->properties;
    for (unsigned skip = mutate_draw(&nodes->seed, 4); attr && attr->next && skip; skip--) attr = attr->next;
    bool in_text = !attr || mutate_draw(&nodes->seed, 2);
    xmlChar *now = in_text ? xmlNodeGetContent(node) : xmlNodeListGetString(node->doc, attr->children, 1);
    size_t len = now ? strlen((const char *)now) : 0;
    if (len > VALUE_MAX) len = VALUE_MAX;
    memcpy(value, now ? (const char *)now : "", len);
    xmlFree(now);
    len = LLVMFuzzerMutate((uint8_t *)value, len, VALUE_MAX);
    value[len] = '\0';
    for (char *p = value; *p; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p > 0x7e) *p = '?'; /* libxml2 takes UTF-8 alone */
    if (!in_text) xmlSetNsProp(node, attr->ns, attr->name, (const xmlChar *)value);
    if (!in_text || xmlFirstElementChild(node)) return;
    xmlNodeSetContent(node, (const xmlChar *)"");
    xmlNodeAddContent(node, (const xmlChar *)value);
}

/* Copies alone are put anywhere: they bring the namespaces that they need. */
static void change_tree(nodes_t *nodes)
{
    xmlNode *one = nodes->all[mutate_draw(&nodes->seed, nodes->count)], *other = nodes->all[mutate_draw(&nodes->seed, nodes->count)];
    xmlNode *root = nodes->all[0];
    unsigned way = mutate_draw(&nodes->seed, 5);
    bool goes = (way == 2 || way == 3) && one != root && !is_within(other, one);
    if (way == 4) {
        change_value(nodes, one);
        return;
    }
    xmlNode *copy = way == 2 ? NULL : xmlCopyNode(one, 1);
    if (copy && way == 1 && other != root) xmlAddNextSibling(other, copy);
    else if (copy) xmlAddChild(other, copy);
    if (!goes) return;
    xmlUnlinkNode(one);
    xmlFreeNode(one);
}

size_t mutate_xml(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    nodes_t nodes = { .seed = seed };
    xmlChar *bytes = NULL;
    int len = 0;
    if (!LLVMFuzzerMutate) return size;
    xmlDocPtr doc = seed % 4 ? xmlReadMemory((const char *)data, (int)size, NULL, "UTF-8",
                                             XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING) : NULL;
    if (!doc) return LLVMFuzzerMutate(data, size, max);
    collect(&nodes, xmlDocGetRootElement(doc));
    for (unsigned times = 1 + mutate_draw(&nodes.seed, 2); times && nodes.count; times--) {
        change_tree(&nodes);
        nodes.count = 0;
        collect(&nodes, xmlDocGetRootElement(doc));
    }
    xmlDocDumpMemory(doc, &bytes, &len);
    xmlFreeDoc(doc);
    bool fits = bytes && len > 0 && (size_t)len <= max;
    if (fits) memcpy(data, bytes, (size_t)len);
    xmlFree(bytes);
    return fits ? (size_t)len : LLVMFuzzerMutate(data, size, max);
}
