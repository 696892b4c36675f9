/* What the files of the room xml share. */
#ifndef OKTASSO_XML_PRIVATE_H
#define OKTASSO_XML_PRIVATE_H

#include <xmlsec/xmlsec.h>
#include <xmlsec/xmldsig.h>

#include "oktasso/xml.h"

#define DSIG "http://www.w3.org/2000/09/xmldsig#"
#define XMLENC "http://www.w3.org/2001/04/xmlenc#"

/* The element's Algorithm, in `pool`; "" when it has none, or there is no element. */
const char *oks_xml_method(const xmlNode *node, apr_pool_t *pool);
/* The context uses this key (EVP_PKEY *) and no other. */
bool oks_xml_pin_key(xmlSecDSigCtxPtr ctx, void *pkey);

#endif
