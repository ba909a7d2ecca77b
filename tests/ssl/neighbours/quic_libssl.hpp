// SPDX-License-Identifier: Apache-2.0
// A part of OpenSSL 3.5. Contract: quic_libssl.cpp.
#pragma once

#include <openssl/core.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <vector>

namespace quic {

// <openssl/core_dispatch.h> has these numbers since 3.5.
inline constexpr int first = 2001;
inline constexpr int callbacks = 6;

}  // namespace quic

extern "C" int SSL_set_quic_tls_cbs(SSL* ssl, const OSSL_DISPATCH* table, void* arg);

// What each returned.
std::vector<int> play_quic(SSL* ssl);
