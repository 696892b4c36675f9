/* The room saml but the vectors: metadata, AuthnRequest, our own metadata, limits, silence and threads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <zlib.h>

#include "oktasso/saml.h"
#include "oktasso/xml.h"
#include "unit.h"

#define MD "urn:oasis:names:tc:SAML:2.0:metadata"
#define SAMLP "urn:oasis:names:tc:SAML:2.0:protocol"
#define SAMLA "urn:oasis:names:tc:SAML:2.0:assertion"
#define POST "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
#define ACS "https://app.example.com/sso/okta/acs/acme"

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

/* `text` with its one `old` replaced. */
static const char *with(const char *text, const char *old, const char *new)
{
    const char *at = strstr(text, old);
    if (!at) fail_msg("not found: %s", old);
    return apr_pstrcat(pool, apr_pstrmemdup(pool, text, (apr_size_t)(at - text)), new, at + strlen(old), NULL);
}

static const char *between(const char *text, const char *from, const char *to)
{
    const char *start = strstr(text, from), *end = start ? strstr(start, to) : NULL;
    if (!end) fail_msg("not found: %s … %s", from, to);
    return apr_pstrmemdup(pool, start, (apr_size_t)(end - start) + strlen(to));
}

/* ---- Metadata --------------------------------------------------------------------------------------------- */

static const char *metadata_outcome(oks_saml_idp_t **idp, const char *text)
{
    oks_err_t *err = oks_saml_metadata_parse(idp, oks_span_z(text), pool);
    return err ? oks_reason_info(err->reason)->code : "good";
}

static void the_metadata_that_okta_publishes(void **state)
{
    static const char sso[] =
        "https://trial-1022863.okta.com/app/trial-1022863_oktalocalhostbis_1/exkdoocxa1VmjpXmX697/sso/saml";
    oks_saml_idp_t *idp;
    const char *text = read_vector("okta/metadata.xml", pool);
    assert_string_equal(metadata_outcome(&idp, text), "good");
    assert_string_equal(idp->entity_id, "http://www.okta.com/exkdoocxa1VmjpXmX697");
    assert_string_equal(idp->sso_redirect_url, sso);
    assert_string_equal(idp->sso_post_url, sso);
    assert_null(idp->slo_redirect_url);
    assert_null(idp->slo_post_url);
    assert_false(idp->want_authn_requests_signed);
    assert_int_equal(idp->certs->nelts, 1);
    /* Pasted into a configuration file: blanks and a byte order mark first, no XML declaration. */
    assert_string_equal(metadata_outcome(&idp, strstr(text, "<md:EntityDescriptor")), "good");
    assert_string_equal(metadata_outcome(&idp, apr_pstrcat(pool, "\xef\xbb\xbf", text, NULL)), "good");
    assert_string_equal(metadata_outcome(&idp, apr_pstrcat(pool, "\n\t ", text, "\n", NULL)), "good");
}

static void what_metadata_may_add(void **state)
{
    oks_saml_idp_t *idp;
    const char *text = read_vector("saml/metadata.xml", pool);
    assert_string_equal(metadata_outcome(&idp, with(text, "WantAuthnRequestsSigned=\"false\"",
                                                    "WantAuthnRequestsSigned=\"true\"")), "good");
    assert_true(idp->want_authn_requests_signed);
    assert_string_equal(metadata_outcome(&idp, with(text, "<md:NameIDFormat", "<md:SingleLogoutService Binding=\"" POST
                                                    "\" Location=\"https://acme.okta.com/slo\"/><md:NameIDFormat")), "good");
    assert_string_equal(idp->slo_post_url, "https://acme.okta.com/slo");
    assert_string_equal(metadata_outcome(&idp, with(text, " use=\"signing\"", "")), "good");
    assert_string_equal(metadata_outcome(&idp, read_vector("saml/good-second-certificate/metadata.xml", pool)), "good");
    assert_int_equal(idp->certs->nelts, 2);
}

static void metadata_that_cannot_be_used(void **state)
{
    oks_saml_idp_t *idp;
    const char *text = read_vector("saml/metadata.xml", pool);
    const char *entity = strstr(text, "<md:EntityDescriptor");
    assert_string_equal(metadata_outcome(&idp, "<a/>"), "saml.metadata.malformed");
    assert_string_equal(metadata_outcome(&idp, "{\"issuer\":\"x\"}"), "xml.document.malformed");
    assert_string_equal(metadata_outcome(&idp, "<!DOCTYPE a><a/>"), "xml.dtd.refused");
    assert_string_equal(metadata_outcome(&idp, "\xef\xbb\xbf\n<!doctype HTML>\n<html><head>"), "saml.metadata.malformed");
    assert_string_equal(metadata_outcome(&idp, "<HTML lang=\"en\">"), "saml.metadata.malformed");
    assert_string_equal(metadata_outcome(&idp, with(text, " use=\"signing\"", " use=\"encryption\"")),
                        "saml.metadata.no_key");
    assert_string_equal(metadata_outcome(&idp, with(text, between(text, "<md:KeyDescriptor", "</md:KeyDescriptor>"), "")),
                        "saml.metadata.no_key");
    assert_string_equal(metadata_outcome(&idp, with(text, "entityID=", "entity=")), "saml.metadata.malformed");
    const char *services = between(text, "<md:SingleSignOnService", "/></md:IDPSSODescriptor>");
    assert_string_equal(metadata_outcome(&idp, with(text, services, "</md:IDPSSODescriptor>")),
                        "saml.metadata.no_endpoint");
    const char *two = apr_pstrcat(pool, "<md:EntitiesDescriptor xmlns:md=\"" MD "\">", entity, entity,
                                  "</md:EntitiesDescriptor>", NULL);
    assert_string_equal(metadata_outcome(&idp, two), "saml.metadata.ambiguous");
    const char *role = between(text, "<md:IDPSSODescriptor", "</md:IDPSSODescriptor>");
    assert_string_equal(metadata_outcome(&idp, with(text, role, apr_pstrcat(pool, role, role, NULL))), "saml.metadata.ambiguous");
    assert_string_equal(metadata_outcome(&idp, apr_pstrcat(pool, "<md:EntitiesDescriptor xmlns:md=\"" MD "\">", role,
                                                           "</md:EntitiesDescriptor>", NULL)), "saml.metadata.malformed");
    const char *one = apr_pstrcat(pool, "<md:EntitiesDescriptor xmlns:md=\"" MD "\">", entity, "</md:EntitiesDescriptor>",
                                  NULL);
    assert_string_equal(metadata_outcome(&idp, one), "good");
}

static void only_https_endpoints_count(void **state)
{
    oks_saml_idp_t *idp;
    const char *text = read_vector("saml/metadata.xml", pool);
    const char *http = with(with(text, "\"https://acme.okta.com", "\"http://acme.okta.com"), "\"https://acme.okta.com",
                            "\"http://acme.okta.com");
    assert_string_equal(metadata_outcome(&idp, http), "saml.metadata.no_endpoint");
    const char *script = with(with(text, "\"https://acme.okta.com", "\"javascript:alert(1)//"), "\"https://acme.okta.com",
                              "\"//acme.okta.com");
    assert_string_equal(metadata_outcome(&idp, script), "saml.metadata.no_endpoint");
    assert_string_equal(metadata_outcome(&idp, with(http, "\"http://acme.okta.com", "\"http://localhost:8080")), "good");
}

/* ---- Going out -------------------------------------------------------------------------------------------- */

static xmlNode *parse(const char *text)
{
    xmlDocPtr doc;
    oks_err_t *err = oks_xml_parse(&doc, oks_span_z(text), VECTOR_MAX, pool);
    if (err) fail_msg("%s: %s", oks_err_text(err, pool), text);
    return xmlDocGetRootElement(doc);
}

/* The parameters of a request's URL. */
static apr_array_header_t *params_of(const char *url)
{
    apr_array_header_t *params;
    assert_non_null(strchr(url, '?'));
    assert_null(oks_form_parse(&params, oks_span_z(strchr(url, '?') + 1), pool));
    return params;
}

static const char *param(apr_array_header_t *params, const char *name)
{
    oks_span_t value;
    assert_null(oks_form_get(&value, params, name, pool));
    return value.ptr ? oks_span_dup(value, pool) : NULL;
}

static xmlNode *request_in(const char *url)
{
    oks_span_t packed;
    z_stream stream = { 0 };
    char *xml = apr_pcalloc(pool, 8192);
    assert_null(oks_base64_decode(&packed, oks_span_z(param(params_of(url), "SAMLRequest")), pool));
    assert_int_equal(inflateInit2(&stream, -15), Z_OK);
    stream.next_in = apr_pmemdup(pool, packed.ptr, packed.len);
    stream.avail_in = (uInt)packed.len;
    stream.next_out = (unsigned char *)xml;
    stream.avail_out = 8191;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    inflateEnd(&stream);
    return parse(xml);
}

static void an_authn_request(void **state)
{
    const char *url;
    oks_saml_authn_request_t request = {
        .id = "_00112233445566778899aabbccddeeff", .issuer = "urn:a&b<\"'>", .acs_url = ACS "?x=1&y=2",
        .destination = "https://acme.okta.com/app/sso/saml",
    };
    assert_null(oks_time_parse(&request.issue_instant, oks_span_z("2026-01-15T12:00:00Z"), pool));
    assert_null(oks_saml_authn_request_url(&url, &request, "a+b/c=&d #", pool));
    assert_int_equal(strncmp(url, "https://acme.okta.com/app/sso/saml?", 35), 0);
    assert_string_equal(param(params_of(url), "RelayState"), "a+b/c=&d #");
    xmlNode *root = request_in(url), *issuer;
    assert_true(oks_xml_is(root, SAMLP, "AuthnRequest"));
    assert_string_equal(oks_xml_attribute(root, "ID", pool), request.id);
    assert_string_equal(oks_xml_attribute(root, "Version", pool), "2.0");
    assert_string_equal(oks_xml_attribute(root, "IssueInstant", pool), "2026-01-15T12:00:00Z");
    assert_string_equal(oks_xml_attribute(root, "Destination", pool), request.destination);
    assert_string_equal(oks_xml_attribute(root, "AssertionConsumerServiceURL", pool), request.acs_url);
    assert_string_equal(oks_xml_attribute(root, "ProtocolBinding", pool), POST);
    assert_null(oks_xml_attribute(root, "ForceAuthn", pool));
    assert_int_equal(oks_xml_children(&issuer, root, SAMLA, "Issuer"), 1);
    assert_string_equal(oks_xml_text(issuer, pool), request.issuer);
    assert_null(oks_xml_next_element(issuer)); /* no NameIDPolicy (OKTA.md B.1.3) */

    request.force_authn = true;
    request.destination = "https://acme.okta.com/sso?tenant=1";
    assert_null(oks_saml_authn_request_url(&url, &request, "x", pool));
    assert_string_equal(param(params_of(url), "tenant"), "1");
    assert_string_equal(oks_xml_attribute(request_in(url), "ForceAuthn", pool), "true");
}

static void our_own_metadata(void **state)
{
    oks_saml_sp_t sp = { .entity_id = "https://app.example.com/m?a=1&b=\"<'>", .acs_url = ACS "?x=1&y=2" };
    xmlNode *root = parse(oks_saml_sp_metadata(&sp, pool)), *role, *acs;
    assert_true(oks_xml_is(root, MD, "EntityDescriptor"));
    assert_string_equal(oks_xml_attribute(root, "entityID", pool), sp.entity_id);
    assert_int_equal(oks_xml_children(&role, root, MD, "SPSSODescriptor"), 1);
    assert_string_equal(oks_xml_attribute(role, "AuthnRequestsSigned", pool), "false");
    assert_string_equal(oks_xml_attribute(role, "WantAssertionsSigned", pool), "true");
    assert_string_equal(oks_xml_attribute(role, "protocolSupportEnumeration", pool), SAMLP);
    assert_int_equal(oks_xml_children(&acs, role, MD, "AssertionConsumerService"), 1);
    assert_string_equal(oks_xml_attribute(acs, "Binding", pool), POST);
    assert_string_equal(oks_xml_attribute(acs, "Location", pool), sp.acs_url);
    assert_string_equal(oks_xml_attribute(acs, "index", pool), "0");
}

/* ---- Responses: limits, silence, threads ------------------------------------------------------------------ */

static oks_saml_expect_t expectation(apr_pool_t *into)
{
    static const char *const audiences[] = { "https://app.example.com/sso/okta/metadata/acme", NULL };
    oks_saml_idp_t *idp;
    oks_saml_expect_t expect = { .audiences = audiences, .acs_url = ACS, .skew = apr_time_from_sec(120),
                                 .request_id = "_00112233445566778899aabbccddeeff" };
    if (oks_saml_metadata_parse(&idp, oks_span_z(read_vector("saml/metadata.xml", into)), into)) abort();
    if (oks_time_parse(&expect.now, oks_span_z("2026-01-15T12:00:00Z"), into)) abort();
    expect.idp = idp;
    return expect;
}

static const char *outcome_of(const char *xml)
{
    oks_identity_t *identity;
    oks_saml_expect_t expect = expectation(pool);
    oks_err_t *err = oks_saml_response_verify(&identity, oks_span_z(oks_base64_encode(oks_span_z(xml), pool)), &expect,
                                              pool);
    return err ? oks_reason_info(err->reason)->code : "good";
}

static const char *repeat(const char *unit, apr_size_t times)
{
    apr_size_t len = strlen(unit);
    char *text = apr_palloc(pool, len * times + 1);
    for (apr_size_t i = 0; i < times; i++) memcpy(text + i * len, unit, len);
    text[len * times] = '\0';
    return text;
}

static void responses_that_are_too_large(void **state)
{
    const char *good = read_vector("saml/good-both-signed/response.xml", pool);
    assert_string_equal(outcome_of(good), "good");
    assert_string_equal(outcome_of(with(good, ">Alice<", apr_pstrcat(pool, ">", repeat("x", OKS_SAML_RESPONSE_MAX - 8000), "<",
                                                                     NULL))), "xml.document.too_large");
    assert_string_equal(outcome_of(repeat("x", 4 * OKS_SAML_RESPONSE_MAX)), "saml.response.too_large");
}

/* What one POST without any signature of ours could cost: 817 MB and more than a second, before these had limits. */
static void amplification_before_the_signature_is_judged(void **state)
{
    const char *good = read_vector("saml/good-both-signed/response.xml", pool);
    const char *spread = apr_pstrcat(pool, "<saml2p:Response xmlns:p=\"urn:", repeat("x", 12000), "\" ", NULL);
    const char *many = apr_pstrcat(pool, repeat("<p:a/>", 15000), "</saml2p:Response>", NULL);
    assert_string_equal(outcome_of(with(with(good, "<saml2p:Response ", spread), "</saml2p:Response>", many)),
                        "xml.document.too_large");
    const char *list = apr_pstrcat(pool, "PrefixList=\"", repeat("ab ", 4000), NULL);
    assert_string_equal(outcome_of(with(good, "PrefixList=\"", list)), "xml.signature.transform");
    const char *pieces = apr_pstrcat(pool, "nameid-format:entity\" xmlns:saml2=\"" SAMLA "\">",
                                     repeat("<![CDATA[]]>b", 15000), NULL);
    assert_string_equal(outcome_of(with(good, "nameid-format:entity\" xmlns:saml2=\"" SAMLA "\">", pieces)),
                        "saml.issuer.mismatch");
}

/* Nothing that a visitor sends makes a library write into the error log. */
static void refusals_are_silent(void **state)
{
    static const char *const names[] = {
        "value-broken-response", "digest-broken-assertion", "other-key", "relative-namespace-unused", "not-well-formed",
        "relative-namespace-void-digest", "sha-1", "hmac-with-public-key", "uri-injection", "digest-value-empty",
        "signature-value-empty", "unbound-prefix",
    };
    char path[] = "/tmp/test_saml_XXXXXX";
    int file = mkstemp(path), saved = dup(2), accepted = 0;
    assert_true(file >= 0 && saved >= 0);
    fflush(stderr);
    dup2(file, 2);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        accepted += !strcmp(outcome_of(read_vector(apr_pstrcat(pool, "saml/", names[i], "/response.xml", NULL), pool)), "good");
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    off_t said = lseek(file, 0, SEEK_END);
    close(file);
    unlink(path);
    assert_int_equal(accepted, 0);
    assert_int_equal(said, 0);
}

static void *verify_often(void *unused)
{
    apr_pool_t *own, *each;
    long wrong = 0;
    if (apr_pool_create_unmanaged_ex(&own, NULL, NULL)) return (void *)-1L;
    oks_saml_expect_t expect = expectation(own);
    const char *good = read_vector("saml/good-both-signed/response.xml", own);
    const char *bad = read_vector("saml/other-key/response.xml", own);
    const char *good64 = oks_base64_encode(oks_span_z(good), own), *bad64 = oks_base64_encode(oks_span_z(bad), own);
    for (int i = 0; i < 100; i++) {
        oks_identity_t *identity;
        if (apr_pool_create_unmanaged_ex(&each, NULL, NULL)) return (void *)-1L;
        if (oks_saml_response_verify(&identity, oks_span_z(good64), &expect, each)) wrong++;
        if (!oks_saml_response_verify(&identity, oks_span_z(bad64), &expect, each)) wrong++;
        apr_pool_destroy(each);
    }
    apr_pool_destroy(own);
    return (void *)wrong;
}

static void threads_do_not_disturb_each_other(void **state)
{
    pthread_t threads[4];
    void *wrong;
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, verify_often, NULL), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

static int set_up(void **state)
{
    apr_initialize();
    apr_pool_create(&global, NULL);
    return oks_saml_init(global) || oks_saml_init(global) ? -1 : 0;
}

static int tear_down(void **state)
{
    apr_pool_destroy(global);
    apr_terminate();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_test, tear_down_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_metadata_that_okta_publishes),
        TEST(what_metadata_may_add),
        TEST(metadata_that_cannot_be_used),
        TEST(only_https_endpoints_count),
        TEST(an_authn_request),
        TEST(our_own_metadata),
        TEST(responses_that_are_too_large),
        TEST(amplification_before_the_signature_is_judged),
        TEST(refusals_are_silent),
        TEST(threads_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests_name("saml", tests, set_up, tear_down);
}
