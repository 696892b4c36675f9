/* Where a visitor comes from, as far as limits count. */
#include <arpa/inet.h>
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define NET_LEN 8 /* bytes of an IPv6 address: a /64 is one subscriber's, or less */

const char *oks_flow_client_net(const char *client, apr_pool_t *pool)
{
    struct in6_addr address;
    if (inet_pton(AF_INET6, client, &address) != 1 || IN6_IS_ADDR_V4MAPPED(&address)) return client;
    return apr_pstrcat(pool, oks_hex_encode(oks_span((char *)address.s6_addr, NET_LEN), pool), "/64", NULL);
}
