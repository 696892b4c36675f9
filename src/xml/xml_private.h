/* What the files of the room xml share. */
#ifndef OKTASSO_XML_PRIVATE_H
#define OKTASSO_XML_PRIVATE_H

#include <xmlsec/xmlsec.h>
#include <xmlsec/xmldsig.h>

#include "oktasso/xml.h"

/* The context uses this key (EVP_PKEY *) and no other. */
bool oks_xml_pin_key(xmlSecDSigCtxPtr ctx, void *pkey);

#endif
