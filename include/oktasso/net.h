/* net: the one user of libcurl. Bounded, timed, TLS verified. */
#ifndef OKTASSO_NET_H
#define OKTASSO_NET_H

#include "oktasso/base.h"

#define OKS_NET_RESPONSE_MAX (1024 * 1024) /* bytes of a response's body, after decompression */
#define OKS_NET_TIMEOUT_DEFAULT apr_time_from_sec(5)

/* Call once per process, before threads; never undone. */
oks_err_t *oks_net_init(apr_pool_t *pool) OKS_MUST_USE;

typedef struct oks_net_request_t {
    const char *url;                 /* https; http for loopback addresses alone */
    const char *if_none_match;       /* an ETag, or NULL */
    apr_interval_time_t timeout;     /* for everything together, redirects included; 0 is OKS_NET_TIMEOUT_DEFAULT */
    const char *ca_file;             /* PEM, in place of the system's authorities; or NULL: the system's */
    const char *proxy;               /* http(s)://host:port, not used for loopback; or NULL: none (environment variables
                                      * are not looked at) */
    const char *form;                /* POST of this application/x-www-form-urlencoded body; NULL: GET */
    const char *authorization;       /* of the Authorization header, never logged; or NULL */
    const char *accept;              /* of the Accept header; or NULL */
} oks_net_request_t;

typedef struct oks_net_response_t {
    int status;                      /* 200, 304, … */
    oks_span_t body;                 /* a NUL follows, not counted */
    const char *content_type;        /* "" when absent */
    const char *etag;                /* or NULL */
} oks_net_response_t;

/* GET. At most three redirects, to the same scheme, host and port only. Blocks up to the timeout. All in `pool`. An HTTP
 * error status is no error here. Reasons: net.url.refused, net.tls.failed, net.timeout, net.response.too_large,
 * net.redirect.refused, net.unreachable, base.internal.error. */
oks_err_t *oks_net_get(oks_net_response_t **response, const oks_net_request_t *request, apr_pool_t *pool) OKS_MUST_USE;

#endif
