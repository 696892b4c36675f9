/* OktaSSOAuditLog: each decision as a line of JSON, in a file or to a program. */
#include <string.h>

#include <apr_strings.h>

#include "module.h"

APLOG_USE_MODULE(oktasso);

/* As CustomLog has it: "|$" goes through a shell, "|" and "||" do not. */
static apr_file_t *open_pipe(const char *command, apr_pool_t *pool)
{
    const bool shell = *command == '$';
    piped_log *pipe = ap_open_piped_log_ex(pool, command + (shell || *command == '|'), shell ? APR_SHELLCMD_ENV : APR_PROGRAM_ENV);
    return pipe ? ap_piped_log_write_fd(pipe) : NULL;
}

static apr_file_t *open_one(server_rec *s, const char *target, apr_pool_t *pool)
{
    apr_file_t *file = NULL;
    if (*target == '|') return open_pipe(target + 1, pool);
    apr_status_t status = apr_file_open(&file, target, APR_FOPEN_WRITE | APR_FOPEN_APPEND | APR_FOPEN_CREATE | APR_FOPEN_LARGEFILE,
                                        APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_GREAD, pool);
    if (status == APR_SUCCESS) return file;
    ap_log_error(APLOG_MARK, APLOG_EMERG, status, s, "OKS0040: OktaSSOAuditLog %s cannot be opened", target);
    return NULL;
}

/* Virtual hosts that name the same target write through one handle. */
int oks_httpd_open_logs(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *main_server)
{
    apr_hash_t *opened = apr_hash_make(ptemp);
    for (server_rec *s = main_server; s; s = s->next) {
        oks_server_conf_t *conf = oks_httpd_server_conf(s);
        if (!conf->audit_target) continue;
        conf->audit = apr_hash_get(opened, conf->audit_target, APR_HASH_KEY_STRING);
        if (!conf->audit) conf->audit = open_one(s, conf->audit_target, pconf);
        if (!conf->audit) return HTTP_INTERNAL_SERVER_ERROR;
        apr_hash_set(opened, conf->audit_target, APR_HASH_KEY_STRING, conf->audit);
    }
    return OK;
}

void oks_httpd_audit(request_rec *r, const oks_answer_t *answer, const char *id)
{
    apr_file_t *file = oks_httpd_server_conf(r->server)->audit;
    if (!file) return;
    const oks_audit_t facts = { .now = apr_time_now(), .client = r->useragent_ip, .server = oks_httpd_base_url(r),
                                .request = id };
    const char *line = apr_pstrcat(r->pool, oks_flow_audit_line(answer, &facts, r->pool), "\n", NULL);
    apr_status_t status = apr_file_write_full(file, line, strlen(line), NULL);
    if (status != APR_SUCCESS)
        ap_log_rerror(APLOG_MARK, APLOG_ERR, status, r, "OKS0041: OktaSSOAuditLog: a decision is not recorded");
}
