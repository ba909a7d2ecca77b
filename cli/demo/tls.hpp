// SPDX-License-Identifier: Apache-2.0
// Keys, certificates and contexts for TLS. What is made here is kept as DER, as each library
// context has to read it with its own providers.
//
// Next layer down: libssl.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

namespace asyncjob::demo {

template <auto function>
struct FreeWith {
    template <typename Type>
    void operator()(Type* object) const {
        function(object);
    }
};
using SslPtr = std::unique_ptr<SSL, FreeWith<SSL_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;
using LibCtxPtr = std::unique_ptr<OSSL_LIB_CTX, FreeWith<OSSL_LIB_CTX_free>>;

// An RSA key and a self-signed certificate for "localhost", valid for an hour.
struct Identity {
    std::string key;
    std::string certificate;
};

// Throws std::runtime_error, as all functions here, with OpenSSL's own reason.
Identity make_identity(int bits);

// TLS 1.3 without sessions, so that each handshake has its signature.
SslCtxPtr make_server_context(OSSL_LIB_CTX* library, const Identity& identity);

// Trusts this certificate alone.
SslCtxPtr make_client_context(OSSL_LIB_CTX* library, const Identity& identity);

// Why a call failed: what was being done, and the reasons on OpenSSL's error queue.
std::string describe_failure(const std::string& what);

// The same for an SSL call; also empties the queue.
std::string describe_failure(const char* what, const SSL* ssl, int result);

}  // namespace asyncjob::demo
