/* What the files of the room xml share. */
#ifndef OKTASSO_XML_PRIVATE_H
#define OKTASSO_XML_PRIVATE_H

#include <xmlsec/xmlsec.h>
#include <xmlsec/transforms.h>
#include <xmlsec/xmldsig.h>

#include "oktasso/xml.h"

#define DSIG "http://www.w3.org/2000/09/xmldsig#"
#define XMLENC "http://www.w3.org/2001/04/xmlenc#"
#define DSIG_2007 "http://www.w3.org/2007/05/xmldsig-more#"

/* The element's Algorithm, in `pool`; "" when it has none, or there is no element. */
const char *oks_xml_method(const xmlNode *node, apr_pool_t *pool);
/* The context uses this key (EVP_PKEY *) and no other. */
bool oks_xml_pin_key(xmlSecDSigCtxPtr ctx, void *pkey);

/* RSA-PSS, for xmlsec1's lists of algorithms: pss.c. */
xmlSecTransformId oks_xml_pss_sha256(void);
xmlSecTransformId oks_xml_pss_sha384(void);
xmlSecTransformId oks_xml_pss_sha512(void);

#endif
