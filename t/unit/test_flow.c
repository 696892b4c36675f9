/* The room flow without httpd: profiles, pending logins, tickets, answers; and metadata that can't be used. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "../../src/flow/flow_private.h"

#define NOW apr_time_from_sec(1700000000)
#define REASON(call, wanted) do { oks_err_t *err_ = (call); assert_non_null(err_); if (err_->reason != (wanted)) \
    fail_msg("%s", oks_err_text(err_, pool)); } while (0)
#define GOOD(call) do { oks_err_t *err_ = (call); if (err_) fail_msg("%s", oks_err_text(err_, pool)); } while (0)

static apr_pool_t *pool;
static oks_org_t org;
static oks_flow_t flow;
static oks_keyring_t *ring;

static int set_up(void **state)
{
    const char *line;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (oks_keyring_new_line(&line, pool) || oks_keyring_parse(&ring, oks_span_z(line), pool)) return -1;
    org.name = "acme";
    org.enabled = true;
    org.attributes = oks_flow_default_attributes(pool);
    org.user_field = "email";
    org.default_role = "member";
    org.session = (oks_session_limits_t){ .lifetime = apr_time_from_sec(8 * 3600), .idle = apr_time_from_sec(3600) };
    oks_flow_name_cookies(&org, "app:443", pool);
    flow.path = "/sso/okta";
    flow.vhost = "app:443";
    flow.keys = ring;
    return 0;
}

static int tear_down(void **state)
{
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

/* ---- Profiles. A test makes an identity here; in the product only saml does. ---- */

static oks_identity_t identity_of(const char *subject)
{
    oks_identity_t identity = { .protocol = "saml", .subject = subject, .subject_format = "" };
    identity.attributes = apr_array_make(pool, 4, sizeof(oks_attribute_t));
    return identity;
}

static void say(oks_identity_t *identity, const char *name, const char *first, const char *second)
{
    oks_attribute_t *attribute = apr_array_push(identity->attributes);
    attribute->name = name;
    attribute->values = apr_array_make(pool, 2, sizeof(const char *));
    APR_ARRAY_PUSH(attribute->values, const char *) = first;
    if (second) APR_ARRAY_PUSH(attribute->values, const char *) = second;
}

static const char *field_of(const oks_identity_t *identity, const char *field)
{
    oks_profile_t *profile;
    oks_record_t *draft;
    GOOD(oks_flow_profile(&profile, &org, identity, pool));
    oks_session_t session = { .org = "acme", .vhost = "app:443", .protocol = "saml", .profile = profile };
    GOOD(oks_flow_render(&draft, &org, &session, pool));
    return oks_record_field(draft, field);
}

static void fields_come_from_their_first_source(void **state)
{
    oks_identity_t identity = identity_of("amelia@acme.com");
    say(&identity, "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname", "Zoë", NULL);
    say(&identity, "family_name", "", "Grün"); /* an empty value is none */
    say(&identity, "groups", "A,B", "100%");
    assert_string_equal(field_of(&identity, "email"), "amelia@acme.com"); /* the NameID, being an address */
    assert_string_equal(field_of(&identity, "user"), "amelia@acme.com");
    assert_string_equal(field_of(&identity, "name"), "Zoë Grün");
    assert_string_equal(field_of(&identity, "groups"), "A%2CB,100%25");
    assert_string_equal(field_of(&identity, "role"), "member");
    say(&identity, "displayName", "#John Do`e¥", NULL);
    assert_string_equal(field_of(&identity, "name"), "John Doe");
    say(&identity, "email", "other@acme.com", NULL);
    assert_string_equal(field_of(&identity, "email"), "other@acme.com");
}

/* Of a configuration that had such a field once: what was kept with the profile then is none of ours now. */
static void a_field_of_anothers_name_is_not_shown(void **state)
{
    oks_profile_t *profile;
    oks_record_t *draft;
    oks_identity_t identity = identity_of("amelia@acme.com");
    GOOD(oks_flow_profile(&profile, &org, &identity, pool));
    apr_table_setn(profile->extra, "ORG", "globex");
    apr_table_setn(profile->extra, "Role", "admin");
    apr_table_setn(profile->extra, "dept", "Aviation");
    oks_session_t session = { .org = "acme", .vhost = "app:443", .protocol = "saml", .profile = profile };
    GOOD(oks_flow_render(&draft, &org, &session, pool));
    assert_null(oks_record_field(draft, "ORG"));
    assert_null(oks_record_field(draft, "Role"));
    assert_string_equal(oks_record_field(draft, "org"), "acme");
    assert_string_equal(oks_record_field(draft, "dept"), "Aviation");
}

static void the_first_matching_role_wins(void **state)
{
    static const char *const admins[] = { "Admins", NULL }, *const editors[] = { "Web", "Admins", NULL };
    apr_array_header_t *roles = apr_array_make(pool, 2, sizeof(oks_role_rule_t));
    APR_ARRAY_PUSH(roles, oks_role_rule_t) = (oks_role_rule_t){ "admin", admins };
    APR_ARRAY_PUSH(roles, oks_role_rule_t) = (oks_role_rule_t){ "editor", editors };
    oks_identity_t identity = identity_of("a@acme.com");
    say(&identity, "groups", "Web", "Admins");
    org.roles = roles;
    assert_string_equal(field_of(&identity, "role"), "admin");
    org.roles = NULL;
}

static void profiles_that_are_refused(void **state)
{
    static const char *const domains[] = { "acme.com", NULL };
    oks_profile_t *profile;
    oks_identity_t nameless = identity_of("amelia"), odd = identity_of("amelia"), many = identity_of("a@acme.com");
    REASON(oks_flow_profile(&profile, &org, &nameless, pool), OKS_R_FLOW_EMAIL_MISSING);
    say(&odd, "email", "a@acme.com\r\nX-Remote-Role: admin", NULL);
    REASON(oks_flow_profile(&profile, &org, &odd, pool), OKS_R_FLOW_EMAIL_MALFORMED);
    org.email_domains = domains;
    static const char *const outside[] = { "a@evil.com", "a@sub.acme.com", "a@acme.com.evil.com", "a@xacme.com" };
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        oks_identity_t identity = identity_of(outside[i]);
        REASON(oks_flow_profile(&profile, &org, &identity, pool), OKS_R_FLOW_EMAIL_DOMAIN);
    }
    oks_identity_t inside = identity_of("a@ACME.com");
    GOOD(oks_flow_profile(&profile, &org, &inside, pool));
    org.email_domains = NULL;
    say(&many, "groups", "g", NULL);
    oks_attribute_t *groups = &APR_ARRAY_IDX(many.attributes, 0, oks_attribute_t);
    for (int i = 0; i < OKS_PROFILE_GROUPS_MAX; i++) APR_ARRAY_PUSH(groups->values, const char *) = "g";
    REASON(oks_flow_profile(&profile, &org, &many, pool), OKS_R_FLOW_PROFILE_TOO_LARGE);
}

/* ---- Pending logins ---- */

static oks_request_t request_with(const char *cookies)
{
    oks_request_t request = { .method = "GET", .base_url = "https://app", .tls = true, .local_path = "", .content_type = "",
                              .accept = "", .sec_fetch_mode = "", .sec_fetch_dest = "", .sec_fetch_site = "",
                              .requested_with = "", .id = "id", .now = NOW };
    request.cookies = oks_span_z(cookies);
    return request;
}

/* name=value of a Set-Cookie. */
static const char *sent_back(const char *set_cookie)
{
    return apr_pstrmemdup(pool, set_cookie, strcspn(set_cookie, ";"));
}

static void a_pending_login_is_bound_to_browser_org_and_time(void **state)
{
    oks_id_t before = { { 1, 2, 3 } };
    oks_state_t pending = { .expires = NOW + OKS_FLOW_PENDING_LIFETIME, .restarts = 1, .return_path = "/x?y", .replaces = &before }, *opened;
    oks_answer_t *answer = oks_flow_answer(200, "test", pool);
    oks_request_t fresh = request_with("");
    const char *text;
    GOOD(oks_state_bind(&pending, answer, &fresh, pool));
    const char *cookie = apr_table_get(answer->headers, "Set-Cookie");
    assert_non_null(strstr(cookie, "__Host-oktasso-binding="));
    assert_non_null(strstr(cookie, "; Path=/; HttpOnly; Secure; SameSite=None"));
    oks_request_t back = request_with(sent_back(cookie));
    GOOD(oks_state_seal(&text, &flow, &org, &pending, pool));
    GOOD(oks_state_unseal(&opened, &flow, &org, oks_span_z(text), pool));
    assert_string_equal(opened->return_path, "/x?y");
    assert_int_equal(opened->restarts, 1);
    assert_memory_equal(opened->replaces, &before, sizeof before);
    GOOD(oks_state_check(opened, &back, pool));
    REASON(oks_state_check(opened, &fresh, pool), OKS_R_FLOW_STATE_FOREIGN);
    oks_request_t other = request_with("__Host-oktasso-binding=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    REASON(oks_state_check(opened, &other, pool), OKS_R_FLOW_STATE_FOREIGN);
    back.now = NOW + OKS_FLOW_PENDING_LIFETIME;
    REASON(oks_state_check(opened, &back, pool), OKS_R_FLOW_STATE_LATE);

    oks_org_t globex = org;
    globex.name = "globex";
    REASON(oks_state_unseal(&opened, &flow, &globex, oks_span_z(text), pool), OKS_R_CRYPTO_SEAL_BROKEN);
    oks_flow_t elsewhere = flow;
    elsewhere.vhost = "app:8443";
    REASON(oks_state_unseal(&opened, &elsewhere, &org, oks_span_z(text), pool), OKS_R_CRYPTO_SEAL_BROKEN);

    oks_state_t second = pending; /* the cookie that is there is kept: tabs share it */
    oks_answer_t *next = oks_flow_answer(200, "test", pool);
    back.now = NOW;
    GOOD(oks_state_bind(&second, next, &back, pool));
    assert_null(apr_table_get(next->headers, "Set-Cookie"));
    assert_memory_equal(second.binding, pending.binding, sizeof pending.binding);
}

/* ---- Demands ---- */

static const char *const contexts[] = { "urn:okta:loa:2fa:any", "phr", NULL };

static void a_demand_travels_in_the_state_and_in_a_url(void **state)
{
    const oks_demand_t demands[] = { { 0 }, { .force = true }, { .max_age = apr_time_from_sec(300000000) }, { .authn_contexts = contexts },
                                     { .force = true, .max_age = apr_time_from_sec(60), .authn_contexts = contexts } };
    for (size_t i = 0; i < sizeof demands / sizeof demands[0]; i++) {
        oks_state_t pending = { .expires = NOW, .return_path = "/x y", .demand = demands[i] }, *opened;
        oks_demand_t read[2];
        const char *text;
        GOOD(oks_state_seal(&text, &flow, &org, &pending, pool));
        GOOD(oks_state_unseal(&opened, &flow, &org, oks_span_z(text), pool));
        assert_string_equal(opened->return_path, "/x y");
        assert_null(opened->replaces);
        read[0] = opened->demand;
        GOOD(oks_demand_seal(&text, &flow, &org, &demands[i], pool));
        GOOD(oks_demand_unseal(&read[1], &flow, &org, oks_span_z(text), pool));
        for (int k = 0; k < 2; k++) {
            assert_int_equal(read[k].force, demands[i].force);
            assert_true(read[k].max_age == demands[i].max_age);
            assert_int_equal(read[k].authn_contexts != NULL, demands[i].authn_contexts != NULL);
            for (int c = 0; read[k].authn_contexts && c < 2; c++) assert_string_equal(read[k].authn_contexts[c], contexts[c]);
            if (read[k].authn_contexts) assert_null(read[k].authn_contexts[2]);
            assert_int_equal(oks_demand_is_set(&read[k]), i > 0);
        }
        oks_org_t globex = org;
        globex.name = "globex";
        REASON(oks_demand_unseal(&read[0], &flow, &globex, oks_span_z(text), pool), OKS_R_CRYPTO_SEAL_BROKEN);
    }
}

static void a_cut_demand_is_none(void **state)
{
    unsigned char bytes[OKS_DEMAND_PLAIN_MAX];
    oks_demand_t demand = { .authn_contexts = contexts }, read;
    apr_size_t len = oks_demand_encode(bytes, &demand);
    assert_int_equal(oks_demand_decode(&read, oks_span((char *)bytes, len), pool), len);
    for (apr_size_t cut = 0; cut < len; cut++)
        assert_int_equal(oks_demand_decode(&read, oks_span(apr_pmemdup(pool, bytes, cut), cut), pool), 0);
}

static void a_login_is_judged_by_what_was_asked(void **state)
{
    const apr_interval_time_t skew = apr_time_from_sec(120), minute = apr_time_from_sec(60);
    const oks_demand_t none = { 0 }, force = { .force = true }, age = { .max_age = 10 * minute }, strong = { .authn_contexts = contexts };
    oks_identity_t identity = identity_of("a");
    const apr_time_t started = NOW - 5 * minute;
    GOOD(oks_demand_check_login(&none, &identity, started, NOW, skew, pool));
    REASON(oks_demand_check_login(&force, &identity, started, NOW, skew, pool), OKS_R_FLOW_AUTHN_TOO_OLD);
    REASON(oks_demand_check_login(&age, &identity, started, NOW, skew, pool), OKS_R_FLOW_AUTHN_TOO_OLD);
    REASON(oks_demand_check_login(&strong, &identity, started, NOW, skew, pool), OKS_R_FLOW_AUTHN_INSUFFICIENT);
    identity.authn_context = "phr";
    GOOD(oks_demand_check_login(&strong, &identity, started, NOW, skew, pool));
    identity.authn_instant = started - skew; /* the tolerance, to the microsecond */
    GOOD(oks_demand_check_login(&force, &identity, started, NOW, skew, pool));
    identity.authn_instant--;
    REASON(oks_demand_check_login(&force, &identity, started, NOW, skew, pool), OKS_R_FLOW_AUTHN_TOO_OLD);
    identity.authn_instant = NOW - age.max_age - skew;
    GOOD(oks_demand_check_login(&age, &identity, started, NOW, skew, pool));
    identity.authn_instant--;
    REASON(oks_demand_check_login(&age, &identity, started, NOW, skew, pool), OKS_R_FLOW_AUTHN_TOO_OLD);
    identity.authn_instant = NOW + skew + 1;
    REASON(oks_demand_check_login(&age, &identity, started, NOW, skew, pool), OKS_R_FLOW_AUTHN_TOO_OLD);
}

static void a_session_is_judged_at_each_request(void **state)
{
    const apr_interval_time_t skew = apr_time_from_sec(120);
    const oks_demand_t force = { .force = true }, age = { .max_age = apr_time_from_sec(600) }, strong = { .authn_contexts = contexts };
    oks_record_t record = { .authn_context = "" };
    GOOD(oks_demand_check_session(&force, &record, NOW, skew, pool));
    REASON(oks_demand_check_session(&strong, &record, NOW, skew, pool), OKS_R_FLOW_AUTHN_WEAK);
    REASON(oks_demand_check_session(&age, &record, NOW, skew, pool), OKS_R_FLOW_AUTHN_STALE);
    record.authn_context = "urn:okta:loa:2fa:any";
    record.authn_instant = NOW - age.max_age - skew;
    GOOD(oks_demand_check_session(&strong, &record, NOW, skew, pool));
    GOOD(oks_demand_check_session(&age, &record, NOW, skew, pool));
    REASON(oks_demand_check_session(&age, &record, NOW + 1, skew, pool), OKS_R_FLOW_AUTHN_STALE);
}

/* ---- Tickets ---- */

static void a_ticket_is_bound_to_org_host_and_name(void **state)
{
    oks_ticket_t ticket = { .issued = NOW, .idle_until = NOW + 3600 * APR_USEC_PER_SEC, .last_until = NOW + 28800 * APR_USEC_PER_SEC }, read;
    oks_request_t request = request_with("");
    const char *set_cookie;
    memset(ticket.session.bytes, 7, OKS_ID_LEN);
    GOOD(oks_flow_ticket_cookie(&set_cookie, &flow, &org, &request, &ticket, pool));
    assert_non_null(strstr(set_cookie, "__Host-oktasso-session-acme="));
    assert_non_null(strstr(set_cookie, "; Path=/; HttpOnly; Secure; SameSite=Lax"));
    assert_in_range(strlen(sent_back(set_cookie)) - strlen("__Host-oktasso-session-acme="), 100, 200);
    request = request_with(sent_back(set_cookie));
    assert_true(oks_flow_ticket_read(&read, &flow, &org, &request));
    assert_true(read.issued == ticket.issued && read.idle_until == ticket.idle_until && read.last_until == ticket.last_until);

    oks_org_t moved = org;
    oks_flow_name_cookies(&moved, "app:8443", pool); /* another virtual host */
    assert_false(oks_flow_ticket_read(&read, &flow, &moved, &request));
    oks_org_t globex = org;
    globex.name = "globex";
    oks_flow_name_cookies(&globex, "app:443", pool);
    const char *value = strchr(sent_back(set_cookie), '=');
    request = request_with(apr_pstrcat(pool, globex.cookie_tls, value, NULL)); /* under another organization's name */
    assert_false(oks_flow_ticket_read(&read, &flow, &globex, &request));
    request = request_with(apr_pstrcat(pool, org.cookie_plain, value, NULL)); /* a TLS ticket without TLS */
    request.tls = false;
    assert_false(oks_flow_ticket_read(&read, &flow, &org, &request));
}

static void deadlines_are_checked_before_the_directory(void **state)
{
    oks_ticket_t ticket = { .issued = NOW, .idle_until = NOW + apr_time_from_sec(10), .last_until = NOW + apr_time_from_sec(20) };
    oks_request_t request = request_with("");
    oks_pass_t pass;
    const char *set_cookie;
    REASON(oks_flow_check(&pass, &flow, &org, &request, pool), OKS_R_FLOW_SESSION_NONE);
    GOOD(oks_flow_ticket_cookie(&set_cookie, &flow, &org, &request, &ticket, pool));
    request = request_with(sent_back(set_cookie));
    request.now = NOW + apr_time_from_sec(10);
    REASON(oks_flow_check(&pass, &flow, &org, &request, pool), OKS_R_FLOW_SESSION_EXPIRED);
    request.now = NOW + apr_time_from_sec(30);
    REASON(oks_flow_check(&pass, &flow, &org, &request, pool), OKS_R_FLOW_SESSION_EXPIRED);
}

/* ---- Answers ---- */

static void a_refusal_suits_who_asked(void **state)
{
    oks_request_t person = request_with(""), script = request_with("");
    person.sec_fetch_mode = "navigate";
    person.id = "<script>";
    oks_err_t *err = oks_err(pool, OKS_R_FLOW_EMAIL_DOMAIN, "secret detail");
    oks_answer_t *page = oks_flow_refuse(&person, err, "/again?a=1&b=\"", pool);
    assert_int_equal(page->status, 403);
    assert_non_null(strstr(page->body, "flow.email.domain"));
    assert_null(strstr(page->body, "<script"));
    assert_null(strstr(page->body, "secret detail")); /* the detail is the operator's */
    assert_non_null(strstr(page->body, "/again?a=1&amp;b=&quot;"));
    assert_non_null(strstr(apr_table_get(page->headers, "Content-Security-Policy"), "default-src 'none'"));
    oks_answer_t *json = oks_flow_refuse(&script, err, NULL, pool);
    assert_string_equal(json->content_type, "application/json");
    assert_non_null(strstr(json->body, "\"error\":\"flow.email.domain\""));
    oks_answer_t *down = oks_flow_refuse(&script, oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, NULL), NULL, pool);
    assert_non_null(apr_table_get(down->headers, "Retry-After"));
}

/* ---- Metadata ---- */

#define MD "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"e\">"
#define ROLE "<md:IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">"
#define END "</md:IDPSSODescriptor></md:EntityDescriptor>"

static const char *shell(const char *command)
{
    char *text = apr_pcalloc(pool, 8192);
    FILE *stream = popen(command, "r");
    assert_non_null(stream);
    assert_true(fread(text, 1, 8191, stream) > 0);
    pclose(stream);
    return text;
}

static const char *key_descriptor(const char *algorithm)
{
    return apr_pstrcat(pool, "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>",
                       shell(apr_psprintf(pool, "openssl req -x509 -newkey %s -nodes -keyout /dev/null -subj /CN=t 2>/dev/null"
                                          " | grep -v -- -----", algorithm)),
                       "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>", NULL);
}

static void a_template_is_cut_at_its_placeholders(void **state)
{
    const apr_array_header_t *parts;
    GOOD(oks_look_parse(&parts, oks_span_z("<p>{{title}}{{content}}{ {{other}}{{style}}</p>"), pool));
    static const char *const wanted[] = { "<p>", "{{title}}", "{{content}}", "{ {{other}}", "{{style}}", "</p>" };
    assert_int_equal(parts->nelts, 6);
    for (int i = 0; i < 6; i++) assert_true(oks_span_eq_z(APR_ARRAY_IDX(parts, i, oks_span_t), wanted[i]));
    static const char *const bad[] = { "", "{{title}}", "{{content}}{{content}}", "{{content}}{{style}}{{style}}", "{{content}\xff" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        REASON(oks_look_parse(&parts, oks_span_z(bad[i]), pool), OKS_R_FLOW_TEMPLATE_MALFORMED);
}

static void metadata_that_cannot_be_used(void **state)
{
    static const char sso[] = "<md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"https://i/\"/>";
    oks_saml_idp_t *idp;
    const char *key = key_descriptor("rsa:2048"), *one = apr_pstrcat(pool, MD ROLE, key, sso, END, NULL);
    GOOD(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool, "\xef\xbb\xbf \n", one, NULL)), pool));
    assert_string_equal(idp->sso_redirect_url, "https://i/");
    REASON(oks_saml_metadata_parse(&idp, oks_span_z("<html/>"), pool), OKS_R_SAML_METADATA_MALFORMED);
    REASON(oks_saml_metadata_parse(&idp, oks_span_z(MD "</md:EntityDescriptor>"), pool), OKS_R_SAML_METADATA_MALFORMED);
    REASON(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool, MD ROLE, sso, END, NULL)), pool), OKS_R_SAML_METADATA_NO_KEY);
    REASON(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool, MD ROLE, key, END, NULL)), pool), OKS_R_SAML_METADATA_NO_ENDPOINT);
    REASON(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool, MD ROLE, key,
        "<md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"javascript:alert(1)\"/>", END, NULL)),
        pool), OKS_R_SAML_METADATA_NO_ENDPOINT);
    REASON(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool,
        "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\">", one, one, "</md:EntitiesDescriptor>", NULL)), pool),
        OKS_R_SAML_METADATA_AMBIGUOUS);
    REASON(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool, MD ROLE, key, sso, "</md:IDPSSODescriptor>" ROLE, key, sso, END, NULL)),
           pool), OKS_R_SAML_METADATA_AMBIGUOUS);
    REASON(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool, MD ROLE, key_descriptor("rsa:1024"), sso, END, NULL)), pool),
           OKS_R_CRYPTO_KEY_WEAK);
}

static void a_certificate_that_cannot_be_used_is_left_out_beside_one_that_can(void **state)
{
    static const char sso[] = "<md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"https://i/\"/>";
    const char *good = key_descriptor("rsa:2048"), *broken = apr_pstrcat(pool, good, NULL);
    static const struct { const char *from, *to, *reason; } odd[] = {
        { "<ds:X509Certificate>", "<ds:X509Certificate>AAAA", "crypto.cert.malformed" },
        { "<ds:X509Certificate>", "<ds:X509Certificate>!", "crypto.cert.malformed" },
        { "</ds:X509Certificate>", "<x/></ds:X509Certificate>", "crypto.cert.malformed" },
    };
    oks_saml_idp_t *idp;
    GOOD(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool, MD ROLE, good, sso, END, NULL)), pool));
    assert_null(idp->skipped);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        const char *at = strstr(broken, odd[i].from);
        const char *bad = apr_pstrcat(pool, apr_pstrmemdup(pool, broken, (apr_size_t)(at - broken)), odd[i].to, at + strlen(odd[i].from), NULL);
        GOOD(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool, MD ROLE, bad, good, bad, sso, END, NULL)), pool));
        assert_int_equal(idp->certs->nelts, 1);
        assert_non_null(strstr(idp->skipped, odd[i].reason));
        REASON(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool, MD ROLE, bad, sso, END, NULL)), pool), OKS_R_CRYPTO_CERT_MALFORMED);
    }
    GOOD(oks_saml_metadata_parse(&idp, oks_span_z(apr_pstrcat(pool, MD ROLE, key_descriptor("rsa:1024"), good, sso, END, NULL)), pool));
    assert_int_equal(idp->certs->nelts, 1);
    assert_non_null(strstr(idp->skipped, "crypto.key.weak"));
}

static const char *repeat(const char *text, apr_size_t count)
{
    apr_size_t len = strlen(text);
    char *all = apr_palloc(pool, len * count + 1), *end = all;
    while (count--) end = stpcpy(end, text);
    return all;
}

/* A tree takes many times what its document does; what is kept of it is not much. */
static void what_is_kept_of_documents_is_what_is_needed(void **state)
{
    static const char sso[] = "<md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"https://i/\"/>";
    static const char discovery[] = "{\"issuer\":\"https://i\",\"authorization_endpoint\":\"https://i/a\",\"token_endpoint\":\"https://i/t\","
                                    "\"jwks_uri\":\"https://i/k\",\"x\":[";
    static const char jwks[] = "{\"keys\":[{\"kid\":\"k\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}],\"x\":[";
    const size_t few = 300 * 1024; /* bytes */
    const char *tags = repeat("<md:x a='' b='' c='' d='' e='' f='' g='' h='' i='' j='' k=''/>", 15000), *arrays = repeat("[],", 60000);
    oks_saml_idp_t *idp;
    oks_oidc_provider_t *provider;
    oks_jwks_t *keys;
    const char *xml = apr_pstrcat(pool, MD, "<md:Extensions>", tags, "</md:Extensions>" ROLE, key_descriptor("rsa:2048"), sso, END, NULL);
    const char *json = apr_pstrcat(pool, discovery, arrays, "0]}", NULL), *set = apr_pstrcat(pool, jwks, arrays, "0]}", NULL);
    size_t before = mallinfo2().uordblks;
    GOOD(oks_saml_metadata_parse(&idp, oks_span_z(xml), pool));
    assert_in_range(mallinfo2().uordblks, 0, before + few);
    GOOD(oks_oidc_discovery_parse(&provider, oks_span_z(json), NULL, pool));
    GOOD(oks_jwks_parse(&keys, oks_span_z(set), pool));
    assert_in_range(mallinfo2().uordblks, 0, before + 2 * few);
    assert_string_equal(idp->sso_redirect_url, "https://i/");
    assert_string_equal(provider->jwks_uri, "https://i/k");
    assert_true(oks_jwks_has(keys, "k"));
}

static void the_earliest_end_of_metadata_counts(void **state)
{
    static const char sso[] = "<md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"https://i/\"/>";
    static const char entity[] = "<md:EntityDescriptor xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"e\"";
    static const char role[] = "<md:IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"";
    static const struct { const char *outer, *middle, *inner, *wanted; } cases[] = {
        { "", "", "", NULL }, { "2030-01-01T00:00:00Z", "", "", "2030-01-01T00:00:00Z" },
        { "2031-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "", "2030-01-01T00:00:00Z" },
        { "2031-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "2029-01-01T00:00:00.5Z", "2029-01-01T00:00:00Z" },
    };
    const char *key = key_descriptor("rsa:2048");
    oks_saml_idp_t *idp;
    for (size_t i = 0; i <= sizeof cases / sizeof cases[0]; i++) {
        bool odd = i == sizeof cases / sizeof cases[0];
        const char *part[3];
        for (int k = 0; k < 3; k++) {
            const char *until = odd ? "soon" : k == 0 ? cases[i].outer : k == 1 ? cases[i].middle : cases[i].inner;
            part[k] = *until ? apr_pstrcat(pool, " validUntil=\"", until, "\"", NULL) : "";
        }
        const char *xml = apr_pstrcat(pool, "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\"", part[0], ">", entity, part[1],
                                      ">", role, part[2], ">", key, sso, END, "</md:EntitiesDescriptor>", NULL);
        oks_err_t *err = oks_saml_metadata_parse(&idp, oks_span_z(xml), pool);
        if (odd) {
            REASON(err, OKS_R_BASE_TIME_MALFORMED);
            continue;
        }
        GOOD(err);
        if (cases[i].wanted) assert_string_equal(oks_time_format(idp->valid_until, pool), cases[i].wanted);
        else assert_true(idp->valid_until == 0);
    }
}

static void a_huge_response_is_not_even_decoded(void **state)
{
    oks_identity_t *identity;
    oks_saml_expect_t expect = { .now = NOW };
    char *big = apr_palloc(pool, OKS_SAML_RESPONSE_MAX * 2);
    memset(big, 'A', OKS_SAML_RESPONSE_MAX * 2);
    REASON(oks_saml_response_verify(&identity, oks_span(big, OKS_SAML_RESPONSE_MAX * 2), &expect, pool), OKS_R_SAML_RESPONSE_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_from_their_first_source), cmocka_unit_test(the_first_matching_role_wins),
        cmocka_unit_test(a_field_of_anothers_name_is_not_shown),
        cmocka_unit_test(profiles_that_are_refused), cmocka_unit_test(a_pending_login_is_bound_to_browser_org_and_time),
        cmocka_unit_test(a_demand_travels_in_the_state_and_in_a_url), cmocka_unit_test(a_cut_demand_is_none),
        cmocka_unit_test(a_login_is_judged_by_what_was_asked), cmocka_unit_test(a_session_is_judged_at_each_request),
        cmocka_unit_test(a_ticket_is_bound_to_org_host_and_name), cmocka_unit_test(deadlines_are_checked_before_the_directory),
        cmocka_unit_test(a_refusal_suits_who_asked), cmocka_unit_test(metadata_that_cannot_be_used),
        cmocka_unit_test(what_is_kept_of_documents_is_what_is_needed),
        cmocka_unit_test(a_template_is_cut_at_its_placeholders),
        cmocka_unit_test(a_certificate_that_cannot_be_used_is_left_out_beside_one_that_can),
        cmocka_unit_test(the_earliest_end_of_metadata_counts), cmocka_unit_test(a_huge_response_is_not_even_decoded),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
