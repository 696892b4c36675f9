/* Certificates that metadata drops, on a real database: how long they stay good, and for whom. Time is an argument. */
#include <malloc.h>

#include "../../src/flow/flow_private.h"
#include "scratch.h"

#define NOW apr_time_from_sec(1700000000)
#define HOUR apr_time_from_sec(3600)
#define DAY (24 * HOUR)

#define URL "https://acme.okta.com/metadata"

static oks_cert_t *certs[3];

static oks_cert_t *new_cert(void)
{
    char *text = apr_pcalloc(pool, 8192);
    oks_cert_t *cert;
    FILE *stream = popen("openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=t 2>/dev/null", "r");
    assert_non_null(stream);
    assert_true(fread(text, 1, 8191, stream) > 0);
    pclose(stream);
    GOOD(oks_cert_parse(&cert, oks_span_z(text), pool));
    return cert;
}

static int set_up(void **state)
{
    if (scratch_set_up()) return -1;
    for (int i = 0; i < 3; i++) certs[i] = new_cert();
    return 0;
}

static int forget(void **state)
{
    oks_document_t nothing = { .content = oks_span_z("") };
    GOOD(oks_directory_document_put(directory, "overlap:" URL, &nothing, pool));
    return 0;
}

static const char *metadata(const char *entity, unsigned which)
{
    const char *keys = "";
    for (unsigned i = 0; i < 3; i++)
        if (which & 1u << i)
            keys = apr_pstrcat(pool, keys, "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>",
                               oks_base64_encode(certs[i]->der, pool), "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>", NULL);
    return apr_pstrcat(pool, "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\""
                       " entityID=\"", entity, "\"><md:IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">", keys,
                       "<md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"https://i/\"/>"
                       "</md:IDPSSODescriptor></md:EntityDescriptor>", NULL);
}

static oks_saml_idp_t *idp_of(const char *entity, unsigned which)
{
    oks_saml_idp_t *idp;
    GOOD(oks_saml_metadata_parse(&idp, oks_span_z(metadata(entity, which)), pool));
    return idp;
}

static void replace(const oks_saml_idp_t *before, const oks_saml_idp_t *next, apr_interval_time_t window, apr_time_t now)
{
    oks_overlap_t overlap = { .window = window, .now = now };
    GOOD(oks_overlap_note(directory, URL, before, next, &overlap, pool));
}

/* Which certificates are trusted at `now` beside those of `which`: bits. */
static unsigned trusted(unsigned which, apr_interval_time_t window, apr_time_t now, apr_time_t *until)
{
    oks_overlap_t overlap = { .window = window, .now = now };
    oks_saml_idp_t *idp = idp_of("e", which);
    apr_time_t ignored;
    unsigned bits = 0;
    GOOD(oks_overlap_add(idp, until ? until : &ignored, directory, URL, &overlap, pool));
    for (int i = 0; i < idp->certs->nelts; i++)
        for (unsigned k = 0; k < 3; k++)
            if (!strcmp(APR_ARRAY_IDX(idp->certs, i, oks_cert_t *)->fingerprint, certs[k]->fingerprint)) bits |= 1u << k;
    return bits;
}

static void a_dropped_certificate_is_good_for_the_window(void **state)
{
    apr_time_t until;
    replace(idp_of("e", 1), idp_of("e", 2), DAY, NOW);
    assert_int_equal(trusted(2, DAY, NOW, &until), 3);
    assert_true(until == NOW + DAY);
    assert_int_equal(trusted(2, DAY, NOW + DAY - 1, NULL), 3);
    assert_int_equal(trusted(2, DAY, NOW + DAY, &until), 2);
    assert_true(until == 0);
    assert_int_equal(trusted(2, HOUR, NOW + HOUR, NULL), 2); /* the window is that of now: the setting may have changed */
    assert_int_equal(trusted(2, 0, NOW, NULL), 2);
}

static void each_one_has_its_own_end(void **state)
{
    apr_time_t until;
    replace(idp_of("e", 1), idp_of("e", 2), DAY, NOW);
    replace(idp_of("e", 2), idp_of("e", 4), DAY, NOW + HOUR);
    assert_int_equal(trusted(4, DAY, NOW + HOUR, &until), 7);
    assert_true(until == NOW + DAY);
    assert_int_equal(trusted(4, DAY, NOW + DAY, &until), 6);
    assert_true(until == NOW + DAY + HOUR);
    replace(idp_of("e", 4), idp_of("e", 4), DAY, NOW + DAY); /* a document that changes in something else prolongs nothing */
    assert_int_equal(trusted(4, DAY, NOW + DAY + HOUR, NULL), 4);
}

static void one_that_comes_back_is_retired_no_more(void **state)
{
    apr_time_t until;
    replace(idp_of("e", 1), idp_of("e", 2), DAY, NOW);
    replace(idp_of("e", 2), idp_of("e", 1), DAY, NOW + HOUR);
    assert_int_equal(trusted(1, DAY, NOW + HOUR, &until), 3);
    assert_true(until == NOW + HOUR + DAY);
    assert_int_equal(trusted(1, DAY, NOW + HOUR + DAY, NULL), 1); /* the listed one has no end */
    replace(idp_of("e", 1), idp_of("e", 2), DAY, NOW + 2 * DAY); /* and a new window, when it is dropped again */
    assert_int_equal(trusted(2, DAY, NOW + 3 * DAY - 1, NULL), 3);
}

static void another_issuer_inherits_nothing(void **state)
{
    replace(idp_of("e", 1), idp_of("other", 2), DAY, NOW);
    assert_int_equal(trusted(2, DAY, NOW, NULL), 2);
    replace(idp_of("e", 1), idp_of("e", 2), DAY, NOW);
    replace(idp_of("e", 2), idp_of("other", 2), DAY, NOW);
    assert_int_equal(trusted(2, DAY, NOW, NULL), 2);
    replace(NULL, idp_of("e", 2), DAY, NOW);
    assert_int_equal(trusted(2, DAY, NOW, NULL), 2);
}

static void without_a_window_nothing_is_kept(void **state)
{
    replace(idp_of("e", 1), idp_of("e", 2), 0, NOW);
    assert_int_equal(trusted(2, DAY, NOW, NULL), 2);
}

static void a_broken_line_trusts_nobody(void **state)
{
    oks_document_t document = { .content = oks_span_z("x\n1700000000 AAAA\n\n9 \nnoblank\n") };
    GOOD(oks_directory_document_put(directory, "overlap:" URL, &document, pool));
    assert_int_equal(trusted(2, DAY, NOW, NULL), 2);
}

/* The store of a child: swapped when the document changes, and again, without any change, when the window ends. */
static void a_child_forgets_at_the_end_of_the_window(void **state)
{
    oks_idp_store_t *store;
    const oks_saml_idp_t *idp;
    oks_document_t document = { .content = oks_span_z(metadata("e", 1)), .fetched = NOW };
    oks_org_t org = { .name = "acme", .metadata_key = URL, .metadata_url = URL };
    GOOD(oks_idp_store_create(&store, directory, counters, DAY, pool));
    oks_flow_t flow = { .directory = directory, .counters = counters, .idps = store };
    uint32_t wish = oks_flow_missing_counter(URL, pool), before = oks_counter_get(counters, wish);
    REASON(oks_flow_idp(&idp, &flow, &org, NOW, pool), OKS_R_FLOW_IDP_UNAVAILABLE);
    assert_int_equal(oks_counter_get(counters, wish), before + 1); /* the watchdog is asked for it */
    GOOD(oks_directory_document_put(directory, URL, &document, pool));
    GOOD(oks_flow_idp(&idp, &flow, &org, NOW, pool));
    assert_int_equal(idp->certs->nelts, 1);
    replace(idp_of("e", 1), idp_of("e", 2), DAY, NOW);
    document.content = oks_span_z(metadata("e", 2));
    GOOD(oks_directory_document_put(directory, URL, &document, pool));
    GOOD(oks_flow_idp(&idp, &flow, &org, NOW, pool));
    assert_int_equal(idp->certs->nelts, 2);
    GOOD(oks_flow_idp(&idp, &flow, &org, NOW + DAY - 1, pool));
    assert_int_equal(idp->certs->nelts, 2);
    GOOD(oks_flow_idp(&idp, &flow, &org, NOW + DAY, pool));
    assert_int_equal(idp->certs->nelts, 1);
    document.content = oks_span_z(apr_pstrcat(pool, "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" validUntil=\"",
                                              oks_time_format(NOW + HOUR, pool), "\">", metadata("e", 2), "</md:EntitiesDescriptor>", NULL));
    GOOD(oks_directory_document_put(directory, URL, &document, pool));
    GOOD(oks_flow_idp(&idp, &flow, &org, NOW + HOUR - 1, pool));
    REASON(oks_flow_idp(&idp, &flow, &org, NOW + HOUR, pool), OKS_R_SAML_METADATA_EXPIRED);
    const char *beside = oks_flow_failure_key(URL, pool);
    oks_document_t *found;
    GOOD(oks_directory_document_put(directory, beside, &document, pool));
    GOOD(oks_flow_fetch_forget(directory, URL, pool));
    GOOD(oks_directory_document(&found, directory, beside, pool));
    assert_null(found);
    GOOD(oks_flow_fetch_forget(directory, URL, pool)); /* one that is not there is no error */
    REASON(oks_flow_idp(&idp, &flow, &org, NOW, pool), OKS_R_FLOW_IDP_UNAVAILABLE);
    assert_int_equal(trusted(2, DAY, NOW, NULL), 2);
}

static const oks_saml_idp_t *idp_at(const oks_flow_t *flow, int number, apr_time_t now, apr_pool_t *own)
{
    const oks_saml_idp_t *idp;
    oks_org_t org = { .name = "acme" };
    org.metadata_key = org.metadata_url = apr_psprintf(own, URL "?v=%d", number);
    GOOD(oks_flow_idp(&idp, flow, &org, now, own));
    return idp;
}

/* Whose file names another URL again and again takes no memory for good; and what a request has in hand stays. */
static void a_child_forgets_what_is_not_used(void **state)
{
    enum { MANY = 300 };
    const size_t much = 1024 * 1024;
    const apr_time_t later = NOW + 2 * OKS_FLOW_IDP_KEPT;
    oks_idp_store_t *store;
    apr_pool_t *request, *held;
    oks_document_t document = { .content = oks_span_z(metadata("e", 7)), .fetched = NOW };
    GOOD(oks_idp_store_create(&store, directory, counters, DAY, pool));
    oks_flow_t flow = { .directory = directory, .counters = counters, .idps = store };
    apr_pool_create(&held, pool);
    for (int i = 0; i < MANY; i++) {
        apr_pool_create(&request, pool);
        GOOD(oks_directory_document_put(directory, apr_psprintf(request, URL "?v=%d", i), &document, request));
        idp_at(&flow, i, NOW, request);
        apr_pool_destroy(request);
    }
    const oks_saml_idp_t *idp = idp_at(&flow, 1, NOW, held);
    size_t full = mallinfo2().uordblks;
    idp_at(&flow, 0, later, held);
    assert_in_range(mallinfo2().uordblks, 0, full - much);
    assert_string_equal(idp->entity_id, "e");
    assert_int_equal(idp->certs->nelts, 3);
    apr_pool_destroy(held);
    for (int i = 0; i < MANY; i++) {
        apr_pool_create(&request, pool);
        assert_ptr_equal(idp_at(&flow, i, later, request), idp_at(&flow, i, later, request));
        apr_pool_destroy(request);
    }
    assert_in_range(mallinfo2().uordblks, 0, full + much / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_dropped_certificate_is_good_for_the_window, forget), cmocka_unit_test_setup(each_one_has_its_own_end, forget),
        cmocka_unit_test_setup(one_that_comes_back_is_retired_no_more, forget), cmocka_unit_test_setup(another_issuer_inherits_nothing, forget),
        cmocka_unit_test_setup(without_a_window_nothing_is_kept, forget), cmocka_unit_test_setup(a_broken_line_trusts_nobody, forget),
        cmocka_unit_test_setup(a_child_forgets_at_the_end_of_the_window, forget),
        cmocka_unit_test(a_child_forgets_what_is_not_used),
    };
    return cmocka_run_group_tests(tests, set_up, scratch_tear_down);
}
