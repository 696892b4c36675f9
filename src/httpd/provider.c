/* Where an organization's identity provider comes from: metadata by URL, file or inline, or the manual three. */
#include <string.h>

#include <apr_file_io.h>
#include <apr_strings.h>

#include "conf.h"

#define CA_FILE_MAX (8 * 1024 * 1024) /* bytes: a system's whole bundle has a quarter of one */

/* Not blocking: a FIFO or a device, which an organization's own file may name, would hold up whoever opens it. */
const char *oks_httpd_read_file(oks_span_t *bytes, const char *path, apr_size_t max, apr_pool_t *pool)
{
    char *buffer = NULL, reason[120];
    apr_size_t len = 0;
    apr_file_t *file;
    apr_finfo_t info;
    apr_status_t status = apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BINARY | APR_FOPEN_NONBLOCK, 0, pool);
    bool regular = false;
    if (status == APR_SUCCESS) {
        status = apr_file_info_get(&info, APR_FINFO_SIZE | APR_FINFO_TYPE, file);
        regular = status == APR_SUCCESS && info.filetype == APR_REG;
        if (regular) {
            len = info.size > (apr_off_t)max ? max : (apr_size_t)info.size;
            buffer = apr_palloc(pool, len + 1);
            status = apr_file_read_full(file, buffer, len, &len);
        }
        apr_file_close(file);
        if (status == APR_EOF) status = APR_SUCCESS;
    }
    if (status != APR_SUCCESS)
        return apr_psprintf(pool, "the file %s cannot be read: %s", path, apr_strerror(status, reason, sizeof reason));
    if (!regular) return apr_psprintf(pool, "%s is no regular file", path);
    if (info.size > (apr_off_t)max) return apr_psprintf(pool, "the file %s is longer than %" APR_SIZE_T_FMT " bytes", path, max);
    *bytes = oks_span(buffer, len);
    return NULL;
}

const char *oks_httpd_check_pem(const char *path, apr_pool_t *pool)
{
    static const char begin[] = "-----BEGIN ", certificate[] = "CERTIFICATE-----"; /* of OpenSSL's own TRUSTED ones, too */
    oks_span_t text;
    const char *error = oks_httpd_read_file(&text, path, CA_FILE_MAX, pool);
    if (error) return error;
    if (memmem(text.ptr, text.len, begin, sizeof begin - 1) && memmem(text.ptr, text.len, certificate, sizeof certificate - 1))
        return NULL;
    return apr_psprintf(pool, "%s holds no certificate in PEM: if it is DER, make one by openssl x509 -inform DER", path);
}

static const char *read_file(oks_span_t *bytes, const oks_setting_t *setting, const char *directive, const char *path,
                             apr_pool_t *pool)
{
    const char *error = oks_httpd_read_file(bytes, path, OKS_SAML_METADATA_MAX, pool);
    return error ? apr_psprintf(pool, "%s: %s: %s", setting->where, directive, error) : NULL;
}

static const char *parse_metadata(oks_org_t *org, const oks_setting_t *setting, const char *what, oks_span_t xml, apr_pool_t *pool)
{
    oks_saml_idp_t *idp;
    oks_err_t *err = oks_saml_metadata_parse(&idp, xml, pool);
    if (err) return apr_psprintf(pool, "%s: %s is not usable: %s", setting->where, what, oks_err_text(err, pool));
    org->static_idp = idp;
    return NULL;
}

static const char *from_metadata(oks_org_t *org, const oks_setting_t *setting, apr_pool_t *pool)
{
    const char *source = setting->value;
    oks_span_t xml;
    if (strstr(source, "://")) {
        org->metadata_url = org->metadata_key = source;
        return NULL;
    }
    source = ap_server_root_relative(pool, source);
    const char *error = read_file(&xml, setting, "OktaSSOIdPMetadata", source, pool);
    if (error && oks_oidc_discovery_url(setting->value, pool))
        return apr_pstrcat(pool, error, "; if it is an Okta domain, OktaSSOClientID is missing, or for SAML the Metadata URL of "
                           "the app's Sign On tab", NULL);
    return error ? error : parse_metadata(org, setting, apr_pstrcat(pool, "OktaSSOIdPMetadata: ", source, NULL), xml, pool);
}

static const char *read_certificates(apr_array_header_t *certs, const oks_setting_t *setting, const char *directive,
                                     apr_pool_t *pool)
{
    for (const char *const *path = setting->value; *path && certs->nelts <= OKS_SAML_KEYS_MAX; path++) {
        oks_span_t bytes;
        const char *error = read_file(&bytes, setting, directive, *path, pool);
        if (error) return error;
        oks_err_t *err = oks_certs_parse(certs, bytes, pool);
        if (err)
            return apr_psprintf(pool, "%s: %s: %s is not usable: %s", setting->where, directive, *path, oks_err_text(err, pool));
    }
    if (certs->nelts > OKS_SAML_KEYS_MAX)
        return apr_psprintf(pool, "%s: %s: more than %d certificates", setting->where, directive, OKS_SAML_KEYS_MAX);
    return NULL;
}

static const char *from_manual(oks_org_t *org, const oks_org_conf_t *conf, apr_pool_t *pool)
{
    const oks_setting_t *url = &conf->set[OKS_SET_SIGN_ON_URL], *issuer = &conf->set[OKS_SET_ISSUER];
    const oks_setting_t *certificate = &conf->set[OKS_SET_CERTIFICATE];
    const oks_setting_t *first = url->text ? url : issuer->text ? issuer : certificate;
    if (!url->text || !issuer->text || !certificate->text)
        return apr_psprintf(pool, "%s: OktaSSOIdPSignOnURL, OktaSSOIdPIssuer and OktaSSOIdPCertificate belong together: %s is "
                            "missing", first->where, !url->text ? "OktaSSOIdPSignOnURL"
                            : !issuer->text ? "OktaSSOIdPIssuer" : "OktaSSOIdPCertificate");
    oks_saml_idp_t *idp = apr_pcalloc(pool, sizeof *idp);
    idp->entity_id = issuer->value;
    idp->sso_redirect_url = url->value;
    idp->certs = apr_array_make(pool, 2, sizeof(oks_cert_t *));
    org->static_idp = idp;
    return read_certificates(idp->certs, certificate, "OktaSSOIdPCertificate", pool);
}

/* The key of each file, with the certificate in the same place. */
static const char *read_sp_keys(apr_array_header_t *keys, const apr_array_header_t *certs, const oks_setting_t *setting,
                                apr_pool_t *pool)
{
    for (const char *const *path = setting->value; *path; path++) {
        oks_keypair_t *pair;
        oks_span_t pem;
        if (keys->nelts == certs->nelts)
            return apr_psprintf(pool, "%s: OktaSSOSPKey: %s has no certificate in OktaSSOSPCertificate", setting->where, *path);
        const char *error = read_file(&pem, setting, "OktaSSOSPKey", *path, pool);
        if (error) return error;
        oks_err_t *err = oks_keypair_parse(&pair, pem, APR_ARRAY_IDX(certs, keys->nelts, oks_cert_t *)->der, pool);
        explicit_bzero((char *)(uintptr_t)pem.ptr, pem.len);
        if (err) return apr_psprintf(pool, "%s: OktaSSOSPKey: %s", setting->where, oks_err_text(err, pool));
        APR_ARRAY_PUSH(keys, oks_keypair_t *) = pair;
    }
    return NULL;
}

const char *oks_httpd_sp_keys(oks_org_t *org, const oks_org_conf_t *conf, apr_pool_t *pool)
{
    const oks_setting_t *key = &conf->set[OKS_SET_SP_KEY], *certificate = &conf->set[OKS_SET_SP_CERTIFICATE];
    if (!key->text && !certificate->text) return NULL;
    if (!key->text || !certificate->text)
        return apr_psprintf(pool, "%s: OktaSSOSPKey and OktaSSOSPCertificate belong together: write both, or none to have a key "
                            "made", key->text ? key->where : certificate->where);
    apr_array_header_t *certs = apr_array_make(pool, 2, sizeof(oks_cert_t *));
    apr_array_header_t *keys = apr_array_make(pool, 2, sizeof(oks_keypair_t *));
    const char *error = read_certificates(certs, certificate, "OktaSSOSPCertificate", pool);
    if (!error) error = read_sp_keys(keys, certs, key, pool);
    org->sp_keys = keys;
    org->sp_certs = certs;
    return error;
}

const char *oks_httpd_provider(oks_org_t *org, const oks_org_conf_t *conf, apr_pool_t *pool)
{
    const oks_setting_t *set = conf->set, *inline_xml = &set[OKS_SET_METADATA_XML];
    bool manual = set[OKS_SET_SIGN_ON_URL].text || set[OKS_SET_ISSUER].text || set[OKS_SET_CERTIFICATE].text;
    int count = (set[OKS_SET_METADATA].text != NULL) + (inline_xml->text != NULL) + manual;
    if (!count)
        return apr_psprintf(pool, "%s: the organization %s has no OktaSSOIdPMetadata: name the metadata URL of its Okta "
                            "application, in <OktaSSOOrg %s> or here", conf->where, conf->name, conf->name);
    if (count > 1)
        return apr_psprintf(pool, "%s: the organization %s has its identity provider twice: keep one of OktaSSOIdPMetadata, "
                            "<OktaSSOIdPMetadataXML>, and OktaSSOIdPSignOnURL with its issuer and certificate", conf->where,
                            conf->name);
    if (set[OKS_SET_CLIENT_ID].text) {
        if (set[OKS_SET_METADATA].text) return oks_httpd_oidc(org, conf, pool);
        return apr_psprintf(pool, "%s: OktaSSOClientID is of OpenID Connect, where OktaSSOIdPMetadata names the Okta domain or the "
                            "discovery document", set[OKS_SET_CLIENT_ID].where);
    }
    const char *misplaced = oks_httpd_check_saml(conf, pool);
    if (misplaced) return misplaced;
    if (manual) return from_manual(org, conf, pool);
    if (inline_xml->text) return parse_metadata(org, inline_xml, "<OktaSSOIdPMetadataXML>", oks_span_z(inline_xml->value), pool);
    return from_metadata(org, &set[OKS_SET_METADATA], pool);
}
