/* net: one GET by libcurl, bounded in time, bytes and redirects. SECURITY.md 27. */
#include "oktasso/net.h"

#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>
#include <curl/curl.h>

#define NET_REDIRECTS_MAX 3
#define NET_HEADERS_MAX (64 * 1024)     /* bytes of all header lines of one answer; libcurl bounds only single lines */
#define NET_VALUE_MAX 1024              /* bytes of an ETag or a Content-Type that we keep */
#define NET_TIMEOUT_MAX apr_time_from_sec(300)

/* What the callbacks of one exchange write to. `overflow` names the limit that was hit. */
typedef struct exchange_t {
    apr_pool_t *pool;
    char *body;
    apr_size_t length;
    apr_size_t capacity;
    apr_size_t headers;
    const char *etag;
    const char *overflow;
    bool loopback_only;
    bool left_loopback;
} exchange_t;

/* libcurl keeps threads (its resolver) and OpenSSL keeps exit handlers that must not lose their code when httpd unloads
 * its modules for a restart: libcurl, once started, stays in the process. */
static void net_pin_libcurl(void)
{
    Dl_info info;
    if (dladdr((const void *)(uintptr_t)&curl_easy_init, &info) && info.dli_fname)
        (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

oks_err_t *oks_net_init(apr_pool_t *pool)
{
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK) return oks_err(pool, OKS_R_INTERNAL, "libcurl does not start: %s", curl_easy_strerror(code));
    net_pin_libcurl();
    return NULL;
}

/* ---- Callbacks -------------------------------------------------------------------------------------------- */

static size_t net_on_body(char *data, size_t size, size_t count, void *baton)
{
    exchange_t *x = baton;
    size_t length = size * count;
    if (length > OKS_NET_RESPONSE_MAX - x->length) {
        x->overflow = "body";
        return 0;
    }
    if (x->length + length > x->capacity) {
        apr_size_t capacity = x->capacity ? x->capacity : 16 * 1024;
        while (capacity < x->length + length) capacity *= 2;
        char *grown = apr_palloc(x->pool, capacity + 1);
        if (x->length) memcpy(grown, x->body, x->length);
        x->body = grown;
        x->capacity = capacity;
    }
    if (length) memcpy(x->body + x->length, data, length);
    x->length += length;
    return length;
}

/* Bytes that may be repeated in a header of a later request: visible ASCII (RFC 9110 8.8.3 allows more; a server whose
 * ETag holds it is asked without one). */
static bool net_value_ok(oks_span_t value)
{
    if (value.len == 0 || value.len > NET_VALUE_MAX) return false;
    for (apr_size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < 0x20 || value.ptr[i] > 0x7e) return false;
    return true;
}

static size_t net_on_header(char *data, size_t size, size_t count, void *baton)
{
    exchange_t *x = baton;
    size_t length = size * count;
    if (length > NET_HEADERS_MAX - x->headers) {
        x->overflow = "header";
        return 0;
    }
    x->headers += length;
    oks_span_t line = oks_span(data, length);
    /* An interim or proxy answer's headers come first: what counts is said after the last status line. */
    if (length > 5 && strncmp(data, "HTTP/", 5) == 0) x->etag = NULL;
    oks_span_t name, rest = line;
    if (oks_span_next(&name, &rest, ':') && oks_span_case_eq_z(name, "etag")) {
        oks_span_t value = oks_span_trim(rest);
        if (net_value_ok(value)) x->etag = oks_span_dup(value, x->pool);
    }
    return length;
}

static bool net_address_is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
    return false;
}

/* Plain http is for loopback, and a name like x.localhost is not taken at its word: the address decides. */
static curl_socket_t net_on_socket(void *baton, curlsocktype purpose, struct curl_sockaddr *address)
{
    exchange_t *x = baton;
    if (x->loopback_only && !net_address_is_loopback(&address->addr)) {
        x->left_loopback = true;
        return CURL_SOCKET_BAD;
    }
    /* CLOEXEC: a piped log or exec: command started meanwhile has no business with the connection. */
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- One exchange ----------------------------------------------------------------------------------------- */

static apr_status_t net_cleanup_handle(void *handle)
{
    curl_easy_cleanup(handle);
    return APR_SUCCESS;
}

static apr_status_t net_cleanup_list(void *list)
{
    curl_slist_free_all(list);
    return APR_SUCCESS;
}

static apr_interval_time_t net_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* a stepped wall clock changes no deadline */
    return apr_time_make(now.tv_sec, now.tv_nsec / 1000);
}

/* Built from the parsed URL, so that libcurl can't read another host out of it than we did. */
static const char *net_url_text(const oks_url_t *url, apr_pool_t *pool)
{
    bool v6 = strchr(url->host, ':') != NULL;
    return apr_psprintf(pool, "%s://%s%s%s:%d%s%s", url->scheme, v6 ? "[" : "", url->host, v6 ? "]" : "", url->port,
                        url->path[0] == '/' ? "" : "/", url->path);
}

/* For details: without the query, which may hold what nobody should read in a log (SECURITY.md 34). */
static const char *net_url_shown(const oks_url_t *url, apr_pool_t *pool)
{
    const char *text = net_url_text(url, pool);
    return apr_pstrndup(pool, text, strcspn(text, "?"));
}

/* Where it may go. An option that this libcurl does not know shows up as an error here. */
static CURLcode net_set_reach(CURL *handle, const oks_net_request_t *request, const oks_url_t *url, exchange_t *x)
{
    /* Loopback is this machine, which no proxy reaches. "" rather than NULL: NULL means the environment. */
    const char *proxy = request->proxy && !oks_url_is_loopback(url) ? request->proxy : "";
    CURLcode code = curl_easy_setopt(handle, CURLOPT_URL, net_url_text(url, x->pool));
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_PROXY, proxy);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_NOPROXY, "");
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
#if LIBCURL_VERSION_NUM >= 0x075500
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, url->scheme);
#else
    long protocol = strcmp(url->scheme, "http") == 0 ? CURLPROTO_HTTP : CURLPROTO_HTTPS;
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_PROTOCOLS, protocol);
#endif
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, net_on_socket);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, x);
    return code;
}

static CURLcode net_set_tls(CURL *handle, const oks_net_request_t *request)
{
    CURLcode code = curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 2L);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!request->ca_file) return code;
    /* The file replaces the system's authorities; libcurl was built with a directory of these, too. */
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_CAINFO, request->ca_file);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
    if (code == CURLE_OK && request->proxy) code = curl_easy_setopt(handle, CURLOPT_PROXY_CAINFO, request->ca_file);
    if (code == CURLE_OK && request->proxy) code = curl_easy_setopt(handle, CURLOPT_PROXY_CAPATH, NULL);
    return code;
}

static CURLcode net_set_limits(CURL *handle, apr_interval_time_t left, exchange_t *x)
{
    long ms = (long)apr_time_as_msec(left);
    if (ms < 1) ms = 1; /* 0 would mean for ever */
    CURLcode code = curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L); /* we live in threads */
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, ms);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, ms);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Without it the end of the timeout waits for a resolver thread that waits for a dead name server. */
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);
#endif
    if (code == CURLE_OK)
        code = curl_easy_setopt(handle, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)OKS_NET_RESPONSE_MAX);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, net_on_body);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_WRITEDATA, x);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, net_on_header);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_HEADERDATA, x);
    return code;
}

static CURLcode net_set_message(CURL *handle, const oks_net_request_t *request, apr_pool_t *pool)
{
    CURLcode code = curl_easy_setopt(handle, CURLOPT_USERAGENT, "mod_oktasso/" OKS_VERSION);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_HTTPGET, 1L);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, "gzip");
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_HTTP09_ALLOWED, 0L);
    if (code != CURLE_OK || !request->if_none_match || !net_value_ok(oks_span_z(request->if_none_match))) return code;

    struct curl_slist *list = curl_slist_append(
        NULL, apr_pstrcat(pool, "If-None-Match: ", request->if_none_match, NULL));
    if (!list) return CURLE_OUT_OF_MEMORY;
    apr_pool_cleanup_register(pool, list, net_cleanup_list, apr_pool_cleanup_null);
    return curl_easy_setopt(handle, CURLOPT_HTTPHEADER, list);
}

/* libcurl's verdict as one of our reasons. */
static oks_reason_t net_reason(CURLcode code, const exchange_t *x)
{
    if (x->overflow) return OKS_R_NET_RESPONSE_TOO_LARGE;
    if (x->left_loopback) return OKS_R_NET_URL_REFUSED;
    switch (code) {
    case CURLE_FILESIZE_EXCEEDED:
        return OKS_R_NET_RESPONSE_TOO_LARGE;
    case CURLE_OPERATION_TIMEDOUT:
        return OKS_R_NET_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return OKS_R_NET_TLS_FAILED;
    case CURLE_URL_MALFORMAT:
        return OKS_R_NET_URL_REFUSED;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_NOT_BUILT_IN:
        return OKS_R_INTERNAL;
    default:
        return OKS_R_NET_UNREACHABLE;
    }
}

/* Reads what the exchange brought. `location` is NULL unless the answer is a redirect. */
static void net_take_response(oks_net_response_t *response, const char **location, CURL *handle, const exchange_t *x)
{
    long status = 0;
    char *type = NULL, *target = NULL;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(handle, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(handle, CURLINFO_REDIRECT_URL, &target); /* absolute: libcurl resolved it */
    response->status = (int)status;
    if (x->body) x->body[x->length] = '\0'; /* a courtesy; net_on_body allocates one byte more */
    response->body = oks_span(x->body ? x->body : "", x->length);
    response->content_type = type && net_value_ok(oks_span_z(type)) ? apr_pstrdup(x->pool, type) : "";
    response->etag = x->etag;
    bool redirect = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    *location = redirect && target ? apr_pstrdup(x->pool, target) : NULL;
}

static oks_err_t *net_exchange(oks_net_response_t *response, const char **location, const oks_net_request_t *request,
                               const oks_url_t *url, apr_interval_time_t left, apr_pool_t *pool)
{
    exchange_t *x = apr_pcalloc(pool, sizeof *x);
    x->pool = pool;
    x->loopback_only = strcmp(url->scheme, "http") == 0;

    CURL *handle = curl_easy_init();
    if (!handle) return oks_err(pool, OKS_R_INTERNAL, "libcurl gives no handle");
    apr_pool_cleanup_register(pool, handle, net_cleanup_handle, apr_pool_cleanup_null);

    char *message = apr_pcalloc(pool, CURL_ERROR_SIZE);
    CURLcode code = curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, message);
    if (code == CURLE_OK) code = net_set_reach(handle, request, url, x);
    if (code == CURLE_OK) code = net_set_tls(handle, request);
    if (code == CURLE_OK) code = net_set_limits(handle, left, x);
    if (code == CURLE_OK) code = net_set_message(handle, request, pool);
    if (code == CURLE_OK) code = curl_easy_perform(handle);
    if (code == CURLE_OK) net_take_response(response, location, handle, x);
    apr_pool_cleanup_run(pool, handle, net_cleanup_handle); /* closes the connection now, not with the pool */
    if (code == CURLE_OK) return NULL;

    oks_span_t said = x->overflow ? oks_span_z(apr_psprintf(pool, "the %s is larger than allowed", x->overflow))
                                  : oks_span_z(message[0] ? message : curl_easy_strerror(code));
    return oks_err(pool, net_reason(code, x), "GET %s: %s", net_url_shown(url, pool), oks_log_escape(said, 256, pool));
}

/* ---- The door --------------------------------------------------------------------------------------------- */

static oks_err_t *net_url_allowed(oks_url_t *url, const char *text, apr_pool_t *pool)
{
    oks_err_t *err = oks_url_parse(url, oks_span_z(text), pool);
    if (err) return oks_err_from(pool, OKS_R_NET_URL_REFUSED, APR_SUCCESS, err, "not an absolute URL");
    if (strcmp(url->scheme, "https") == 0) return NULL;
    if (strcmp(url->scheme, "http") == 0 && oks_url_is_loopback(url)) return NULL;
    return oks_err(pool, OKS_R_NET_URL_REFUSED, "%s: https is needed", net_url_shown(url, pool));
}

/* The same scheme, host and port, or nowhere: what we trust is the server that the administrator named. */
static oks_err_t *net_redirect_allowed(oks_url_t *next, const oks_url_t *from, const char *location, apr_pool_t *pool)
{
    /* A fragment is the client's business (RFC 9110 10.2.2). */
    oks_span_t target = oks_span(location, strcspn(location, "#"));
    oks_err_t *err = oks_url_parse(next, target, pool);
    if (err)
        return oks_err_from(pool, OKS_R_NET_REDIRECT_REFUSED, APR_SUCCESS, err, "GET %s: redirect to no http(s) URL",
                            net_url_shown(from, pool));
    if (strcmp(next->scheme, from->scheme) == 0 && strcmp(next->host, from->host) == 0 && next->port == from->port)
        return NULL;
    return oks_err(pool, OKS_R_NET_REDIRECT_REFUSED, "GET %s: redirect to %s", net_url_shown(from, pool),
                   oks_log_escape(oks_span_z(net_url_shown(next, pool)), 256, pool));
}

oks_err_t *oks_net_get(oks_net_response_t **response, const oks_net_request_t *request, apr_pool_t *pool)
{
    apr_interval_time_t timeout = request->timeout;
    if (timeout <= 0) timeout = OKS_NET_TIMEOUT_DEFAULT;
    if (timeout > NET_TIMEOUT_MAX) timeout = NET_TIMEOUT_MAX;
    apr_interval_time_t deadline = net_now() + timeout;

    oks_net_response_t *got = apr_pcalloc(pool, sizeof *got);
    oks_url_t url;
    OKS_TRY(net_url_allowed(&url, request->url, pool));
    for (int hops = 0;; hops++) {
        const char *location = NULL;
        apr_interval_time_t left = deadline - net_now();
        if (left <= 0) return oks_err(pool, OKS_R_NET_TIMEOUT, "GET %s: no time left", net_url_shown(&url, pool));
        OKS_TRY(net_exchange(got, &location, request, &url, left, pool));
        if (!location) break;
        if (hops == NET_REDIRECTS_MAX)
            return oks_err(pool, OKS_R_NET_REDIRECT_REFUSED, "GET %s: more than %d redirects",
                           net_url_shown(&url, pool), NET_REDIRECTS_MAX);
        oks_url_t next;
        OKS_TRY(net_redirect_allowed(&next, &url, location, pool));
        url = next;
    }
    *response = got;
    return NULL;
}
