/* base: what every room stands on. Errors and their reasons, spans, strict parsers, URLs and the return-URL
 * policy, base64, text safety. Knows APR; does no I/O and reads no clock. */
#ifndef OKTASSO_BASE_H
#define OKTASSO_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

/* ---- Errors ---------------------------------------------------------------------------------------------- */

/* Who can mend a refusal: named on the visitor's page. */
typedef enum oks_who_t { OKS_WHO_VISITOR, OKS_WHO_OKTA_ADMIN, OKS_WHO_SERVER_ADMIN } oks_who_t;

/* How loud a refusal is in the error log; the httpd room maps these to APLOG_*. */
typedef enum oks_level_t { OKS_LEVEL_INFO, OKS_LEVEL_WARN, OKS_LEVEL_ERROR } oks_level_t;

/* One enumerator per row of reasons.def: OKS_R_<NAME>. The list is append-only; OKS_R_NONE is no reason. */
typedef enum oks_reason_t {
    OKS_R_NONE = 0,
#define OKS_REASON(name, code, status, level, who, visitor, operator_text) OKS_R_##name,
#include "oktasso/reasons.def"
#undef OKS_REASON
    OKS_R_COUNT_
} oks_reason_t;

typedef struct oks_reason_info_t {
    const char *code;     /* "room.subject.failure": stable, may be quoted in tickets and alerts */
    int http_status;      /* what the visitor's HTTP answer carries */
    oks_level_t level;    /* of the one verdict line in the log */
    oks_who_t who;        /* who can mend it */
    const char *visitor;  /* one plain sentence for the page */
    const char *operator_text; /* what the administrator should look at */
} oks_reason_info_t;

/* The row of a reason; never NULL (an out-of-range value yields the row of OKS_R_INTERNAL). */
const oks_reason_info_t *oks_reason_info(oks_reason_t reason);

/* A failure. NULL is success, so that it can't be mistaken for OK, DECLINED or a library's integer. */
typedef struct oks_err_t oks_err_t;
struct oks_err_t {
    oks_reason_t reason;
    apr_status_t status;    /* APR_SUCCESS unless the system said more */
    const char *detail;     /* wanted and got, for the operator; holds no secret; may be NULL */
    const oks_err_t *cause; /* the failure below, or NULL */
    int retry_after;        /* seconds, as the other side asked; 0: it did not */
};

#define OKS_MUST_USE __attribute__((warn_unused_result))

/* A new error in `pool`. `format` (may be NULL) is the detail; never pass foreign bytes as the format. */
oks_err_t *oks_err(apr_pool_t *pool, oks_reason_t reason, const char *format, ...)
    __attribute__((format(printf, 3, 4))) OKS_MUST_USE;

/* The same with an APR status and a cause (either may be empty). */
oks_err_t *oks_err_from(apr_pool_t *pool, oks_reason_t reason, apr_status_t status, const oks_err_t *cause,
                        const char *format, ...) __attribute__((format(printf, 5, 6))) OKS_MUST_USE;

/* "code: detail: cause code: …", in `pool`, safe for one log line (foreign bytes are escaped). */
const char *oks_err_text(const oks_err_t *err, apr_pool_t *pool);

/* Keeps the happy path linear: hands a failure on, as it is. */
#define OKS_TRY(call)                        \
    do {                                     \
        oks_err_t *oks_try_err_ = (call);    \
        if (oks_try_err_) return oks_try_err_; \
    } while (0)

/* ---- Characters: ASCII alone ------------------------------------------------------------------------------- */

/* Another module may have called setlocale(), and then <ctype.h> says of a Turkish I that it is no capital i, and of bytes above
 * 127 that they are letters. So apr_cstr_casecmp() compares, and these classify. */
static inline bool oks_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool oks_is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static inline char oks_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline char oks_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Of one hexadecimal digit; -1 for another character. */
static inline int oks_hex_value(char c)
{
    if (oks_is_digit(c)) return c - '0';
    c = oks_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- Spans: a slice of bytes somebody else owns; never assumed to end in NUL ------------------------------ */

typedef struct oks_span_t {
    const char *ptr; /* may be NULL when len is 0 */
    apr_size_t len;
} oks_span_t;

oks_span_t oks_span(const char *ptr, apr_size_t len);
oks_span_t oks_span_z(const char *text);                      /* of a C string; NULL is empty */
bool oks_span_eq(oks_span_t a, oks_span_t b);                 /* byte for byte */
bool oks_span_eq_z(oks_span_t a, const char *text);           /* byte for byte; NULL equals nothing */
bool oks_span_case_eq_z(oks_span_t a, const char *text);      /* ASCII case folded; NULL equals nothing */
oks_span_t oks_span_trim(oks_span_t span);                    /* without blanks, tabs, CR, LF at both ends */
oks_span_t oks_span_skip_mark(oks_span_t span);               /* without the byte order mark that some editors put first */
char *oks_span_dup(oks_span_t span, apr_pool_t *pool);        /* NUL-terminated copy in `pool` */
/* Cuts the next piece up to `separator` off the front of `rest`; false when rest is used up. */
bool oks_span_next(oks_span_t *piece, oks_span_t *rest, char separator);

/* ---- Base64 (RFC 4648) ------------------------------------------------------------------------------------ */

/* Section 4 alphabet. Skips blanks, tabs, CR and LF (SAML senders wrap lines); padding is needed and checked;
 * anything else is OKS_R_BASE_BASE64_MALFORMED. `bytes` points into `pool`. */
oks_err_t *oks_base64_decode(oks_span_t *bytes, oks_span_t text, apr_pool_t *pool) OKS_MUST_USE;
const char *oks_base64_encode(oks_span_t bytes, apr_pool_t *pool);

/* Section 5 alphabet, without padding, strict: no blanks, no '=', canonical last character. */
oks_err_t *oks_base64url_decode(oks_span_t *bytes, oks_span_t text, apr_pool_t *pool) OKS_MUST_USE;
/* The same into a caller's buffer, for the hot path: the length, or -1 (malformed or larger than `size`). */
apr_ssize_t oks_base64url_decode_into(unsigned char *out, apr_size_t size, oks_span_t text);
const char *oks_base64url_encode(oks_span_t bytes, apr_pool_t *pool);

const char *oks_hex_encode(oks_span_t bytes, apr_pool_t *pool); /* lower case */
bool oks_hex_decode_into(unsigned char *out, apr_size_t size, oks_span_t text); /* exactly `size` bytes */

/* ---- Time and intervals ----------------------------------------------------------------------------------- */

/* xs:dateTime as SAML Core 1.3.3 wants it: UTC with a final Z, 1 to 9 digits of fraction allowed, real calendar
 * dates only, years 1970 to 9999. Else OKS_R_BASE_TIME_MALFORMED. */
oks_err_t *oks_time_parse(apr_time_t *when, oks_span_t text, apr_pool_t *pool) OKS_MUST_USE;
/* "2024-04-25T20:31:55Z" (whole seconds). */
const char *oks_time_format(apr_time_t when, apr_pool_t *pool);
/* What a time was measured by, for details: "here it is 2024-04-25T20:31:55Z, OktaSSOClockSkew 2m". */
const char *oks_time_here(apr_time_t now, apr_interval_time_t skew, apr_pool_t *pool);

/* A human interval: a whole number and one of ms, s, m (or min), h, d, w; the unit may not be missing.
 * Else OKS_R_BASE_INTERVAL_MALFORMED, whose detail says what to write. More than ten years is refused. */
oks_err_t *oks_interval_parse(apr_interval_time_t *interval, const char *text, apr_pool_t *pool) OKS_MUST_USE;
const char *oks_interval_format(apr_interval_time_t interval, apr_pool_t *pool); /* "8h", "90s" */

/* ---- Names ------------------------------------------------------------------------------------------------ */

#define OKS_ORG_NAME_MAX 63
bool oks_org_name_ok(oks_span_t name); /* [a-z0-9-]{1,63}, neither starting nor ending in '-' */

#define OKS_EMAIL_MAX 254 /* RFC 5321 4.5.3.1.3, less the angle brackets */
/* One @, a local part of 1 to 64 bytes without blanks, controls or any of "(),:;<>[\]@ and a domain of labels.
 * UTF-8 is allowed in both (RFC 6531), but for what oks_value_ok() refuses. */
bool oks_email_ok(oks_span_t email);
oks_span_t oks_email_domain(oks_span_t email);              /* after the @; empty when there is none */
/* Is it `pattern`, or, for a pattern "*.acme.com", one below acme.com? ASCII case folded. */
bool oks_domain_matches(oks_span_t domain, const char *pattern);
bool oks_is_ascii(oks_span_t text);
#define OKS_MARKS_MAX 30 /* combining marks in a row (UAX #15, stream-safe text) */
/* Lower-cased (Unicode case folding, NFC): how names of things are compared. Two people's names may be made equal by it. As it is
 * when it is not UTF-8, or has more marks than that. */
const char *oks_fold_key(const char *text, apr_pool_t *pool);
/* ASCII letters lower-cased, and nothing else: the key under which an address or a userName is unique. */
const char *oks_lower_key(const char *text, apr_pool_t *pool);
bool oks_same_name(const char *one, const char *other, apr_pool_t *pool); /* two spellings of one name or address, by that key */

/* ---- Text that goes out ----------------------------------------------------------------------------------- */

bool oks_is_html(oks_span_t document); /* by how it begins, a BOM and blanks left aside */
bool oks_utf8_ok(oks_span_t text); /* well-formed UTF-8 (no surrogates, no overlong forms) without NUL */

/* A person's name as a header value: NFC, and only letters, marks, digits, blanks and . _ - @ + ' ’ · & , ( ) /
 * of any script; runs of blanks become one, ends are trimmed: "#John Do`e¥" becomes "John Doe".
 * Zero-width (non-)joiners stay only between letters. May return "". */
const char *oks_name_sanitize(const char *text, apr_pool_t *pool);
/* "First Last", or the one that is there. */
const char *oks_full_name(const char *first_name, const char *last_name, apr_pool_t *pool);

/* Any other header value: UTF-8 as it is, less control and format characters (categories Cc, Cf, Cs, Co, Cn, Zl, Zp);
 * ends trimmed. May return "". */
const char *oks_value_sanitize(const char *text, apr_pool_t *pool);
/* The same of a group's name; but U+FFFD stands where something was taken away, so that no name becomes another group's. */
const char *oks_group_sanitize(const char *text, apr_pool_t *pool);
/* UTF-8 without any of these, and no blank (Zs) but ' ': who is named by it would be another one without. */
bool oks_value_ok(oks_span_t text);

/* What another's directory may take for the same name: without regard to case, accents, width, blanks and what is not seen.
 * For limits and suspicions alone: nobody is found by it. */
const char *oks_loose_key(const char *text, apr_pool_t *pool);

/* The one HTML escaper: & < > " ' become entities. */
const char *oks_html_escape(const char *text, apr_pool_t *pool);
/* For one log line: controls, backslashes and bytes that are not UTF-8 as \xNN; of more than `max` bytes the first, and "...". */
const char *oks_log_escape(oks_span_t text, apr_size_t max, apr_pool_t *pool);

/* ---- URLs ------------------------------------------------------------------------------------------------- */

#define OKS_RETURN_MAX 2048 /* bytes of a return path, query included */

/* The return-URL policy, the only one: `raw` must be a path on this origin. One leading '/', no "//" or "/\" at the
 * start, no '\', no control characters, no broken percent-encoding, at most OKS_RETURN_MAX bytes, and no ".." segment;
 * what is not unreserved or a sub-delimiter is percent-encoded again. A fragment is dropped.
 * Else OKS_R_BASE_RETURN_REFUSED. `path` is in `pool`. */
oks_err_t *oks_return_path(const char **path, oks_span_t raw, apr_pool_t *pool) OKS_MUST_USE;

typedef struct oks_url_t {
    const char *scheme; /* lower case: "https" or "http" */
    const char *host;   /* lower case; an IPv6 literal without its brackets */
    int port;           /* explicit or the scheme's */
    const char *path;   /* from the first '/', query included; "/" when absent */
} oks_url_t;

/* An absolute http(s) URL without userinfo and fragment, its parts in `pool`; else OKS_R_BASE_URL_MALFORMED. */
oks_err_t *oks_url_parse(oks_url_t *url, oks_span_t text, apr_pool_t *pool) OKS_MUST_USE;
bool oks_url_is_loopback(const oks_url_t *url); /* localhost, *.localhost, 127.0.0.0/8, ::1 */
bool oks_url_is_secure(const oks_url_t *url);   /* https, or http for loopback: where messages and credentials may go */

const char *oks_url_encode(const char *text, apr_pool_t *pool); /* all but unreserved (RFC 3986 2.3) */

#define OKS_FORM_FIELDS_MAX 32
typedef struct oks_param_t {
    oks_span_t name;  /* decoded, in the pool */
    oks_span_t value; /* decoded, in the pool; may hold any byte but NUL */
} oks_param_t;

/* application/x-www-form-urlencoded (a query or a body): an array of oks_param_t. Broken encoding or NUL is
 * OKS_R_BASE_FORM_MALFORMED, more than OKS_FORM_FIELDS_MAX fields OKS_R_BASE_FORM_TOO_MANY. */
oks_err_t *oks_form_parse(apr_array_header_t **params, oks_span_t text, apr_pool_t *pool) OKS_MUST_USE;
/* The value of `name` (ptr NULL when absent). A name that occurs twice is OKS_R_BASE_FORM_REPEATED. */
oks_err_t *oks_form_get(oks_span_t *value, const apr_array_header_t *params, const char *name, apr_pool_t *pool)
    OKS_MUST_USE;

/* The value of one cookie in a Cookie header, as a slice of it. A name that occurs twice yields false: nobody knows
 * which is ours (__Host- cookies can't be doubled by a browser that knows them). */
bool oks_cookie_get(oks_span_t *value, oks_span_t header, const char *name);

/* One of the texts (const char *) that is there twice, or NULL; the array is sorted then. For texts that others choose: for a hash
 * of APR's they can choose them alike, and each is compared with all others. */
const char *oks_find_repeated(apr_array_header_t *texts);

/* Two header names are the same for a CGI or WSGI backend when their letters and digits are, without regard to case
 * (SECURITY.md 1). Folds `name` so that equal names compare equal. */
const char *oks_header_fold(const char *name, apr_pool_t *pool);
#define OKS_HEADER_NAME_MAX 64 /* bytes */
bool oks_header_name_ok(const char *name); /* an RFC 9110 token of at most OKS_HEADER_NAME_MAX bytes that has a letter */

#endif
