/* What a verified Assertion says (SAML Core 2.3.3, 2.4, 2.5, 2.7; Profiles 4.1.4.2, 4.1.4.3). Missing is failure. */
#include <string.h>

#include "saml_private.h"

#define METHOD_BEARER "urn:oasis:names:tc:SAML:2.0:cm:bearer"
#define FORMAT_UNSPECIFIED "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
#define ATTRIBUTES_MAX 200
#define VALUES_MAX 2000
#define VALUE_BYTES_MAX 8192

typedef struct reader_t {
    const oks_saml_expect_t *expect;
    oks_identity_t *identity;
    apr_pool_t *pool;
} reader_t;

static const char *shown(const reader_t *reader, const char *text)
{
    return text ? oks_log_escape(oks_span_z(text), 200, reader->pool) : "none";
}

/* An attribute of a node, and what it was measured by. */
static oks_err_t *wrong_time(const reader_t *reader, oks_reason_t reason, const xmlNode *node, const char *name, apr_time_t said)
{
    const oks_saml_expect_t *expect = reader->expect;
    apr_pool_t *pool = reader->pool;
    return oks_err(pool, reason, "%s %s %s; %s", node->name, name, oks_time_format(said, pool),
                   oks_time_here(expect->now, expect->skew, pool));
}

/* An optional time attribute: 0 when absent, and never 0 when it is there. */
static oks_err_t *read_time(apr_time_t *when, const reader_t *reader, const xmlNode *node, const char *name)
{
    const char *text = oks_xml_attribute(node, name, reader->pool);
    *when = 0;
    if (!text) return NULL;
    OKS_TRY(oks_time_parse(when, oks_span_z(text), reader->pool));
    if (*when == 0) *when = 1; /* 1970-01-01T00:00:00Z */
    return NULL;
}

/* NotBefore and NotOnOrAfter of an element, tolerance included (SAML Core 2.5.1.2). */
static oks_err_t *check_window(apr_time_t *until, const reader_t *reader, const xmlNode *node, bool end_required)
{
    const oks_saml_expect_t *expect = reader->expect;
    apr_time_t from;
    OKS_TRY(read_time(&from, reader, node, "NotBefore"));
    OKS_TRY(read_time(until, reader, node, "NotOnOrAfter"));
    if (from && expect->now + expect->skew < from)
        return wrong_time(reader, OKS_R_SAML_TIME_EARLY, node, "NotBefore", from);
    if (!*until && end_required) return oks_err(reader->pool, OKS_R_SAML_TIME_EXPIRED, "%s has no NotOnOrAfter", node->name);
    if (*until && expect->now - expect->skew >= *until)
        return wrong_time(reader, OKS_R_SAML_TIME_EXPIRED, node, "NotOnOrAfter", *until);
    return NULL;
}

static oks_err_t *read_head(const reader_t *reader, const xmlNode *assertion)
{
    xmlNode *issuer;
    apr_time_t issued;
    apr_pool_t *pool = reader->pool;
    const char *version = oks_xml_attribute(assertion, "Version", pool), *id = oks_xml_attribute(assertion, "ID", pool);
    if (!oks_xml_is(assertion, OKS_NS_ASSERTION, "Assertion") || !version || strcmp(version, "2.0") != 0 || !id)
        return oks_err(pool, OKS_R_SAML_ASSERTION_MALFORMED, "not an Assertion of version 2.0 with an ID");
    int issuers = oks_xml_children(&issuer, assertion, OKS_NS_ASSERTION, "Issuer");
    const char *name = issuer ? oks_xml_text(issuer, pool) : NULL;
    if (issuers != 1 || !name || strcmp(name, reader->expect->idp->entity_id) != 0)
        return oks_err(pool, OKS_R_SAML_ISSUER_MISMATCH, "of the Assertion: wanted %s, got %s",
                       reader->expect->idp->entity_id, shown(reader, name));
    OKS_TRY(read_time(&issued, reader, assertion, "IssueInstant"));
    if (!issued) return oks_err(pool, OKS_R_SAML_ASSERTION_MALFORMED, "no IssueInstant");
    if (issued > reader->expect->now + reader->expect->skew)
        return wrong_time(reader, OKS_R_SAML_TIME_EARLY, assertion, "IssueInstant", issued);
    reader->identity->assertion_id = id;
    reader->identity->issuer = name;
    return NULL;
}

/* ---- Subject ---- */

static oks_err_t *read_name_id(const reader_t *reader, const xmlNode *subject)
{
    xmlNode *name_id;
    apr_pool_t *pool = reader->pool;
    int count = oks_xml_children(&name_id, subject, OKS_NS_ASSERTION, "NameID");
    const char *text = count == 1 ? oks_xml_text(name_id, pool) : NULL;
    /* Blanks at the ends or control characters would make two names of one, or one of two. */
    if (!text || !*text || oks_span_trim(oks_span_z(text)).len != strlen(text) || strlen(text) > 1024 ||
        strcmp(oks_value_sanitize(text, pool), text) != 0)
        return oks_err(pool, OKS_R_SAML_SUBJECT_MISSING, "no usable NameID");
    const char *format = oks_xml_attribute(name_id, "Format", pool);
    reader->identity->subject = text;
    reader->identity->subject_format = format ? format : FORMAT_UNSPECIFIED;
    return NULL;
}

/* One bearer confirmation; all that Profiles 4.1.4.2 wants of it. */
static oks_err_t *check_confirmation(const reader_t *reader, const xmlNode *confirmation)
{
    xmlNode *data;
    apr_time_t until;
    apr_pool_t *pool = reader->pool;
    const oks_saml_expect_t *expect = reader->expect;
    if (oks_xml_children(&data, confirmation, OKS_NS_ASSERTION, "SubjectConfirmationData") != 1)
        return oks_err(pool, OKS_R_SAML_CONFIRMATION_MISSING, "no SubjectConfirmationData");
    const char *recipient = oks_xml_attribute(data, "Recipient", pool);
    if (!recipient || strcmp(recipient, expect->acs_url) != 0)
        return oks_err(pool, OKS_R_SAML_RECIPIENT_MISMATCH, "wanted %s, got %s", expect->acs_url, shown(reader, recipient));
    OKS_TRY(check_window(&until, reader, data, true));
    const char *answered = oks_xml_attribute(data, "InResponseTo", pool);
    if (answered && (!expect->request_id || strcmp(answered, expect->request_id) != 0))
        return oks_err(pool, OKS_R_SAML_IN_RESPONSE_TO_MISMATCH, "%s", expect->request_id ? "another request" : "no request known");
    reader->identity->in_response_to = answered;
    return NULL;
}

/* The claim must last as long as any confirmation could let the assertion in again. */
static oks_err_t *keep_claim(const reader_t *reader, const xmlNode *confirmation)
{
    xmlNode *data;
    apr_time_t until;
    if (!oks_xml_children(&data, confirmation, OKS_NS_ASSERTION, "SubjectConfirmationData")) return NULL;
    OKS_TRY(read_time(&until, reader, data, "NotOnOrAfter"));
    if (until + reader->expect->skew > reader->identity->claim_until)
        reader->identity->claim_until = until + reader->expect->skew;
    return NULL;
}

/* At least one bearer confirmation must hold; the first reason is told when none does. */
static oks_err_t *read_subject(const reader_t *reader, const xmlNode *assertion)
{
    xmlNode *subject;
    oks_err_t *first = NULL;
    bool confirmed = false;
    if (oks_xml_children(&subject, assertion, OKS_NS_ASSERTION, "Subject") != 1)
        return oks_err(reader->pool, OKS_R_SAML_SUBJECT_MISSING, "not exactly one Subject");
    OKS_TRY(read_name_id(reader, subject));
    for (xmlNode *node = oks_xml_first_element(subject); node; node = oks_xml_next_element(node)) {
        const char *method = oks_xml_attribute(node, "Method", reader->pool);
        if (!oks_xml_is(node, OKS_NS_ASSERTION, "SubjectConfirmation") || !method || strcmp(method, METHOD_BEARER) != 0) continue;
        OKS_TRY(keep_claim(reader, node));
        if (confirmed) continue;
        oks_err_t *err = check_confirmation(reader, node);
        if (!err) confirmed = true;
        else if (!first) first = err;
    }
    if (confirmed) return NULL;
    return first ? first : oks_err(reader->pool, OKS_R_SAML_CONFIRMATION_MISSING, "no bearer SubjectConfirmation");
}

/* ---- Conditions ---- */

static bool names_us(const reader_t *reader, const xmlNode *restriction)
{
    for (xmlNode *node = oks_xml_first_element(restriction); node; node = oks_xml_next_element(node)) {
        const char *text = oks_xml_is(node, OKS_NS_ASSERTION, "Audience") ? oks_xml_text(node, reader->pool) : NULL;
        for (const char *const *ours = reader->expect->audiences; text && *ours; ours++)
            if (oks_span_eq_z(oks_span_trim(oks_span_z(text)), *ours)) return true;
    }
    return false;
}

static const char *first_audience(const reader_t *reader, const xmlNode *restriction)
{
    for (xmlNode *node = oks_xml_first_element(restriction); node; node = oks_xml_next_element(node))
        if (oks_xml_is(node, OKS_NS_ASSERTION, "Audience")) return oks_xml_text(node, reader->pool);
    return "";
}

/* Every AudienceRestriction must name us (SAML Core 2.5.1.4), and there must be one (Profiles 4.1.4.2). */
static oks_err_t *read_conditions(const reader_t *reader, const xmlNode *assertion)
{
    xmlNode *conditions;
    apr_time_t until;
    int restrictions = 0;
    apr_pool_t *pool = reader->pool;
    if (oks_xml_children(&conditions, assertion, OKS_NS_ASSERTION, "Conditions") != 1)
        return oks_err(pool, OKS_R_SAML_ASSERTION_MALFORMED, "not exactly one Conditions");
    OKS_TRY(check_window(&until, reader, conditions, false));
    for (xmlNode *node = oks_xml_first_element(conditions); node; node = oks_xml_next_element(node)) {
        if (oks_xml_is(node, OKS_NS_ASSERTION, "AudienceRestriction")) {
            restrictions++;
            if (!names_us(reader, node))
                return oks_err(pool, OKS_R_SAML_AUDIENCE_MISMATCH, "wanted %s, got \"%s\"", reader->expect->audiences[0],
                               shown(reader, first_audience(reader, node)));
        } else if (!oks_xml_is(node, OKS_NS_ASSERTION, "OneTimeUse") && !oks_xml_is(node, OKS_NS_ASSERTION, "ProxyRestriction")) {
            return oks_err(pool, OKS_R_SAML_CONDITION_UNKNOWN, "%s", shown(reader, (const char *)node->name));
        }
    }
    if (!restrictions) return oks_err(pool, OKS_R_SAML_AUDIENCE_MISMATCH, "no AudienceRestriction");
    return NULL;
}

/* ---- Statements ---- */

static oks_err_t *read_authn_statement(const reader_t *reader, const xmlNode *assertion)
{
    xmlNode *statement, *context, *class_ref;
    apr_pool_t *pool = reader->pool;
    oks_identity_t *identity = reader->identity;
    if (oks_xml_children(&statement, assertion, OKS_NS_ASSERTION, "AuthnStatement") < 1)
        return oks_err(pool, OKS_R_SAML_ASSERTION_MALFORMED, "no AuthnStatement");
    OKS_TRY(read_time(&identity->authn_instant, reader, statement, "AuthnInstant"));
    OKS_TRY(read_time(&identity->session_not_on_or_after, reader, statement, "SessionNotOnOrAfter"));
    if (identity->session_not_on_or_after && identity->session_not_on_or_after <= reader->expect->now - reader->expect->skew)
        return wrong_time(reader, OKS_R_SAML_TIME_EXPIRED, statement, "SessionNotOnOrAfter", identity->session_not_on_or_after);
    identity->session_index = oks_xml_attribute(statement, "SessionIndex", pool);
    if (oks_xml_children(&context, statement, OKS_NS_ASSERTION, "AuthnContext") == 1 &&
        oks_xml_children(&class_ref, context, OKS_NS_ASSERTION, "AuthnContextClassRef") == 1) {
        const char *text = oks_xml_text(class_ref, pool);
        identity->authn_context = text ? oks_span_dup(oks_span_trim(oks_span_z(text)), pool) : NULL;
    }
    return NULL;
}

/* The entry of that name: the one there is, or a new one. NULL: too many. */
static oks_attribute_t *attribute_entry(const reader_t *reader, const char *name)
{
    apr_array_header_t *list = reader->identity->attributes;
    for (int i = 0; i < list->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(list, i, oks_attribute_t).name, name) == 0) return &APR_ARRAY_IDX(list, i, oks_attribute_t);
    if (list->nelts == ATTRIBUTES_MAX) return NULL;
    oks_attribute_t *attribute = apr_array_push(list);
    attribute->name = name;
    attribute->values = apr_array_make(reader->pool, 2, sizeof(const char *));
    return attribute;
}

static oks_err_t *read_attribute(const reader_t *reader, const xmlNode *node)
{
    apr_pool_t *pool = reader->pool;
    const char *name = oks_xml_attribute(node, "Name", pool);
    oks_attribute_t *attribute = name && *name ? attribute_entry(reader, name) : NULL;
    if (!attribute) return oks_err(pool, OKS_R_SAML_ATTRIBUTE_MALFORMED, "no Name, or more than %d attributes", ATTRIBUTES_MAX);
    for (xmlNode *value = oks_xml_first_element(node); value; value = oks_xml_next_element(value)) {
        if (!oks_xml_is(value, OKS_NS_ASSERTION, "AttributeValue")) continue;
        const char *text = oks_xml_text(value, pool);
        if (!text || strlen(text) > VALUE_BYTES_MAX || attribute->values->nelts == VALUES_MAX)
            return oks_err(pool, OKS_R_SAML_ATTRIBUTE_MALFORMED, "\"%s\": elements in a value, or too large", shown(reader, name));
        APR_ARRAY_PUSH(attribute->values, const char *) = oks_span_dup(oks_span_trim(oks_span_z(text)), pool);
    }
    return NULL;
}

static oks_err_t *read_attributes(const reader_t *reader, const xmlNode *assertion)
{
    for (xmlNode *statement = oks_xml_first_element(assertion); statement; statement = oks_xml_next_element(statement)) {
        if (!oks_xml_is(statement, OKS_NS_ASSERTION, "AttributeStatement")) continue;
        for (xmlNode *node = oks_xml_first_element(statement); node; node = oks_xml_next_element(node))
            if (oks_xml_is(node, OKS_NS_ASSERTION, "Attribute")) OKS_TRY(read_attribute(reader, node));
    }
    return NULL;
}

oks_err_t *oks_saml_assertion_read(oks_identity_t **identity, const xmlNode *assertion, const oks_saml_expect_t *expect,
                                   apr_pool_t *pool)
{
    reader_t reader = { .expect = expect, .pool = pool, .identity = apr_pcalloc(pool, sizeof(oks_identity_t)) };
    reader.identity->protocol = "saml";
    reader.identity->attributes = apr_array_make(pool, 8, sizeof(oks_attribute_t));
    OKS_TRY(read_head(&reader, assertion));
    OKS_TRY(read_subject(&reader, assertion));
    OKS_TRY(read_conditions(&reader, assertion));
    OKS_TRY(read_authn_statement(&reader, assertion));
    OKS_TRY(read_attributes(&reader, assertion));
    *identity = reader.identity;
    return NULL;
}
