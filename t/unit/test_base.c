/* The room base: each promise of its header, and each refusal with its reason. */
#include <locale.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "oktasso/json.h"
#include "unit.h"

static apr_pool_t *pool;

static int set_up(void **state)
{
    apr_initialize();
    return apr_pool_create(&pool, NULL);
}

static int tear_down(void **state)
{
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static void reasons_have_unique_codes(void **state)
{
    for (int i = 1; i < OKS_R_COUNT_; i++) {
        const oks_reason_info_t *info = oks_reason_info((oks_reason_t)i);
        assert_true(info->http_status >= 400 && info->http_status < 600);
        for (int k = i + 1; k < OKS_R_COUNT_; k++) assert_string_not_equal(info->code, oks_reason_info((oks_reason_t)k)->code);
    }
    assert_string_equal(oks_reason_info((oks_reason_t)9999)->code, "base.internal.error");
}

static void error_text_is_one_safe_line(void **state)
{
    oks_err_t *cause = oks_err(pool, OKS_R_XML_DTD_REFUSED, "%s", "a\nb\x1b[31m");
    oks_err_t *err = oks_err_from(pool, OKS_R_FLOW_LOGIN_LOOP, APR_ENOENT, cause, NULL);
    const char *text = oks_err_text(err, pool);
    assert_non_null(strstr(text, "flow.login.loop: "));
    assert_non_null(strstr(text, "xml.dtd.refused: a\\x0ab\\x1b[31m"));
    assert_null(strpbrk(text, "\n\x1b"));
}

static void spans(void **state)
{
    oks_span_t piece, rest = oks_span_z("a,,b");
    assert_true(oks_span_next(&piece, &rest, ',') && oks_span_eq_z(piece, "a"));
    assert_true(oks_span_next(&piece, &rest, ',') && piece.len == 0);
    assert_true(oks_span_next(&piece, &rest, ',') && oks_span_eq_z(piece, "b"));
    assert_false(oks_span_next(&piece, &rest, ','));
    assert_true(oks_span_eq_z(oks_span_trim(oks_span_z(" \t x y\r\n")), "x y"));
    assert_false(oks_span_eq_z(oks_span(NULL, 0), NULL));
    assert_true(oks_span_case_eq_z(oks_span_z("AcMe"), "acme"));
}

static void base64(void **state)
{
    static const char *const bad[] = { "QQ=", "Q", "QQ==Q", "Q=Q=", "QQ-_", "QQ===", "QR==", "Q\001==", "QQ" };
    oks_span_t out;
    GOOD(oks_base64_decode(&out, oks_span_z("aGVs\r\n bG8="), pool));
    assert_true(oks_span_eq_z(out, "hello"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        REASON(oks_base64_decode(&out, oks_span_z(bad[i]), pool), OKS_R_BASE_BASE64_MALFORMED);
    for (int len = 0; len < 70; len++) {
        char bytes[70];
        for (int i = 0; i < len; i++) bytes[i] = (char)(i * 37 + len);
        GOOD(oks_base64_decode(&out, oks_span_z(oks_base64_encode(oks_span(bytes, (apr_size_t)len), pool)), pool));
        assert_true(oks_span_eq(out, oks_span(bytes, (apr_size_t)len)));
        GOOD(oks_base64url_decode(&out, oks_span_z(oks_base64url_encode(oks_span(bytes, (apr_size_t)len), pool)), pool));
        assert_true(oks_span_eq(out, oks_span(bytes, (apr_size_t)len)));
    }
    REASON(oks_base64url_decode(&out, oks_span_z("QQ=="), pool), OKS_R_BASE_BASE64_MALFORMED);
    REASON(oks_base64url_decode(&out, oks_span_z("QR"), pool), OKS_R_BASE_BASE64_MALFORMED); /* not canonical */
    unsigned char small[4];
    assert_int_equal(oks_base64url_decode_into(small, 4, oks_span_z("QUJDREU")), -1);
    assert_int_equal(oks_base64url_decode_into(small, 4, oks_span_z("QUJDRA")), 4);
    assert_false(oks_hex_decode_into(small, 4, oks_span_z("0011223g")));
    assert_true(oks_hex_decode_into(small, 4, oks_span_z("00112233")) && small[3] == 0x33);
}

static void times(void **state)
{
    static const char *const bad[] = {
        "", "2024-04-25", "2024-04-25T20:31:55", "2024-04-25T20:31:55+00:00", "2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z",
        "2024-04-25T24:00:00Z", "2024-04-25T20:60:00Z", "2024-04-25T20:31:60Z", "1969-12-31T23:59:59Z", "2024-4-25T20:31:55Z",
        " 2024-04-25T20:31:55Z", "2024-04-25T20:31:55.Z", "2024-04-25T20:31:55.1234567890Z", "2024-04-25 20:31:55Z", "12024-04-25T20:31:55Z",
        "2024-04-25T20:31:55X", "2024-04-25T20:31:55z", "2024-04-25T20:31:55.5z" };
    apr_time_t t;
    GOOD(oks_time_parse(&t, oks_span_z("2024-04-25T20:31:55.494Z"), pool));
    assert_true(t == (apr_time_t)1714077115494000);
    assert_string_equal(oks_time_format(t, pool), "2024-04-25T20:31:55Z");
    GOOD(oks_time_parse(&t, oks_span_z("9999-12-31T23:59:59Z"), pool));
    assert_true(t == (apr_time_t)253402300799 * APR_USEC_PER_SEC); /* SECURITY.md 12: 64 bits */
    GOOD(oks_time_parse(&t, oks_span_z("2024-02-29T00:00:00Z"), pool));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        REASON(oks_time_parse(&t, oks_span_z(bad[i]), pool), OKS_R_BASE_TIME_MALFORMED);
}

static void intervals(void **state)
{
    static const char *const bad[] = { "", "8", "h", "8 h", "-1h", "1.5h", "8H", "99999999999999w", "11000d", "8hh" };
    apr_interval_time_t i;
    GOOD(oks_interval_parse(&i, "8h", pool));
    assert_true(i == apr_time_from_sec(8 * 3600));
    assert_string_equal(oks_interval_format(i, pool), "8h");
    GOOD(oks_interval_parse(&i, "15min", pool));
    assert_string_equal(oks_interval_format(i, pool), "15m");
    GOOD(oks_interval_parse(&i, "250ms", pool));
    assert_true(i == 250000);
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) REASON(oks_interval_parse(&i, bad[k], pool), OKS_R_BASE_INTERVAL_MALFORMED);
    assert_non_null(strstr(oks_interval_parse(&i, "8", pool)->detail, "90s, 15m, 8h or 7d"));
}

static void names_of_organizations_and_people(void **state)
{
    assert_true(oks_org_name_ok(oks_span_z("acme-corp2")));
    static const char *const bad_orgs[] = { "", "Acme", "acme_corp", "-acme", "acme-", "a b", "a.b" };
    for (size_t i = 0; i < sizeof bad_orgs / sizeof bad_orgs[0]; i++) assert_false(oks_org_name_ok(oks_span_z(bad_orgs[i])));
    static const char *const good[] = { "a@b.c", "o'brien+x@acme.com", "zoë@münchen.example", "a@localhost" };
    /* NEL, zero width space, right-to-left override, joiner, no-break space, line separator, private use, unassigned */
    static const char *const unseen[] = { "\xc2\x85", "\u200b", "\u202e", "\u200d", "\u00a0", "\u2028", "\ue000", "\u0378", "\xff" };
    static const char *const bad[] = { "", "a", "@b.c", "a@", "a@b@c.d", "a b@c.d", "a@b..c", "a@-b.c", "a,b@c.d", "a@b.c\n", "a\x01@b.c", "<a@b.c>" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_true(oks_email_ok(oks_span_z(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(oks_email_ok(oks_span_z(bad[i])));
    for (size_t i = 0; i < sizeof unseen / sizeof unseen[0]; i++) {
        assert_false(oks_email_ok(oks_span_z(apr_pstrcat(pool, "ce", unseen[i], "o@acme.example", NULL))));
        assert_false(oks_email_ok(oks_span_z(apr_pstrcat(pool, "ceo@ac", unseen[i], "me.example", NULL))));
        assert_false(oks_value_ok(oks_span_z(unseen[i])));
    }
    assert_true(oks_value_ok(oks_span_z("a b, Zo\u0308e \u6771\u4eac")));
    assert_string_equal(oks_fold_key("ÄMELIA@Acme.COM", pool), oks_fold_key("ämelia@acme.com", pool));
    for (char c = 1; c > 0 && c < 127; c++) { /* ASCII alone, and beside what is not: the same */
        const char alone[] = { c, '\0' }, beside[] = { c, '\xc3', '\xb6', '\0' };
        assert_string_equal(apr_pstrcat(pool, oks_fold_key(alone, pool), "ö", NULL), oks_fold_key(beside, pool));
    }
    const char *text = "A";
    for (int i = 0; i < OKS_MARKS_MAX / 2; i++) text = apr_pstrcat(pool, text, "\u0301\u0323", NULL); /* ordered: below, then above */
    assert_int_equal(strncmp(oks_fold_key(text, pool), "\u1ea1", 3), 0);
    assert_int_equal(strncmp(oks_name_sanitize(text, pool), "\u1ea0", 3), 0);
    text = apr_pstrcat(pool, text, "\u0301", NULL); /* one more: nobody's name, and not worth the time */
    assert_string_equal(oks_fold_key(text, pool), text);
    assert_string_equal(oks_name_sanitize(text, pool), "");
    text = "A";
    for (int i = 0; i <= OKS_MARKS_MAX; i++) text = apr_pstrcat(pool, text, "\u0f73", NULL); /* of class 0, and composed of two */
    assert_string_equal(oks_fold_key(text, pool), text);
    assert_string_equal(oks_lower_key("AZ[@`Äß\u212a.COM", pool), "az[@`Äß\u212a.com");
}

static void domains_match_exactly_or_below(void **state)
{
    static const struct { const char *domain, *pattern; bool wanted; } cases[] = {
        { "acme.com", "acme.com", true },        { "ACME.com", "acme.com", true },      { "eu.acme.com", "acme.com", false },
        { "xacme.com", "acme.com", false },      { "acme.com.evil.com", "acme.com", false },
        { "eu.acme.com", "*.acme.com", true },   { "a.b.acme.com", "*.acme.com", true }, { "acme.com", "*.acme.com", false },
        { "xacme.com", "*.acme.com", false },    { ".acme.com", "*.acme.com", false },  { "", "*.acme.com", false },
        { "evil.com", "*", false },              { "evilacme.com", "*acme.com", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(oks_domain_matches(oks_span_z(cases[i].domain), cases[i].pattern), cases[i].wanted);
}

static void what_a_provider_may_take_for_one_account(void **state)
{
    static const char *const same[] = { "Zoe.Grun@acme.example", " zoë.GRÜN@acme.example\t", "zoe.grun@acme. example",
                                        "\xef\xbd\x9aoe.grun@acme.example", ("zoe.gru\xc2\xad" "n@acme.example"),
                                        "zoe.grun\xe2\x80\x8b@acme.example", "zoe.grun@acme.example\xc2\xa0",
                                        "zoe\xcc\x88.grun@acme.example" };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        assert_string_equal(oks_loose_key(same[i], pool), "zoe.grun@acme.example");
    assert_string_equal(oks_loose_key("MASSE", pool), oks_loose_key("maße", pool));
    assert_string_not_equal(oks_loose_key("ann", pool), oks_loose_key("anne", pool));
    assert_string_equal(oks_loose_key("\xff", pool), "\xff");
    const char *marked = "Ann";
    for (int i = 0; i < 1000; i++) marked = apr_pstrcat(pool, marked, "\u0301", NULL);
    assert_string_equal(oks_loose_key(marked, pool), "ann"); /* however many */
}

static void sanitizer(void **state)
{
    assert_string_equal(oks_name_sanitize("#John Do`e¥", pool), "John Doe"); /* FEATURES.md 40 */
    assert_string_equal(oks_name_sanitize("Zoë", pool), "Zoë");
    assert_string_equal(oks_name_sanitize("Zoe\xcc\x88", pool), "Zoë"); /* composed */
    assert_string_equal(oks_name_sanitize("Zoe\x12\xcc\x88", pool), "Zoë"); /* also where something was between */
    assert_string_equal(oks_name_sanitize("山田", pool), "山田");
    assert_string_equal(oks_name_sanitize("O'Brien & Sons <x>", pool), "O'Brien & Sons x");
    assert_string_equal(oks_name_sanitize(" a \t\xc2\xa0 b\r\nX-Evil: 1 ", pool), "a bX-Evil 1");
    assert_string_equal(oks_name_sanitize("a\xe2\x80\xae" "b", pool), "ab"); /* right-to-left override */
    assert_string_equal(oks_name_sanitize("\xff\xfe", pool), "");
    assert_string_equal(oks_value_sanitize(" a\r\nb\x7f#` ", pool), "ab#`");
    assert_string_equal(oks_group_sanitize(" a\rb\xff\xe2\x80\x8b ", pool), "a\xef\xbf\xbd" "b\xef\xbf\xbd\xef\xbf\xbd");
    assert_string_equal(oks_html_escape("<a href=\"x\">'&", pool), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    assert_string_equal(oks_log_escape(oks_span_z("a\nb\xff\\"), 99, pool), "a\\x0ab\\xff\\x5c");
    assert_string_equal(oks_log_escape(oks_span_z("abcdef"), 3, pool), "abc...");
    assert_false(oks_utf8_ok(oks_span("a\0b", 3)));
    assert_false(oks_utf8_ok(oks_span_z("\xed\xa0\x80"))); /* a surrogate */
    assert_false(oks_utf8_ok(oks_span_z("\xc0\xaf")));      /* overlong */
}

static void return_paths(void **state)
{
    static const struct { const char *in, *out; } good[] = {
        { "/", "/" }, { "/a/b?x=1&y=%2F", "/a/b?x=1&y=%2F" }, { "/a b\"<>", "/a%20b%22%3C%3E" }, { "/a#frag", "/a" },
        { "/zo\xc3\xab", "/zo%C3%AB" }, { "/a?next=http://evil.example/", "/a?next=http://evil.example/" }, { "/a%2fb", "/a%2Fb" } };
    static const char *const bad[] = {
        "", "a", "//evil.example", "/\\evil.example", "/a\\b", "https://evil.example/", "javascript:alert(1)", "/a\nb", "/a\tb",
        "/%0d%0aSet-Cookie:x", "/%5cevil.example", "/%", "/%zz", "/%2", "/a/../b", "/..", "/%2e%2e/a", "/./a", " /a", "\t//evil", "/\x7f" };
    const char *path;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        GOOD(oks_return_path(&path, oks_span_z(good[i].in), pool));
        assert_string_equal(path, good[i].out);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!oks_return_path(&path, oks_span_z(bad[i]), pool)) fail_msg("accepted %s", bad[i]);
    char *big = apr_palloc(pool, OKS_RETURN_MAX + 2);
    memset(big, 'a', OKS_RETURN_MAX + 1);
    big[0] = '/';
    REASON(oks_return_path(&path, oks_span(big, OKS_RETURN_MAX + 1), pool), OKS_R_BASE_RETURN_REFUSED);
    GOOD(oks_return_path(&path, oks_span(big, OKS_RETURN_MAX), pool));
}

static void urls(void **state)
{
    static const char *const bad[] = { "", "ftp://a/", "https://", "https://a:0/", "https://a:70000/", "https://u@a/", "https://a b/",
                                       "https://a/#x", "https://[::1", "https://a/\n", "//a/" };
    oks_url_t url;
    GOOD(oks_url_parse(&url, oks_span_z("HTTPS://Acme.Okta.com:8443/app?x=1"), pool));
    assert_string_equal(url.host, "acme.okta.com");
    assert_int_equal(url.port, 8443);
    assert_string_equal(url.path, "/app?x=1");
    assert_true(oks_url_is_secure(&url));
    GOOD(oks_url_parse(&url, oks_span_z("http://[::1]:80"), pool));
    assert_true(oks_url_is_loopback(&url) && oks_url_is_secure(&url));
    GOOD(oks_url_parse(&url, oks_span_z("http://127.evil.example/"), pool));
    assert_false(oks_url_is_loopback(&url) || oks_url_is_secure(&url));
    GOOD(oks_url_parse(&url, oks_span_z("http://localhost.evil.example/"), pool));
    assert_false(oks_url_is_loopback(&url));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) REASON(oks_url_parse(&url, oks_span_z(bad[i]), pool), OKS_R_BASE_URL_MALFORMED);
    assert_string_equal(oks_url_encode("a b/ü", pool), "a%20b%2F%C3%BC");
}

static void forms(void **state)
{
    apr_array_header_t *params;
    oks_span_t value;
    GOOD(oks_form_parse(&params, oks_span_z("a=1+2&b=%3D&c&&d="), pool));
    GOOD(oks_form_get(&value, params, "a", pool));
    assert_true(oks_span_eq_z(value, "1 2"));
    GOOD(oks_form_get(&value, params, "b", pool));
    assert_true(oks_span_eq_z(value, "="));
    GOOD(oks_form_get(&value, params, "absent", pool));
    assert_null(value.ptr);
    GOOD(oks_form_parse(&params, oks_span_z("a=1&a=1"), pool));
    REASON(oks_form_get(&value, params, "a", pool), OKS_R_BASE_FORM_REPEATED);
    GOOD(oks_form_parse(&params, oks_span_z("a&a=1"), pool));
    REASON(oks_form_get(&value, params, "a", pool), OKS_R_BASE_FORM_REPEATED); /* an empty one counts too */
    REASON(oks_form_parse(&params, oks_span_z("a=%0"), pool), OKS_R_BASE_FORM_MALFORMED);
    REASON(oks_form_parse(&params, oks_span_z("a=%00"), pool), OKS_R_BASE_FORM_MALFORMED);
    const char *many = "";
    for (int i = 0; i <= OKS_FORM_FIELDS_MAX; i++) many = apr_pstrcat(pool, many, "a=1&", NULL);
    REASON(oks_form_parse(&params, oks_span_z(many), pool), OKS_R_BASE_FORM_TOO_MANY);
    GOOD(oks_form_parse(&params, oks_span(NULL, 0), pool));
    assert_int_equal(params->nelts, 0);
}

static void cookies(void **state)
{
    oks_span_t value;
    assert_true(oks_cookie_get(&value, oks_span_z("x=1; __Host-a=v=w ;y"), "__Host-a") && oks_span_eq_z(value, "v=w"));
    assert_false(oks_cookie_get(&value, oks_span_z("__Host-a=1; __Host-a=2"), "__Host-a")); /* which one is ours? */
    assert_false(oks_cookie_get(&value, oks_span_z("__Host-ab=1"), "__Host-a"));
    assert_false(oks_cookie_get(&value, oks_span_z("__Host-a"), "__Host-a"));
    assert_false(oks_cookie_get(&value, oks_span(NULL, 0), "a"));
    assert_true(oks_cookie_get(&value, oks_span("a=bXXXX", 3), "a") && oks_span_eq_z(value, "b")); /* no NUL at the end */
}

static const char *repeated_of(int count, const char *const *texts)
{
    apr_array_header_t *list = apr_array_make(pool, count, sizeof(const char *));
    for (int i = 0; i < count; i++) APR_ARRAY_PUSH(list, const char *) = texts[i];
    return oks_find_repeated(list);
}

static void a_text_that_is_there_twice(void **state)
{
    static const char *const texts[] = { "b", "a", "c", "", "B", "aa", "b" };
    assert_null(repeated_of(0, texts));
    assert_null(repeated_of(6, texts));
    assert_string_equal(repeated_of(7, texts), "b");
}

static void header_names(void **state)
{
    assert_string_equal(oks_header_fold("x_remote-USER", pool), oks_header_fold("X-Remote-User", pool));
    assert_true(oks_header_name_ok("X-Remote-User"));
    assert_false(oks_header_name_ok("") || oks_header_name_ok("a b") || oks_header_name_ok("a:b") || oks_header_name_ok("--"));
}

/* SECURITY.md 34: a password or token at the place where the text stops making sense is nothing for a log. */
static void what_json_cannot_be_is_told_without_quoting_it(void **state)
{
    static const struct { const char *text, *said; } cases[] = {
        { "{\"a\":1,\n\"password\":\"hunter2 ", "premature end of input, line 2" }, { "{\"a\":\"hunter2\" \"hunter2\"}", "'}' expected, line 1" },
        { "{\"token\":hunter2}", "invalid token, line 1" }, { "{\"a\":\"hunter2\\x\"}", "invalid escape, line 1" },
        { "{\"hunter2\":1,\"hunter2\":2}", "duplicate object key, line 1" }, { "{\"a\":1} hunter2", "end of file expected, line 1" },
        { "{\"hunter2\":\"\\u0000\"}", "u0000 is not allowed" }, { "[\"hunter2\"]", "not an object" },
    };
    json_t *json;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        oks_err_t *err = oks_json_parse(&json, oks_span_z(cases[i].text), 100, pool);
        assert_true(err && err->reason == OKS_R_BASE_JSON_MALFORMED);
        if (!strstr(err->detail, cases[i].said) || strstr(err->detail, "hunter2")) fail_msg("%s", err->detail);
    }
}

/* A Turkish locale, where I is the capital of another letter than i; false where none can be made. */
static bool use_turkish(const char *folder)
{
    int status = system(apr_psprintf(pool, "localedef -i tr_TR -f ISO-8859-9 %s/tr_TR 2>/dev/null >&2", folder));
    setenv("LOCPATH", folder, 1);
    bool used = status != -1 && setlocale(LC_ALL, "tr_TR");
    unsetenv("LOCPATH");
    return used;
}

/* SECURITY.md 1: another module may call setlocale(), and what is scrubbed is the same. */
static void the_locale_changes_nothing(void **state)
{
    char folder[] = "/tmp/oktasso-locale-XXXXXX";
    oks_url_t url;
    assert_non_null(mkdtemp(folder));
    bool turkish = use_turkish(folder);
    int status = system(apr_psprintf(pool, "rm -rf %s", folder));
    if (!turkish) skip();
    const char *folded = oks_header_fold("X-REMOTE-FIRSTNAME\xfd", pool);
    bool same = oks_span_case_eq_z(oks_span_z("IDP"), "idp"), strange = oks_email_ok(oks_span_z("a@\xfd.com"));
    bool name = oks_header_name_ok("X-\xfd");
    oks_err_t *err = oks_url_parse(&url, oks_span_z("HTTPS://IDP.example/"), pool);
    const char *encoded = oks_url_encode("\xfd", pool);
    setlocale(LC_ALL, "C");
    assert_int_equal(status, 0);
    assert_string_equal(folded, "xremotefirstname");
    assert_true(same && !strange && !name && !err);
    assert_string_equal(url.host, "idp.example");
    assert_string_equal(encoded, "%FD");
}

static void a_process_without_memory_for_json_ends(void **state)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        oks_json_init();
        json_decref(json_stringn_nocheck("", (size_t)1 << 62));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_match_exactly_or_below),
        cmocka_unit_test(reasons_have_unique_codes), cmocka_unit_test(error_text_is_one_safe_line), cmocka_unit_test(spans),
        cmocka_unit_test(a_process_without_memory_for_json_ends), cmocka_unit_test(base64), cmocka_unit_test(times), cmocka_unit_test(intervals),
        cmocka_unit_test(names_of_organizations_and_people), cmocka_unit_test(sanitizer), cmocka_unit_test(return_paths),
        cmocka_unit_test(what_a_provider_may_take_for_one_account),
        cmocka_unit_test(urls), cmocka_unit_test(forms), cmocka_unit_test(cookies), cmocka_unit_test(header_names),
        cmocka_unit_test(a_text_that_is_there_twice),
        cmocka_unit_test(the_locale_changes_nothing), cmocka_unit_test(what_json_cannot_be_is_told_without_quoting_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
