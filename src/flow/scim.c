/* /scim/{org}/v2: SCIM 2.0 (RFC 7644), the protocol: who may ask, what is asked for, and what is answered. Every answer is SCIM's
 * JSON. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "scimcall.h"

#define SCIM "/scim/"
#define SCIM_LEN (sizeof SCIM - 1)

/* ---- Answers ---- */

static const char *scim_type(oks_reason_t reason)
{
    switch (reason) {
    case OKS_R_SCIM_VALUE_INVALID: return "invalidValue";
    case OKS_R_SCIM_BODY_MALFORMED:
    case OKS_R_BASE_JSON_MALFORMED:
    case OKS_R_BASE_JSON_TOO_LARGE: return "invalidSyntax";
    case OKS_R_SCIM_FILTER_INVALID: return "invalidFilter";
    case OKS_R_SCIM_FILTER_TOO_MANY: return "tooMany";
    case OKS_R_SCIM_PATH_INVALID: return "invalidPath";
    case OKS_R_SCIM_TARGET_NONE: return "noTarget";
    case OKS_R_SCIM_ATTRIBUTE_READ_ONLY: return "mutability";
    case OKS_R_SCIM_RESOURCE_TAKEN: return "uniqueness";
    default: return NULL;
    }
}

void oks_scim_call_set_body(oks_answer_t *answer, json_t *body, apr_pool_t *pool)
{
    const char *text = oks_json_text(body, pool);
    answer->content_type = OKS_SCIM_MEDIA_TYPE;
    answer->body = text ? text : "{}";
}

/* RFC 7644 3.12 */
static json_t *error_of(int status, const char *detail, apr_pool_t *pool)
{
    return json_pack("{s:[s], s:s, s:s}", "schemas", OKS_SCIM_MESSAGE "Error", "status", apr_psprintf(pool, "%d", status), "detail",
                     detail);
}

oks_answer_t *oks_flow_scim_error(int status, apr_pool_t *pool)
{
    oks_answer_t *answer = oks_flow_answer(status, "scim.refused", pool);
    oks_scim_call_set_body(answer, error_of(status, "The web server refuses this request.", pool), pool);
    return answer;
}

oks_answer_t *oks_flow_scim_refuse(const oks_err_t *err, const oks_scim_caller_t *caller, apr_pool_t *pool)
{
    const oks_reason_info_t *info = oks_reason_info(err->reason);
    oks_answer_t *answer = oks_flow_answer(info->http_status, "scim.refused", pool);
    const char *more = err->detail && info->http_status < 500 && info->http_status != 401 ? err->detail : "";
    /* The reason's code in the text: RFC 7644 3.12 has no member for it, and clients that are strict refuse one. */
    json_t *body = error_of(info->http_status,
                            apr_pstrcat(pool, info->visitor, *more ? " " : "", more, " [", info->code, "]", NULL), pool);
    if (scim_type(err->reason)) json_object_set_new(body, "scimType", json_string(scim_type(err->reason)));
    oks_scim_call_set_body(answer, body, pool);
    answer->err = err;
    answer->org = caller->org ? caller->org->name : NULL;
    answer->token = caller->token;
    if (info->http_status == 401) apr_table_setn(answer->headers, "WWW-Authenticate", "Bearer realm=\"SCIM\"");
    return answer;
}

oks_span_t oks_scim_call_param(const oks_scim_call_t *call, const char *name)
{
    oks_span_t value;
    return oks_form_get(&value, call->params, name, call->pool) ? oks_span(NULL, 0) : value;
}

static oks_answer_t *show(const oks_scim_call_t *call, int status, const char *event, json_t *resource, int64_t version)
{
    oks_answer_t *answer = oks_flow_answer(status, event, call->pool);
    const char *location = oks_json_string(json_object_get(resource, "meta"), "location");
    if (location) apr_table_set(answer->headers, status == 201 ? "Location" : "Content-Location", location);
    apr_table_setn(answer->headers, "ETag", oks_scim_call_etag(version, call->pool));
    oks_scim_project(resource, call->kind, oks_scim_call_param(call, "attributes"),
                     oks_scim_call_param(call, "excludedAttributes"), call->pool);
    oks_scim_call_set_body(answer, json_incref(resource), call->pool);
    return answer;
}

/* ---- Who may ask ---- */

oks_err_t *oks_flow_scim_admits(oks_scim_caller_t *caller, const oks_flow_t *flow, const oks_request_t *request, apr_pool_t *pool)
{
    oks_span_t org = oks_span(NULL, 0), path = oks_span_z(request->local_path + SCIM_LEN);
    *caller = (oks_scim_caller_t){ NULL, NULL };
    oks_span_next(&org, &path, '/');
    OKS_TRY(oks_flow_find_org(&caller->org, flow, org, pool));
    if (caller->org->scim_off) return oks_err(pool, OKS_R_FLOW_ORG_UNKNOWN, "OktaSSOSCIM Off");
    return oks_flow_scim_authorize(&caller->token, flow, caller->org, request, pool);
}

/* ---- One resource ---- */

static oks_err_t *read_json(json_t **body, const oks_scim_call_t *call)
{
    const char *type = call->request->content_type;
    oks_span_t media = oks_span_trim(oks_span(type, strcspn(type, ";")));
    if (!oks_span_case_eq_z(media, OKS_SCIM_MEDIA_TYPE) && !oks_span_case_eq_z(media, "application/json"))
        return oks_err(call->pool, OKS_R_SCIM_BODY_TYPE, "\"%s\"", oks_log_escape(oks_span_z(type), 60, call->pool));
    OKS_TRY(oks_json_parse(body, call->request->body, call->caller->org->scim_body_max, call->pool));
    return oks_scim_check_names(*body, call->pool);
}

/* Users are pushed so that they can sign in: none is made before anybody can. Who is there can be found, and deactivated, at any
 * time. */
static oks_err_t *check_connection(const oks_scim_call_t *call)
{
    const oks_saml_idp_t *idp;
    oks_provider_t at;
    const oks_org_t *org = call->caller->org;
    oks_err_t *err = org->oidc ? oks_flow_provider(&at, call->flow, org, call->request->now, call->pool)
                               : oks_flow_idp(&idp, call->flow, org, call->request->now, call->pool);
    if (!err || err->reason == OKS_R_DIRECTORY_UNAVAILABLE) return err;
    return oks_err_from(call->pool, OKS_R_SCIM_SSO_ABSENT, APR_SUCCESS, err, NULL);
}

static oks_err_t *serve_write(oks_answer_t **answer, oks_scim_call_t *call)
{
    const bool patch = strcmp(call->request->method, "PATCH") == 0;
    json_t *body, *resource;
    int64_t version;
    call->made = !call->id;
    if (call->made) OKS_TRY(check_connection(call));
    OKS_TRY(read_json(&body, call));
    if (call->made && call->kind == &oks_scim_user && call->caller->org->provisioning == OKS_PROVISIONING_OFF)
        return oks_err(call->pool, OKS_R_DIRECTORY_USER_UNKNOWN, "OktaSSOProvisioning off");
    OKS_TRY(oks_scim_call_write(&resource, &version, call, body, patch));
    const char *event = call->made ? "scim.create" : call->event ? call->event : patch ? "scim.patch" : "scim.replace";
    *answer = show(call, call->made ? 201 : 200, event, resource, version);
    return NULL;
}

static oks_err_t *serve_read(oks_answer_t **answer, const oks_scim_call_t *call)
{
    json_t *resource;
    int64_t version;
    OKS_TRY(oks_scim_call_find(&resource, &version, call));
    if (strcmp(call->request->if_none_match, oks_scim_call_etag(version, call->pool)) == 0)
        *answer = oks_flow_answer(304, "scim.read", call->pool);
    else *answer = show(call, 200, "scim.read", resource, version);
    return NULL;
}

static oks_err_t *serve_delete(oks_answer_t **answer, oks_scim_call_t *call)
{
    OKS_TRY(oks_scim_call_delete(call));
    *answer = oks_flow_answer(204, "scim.delete", call->pool);
    return NULL;
}

static oks_err_t *serve_document(oks_answer_t **answer, const oks_scim_call_t *call, json_t *document)
{
    if (!document) return oks_err(call->pool, OKS_R_SCIM_RESOURCE_UNKNOWN, NULL);
    *answer = oks_flow_answer(200, "scim.describe", call->pool);
    oks_scim_call_set_body(*answer, document, call->pool);
    return NULL;
}

static oks_err_t *too_long(const char *name, apr_pool_t *pool)
{
    return oks_err(pool, OKS_R_SCIM_VALUE_INVALID, "%s: more than %d bytes", name, OKS_SCIM_FILTER_MAX);
}

static oks_err_t *join(const char **text, json_t *names, apr_pool_t *pool)
{
    apr_array_header_t *parts = apr_array_make(pool, 8, sizeof(const char *));
    apr_size_t size = 0, i;
    json_t *each;
    json_array_foreach(names, i, each) {
        if (!json_is_string(each)) continue;
        size += json_string_length(each) + 1;
        if (size > OKS_SCIM_FILTER_MAX) return too_long("attributes", pool);
        APR_ARRAY_PUSH(parts, const char *) = json_string_value(each);
    }
    *text = apr_array_pstrcat(pool, parts, ',');
    return NULL;
}

static const char *const parameters[] = { "filter", "sortBy", "sortOrder", "startIndex", "count", "attributes",
                                          "excludedAttributes" }; /* RFC 7644 3.4.2, 3.9 */
#define PARAMETERS (sizeof parameters / sizeof parameters[0])

/* Of one that stands there twice nobody knows which was meant (SECURITY.md 4); to list everybody was not. */
static oks_err_t *read_query(oks_scim_call_t *call, oks_span_t query)
{
    oks_span_t value;
    OKS_TRY(oks_form_parse(&call->params, query, call->pool));
    for (apr_size_t i = 0; i < PARAMETERS; i++) OKS_TRY(oks_form_get(&value, call->params, parameters[i], call->pool));
    call->asks_groups = oks_scim_call_asks(call, "groups");
    call->asks_members = oks_scim_call_asks(call, "members");
    OKS_TRY(oks_scim_check_projection(oks_scim_call_param(call, "attributes"), call->pool));
    return oks_scim_check_projection(oks_scim_call_param(call, "excludedAttributes"), call->pool);
}

/* RFC 7644 3.4.3: what a query would say, in a body. */
static oks_err_t *serve_search(oks_answer_t **answer, oks_scim_call_t *call)
{
    json_t *body;
    const char *query = "";
    OKS_TRY(read_json(&body, call));
    for (apr_size_t i = 0; i < PARAMETERS; i++) {
        json_t *value = oks_scim_member(body, parameters[i]);
        const char *text = json_is_string(value) ? json_string_value(value) : "";
        if (json_is_integer(value)) text = apr_psprintf(call->pool, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        if (json_is_array(value)) OKS_TRY(join(&text, value, call->pool));
        if (strlen(text) > OKS_SCIM_FILTER_MAX) return too_long(parameters[i], call->pool);
        query = apr_pstrcat(call->pool, query, *query ? "&" : "", parameters[i], "=", oks_url_encode(text, call->pool), NULL);
    }
    OKS_TRY(read_query(call, oks_span_z(query)));
    return oks_scim_call_list(answer, call);
}

/* ---- Finding what to do ---- */

static oks_err_t *allow(const oks_scim_call_t *call, const char *methods, oks_answer_t **answer)
{
    if (oks_flow_method_allowed(methods, call->request->method)) return NULL;
    oks_err_t *err = oks_err(call->pool, OKS_R_SCIM_METHOD_REFUSED, "%s", methods);
    *answer = oks_flow_scim_refuse(err, call->caller, call->pool);
    apr_table_setn((*answer)->headers, "Allow", methods);
    return err;
}

static oks_err_t *serve_resources(oks_answer_t **answer, oks_scim_call_t *call)
{
    const char *method = call->request->method;
    if (call->id && apr_cstr_casecmp(call->id, ".search") == 0) {
        OKS_TRY(allow(call, "POST", answer));
        return serve_search(answer, call);
    }
    OKS_TRY(allow(call, call->id ? "GET, HEAD, PUT, PATCH, DELETE" : "GET, HEAD, POST", answer));
    if (strcmp(method, "DELETE") == 0) return serve_delete(answer, call);
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return call->id ? serve_read(answer, call) : oks_scim_call_list(answer, call);
    return serve_write(answer, call);
}

static oks_err_t *serve_endpoint(oks_answer_t **answer, oks_scim_call_t *call, oks_span_t endpoint)
{
    bool users = oks_span_case_eq_z(endpoint, "Users");
    if (users || oks_span_case_eq_z(endpoint, "Groups")) {
        call->kind = users ? &oks_scim_user : &oks_scim_group;
        return serve_resources(answer, call);
    }
    if (oks_span_case_eq_z(endpoint, ".search") && !call->id) {
        OKS_TRY(allow(call, "POST", answer));
        return serve_search(answer, call);
    }
    bool schemas = oks_span_case_eq_z(endpoint, "Schemas"), types = oks_span_case_eq_z(endpoint, "ResourceTypes");
    bool config = oks_span_case_eq_z(endpoint, "ServiceProviderConfig") && !call->id;
    if (oks_span_case_eq_z(endpoint, "Me") || oks_span_case_eq_z(endpoint, "Bulk"))
        return oks_err(call->pool, OKS_R_SCIM_PATH_UNSUPPORTED, NULL);
    if (!schemas && !types && !config) return oks_err(call->pool, OKS_R_SCIM_PATH_UNKNOWN, NULL);
    OKS_TRY(allow(call, "GET, HEAD", answer));
    if (oks_scim_call_param(call, "filter").len)
        return oks_err(call->pool, OKS_R_SCIM_FILTER_INVALID, "there is none here (RFC 7644 4)");
    if (config) return serve_document(answer, call, oks_scim_service_provider_config(call->base));
    return serve_document(answer, call, (schemas ? oks_scim_schemas : oks_scim_resource_types)(call->base, call->id));
}

/* "{org}/v2/Users/{id}" */
static oks_err_t *dispatch(oks_answer_t **answer, oks_scim_call_t *call, oks_span_t path)
{
    oks_span_t org = oks_span(NULL, 0), version = org, endpoint = org;
    oks_span_next(&org, &path, '/');
    oks_span_next(&version, &path, '/');
    oks_span_next(&endpoint, &path, '/');
    if (!oks_span_eq_z(version, "v2") || memchr(path.ptr ? path.ptr : "", '/', path.len))
        return oks_err(call->pool, OKS_R_SCIM_PATH_UNKNOWN, NULL);
    call->id = path.len ? oks_span_dup(path, call->pool) : NULL;
    call->base = apr_pstrcat(call->pool, call->request->base_url, call->flow->path, "/scim/", call->caller->org->name, "/v2", NULL);
    OKS_TRY(read_query(call, call->request->query));
    return serve_endpoint(answer, call, endpoint);
}

bool oks_flow_is_scim(const char *local_path)
{
    return strncmp(local_path, SCIM, SCIM_LEN) == 0;
}

oks_answer_t *oks_flow_serve_scim(const oks_flow_t *flow, const oks_scim_caller_t *caller, const oks_request_t *request,
                                  apr_pool_t *pool)
{
    oks_answer_t *answer = NULL;
    oks_scim_call_t call = { .flow = flow, .caller = caller, .request = request, .pool = pool };
    oks_err_t *err = dispatch(&answer, &call, oks_span_z(request->local_path + SCIM_LEN));
    if (err && !answer) answer = oks_flow_scim_refuse(err, caller, pool);
    answer->org = caller->org->name;
    answer->token = caller->token;
    answer->user = call.user;
    answer->group = call.group;
    return answer;
}
