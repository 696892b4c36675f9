/* The schemas as tables, and the documents that describe them (RFC 7643 7, RFC 7644 4). */
#include <string.h>

#include <apr_cstr.h>

#include "scim_private.h"

#define S OKS_SCIM_STRING
#define END { NULL, S, 0, NULL }

static const oks_scim_attr_t meta[] = {
    { "resourceType", S, OKS_SCIM_READ_ONLY | OKS_SCIM_EXACT, NULL }, { "created", OKS_SCIM_DATE_TIME, OKS_SCIM_READ_ONLY, NULL },
    { "lastModified", OKS_SCIM_DATE_TIME, OKS_SCIM_READ_ONLY, NULL }, { "location", OKS_SCIM_REFERENCE, OKS_SCIM_READ_ONLY, NULL },
    { "version", S, OKS_SCIM_READ_ONLY | OKS_SCIM_EXACT, NULL }, END
};
static const oks_scim_attr_t name[] = {
    { "formatted", S, 0, NULL }, { "familyName", S, 0, NULL }, { "givenName", S, 0, NULL }, { "middleName", S, 0, NULL },
    { "honorificPrefix", S, 0, NULL }, { "honorificSuffix", S, 0, NULL }, END
};
static const oks_scim_attr_t values[] = {
    { "value", S, 0, NULL }, { "display", S, 0, NULL }, { "type", S, 0, NULL }, { "primary", OKS_SCIM_BOOLEAN, 0, NULL }, END
};
static const oks_scim_attr_t photos[] = {
    { "value", OKS_SCIM_REFERENCE, OKS_SCIM_EXACT, NULL }, { "display", S, 0, NULL }, { "type", S, 0, NULL },
    { "primary", OKS_SCIM_BOOLEAN, 0, NULL }, END
};
static const oks_scim_attr_t certificates[] = {
    { "value", OKS_SCIM_BINARY, OKS_SCIM_EXACT, NULL }, { "display", S, 0, NULL }, { "type", S, 0, NULL },
    { "primary", OKS_SCIM_BOOLEAN, 0, NULL }, END
};
static const oks_scim_attr_t addresses[] = {
    { "formatted", S, 0, NULL }, { "streetAddress", S, 0, NULL }, { "locality", S, 0, NULL }, { "region", S, 0, NULL },
    { "postalCode", S, 0, NULL }, { "country", S, 0, NULL }, { "type", S, 0, NULL }, { "primary", OKS_SCIM_BOOLEAN, 0, NULL }, END
};
static const oks_scim_attr_t references[] = {
    { "value", S, OKS_SCIM_EXACT, NULL }, { "$ref", OKS_SCIM_REFERENCE, OKS_SCIM_EXACT, NULL }, { "display", S, 0, NULL },
    { "type", S, 0, NULL }, END
};
static const oks_scim_attr_t manager[] = {
    { "value", S, OKS_SCIM_EXACT, NULL }, { "$ref", OKS_SCIM_REFERENCE, OKS_SCIM_EXACT, NULL }, { "displayName", S, 0, NULL }, END
};

#define COMMON                                                                                                   \
    { "id", S, OKS_SCIM_READ_ONLY | OKS_SCIM_EXACT | OKS_SCIM_ALWAYS | OKS_SCIM_UNIQUE, NULL },                  \
    { "schemas", OKS_SCIM_REFERENCE, OKS_SCIM_READ_ONLY | OKS_SCIM_MULTI | OKS_SCIM_EXACT | OKS_SCIM_ALWAYS, NULL }, \
    { "externalId", S, OKS_SCIM_EXACT, NULL }, { "meta", OKS_SCIM_COMPLEX, OKS_SCIM_READ_ONLY, meta }

static const oks_scim_attr_t user_attrs[] = {
    COMMON,
    { "userName", S, OKS_SCIM_REQUIRED | OKS_SCIM_UNIQUE, NULL },
    { "name", OKS_SCIM_COMPLEX, 0, name },
    { "displayName", S, 0, NULL }, { "nickName", S, 0, NULL }, { "profileUrl", OKS_SCIM_REFERENCE, OKS_SCIM_EXACT, NULL },
    { "title", S, 0, NULL }, { "userType", S, 0, NULL }, { "preferredLanguage", S, 0, NULL }, { "locale", S, 0, NULL },
    { "timezone", S, 0, NULL }, { "active", OKS_SCIM_BOOLEAN, 0, NULL }, { "password", S, OKS_SCIM_NEVER | OKS_SCIM_EXACT, NULL },
    { "emails", OKS_SCIM_COMPLEX, OKS_SCIM_MULTI, values }, { "phoneNumbers", OKS_SCIM_COMPLEX, OKS_SCIM_MULTI, values },
    { "ims", OKS_SCIM_COMPLEX, OKS_SCIM_MULTI, values }, { "photos", OKS_SCIM_COMPLEX, OKS_SCIM_MULTI, photos },
    { "addresses", OKS_SCIM_COMPLEX, OKS_SCIM_MULTI, addresses },
    { "groups", OKS_SCIM_COMPLEX, OKS_SCIM_MULTI | OKS_SCIM_READ_ONLY, references },
    { "entitlements", OKS_SCIM_COMPLEX, OKS_SCIM_MULTI, values }, { "roles", OKS_SCIM_COMPLEX, OKS_SCIM_MULTI, values },
    { "x509Certificates", OKS_SCIM_COMPLEX, OKS_SCIM_MULTI, certificates }, END
};
static const oks_scim_attr_t enterprise_attrs[] = {
    { "employeeNumber", S, 0, NULL }, { "costCenter", S, 0, NULL }, { "organization", S, 0, NULL }, { "division", S, 0, NULL },
    { "department", S, 0, NULL }, { "manager", OKS_SCIM_COMPLEX, 0, manager }, END
};
static const oks_scim_attr_t group_attrs[] = {
    COMMON,
    { "displayName", S, OKS_SCIM_REQUIRED | OKS_SCIM_UNIQUE, NULL },
    { "members", OKS_SCIM_COMPLEX, OKS_SCIM_MULTI, references }, END
};

const oks_scim_kind_t oks_scim_user = { "User", "Users", OKS_SCIM_SCHEMA_USER, user_attrs, OKS_SCIM_SCHEMA_ENTERPRISE,
                                        enterprise_attrs };
const oks_scim_kind_t oks_scim_group = { "Group", "Groups", OKS_SCIM_SCHEMA_GROUP, group_attrs, NULL, NULL };

/* ---- Paths ---- */

const oks_scim_attr_t *oks_scim_find(const oks_scim_attr_t *attrs, oks_span_t wanted)
{
    for (; attrs && attrs->name; attrs++)
        if (oks_span_case_eq_z(wanted, attrs->name)) return attrs;
    return NULL;
}

/* What follows "URN:", or the text itself. *whole: it is the URN alone. */
static bool cut_urn(oks_span_t *text, bool *whole, const char *urn)
{
    apr_size_t len = urn ? strlen(urn) : 0;
    *whole = false;
    if (!urn || text->len < len || apr_cstr_casecmpn(text->ptr, urn, len) != 0) return false;
    *whole = text->len == len;
    if (!*whole && text->ptr[len] != ':') return false;
    *text = *whole ? oks_span("", 0) : oks_span(text->ptr + len + 1, text->len - len - 1);
    return true;
}

bool oks_scim_resolve(oks_scim_path_t *path, const oks_scim_kind_t *kind, oks_span_t text)
{
    oks_span_t first, rest = text;
    bool whole;
    memset(path, 0, sizeof *path);
    if (cut_urn(&text, &whole, kind->extension)) {
        path->extension = true;
        if (whole) return true;
    } else if (cut_urn(&text, &whole, kind->schema) && whole) {
        return false;
    }
    rest = text;
    if (!oks_span_next(&first, &rest, '.')) return false;
    path->attr = oks_scim_find(path->extension ? kind->extension_attrs : kind->attrs, first);
    if (!path->attr || !rest.ptr) return path->attr != NULL;
    path->sub = oks_scim_find(path->attr->sub, rest);
    return path->sub != NULL;
}

json_t *oks_scim_container(const json_t *resource, const oks_scim_kind_t *kind, const oks_scim_path_t *path)
{
    return path->extension ? json_object_get(resource, kind->extension) : (json_t *)(uintptr_t)resource;
}

/* ---- Documents ---- */

static json_t *described(const oks_scim_attr_t *attr, bool in_read_only)
{
    static const char *const types[] = { "string", "boolean", "dateTime", "reference", "binary", "complex" };
    bool read_only = in_read_only || (attr->flags & OKS_SCIM_READ_ONLY);
    json_t *row = json_pack("{s:s, s:s, s:b, s:b, s:b, s:s, s:s, s:s}", "name", attr->name, "type", types[attr->type],
                            "multiValued",
                            (attr->flags & OKS_SCIM_MULTI) != 0, "required", (attr->flags & OKS_SCIM_REQUIRED) != 0, "caseExact",
                            (attr->flags & OKS_SCIM_EXACT) != 0, "mutability",
                            attr->flags & OKS_SCIM_NEVER ? "writeOnly" : read_only ? "readOnly" : "readWrite", "returned",
                            attr->flags & OKS_SCIM_NEVER ? "never" : attr->flags & OKS_SCIM_ALWAYS ? "always" : "default",
                            "uniqueness", attr->flags & OKS_SCIM_UNIQUE ? "server" : "none");
    json_object_set_new(row, "description", json_string(attr->name));
    if (attr->type == OKS_SCIM_REFERENCE) json_object_set_new(row, "referenceTypes", json_pack("[s]", "external"));
    if (attr->sub) {
        json_t *subs = json_array();
        for (const oks_scim_attr_t *sub = attr->sub; sub->name; sub++) json_array_append_new(subs, described(sub, read_only));
        json_object_set_new(row, "subAttributes", subs);
    }
    return row;
}

/* id, schemas, externalId and meta are every resource's, and stand in no schema (RFC 7643 3.1). */
static bool is_common(const oks_scim_attr_t *attr)
{
    return !strcmp(attr->name, "id") || !strcmp(attr->name, "schemas") || !strcmp(attr->name, "externalId") || !strcmp(attr->name,
            "meta");
}

static json_t *schema(const char *base, const char *id, const char *title, const oks_scim_attr_t *attrs)
{
    json_t *rows = json_array();
    for (; attrs->name; attrs++)
        if (!is_common(attrs)) json_array_append_new(rows, described(attrs, false));
    return json_pack("{s:[s], s:s, s:s, s:s, s:o, s:{s:s, s:s++}}", "schemas", "urn:ietf:params:scim:schemas:core:2.0:Schema",
                     "id", id, "name", title, "description", title, "attributes", rows, "meta", "resourceType", "Schema",
                     "location", base, "/Schemas/", id);
}

static json_t *one_or_list(json_t *all, const char *id)
{
    json_t *each, *found = NULL;
    size_t i;
    if (!id) return oks_scim_list(all, (int64_t)json_array_size(all), 1);
    json_array_foreach(all, i, each)
        if (strcmp(oks_json_string(each, "id"), id) == 0) found = json_incref(each);
    json_decref(all);
    return found;
}

json_t *oks_scim_schemas(const char *base, const char *id)
{
    return one_or_list(json_pack("[o, o, o]", schema(base, OKS_SCIM_SCHEMA_USER, "User", user_attrs),
                                 schema(base, OKS_SCIM_SCHEMA_ENTERPRISE, "EnterpriseUser", enterprise_attrs),
                                 schema(base, OKS_SCIM_SCHEMA_GROUP, "Group", group_attrs)), id);
}

static json_t *resource_type(const char *base, const oks_scim_kind_t *kind)
{
    json_t *extensions = kind->extension ? json_pack("[{s:s, s:b}]", "schema", kind->extension, "required", 0) : json_array();
    return json_pack("{s:[s], s:s, s:s, s:s, s:s+, s:s, s:o, s:{s:s, s:s++}}",
                     "schemas", "urn:ietf:params:scim:schemas:core:2.0:ResourceType", "id", kind->name, "name", kind->name,
                     "description", kind->name, "endpoint", "/", kind->endpoint, "schema", kind->schema,
                     "schemaExtensions", extensions, "meta", "resourceType", "ResourceType",
                     "location", base, "/ResourceTypes/", kind->name);
}

json_t *oks_scim_resource_types(const char *base, const char *id)
{
    return one_or_list(json_pack("[o, o]", resource_type(base, &oks_scim_user), resource_type(base, &oks_scim_group)), id);
}

json_t *oks_scim_service_provider_config(const char *base)
{
    return json_pack("{s:[s], s:{s:b}, s:{s:b, s:i, s:i}, s:{s:b, s:i}, s:{s:b}, s:{s:b}, s:{s:b}, s:[{s:s, s:s, s:s, s:b}],"
                     " s:{s:s, s:s+}}",
                     "schemas", "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig", "patch", "supported", 1,
                     "bulk", "supported", 0, "maxOperations", 0, "maxPayloadSize", 0,
                     "filter", "supported", 1, "maxResults", OKS_SCIM_PAGE_MAX, "changePassword", "supported", 0,
                     "sort", "supported", 1, "etag", "supported", 1,
                     "authenticationSchemes", "type", "oauthbearertoken", "name", "OAuth Bearer Token",
                     "description", "Authorization: Bearer, with a token of this organization", "primary", 1,
                     "meta", "resourceType", "ServiceProviderConfig", "location", base, "/ServiceProviderConfig");
}

json_t *oks_scim_list(json_t *resources, int64_t total, int64_t start)
{
    return json_pack("{s:[s], s:I, s:I, s:I, s:o}", "schemas", OKS_SCIM_MESSAGE "ListResponse", "totalResults", (json_int_t)total,
                     "startIndex", (json_int_t)start, "itemsPerPage", (json_int_t)json_array_size(resources), "Resources",
                         resources);
}
