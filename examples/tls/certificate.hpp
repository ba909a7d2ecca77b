// SPDX-License-Identifier: Apache-2.0
// A self-signed certificate made in memory: EC P-256, for "localhost", valid for an hour.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "support.hpp"

namespace tls {

struct Identity {
    std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>> key;
    std::unique_ptr<X509, FreeWith<X509_free>> certificate;
};

// Throws std::runtime_error if OpenSSL cannot make one.
Identity make_identity();

// A context that serves with this identity; TLS 1.2 or later. Throws as above.
SslCtxPtr make_server_context(const Identity& identity);

// A context that trusts this identity alone and verifies its peer. Throws as above.
SslCtxPtr make_client_context(const Identity& identity);

}  // namespace tls
