/* The room xml: what the parse refuses and where its limits are, what reading sees, what verification returns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <xmlsec/xmldsig.h>

#include "oktasso/xml.h"
#include "unit.h"

#define BYTES_MAX (256 * 1024)
#define P "urn:oasis:names:tc:SAML:2.0:protocol"
#define A "urn:oasis:names:tc:SAML:2.0:assertion"

static apr_pool_t *global;
static apr_pool_t *pool; /* of one test */

static int set_up_test(void **state)
{
    return apr_pool_create(&pool, global);
}

static int tear_down_test(void **state)
{
    apr_pool_destroy(pool);
    return 0;
}

static const char *outcome_of(const char *text)
{
    xmlDocPtr doc;
    oks_err_t *err = oks_xml_parse(&doc, oks_span_z(text), BYTES_MAX, pool);
    return err ? oks_reason_info(err->reason)->code : "good";
}

#define assert_parses(text) assert_string_equal(outcome_of(text), "good")
#define assert_refuses(text, code) assert_string_equal(outcome_of(text), code)

static const char *repeat(const char *unit, int times)
{
    size_t len = strlen(unit);
    char *text = apr_palloc(pool, len * (size_t)times + 1);
    for (int i = 0; i < times; i++) memcpy(text + (size_t)i * len, unit, len);
    text[len * (size_t)times] = '\0';
    return text;
}

/* xmlns:p1='u:' and so on. */
static const char *declarations(int count)
{
    const char *text = "";
    for (int i = 1; i <= count; i++) text = apr_psprintf(pool, "%s xmlns:p%d='u:'", text, i);
    return text;
}

static const char *attributes(const char *prefix, int count)
{
    const char *text = "";
    for (int i = 1; i <= count; i++) text = apr_psprintf(pool, "%s %sa%d='='", text, prefix, i);
    return text;
}

static xmlNode *root_of(const char *text)
{
    xmlDocPtr doc;
    oks_err_t *err = oks_xml_parse(&doc, oks_span_z(text), BYTES_MAX, pool);
    if (err) fail_msg("%s", oks_err_text(err, pool));
    return xmlDocGetRootElement(doc);
}

static const char *response(const char *name)
{
    return read_vector(apr_pstrcat(pool, "saml/", name, "/response.xml", NULL), pool);
}

/* The certificates of the vectors' metadata. */
static apr_array_header_t *certs(void)
{
    apr_array_header_t *list = apr_array_make(pool, 1, sizeof(oks_cert_t *));
    const char *text = strstr(read_vector("saml/metadata.xml", pool), "<ds:X509Certificate>");
    assert_non_null(text);
    text = strchr(text, '>') + 1;
    oks_err_t *err = oks_cert_parse(apr_array_push(list), oks_span(text, (apr_size_t)(strchr(text, '<') - text)), pool);
    if (err) fail_msg("%s", oks_err_text(err, pool));
    return list;
}

/* ---- The parse -------------------------------------------------------------------------------------------- */

static void starts_that_are_tolerated(void **state)
{
    assert_parses("<a/>");
    assert_parses(" \n\t<a/>\n");
    assert_parses("\xef\xbb\xbf<a/>");
    assert_parses("\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><a/>");
    assert_parses("<?xml version='1.0'?><a/>");
    assert_parses("<?xml version=\"1.0\" encoding='UTF-8' standalone=\"yes\"?>\n<a/>");
}

static void other_encodings_are_refused(void **state)
{
    assert_refuses("<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>", "xml.encoding.refused");
    assert_refuses("<?xml version=\"1.0\" encoding = 'iso-8859-1'?><a/>", "xml.encoding.refused");
    assert_refuses("<?xml version=\"1.0\" encoding=\"UTF-8859\"?><a/>", "xml.encoding.refused");
    assert_refuses("<?xml version=\"1.0\" encoding=\"u\"?><a/>", "xml.encoding.refused");
    assert_refuses("<a>\xff</a>", "xml.encoding.refused");
    assert_refuses("<a>\xc0\xaf</a>", "xml.encoding.refused");
    assert_refuses("<a>\xed\xa0\x80</a>", "xml.encoding.refused");
    assert_refuses("\xfe\xff", "xml.encoding.refused");
}

/* SECURITY.md 13: refused before anything in it is looked at, wherever it stands. */
static void document_types_are_refused(void **state)
{
    assert_refuses("<!DOCTYPE a><a/>", "xml.dtd.refused");
    assert_refuses("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "xml.dtd.refused");
    assert_refuses("<?xml version=\"1.0\"?>\n<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", "xml.dtd.refused");
    assert_refuses("<a><!DOCTYPE b></a>", "xml.dtd.refused");
    assert_refuses("<a><!ENTITY x 'y'></a>", "xml.dtd.refused");
    assert_refuses("<!doctype html>", "xml.dtd.refused");
    assert_refuses("<a>&x;</a>", "xml.document.malformed");
    assert_parses("<a>&amp;&lt;&gt;&quot;&apos;&#65;&#x42;</a>");
}

static void comments_and_instructions_are_refused(void **state)
{
    assert_refuses("<!-- x --><a/>", "xml.comment.refused");
    assert_refuses("<a>x<!---->y</a>", "xml.comment.refused");
    assert_refuses("<a/><!-- x -->", "xml.comment.refused");
    assert_refuses("<a><?x?></a>", "xml.comment.refused");
    assert_refuses("<?x?><a/>", "xml.comment.refused");
    assert_refuses("<a/><?xml version=\"1.0\"?>", "xml.comment.refused");
    assert_parses("<a><![CDATA[<!-- x --><?y?><!DOCTYPE z>]]></a>");
}

static void what_is_not_well_formed_is_refused(void **state)
{
    static const char *const broken[] = {
        "", " ", "x", "<", "<a", "<a>", "<a/", "</a>", "<a></b>", "<a/><b/>", "<a b/>", "<a b=c/>", "<a b='<'/>",
        "<a b='1' b='2'/>", "<a b='1\"/>", "<a>]]></a>", "<a>&</a>", "<a>&#0;</a>", "<a>&#xd800;</a>", "<a>\x01</a>",
        "<1/>", "<a:b/>", "<a xmlns:b=''/>", "<a b:c=''/>", "<a xmlns:p='u:p' xmlns:q='u:p' p:x='' q:x=''/>",
        "<a><![CDATA[x</a>", "<a/>x", "<?xml version='1.0'", "<![CDATA[x]]>", "<a><b></a></b>", "<a>\xef\xbf\xbf</a>",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        if (strcmp(outcome_of(broken[i]), "xml.document.malformed") != 0)
            fail_msg("%s: %s", broken[i], outcome_of(broken[i]));
}

/* SECURITY.md 14: on these canonicalization fails, and the empty string gets digested elsewhere. */
static void relative_namespaces_are_refused(void **state)
{
    static const char *const relative[] = { "x", "x/y", "/x", "../x", "#x", "?x", "./a:b", "1:x", ":", "//h/x", " u:x" };
    for (size_t i = 0; i < sizeof relative / sizeof *relative; i++) {
        assert_refuses(apr_psprintf(pool, "<a xmlns='%s'/>", relative[i]), "xml.document.malformed");
        assert_refuses(apr_psprintf(pool, "<a><b xmlns:p='%s'/></a>", relative[i]), "xml.document.malformed");
    }
    assert_parses("<a xmlns='urn:x'><b xmlns=''/></a>");
}

static void ids_are_checked(void **state)
{
    assert_parses("<a ID='x'><b ID='y'/></a>");
    assert_refuses("<a ID='x'><b ID='x'/></a>", "xml.id.duplicate");
    assert_refuses("<a ID=''/>", "xml.id.malformed");
    assert_refuses("<a ID='1'/>", "xml.id.malformed");
    assert_refuses("<a ID='a b'/>", "xml.id.malformed");
    assert_refuses("<a ID=\"a')|id('b\"/>", "xml.id.malformed");
    assert_refuses("<a ID='\xc3\xa4'/>", "xml.id.malformed");
    assert_refuses("<a xml:id='x'/>", "xml.id.malformed");
    assert_refuses("<a xmlns:p='u:p' p:Id='x'/>", "xml.id.malformed");
    assert_parses(apr_pstrcat(pool, "<a ID='", repeat("x", OKS_XML_ID_MAX), "'/>", NULL));
    assert_refuses(apr_pstrcat(pool, "<a ID='", repeat("x", OKS_XML_ID_MAX + 1), "'/>", NULL), "xml.id.malformed");
}

/* Each limit on both sides. */
static void limits(void **state)
{
    const char *opened = repeat("<a>", OKS_XML_DEPTH_MAX), *closed = repeat("</a>", OKS_XML_DEPTH_MAX);
    assert_parses(apr_pstrcat(pool, opened, closed, NULL));
    assert_refuses(apr_pstrcat(pool, opened, "<a>", closed, "</a>", NULL), "xml.document.too_deep");
    assert_refuses(repeat("<a>", 50000), "xml.document.too_deep");

    assert_parses(apr_pstrcat(pool, "<a b='", repeat("x", OKS_XML_TAG_MAX - 16), "'/>", NULL));
    assert_refuses(apr_pstrcat(pool, "<a b='", repeat("x", OKS_XML_TAG_MAX), "'/>", NULL), "xml.document.too_large");
    assert_refuses(apr_pstrcat(pool, "<a ", repeat("b ", OKS_XML_TAG_MAX), NULL), "xml.document.too_large");
    assert_refuses(apr_pstrcat(pool, "<a></a", repeat(" ", OKS_XML_TAG_MAX), ">", NULL), "xml.document.too_large");

    assert_parses(apr_pstrcat(pool, "<a>", repeat("<b/>", OKS_XML_TAGS_MAX - 2), "</a>", NULL));
    assert_refuses(apr_pstrcat(pool, "<a>", repeat("<b/>", OKS_XML_TAGS_MAX), "</a>", NULL), "xml.document.too_large");

    assert_parses(apr_pstrcat(pool, "<a xmlns='u:", repeat("x", OKS_XML_NAMESPACE_MAX - 2), "'/>", NULL));
    assert_refuses(apr_pstrcat(pool, "<a xmlns='u:", repeat("x", OKS_XML_NAMESPACE_MAX - 1), "'/>", NULL),
                   "xml.document.too_large");

    const char *more = "><b xmlns='u:'/><b xmlns='u:'/></a>"; /* one beside another is no more than one */
    assert_parses(apr_pstrcat(pool, "<a", declarations(OKS_XML_SCOPE_MAX - 1), more, NULL));
    assert_refuses(apr_pstrcat(pool, "<a", declarations(OKS_XML_SCOPE_MAX), more, NULL), "xml.document.too_large");

    const char *nested = apr_pstrcat(pool, "<a", declarations(OKS_XML_SCOPE_MAX / 2), "><b", declarations(OKS_XML_SCOPE_MAX / 2), NULL);
    assert_parses(apr_pstrcat(pool, nested, "/><b x='xmlns='/></a>", NULL));
    assert_parses(apr_pstrcat(pool, nested, "></b><b", declarations(OKS_XML_SCOPE_MAX / 2), "/></a>", NULL));
    assert_refuses(apr_pstrcat(pool, nested, "><c\nxmlns='u:'/></b></a>", NULL), "xml.document.too_large");

    /* Refused before libxml2 sees them: what it would say is that the end is missing. */
    assert_refuses(apr_pstrcat(pool, "<a", declarations(OKS_XML_SCOPE_MAX + 1), ">", NULL), "xml.document.too_large");
    assert_refuses(apr_pstrcat(pool, "<a", attributes("", OKS_XML_ATTRIBUTES_MAX + 1), ">", NULL), "xml.document.too_large");
    assert_parses(apr_pstrcat(pool, "<a", attributes("", OKS_XML_ATTRIBUTES_MAX), "/>", NULL));
    assert_parses(apr_pstrcat(pool, "<a xmlns:p='u:p'", attributes("p:", OKS_XML_QUALIFIED_MAX), attributes("", 99), "/>", NULL));
    assert_refuses(apr_pstrcat(pool, "<a xmlns:p='u:p'", attributes("p:", OKS_XML_QUALIFIED_MAX + 1), "/>", NULL), "xml.document.too_large");
    assert_refuses(apr_pstrcat(pool, repeat("</a>", 40), "<a", declarations(1), ">", NULL), "xml.document.malformed");

    assert_parses(apr_pstrcat(pool, "<a>", repeat("x", BYTES_MAX - 7), "</a>", NULL));
    assert_refuses(apr_pstrcat(pool, "<a>", repeat("x", BYTES_MAX - 6), "</a>", NULL), "xml.document.too_large");
}

/* The bytes need not end in NUL, and nothing behind them is read (ASan looks on). */
static void bytes_without_end(void **state)
{
    static const char text[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a b='c'>d<![CDATA[e]]></a>";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *exact = malloc(len ? len : 1);
        xmlDocPtr doc;
        memcpy(exact, text, len);
        assert_non_null(oks_xml_parse(&doc, oks_span(exact, len), BYTES_MAX, pool));
        free(exact);
    }
    assert_parses(text);
}

/* ---- Beside other modules (SECURITY.md 23) ---------------------------------------------------------------- */

static int heard;

static void hear(void *context, const char *format, ...)
{
    heard++;
}

#if LIBXML_VERSION >= 21200
static void hear_structured(void *context, const xmlError *error)
#else
static void hear_structured(void *context, xmlErrorPtr error)
#endif
{
    heard++;
}

static void handlers_and_defaults_of_others_do_not_matter(void **state)
{
    heard = 0;
    xmlSetGenericErrorFunc(NULL, hear);
    xmlSetStructuredErrorFunc(NULL, hear_structured);
    int blanks = xmlKeepBlanksDefault(0), entities = xmlSubstituteEntitiesDefault(1);
    assert_refuses("<a><b></a>", "xml.document.malformed");
    assert_refuses("<a>&x;</a>", "xml.document.malformed");
    assert_refuses("<a:b/>", "xml.document.malformed");
    const xmlNode *root = root_of("<a> <b/> </a>");
    assert_int_equal(root->children->type, XML_TEXT_NODE);
    xmlKeepBlanksDefault(blanks);
    xmlSubstituteEntitiesDefault(entities);
    assert_ptr_equal(xmlStructuredError, hear_structured);
    assert_ptr_equal(xmlGenericError, hear);
    xmlSetStructuredErrorFunc(NULL, NULL);
    xmlSetGenericErrorFunc(NULL, NULL);
    assert_int_equal(heard, 0);
}

/* ---- Reading ---------------------------------------------------------------------------------------------- */

static void text_is_the_whole_text(void **state)
{
    assert_string_equal(oks_xml_text(root_of("<a/>"), pool), "");
    assert_string_equal(oks_xml_text(root_of("<a>x</a>"), pool), "x");
    assert_string_equal(oks_xml_text(root_of("<a> x\r\ny </a>"), pool), " x\ny ");
    assert_string_equal(oks_xml_text(root_of("<a>x<![CDATA[.y]]>&#46;z</a>"), pool), "x.y.z");
    assert_string_equal(oks_xml_text(root_of("<a><![CDATA[]]><![CDATA[x]]><![CDATA[]]></a>"), pool), "x");
    assert_null(oks_xml_text(root_of("<a>x<b/></a>"), pool));
    assert_null(oks_xml_text(root_of("<a><b>x</b></a>"), pool));
}

/* 17,000 CDATA sections in 229 KB: joined pair by pair they took 340 MB. */
static void text_of_many_pieces_costs_its_length(void **state)
{
    const xmlNode *root = root_of(apr_pstrcat(pool, "<a>", repeat("<![CDATA[]]>b", 17000), "</a>", NULL));
    assert_string_equal(oks_xml_text(root, pool), repeat("b", 17000));
}

static void attributes_and_names_mind_the_namespace(void **state)
{
    const xmlNode *root = root_of("<p:a xmlns:p='u:p' p:b='1' b='2' c='&lt;&#10;'><b/><p:b/>x<p:b/></p:a>");
    xmlNode *first;
    assert_string_equal(oks_xml_attribute(root, "b", pool), "2");
    assert_string_equal(oks_xml_attribute(root, "c", pool), "<\n");
    assert_null(oks_xml_attribute(root, "B", pool));
    assert_null(oks_xml_attribute(root_of("<p:a xmlns:p='u:p' p:b='1'/>"), "b", pool));
    assert_true(oks_xml_is(root, "u:p", "a"));
    assert_false(oks_xml_is(root, "u:q", "a"));
    assert_false(oks_xml_is(root_of("<a/>"), "u:p", "a"));
    assert_int_equal(oks_xml_children(&first, root, "u:p", "b"), 2);
    assert_ptr_equal(first, oks_xml_next_element(oks_xml_first_element(root)));
    assert_int_equal(oks_xml_children(&first, root, "u:p", "c"), 0);
    assert_null(first);
}

/* ---- Verification ----------------------------------------------------------------------------------------- */

static xmlNode *assertion_in(xmlNode *root)
{
    xmlNode *assertion;
    assert_int_equal(oks_xml_children(&assertion, root, A, "Assertion"), 1);
    return assertion;
}

static const char *verify(oks_span_t *bytes, xmlNode *element)
{
    oks_err_t *err = oks_xml_verify(bytes, element, certs(), 0, pool);
    return err ? oks_reason_info(err->reason)->code : "good";
}

static void what_was_signed_comes_back_and_no_more(void **state)
{
    oks_span_t bytes;
    xmlDocPtr doc;
    xmlNode *root = root_of(response("good-both-signed"));
    assert_string_equal(verify(&bytes, assertion_in(root)), "good");
    assert_null(oks_xml_parse(&doc, bytes, BYTES_MAX, pool));
    xmlNode *verified = xmlDocGetRootElement(doc);
    assert_true(oks_xml_is(verified, A, "Assertion"));
    assert_int_equal(oks_xml_count_signatures(verified), 0);

    assert_string_equal(verify(&bytes, root), "good");
    assert_null(oks_xml_parse(&doc, bytes, BYTES_MAX, pool));
    verified = xmlDocGetRootElement(doc);
    assert_true(oks_xml_is(verified, P, "Response"));
    assert_int_equal(oks_xml_count_signatures(verified), 1); /* the Assertion's: the Response's covers it */
}

static void an_element_without_its_own_signature_is_refused(void **state)
{
    oks_span_t bytes;
    xmlNode *root = root_of(response("good-response-signed"));
    assert_string_equal(verify(&bytes, assertion_in(root)), "xml.signature.misplaced");
    root = root_of(response("good-assertion-signed"));
    assert_string_equal(verify(&bytes, root), "xml.signature.misplaced");
    assert_string_equal(verify(&bytes, root_of("<a/>")), "xml.id.malformed");
}

/* The same content with the same digest under another ID is another element. */
static void the_id_must_be_the_parent_s(void **state)
{
    oks_span_t bytes;
    xmlNode *root = root_of(response("xsw5-assertion")), *evil;
    assert_int_equal(oks_xml_children(&evil, root, A, "Assertion"), 2);
    assert_string_equal(verify(&bytes, evil), "xml.signature.reference");
}

/* The first `old` of `text`, and `new` in its place. */
static const char *altered(const char *text, const char *old, const char *new)
{
    const char *at = strstr(text, old);
    assert_non_null(at);
    return apr_pstrcat(pool, apr_pstrmemdup(pool, text, (apr_size_t)(at - text)), new, at + strlen(old), NULL);
}

static const char *with_prefixes(int count)
{
    return apr_pstrcat(pool, "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"saml2",
                       repeat(" saml2", count - 1), "\"/>", NULL);
}

/* Seen before any digest is asked. */
static void what_a_signature_holds_is_what_saml_uses(void **state)
{
    const char *const list = "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"xs\"/>";
    const struct { const char *old, *new, *code; } rows[] = {
        { list, "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"xs\"><ds:Object/>"
                "</ec:InclusiveNamespaces>", "xml.signature.transform" },
        { list, "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>", "xml.signature.transform" },
        { list, apr_pstrcat(pool, list, list, NULL), "xml.signature.transform" },
        { list, with_prefixes(OKS_XML_PREFIXES_MAX), "xml.signature.invalid" }, /* other bytes than those that were signed */
        { list, with_prefixes(OKS_XML_PREFIXES_MAX + 1), "xml.signature.transform" },
        { list, apr_pstrcat(pool, "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"",
                            repeat(" ", OKS_XML_PREFIXES_MAX), "\"/>", NULL), "xml.signature.transform" },
        { list, "<ds:XPath>1</ds:XPath>", "xml.signature.transform" },
        { "xml-exc-c14n#\"/><ds:Sig", "xml-exc-c14n#\"><ds:XPath>1</ds:XPath></ds:CanonicalizationMethod><ds:Sig",
          "xml.signature.transform" },
        { "</ds:DigestValue>", "</ds:DigestValue><ds:DigestValue/>", "xml.signature.malformed" },
        { "</ds:Reference>", "</ds:Reference><ds:Object/>", "xml.signature.malformed" },
        { "</ds:SignatureValue>", "</ds:SignatureValue><ds:Object/>", "xml.signature.malformed" },
    };
    for (apr_size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        oks_span_t bytes;
        xmlNode *root = root_of(altered(response("good-assertion-signed"), rows[i].old, rows[i].new));
        assert_string_equal(verify(&bytes, assertion_in(root)), rows[i].code);
    }
}

static void prefixes_are_looked_up_so_often_and_no_more(void **state)
{
    const char *const start = "<saml2p:Status ", *const list = "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" "
                                                               "PrefixList=\"xs\"/>";
    for (int i = 0; i < 2; i++) {
        oks_span_t bytes;
        const char *more = repeat("<e/>", i ? OKS_XML_LOOKUPS_MAX / OKS_XML_PREFIXES_MAX : OKS_XML_LOOKUPS_MAX / OKS_XML_PREFIXES_MAX - 100);
        const char *document = altered(response("good-assertion-signed"), start, apr_pstrcat(pool, "<f>", more, "</f>", start, NULL));
        xmlNode *root = root_of(altered(document, list, with_prefixes(OKS_XML_PREFIXES_MAX)));
        assert_string_equal(verify(&bytes, assertion_in(root)), i ? "xml.signature.transform" : "xml.signature.invalid");
        assert_string_equal(verify(&bytes, assertion_in(root_of(document))), "good"); /* one prefix: any document */
    }
}

/* An ID that libxml2 already knows as another element's, as a caller's second look would find it. */
static void an_id_that_leads_elsewhere_is_refused(void **state)
{
    oks_span_t bytes;
    xmlNode *root = root_of(response("good-assertion-signed")), *element = assertion_in(root);
    const char *id = oks_xml_attribute(element, "ID", pool);
    assert_non_null(xmlAddID(NULL, root->doc, (const xmlChar *)id, xmlHasProp(root, (const xmlChar *)"Destination")));
    assert_string_equal(verify(&bytes, element), "xml.id.duplicate");
}

/* ---- Decryption ------------------------------------------------------------------------------------------- */

#define X "http://www.w3.org/2001/04/xmlenc#"
#define GCM "<x:EncryptionMethod Algorithm='http://www.w3.org/2009/xmlenc11#aes128-gcm'/>"
#define OAEP "<x:EncryptionMethod Algorithm='" X "rsa-oaep-mgf1p'/>"
#define VALUE "<x:CipherData><x:CipherValue>AAAA</x:CipherValue></x:CipherData>"
#define KEY "<d:KeyInfo xmlns:d='http://www.w3.org/2000/09/xmldsig#'><x:EncryptedKey>" OAEP VALUE "</x:EncryptedKey></d:KeyInfo>"
#define SEALED "<e><x:EncryptedData xmlns:x='" X "'>" GCM KEY VALUE "</x:EncryptedData></e>"

static const char *decrypt(const char *text, const apr_array_header_t *keys)
{
    xmlNode *plain;
    oks_err_t *err = oks_xml_decrypt(&plain, root_of(text), keys, false, pool);
    return err ? oks_reason_info(err->reason)->code : "good";
}

/* Before any key is tried. */
static void what_is_encrypted_is_said_once(void **state)
{
    const apr_array_header_t *none = apr_array_make(pool, 1, sizeof(oks_keypair_t *));
    const struct { const char *old, *new, *code; } rows[] = {
        { GCM, GCM, "xml.encryption.failed" }, /* well said, and no key opens it */
        { GCM, GCM GCM, "xml.encryption.malformed" },
        { OAEP, OAEP OAEP, "xml.encryption.malformed" },
        { KEY, KEY KEY, "xml.encryption.malformed" },
        { KEY, "", "xml.encryption.malformed" },
        { ">AAAA<", "><x:Part/><", "xml.encryption.malformed" },
        { ">AAAA</x:CipherValue>", ">AAAA</x:CipherValue><x:CipherValue/>", "xml.encryption.malformed" },
        { "mgf1p'/>", "mgf1p'><d:DigestMethod xmlns:d='http://www.w3.org/2000/09/xmldsig#' Algorithm='urn:none'/></x:EncryptionMethod>",
          "xml.encryption.algorithm" },
    };
    for (apr_size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(decrypt(altered(SEALED, rows[i].old, rows[i].new), none), rows[i].code);
}

/* No document that a browser brings is so large; what another caller parses may be. */
static void an_encrypted_element_has_its_limit(void **state)
{
    xmlNode *plain;
    xmlDocPtr doc;
    const apr_array_header_t *none = apr_array_make(pool, 1, sizeof(oks_keypair_t *));
    const struct { int times; const char *said; } rows[] = {
        { 256 * 1024 / 3, "xml.encryption.failed" }, { 256 * 1024 / 3 + 1, "xml.encryption.malformed: an element that is too large" },
    };
    for (apr_size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *value = apr_pstrcat(pool, "<x:CipherValue>", repeat("AAAA", rows[i].times), "</x:CipherValue>", NULL);
        const char *text = altered(SEALED, KEY VALUE, apr_pstrcat(pool, KEY "<x:CipherData>", value, "</x:CipherData>", NULL));
        assert_null(oks_xml_parse(&doc, oks_span_z(text), 4 * BYTES_MAX, pool));
        assert_string_equal(oks_err_text(oks_xml_decrypt(&plain, xmlDocGetRootElement(doc), none, false, pool), pool), rows[i].said);
    }
}

static void no_certificate_verifies_nothing(void **state)
{
    oks_span_t bytes;
    apr_array_header_t *none = apr_array_make(pool, 1, sizeof(oks_cert_t *));
    oks_err_t *err = oks_xml_verify(&bytes, root_of(response("good-both-signed")), none, 0, pool);
    assert_non_null(err);
    assert_int_equal(err->reason, OKS_R_XML_SIGNATURE_INVALID);
}

static int set_up(void **state)
{
    apr_initialize();
    apr_pool_create(&global, NULL);
    return oks_xml_init(global) ? -1 : 0;
}

static int tear_down(void **state)
{
    apr_pool_destroy(global);
    apr_terminate();
    return 0;
}

static void what_we_sign_verifies(void **state)
{
    oks_keypair_t *pair;
    oks_span_t text, bytes;
    const char *pem;
    assert_null(oks_keypair_make(&pem, "acme", apr_time_now(), pool));
    assert_null(oks_keypair_parse(&pair, oks_span_z(pem), oks_span_z(strstr(pem, "-----BEGIN CERTIFICATE")), pool));
    assert_null(oks_xml_sign(&text, oks_span_z("<r xmlns='urn:r' ID='_1'><Issuer>us</Issuer><b/></r>"), pair, pool));
    apr_array_header_t *own = apr_array_make(pool, 1, sizeof(oks_cert_t *));
    APR_ARRAY_PUSH(own, oks_cert_t *) = pair->cert;
    char *signed_text = apr_pstrmemdup(pool, text.ptr, text.len);
    assert_null(oks_xml_verify(&bytes, root_of(signed_text), own, OKS_XML_RSA_SHA256, pool));
    assert_non_null(strstr(oks_span_dup(bytes, pool), "<Issuer>us</Issuer><b></b>"));
    strstr(signed_text, ">us<")[1] = 'U';
    oks_err_t *err = oks_xml_verify(&bytes, root_of(apr_pstrcat(pool, signed_text, NULL)), own, 0, pool);
    assert_non_null(err);
}

static oks_cert_t *cert_of(const char *file)
{
    oks_cert_t *cert;
    const char *text = read_vector(apr_pstrcat(pool, "saml/_keys/", file, NULL), pool);
    assert_null(oks_cert_parse(&cert, oks_span_z(strstr(text, "-----BEGIN CERTIFICATE")), pool));
    return cert;
}

int __real_xmlSecDSigCtxVerify(xmlSecDSigCtxPtr, xmlNodePtr);
int __wrap_xmlSecDSigCtxVerify(xmlSecDSigCtxPtr, xmlNodePtr);
static int verifications; /* that canonicalize all that is signed */

int __wrap_xmlSecDSigCtxVerify(xmlSecDSigCtxPtr ctx, xmlNodePtr node)
{
    verifications++;
    return __real_xmlSecDSigCtxVerify(ctx, node);
}

/* Whoever signed, and wherever its certificate stands: twice what one costs. */
static void many_certificates_cost_little_more_than_one(void **state)
{
    oks_span_t bytes;
    apr_array_header_t *list = apr_array_make(pool, 1, sizeof(oks_cert_t *));
    oks_cert_t *others[] = { cert_of("ec.pem"), cert_of("next.pem"), cert_of("other.pem") };
    for (int i = 0; i < 32; i++) APR_ARRAY_PUSH(list, oks_cert_t *) = others[i % 3];
    verifications = 0;
    oks_err_t *err = oks_xml_verify(&bytes, assertion_in(root_of(response("good-assertion-signed"))), list, 0, pool);
    assert_int_equal(err->reason, OKS_R_XML_SIGNATURE_INVALID);
    assert_int_equal(verifications, 1);
    APR_ARRAY_PUSH(list, oks_cert_t *) = APR_ARRAY_IDX(certs(), 0, oks_cert_t *);
    APR_ARRAY_PUSH(list, oks_cert_t *) = others[1];
    assert_null(oks_xml_verify(&bytes, assertion_in(root_of(response("good-assertion-signed"))), list, 0, pool));
    assert_int_equal(verifications, 3);
}

/* Nor does a digest that does not hold take longer: it is no other key's either. */
static void what_was_changed_is_looked_at_once(void **state)
{
    oks_span_t bytes;
    apr_array_header_t *list = certs();
    APR_ARRAY_PUSH(list, oks_cert_t *) = cert_of("other.pem");
    verifications = 0;
    xmlNode *root = root_of(altered(response("good-assertion-signed"), ">alice@acme", ">malice@acme"));
    oks_err_t *err = oks_xml_verify(&bytes, assertion_in(root), list, 0, pool);
    assert_int_equal(err->reason, OKS_R_XML_SIGNATURE_INVALID);
    assert_int_equal(verifications, 1);
}

#define NEW_CERT "openssl req -x509 -nodes -subj /CN=x -keyout /dev/null 2>/dev/null -newkey "

static oks_cert_t *made_cert(const char *command)
{
    oks_cert_t *cert;
    char *text = apr_pcalloc(pool, 16384);
    FILE *stream = popen(command, "r");
    size_t len = fread(text, 1, 16383, stream);
    assert_int_equal(pclose(stream), 0);
    assert_null(oks_cert_parse(&cert, oks_span(text, len), pool));
    return cert;
}

/* Keys of other sizes, curves and kinds, for which the signature is not even long enough, stand before the signer's. */
static void no_other_key_hides_the_signer_s(void **state)
{
    static const struct { const char *name; unsigned algorithms; } rows[] = {
        { "good-assertion-signed", 0 }, { "good-ecdsa", OKS_XML_ECDSA_SHA256 },
    };
    oks_cert_t *const others[] = {
        made_cert(NEW_CERT "rsa:3072"), made_cert(NEW_CERT "ec -pkeyopt ec_paramgen_curve:P-384"),
        made_cert(NEW_CERT "ec -pkeyopt ec_paramgen_curve:P-521"), made_cert(NEW_CERT "ec -pkeyopt ec_paramgen_curve:P-256"),
        made_cert(NEW_CERT "rsa:2048"),
    };
    const int count = sizeof others / sizeof others[0];
    for (apr_size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int first = 0; first < count; first++) {
            oks_span_t bytes;
            apr_array_header_t *list = apr_array_make(pool, 8, sizeof(oks_cert_t *));
            for (int k = 0; k < count; k++) APR_ARRAY_PUSH(list, oks_cert_t *) = others[(first + k) % count];
            xmlNode *root = root_of(response(rows[i].name)), *element = i ? root : assertion_in(root);
            oks_err_t *err = oks_xml_verify(&bytes, element, list, rows[i].algorithms, pool);
            assert_int_equal(err->reason, OKS_R_XML_SIGNATURE_INVALID);
            APR_ARRAY_PUSH(list, oks_cert_t *) = i ? cert_of("ec.pem") : APR_ARRAY_IDX(certs(), 0, oks_cert_t *);
            assert_null(oks_xml_verify(&bytes, element, list, rows[i].algorithms, pool));
        }
}

static void what_cannot_be_signed(void **state)
{
    oks_keypair_t *pair;
    oks_span_t text;
    const char *pem;
    assert_null(oks_keypair_make(&pem, "acme", apr_time_now(), pool));
    assert_null(oks_keypair_parse(&pair, oks_span_z(pem), oks_span_z(strstr(pem, "-----BEGIN CERTIFICATE")), pool));
    oks_err_t *err = oks_xml_sign(&text, oks_span_z("<r><Issuer/></r>"), pair, pool);
    assert_true(err && err->reason == OKS_R_XML_ID_MALFORMED);
    err = oks_xml_sign(&text, oks_span_z("<r ID='_1'/>"), pair, pool);
    assert_true(err && err->reason == OKS_R_INTERNAL);
}

static void names_of_algorithms(void **state)
{
    assert_int_equal(oks_xml_algorithm("rsa-sha256"), OKS_XML_RSA_SHA256);
    assert_int_equal(oks_xml_algorithm("ecdsa-sha512"), OKS_XML_ECDSA_SHA512);
    assert_int_equal(oks_xml_algorithm("rsa-md5"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_test, tear_down_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(starts_that_are_tolerated),
        TEST(other_encodings_are_refused),
        TEST(document_types_are_refused),
        TEST(comments_and_instructions_are_refused),
        TEST(what_is_not_well_formed_is_refused),
        TEST(relative_namespaces_are_refused),
        TEST(ids_are_checked),
        TEST(limits),
        TEST(bytes_without_end),
        TEST(handlers_and_defaults_of_others_do_not_matter),
        TEST(text_is_the_whole_text),
        TEST(text_of_many_pieces_costs_its_length),
        TEST(attributes_and_names_mind_the_namespace),
        TEST(what_was_signed_comes_back_and_no_more),
        TEST(an_element_without_its_own_signature_is_refused),
        TEST(the_id_must_be_the_parent_s),
        TEST(no_certificate_verifies_nothing),
        TEST(what_a_signature_holds_is_what_saml_uses),
        TEST(prefixes_are_looked_up_so_often_and_no_more),
        TEST(an_id_that_leads_elsewhere_is_refused),
        TEST(what_is_encrypted_is_said_once),
        TEST(an_encrypted_element_has_its_limit),
        TEST(what_we_sign_verifies),
        TEST(many_certificates_cost_little_more_than_one),
        TEST(what_was_changed_is_looked_at_once),
        TEST(no_other_key_hides_the_signer_s),
        TEST(what_cannot_be_signed),
        TEST(names_of_algorithms),
    };
    return cmocka_run_group_tests_name("xml", tests, set_up, tear_down);
}
