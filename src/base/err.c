/* Errors and the list of reasons. */
#include <stdarg.h>

#include <apr_strings.h>

#include "oktasso/base.h"

#define CAUSES_MAX 8 /* of a chain, in one log line */
#define TEXT_MAX 2048

static const oks_reason_info_t reasons[] = {
    { "base.none", 500, OKS_LEVEL_ERROR, OKS_WHO_SERVER_ADMIN, "", "" },
#define OKS_REASON(name, code, status, level, who, visitor, operator_text) \
    { code, status, level, who, visitor, operator_text },
#include "oktasso/reasons.def"
#undef OKS_REASON
};

const oks_reason_info_t *oks_reason_info(oks_reason_t reason)
{
    if ((int)reason <= OKS_R_NONE || reason >= OKS_R_COUNT_) reason = OKS_R_INTERNAL;
    return &reasons[reason];
}

static oks_err_t *make(apr_pool_t *pool, oks_reason_t reason, apr_status_t status, const oks_err_t *cause,
                       const char *format, va_list args)
{
    oks_err_t *err = apr_pcalloc(pool, sizeof *err);
    err->reason = reason;
    err->status = status;
    err->cause = cause;
    err->detail = format ? apr_pvsprintf(pool, format, args) : NULL;
    return err;
}

oks_err_t *oks_err(apr_pool_t *pool, oks_reason_t reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    oks_err_t *err = make(pool, reason, APR_SUCCESS, NULL, format, args);
    va_end(args);
    return err;
}

oks_err_t *oks_err_from(apr_pool_t *pool, oks_reason_t reason, apr_status_t status, const oks_err_t *cause,
                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    oks_err_t *err = make(pool, reason, status, cause, format, args);
    va_end(args);
    return err;
}

const char *oks_err_text(const oks_err_t *err, apr_pool_t *pool)
{
    const char *text = "";
    for (int i = 0; err && i < CAUSES_MAX; i++, err = err->cause) {
        text = apr_pstrcat(pool, text, *text ? ": " : "", oks_reason_info(err->reason)->code, NULL);
        if (err->detail) text = apr_pstrcat(pool, text, ": ", err->detail, NULL);
        if (err->status != APR_SUCCESS) {
            char buffer[160];
            text = apr_pstrcat(pool, text, ": ", apr_strerror(err->status, buffer, sizeof buffer), NULL);
        }
    }
    return oks_log_escape(oks_span_z(text), TEXT_MAX, pool);
}
