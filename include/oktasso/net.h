/* net: the one user of libcurl. Bounded, timed, TLS verified. */
#ifndef OKTASSO_NET_H
#define OKTASSO_NET_H

#include "oktasso/base.h"

#define OKS_NET_RESPONSE_MAX (1024 * 1024) /* bytes of a response's body, after decompression */
#define OKS_NET_TIMEOUT_DEFAULT apr_time_from_sec(5)
#define OKS_NET_PARALLEL_MAX 16            /* requests under way in a child at once, */
#define OKS_NET_PARALLEL_ORIGIN_MAX 8      /* and of these to one server: a slow one leaves workers for the others */
#define OKS_NET_IDLE_MAX 8                 /* connections (and their TLS sessions) that are kept for the next request */
#define OKS_NET_AGE_MAX (7 * 24 * 3600)    /* seconds, of max_age and retry_after: more is taken for this */

/* Call once per process, before threads; never undone. */
oks_err_t *oks_net_init(apr_pool_t *pool) OKS_MUST_USE;

/* What the requests of a process share: connections that are reused, and how many are under way. For all threads. */
typedef struct oks_net_t oks_net_t;
/* Made after fork(); stopped and freed with `pool`. */
oks_err_t *oks_net_create(oks_net_t **net, apr_pool_t *pool) OKS_MUST_USE;
/* Ends what is under way (within about a second), and refuses all that comes: net.stopped. */
void oks_net_stop(oks_net_t *net);

/* Who names a URL may not have us look around in this machine's network (SECURITY.md 27). */
typedef enum oks_net_reach_t {
    OKS_NET_ANYWHERE,
    OKS_NET_PUBLIC /* addresses of the internet alone: none of private networks, links or this machine */
} oks_net_reach_t;

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
    oks_net_reach_t reach;           /* which addresses; through a proxy only those that the URL itself shows */
} oks_net_request_t;

typedef struct oks_net_response_t {
    int status;                      /* 200, 304, … */
    oks_span_t body;                 /* a NUL follows, not counted */
    const char *content_type;        /* "" when absent */
    const char *etag;                /* or NULL */
    int max_age;                     /* seconds, of Cache-Control; 0 for no-store and no-cache; -1: not said */
    int retry_after;                 /* seconds, of Retry-After; -1: not said, or as a date */
} oks_net_response_t;

/* GET, or POST of a form. A GET without credentials follows at most three redirects, to the same scheme, host and port only;
 * a POST, and what carries credentials, none. Blocks up to the timeout. All in `pool`. An HTTP error status is no error here.
 * Reasons: net.url.refused, net.address.refused, net.tls.failed, net.timeout, net.response.too_large, net.redirect.refused,
 * net.unreachable, net.busy, net.stopped, base.internal.error. */
oks_err_t *oks_net_send(oks_net_response_t **response, oks_net_t *net, const oks_net_request_t *request, apr_pool_t *pool)
    OKS_MUST_USE;

#endif
