/* net: requests by libcurl, bounded in time, bytes, redirects and number. SECURITY.md 27. */
#include "oktasso/net.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <curl/curl.h>

#define NET_REDIRECTS_MAX 3
#define NET_HEADERS_MAX (64 * 1024)     /* bytes of all header lines of one answer; libcurl bounds only single lines */
#define NET_VALUE_MAX 1024              /* bytes of an ETag or a Content-Type that we keep */
#define NET_TIMEOUT_MAX apr_time_from_sec(300)

struct oks_net_t {
    apr_thread_mutex_t *lock;
    /* Each keeps the connections that it made; the last used is taken first, for what may reach as far. */
    struct { CURL *handle; oks_net_reach_t reach; } idle[OKS_NET_IDLE_MAX];
    int nidle;
    const char *origins[OKS_NET_PARALLEL_MAX]; /* of what is under way; NULL: free */
    _Atomic bool stopping;
};

/* What the callbacks of one exchange write to. `overflow` names the limit that was hit. */
typedef struct exchange_t {
    apr_pool_t *pool;
    char *body;
    apr_size_t length;
    apr_size_t capacity;
    apr_size_t headers;
    const oks_net_t *net;
    const char *etag;
    int max_age;
    int retry_after;
    const char *overflow;
    bool loopback_only;
    bool left_loopback;
    bool public_only;
    bool left_public;
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

/* Digits alone, and no more than OKS_NET_AGE_MAX; -1: something else. */
static int net_seconds(oks_span_t text)
{
    int seconds = 0;
    if (!text.len) return -1;
    for (apr_size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return -1;
        if (seconds < OKS_NET_AGE_MAX) seconds = seconds * 10 + (text.ptr[i] - '0');
    }
    return seconds < OKS_NET_AGE_MAX ? seconds : OKS_NET_AGE_MAX;
}

/* RFC 9111 5.2.2. */
static void net_read_cache_control(exchange_t *x, oks_span_t value)
{
    oks_span_t piece, name;
    while (oks_span_next(&piece, &value, ',')) {
        oks_span_t rest = oks_span_trim(piece);
        if (!oks_span_next(&name, &rest, '=')) continue;
        if (oks_span_case_eq_z(name, "no-store") || oks_span_case_eq_z(name, "no-cache")) x->max_age = 0;
        if (oks_span_case_eq_z(name, "max-age") && x->max_age != 0) x->max_age = net_seconds(rest);
    }
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
    if (length > 5 && strncmp(data, "HTTP/", 5) == 0) {
        x->etag = NULL;
        x->max_age = x->retry_after = -1;
    }
    oks_span_t name, rest = line;
    if (!oks_span_next(&name, &rest, ':')) return length;
    oks_span_t value = oks_span_trim(rest);
    if (oks_span_case_eq_z(name, "etag") && net_value_ok(value)) x->etag = oks_span_dup(value, x->pool);
    if (oks_span_case_eq_z(name, "cache-control")) net_read_cache_control(x, value);
    if (oks_span_case_eq_z(name, "retry-after")) x->retry_after = net_seconds(value);
    return length;
}

static int net_on_progress(void *baton, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const exchange_t *x = baton;
    return atomic_load_explicit(&x->net->stopping, memory_order_relaxed) ? 1 : 0;
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

static bool net_v4_is_public(uint32_t address)
{
    static const struct { uint32_t first; int bits; } others[] = { /* RFC 6890 */
        { 0x00000000, 8 },  { 0x0a000000, 8 },  { 0x64400000, 10 }, { 0x7f000000, 8 },  { 0xa9fe0000, 16 },
        { 0xac100000, 12 }, { 0xc0000000, 24 }, { 0xc0a80000, 16 }, { 0xc6120000, 15 }, { 0xe0000000, 3 },
    };
    for (apr_size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if ((address ^ others[i].first) >> (32 - others[i].bits) == 0) return false;
    return true;
}

static uint32_t net_v4_at(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* What leads to an address of IPv4 (mapped, NAT64, 6to4) counts as that; of the others, 2000::/3 alone is the internet's. */
static bool net_v6_is_public(const unsigned char *bytes)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff }, nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    if (memcmp(bytes, mapped, 12) == 0 || memcmp(bytes, nat64, 12) == 0) return net_v4_is_public(net_v4_at(bytes + 12));
    if (bytes[0] == 0x20 && bytes[1] == 0x02) return net_v4_is_public(net_v4_at(bytes + 2));
    if (memcmp(bytes, "\x20\x01\x00\x00", 4) == 0) return false; /* Teredo */
    return bytes[0] >> 5 == 1;
}

static bool net_address_is_public(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        return net_v4_is_public(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family != AF_INET6) return false;
    memcpy(&v6, address, sizeof v6);
    return net_v6_is_public(v6.sin6_addr.s6_addr);
}

/* As far as the URL alone shows it: a name may lead anywhere. */
static bool net_host_is_public(const oks_url_t *url)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (oks_url_is_loopback(url)) return false;
    if (strchr(url->host, ':')) return inet_pton(AF_INET6, url->host, &v6) == 1 && net_v6_is_public(v6.s6_addr);
    return !inet_aton(url->host, &v4) || net_v4_is_public(ntohl(v4.s_addr)); /* in each of its forms, as libcurl reads it */
}

/* Plain http is for loopback, and a name like x.localhost is not taken at its word: the address decides. */
static curl_socket_t net_on_socket(void *baton, curlsocktype purpose, struct curl_sockaddr *address)
{
    exchange_t *x = baton;
    if (x->loopback_only && !net_address_is_loopback(&address->addr)) {
        x->left_loopback = true;
        return CURL_SOCKET_BAD;
    }
    if (x->public_only && !net_address_is_public(&address->addr)) {
        x->left_public = true;
        return CURL_SOCKET_BAD;
    }
    /* CLOEXEC: a piped log or exec: command started meanwhile has no business with the connection. */
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- What is under way, and what is kept ------------------------------------------------------------------- */

static apr_status_t net_destroy(void *data)
{
    oks_net_t *net = data;
    oks_net_stop(net);
    for (int i = 0; i < net->nidle; i++) curl_easy_cleanup(net->idle[i].handle);
    net->nidle = 0;
    return APR_SUCCESS;
}

oks_err_t *oks_net_create(oks_net_t **net, apr_pool_t *pool)
{
    oks_net_t *made = apr_pcalloc(pool, sizeof *made);
    apr_status_t status = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pool);
    if (status != APR_SUCCESS) return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "mutex");
    apr_pool_cleanup_register(pool, made, net_destroy, apr_pool_cleanup_null);
    *net = made;
    return NULL;
}

void oks_net_stop(oks_net_t *net)
{
    atomic_store(&net->stopping, true);
}

/* A place among those under way: its index, or -1 when there is none. */
static int net_enter(oks_net_t *net, const char *origin)
{
    int place = -1, same = 0;
    apr_thread_mutex_lock(net->lock);
    for (int i = 0; i < OKS_NET_PARALLEL_MAX; i++) {
        if (!net->origins[i]) place = i;
        else same += strcmp(net->origins[i], origin) == 0;
    }
    if (same >= OKS_NET_PARALLEL_ORIGIN_MAX) place = -1;
    if (place >= 0) net->origins[place] = origin;
    apr_thread_mutex_unlock(net->lock);
    return place;
}

static void net_leave(oks_net_t *net, int place)
{
    apr_thread_mutex_lock(net->lock);
    net->origins[place] = NULL;
    apr_thread_mutex_unlock(net->lock);
}

/* A connection is asked where it leads when it is made: what may reach less takes none that was made for more. */
static CURL *net_take_handle(oks_net_t *net, oks_net_reach_t reach)
{
    CURL *handle = NULL;
    apr_thread_mutex_lock(net->lock);
    int i = net->nidle - 1;
    while (i >= 0 && net->idle[i].reach != reach) i--;
    if (i >= 0) {
        handle = net->idle[i].handle;
        memmove(&net->idle[i], &net->idle[i + 1], sizeof net->idle[0] * (apr_size_t)(--net->nidle - i));
    }
    apr_thread_mutex_unlock(net->lock);
    return handle ? handle : curl_easy_init();
}

/* Keeps its connections, and nothing of what it was told: no header, body or callback is left for the next request. */
static void net_give_handle(oks_net_t *net, CURL *handle, oks_net_reach_t reach, bool good)
{
    bool kept = false;
    if (good) {
        curl_easy_reset(handle);
        apr_thread_mutex_lock(net->lock);
        kept = net->nidle < OKS_NET_IDLE_MAX && !atomic_load(&net->stopping);
        if (kept) {
            net->idle[net->nidle].handle = handle;
            net->idle[net->nidle++].reach = reach;
        }
        apr_thread_mutex_unlock(net->lock);
    }
    if (!kept) curl_easy_cleanup(handle);
}

/* ---- One exchange ----------------------------------------------------------------------------------------- */

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
    return apr_psprintf(pool, v6 ? "%s://[%s]:%d%s" : "%s://%s:%d%s", url->scheme, url->host, url->port, url->path);
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
    x->public_only = request->reach == OKS_NET_PUBLIC && !*proxy; /* the proxy's own address is the administrator's word */
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
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, net_on_progress);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_XFERINFODATA, x);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, net_on_body);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_WRITEDATA, x);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, net_on_header);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_HEADERDATA, x);
    return code;
}

/* `list` is freed by the caller, after the exchange. A value that could split a request is not sent. */
static CURLcode net_add_header(struct curl_slist **list, const char *name, const char *value, apr_size_t max, apr_pool_t *pool)
{
    if (!value || strlen(value) > max || strpbrk(value, "\r\n")) return CURLE_OK;
    struct curl_slist *longer = curl_slist_append(*list, apr_pstrcat(pool, name, ": ", value, NULL));
    if (!longer) return CURLE_OUT_OF_MEMORY;
    *list = longer;
    return CURLE_OK;
}

static CURLcode net_set_message(CURL *handle, struct curl_slist **list, const oks_net_request_t *request, apr_pool_t *pool)
{
    CURLcode code = curl_easy_setopt(handle, CURLOPT_USERAGENT, "mod_oktasso/" OKS_VERSION);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_HTTPGET, 1L);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, "gzip");
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_HTTP09_ALLOWED, 0L);
    if (request->form) {
        if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request->form);
        if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, (long)strlen(request->form));
        if (code == CURLE_OK) code = net_add_header(list, "Expect", "", NET_VALUE_MAX, pool); /* no wait for "100 Continue" */
    }
    if (code == CURLE_OK && request->if_none_match && net_value_ok(oks_span_z(request->if_none_match)))
        code = net_add_header(list, "If-None-Match", request->if_none_match, NET_VALUE_MAX, pool);
    if (code == CURLE_OK) code = net_add_header(list, "Accept", request->accept, NET_VALUE_MAX, pool);
    if (code == CURLE_OK) code = net_add_header(list, "Authorization", request->authorization, NET_HEADERS_MAX, pool);
    return code == CURLE_OK && *list ? curl_easy_setopt(handle, CURLOPT_HTTPHEADER, *list) : code;
}

/* libcurl's verdict as one of our reasons. */
static oks_reason_t net_reason(CURLcode code, const exchange_t *x)
{
    if (x->overflow) return OKS_R_NET_RESPONSE_TOO_LARGE;
    if (x->left_loopback) return OKS_R_NET_URL_REFUSED;
    if (x->left_public) return OKS_R_NET_ADDRESS_REFUSED;
    if (code == CURLE_ABORTED_BY_CALLBACK) return OKS_R_NET_STOPPED;
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
    response->max_age = x->max_age;
    response->retry_after = x->retry_after;
    bool redirect = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    *location = redirect && target ? apr_pstrdup(x->pool, target) : NULL;
}

static const char *net_method(const oks_net_request_t *request)
{
    return request->form ? "POST" : "GET";
}

static oks_err_t *net_exchange(oks_net_response_t *response, const char **location, oks_net_t *net,
                               const oks_net_request_t *request, const oks_url_t *url, apr_interval_time_t left, apr_pool_t *pool)
{
    exchange_t *x = apr_pcalloc(pool, sizeof *x);
    struct curl_slist *list = NULL;
    x->pool = pool;
    x->net = net;
    x->max_age = x->retry_after = -1;
    x->loopback_only = strcmp(url->scheme, "http") == 0;
    CURL *handle = net_take_handle(net, request->reach);
    if (!handle) return oks_err(pool, OKS_R_INTERNAL, "libcurl gives no handle");

    char *message = apr_pcalloc(pool, CURL_ERROR_SIZE);
    CURLcode code = curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, message);
    if (code == CURLE_OK) code = net_set_reach(handle, request, url, x);
    if (code == CURLE_OK) code = net_set_tls(handle, request);
    if (code == CURLE_OK) code = net_set_limits(handle, left, x);
    if (code == CURLE_OK) code = net_set_message(handle, &list, request, pool);
    if (code == CURLE_OK) code = curl_easy_perform(handle);
    if (code == CURLE_OK) net_take_response(response, location, handle, x);
    net_give_handle(net, handle, request->reach, code == CURLE_OK);
    curl_slist_free_all(list);
    if (code == CURLE_OK) return NULL;

    oks_span_t said = x->overflow ? oks_span_z(apr_psprintf(pool, "the %s is larger than allowed", x->overflow))
                                  : oks_span_z(message[0] ? message : curl_easy_strerror(code));
    return oks_err(pool, net_reason(code, x), "%s %s: %s", net_method(request), net_url_shown(url, pool),
                   oks_log_escape(said, 256, pool));
}

/* ---- The door --------------------------------------------------------------------------------------------- */

static oks_err_t *net_url_allowed(oks_url_t *url, const char *text, apr_pool_t *pool)
{
    oks_err_t *err = oks_url_parse(url, oks_span_z(text), pool);
    if (err) return oks_err_from(pool, OKS_R_NET_URL_REFUSED, APR_SUCCESS, err, "not an absolute URL");
    if (oks_url_is_secure(url)) return NULL;
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

static oks_err_t *net_follow(oks_net_response_t *got, oks_net_t *net, const oks_net_request_t *request, oks_url_t url,
                             apr_interval_time_t deadline, apr_pool_t *pool)
{
    const char *location = NULL;
    for (int hops = 0;; hops++) {
        apr_interval_time_t left = deadline - net_now();
        if (left <= 0)
            return oks_err(pool, OKS_R_NET_TIMEOUT, "%s %s: no time left", net_method(request), net_url_shown(&url, pool));
        OKS_TRY(net_exchange(got, &location, net, request, &url, left, pool));
        if (!location) return NULL;
        if (request->form || request->authorization)
            return oks_err(pool, OKS_R_NET_REDIRECT_REFUSED, "%s %s: no redirect is followed", net_method(request),
                           net_url_shown(&url, pool));
        if (hops == NET_REDIRECTS_MAX)
            return oks_err(pool, OKS_R_NET_REDIRECT_REFUSED, "GET %s: more than %d redirects",
                           net_url_shown(&url, pool), NET_REDIRECTS_MAX);
        oks_url_t next;
        OKS_TRY(net_redirect_allowed(&next, &url, location, pool));
        url = next;
    }
}

oks_err_t *oks_net_send(oks_net_response_t **response, oks_net_t *net, const oks_net_request_t *request, apr_pool_t *pool)
{
    apr_interval_time_t timeout = request->timeout;
    if (timeout <= 0) timeout = OKS_NET_TIMEOUT_DEFAULT;
    if (timeout > NET_TIMEOUT_MAX) timeout = NET_TIMEOUT_MAX;
    apr_interval_time_t deadline = net_now() + timeout;

    oks_net_response_t *got = apr_pcalloc(pool, sizeof *got);
    oks_url_t url;
    OKS_TRY(net_url_allowed(&url, request->url, pool));
    if (request->reach == OKS_NET_PUBLIC && !net_host_is_public(&url))
        return oks_err(pool, OKS_R_NET_ADDRESS_REFUSED, "%s", net_url_shown(&url, pool));
    const char *origin = apr_psprintf(pool, "%s://%s:%d", url.scheme, url.host, url.port);
    if (atomic_load(&net->stopping)) return oks_err(pool, OKS_R_NET_STOPPED, "%s", origin);
    int place = net_enter(net, origin);
    if (place < 0) return oks_err(pool, OKS_R_NET_BUSY, "%s", origin);
    oks_err_t *err = net_follow(got, net, request, url, deadline, pool);
    net_leave(net, place);
    if (!err) *response = got;
    return err;
}
