// SPDX-License-Identifier: Apache-2.0
// A TLS connection in one thread: two ends over a BIO pair, each shaken by hand.
//
// Next layer down: libssl.
#pragma once

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "tls/support.hpp"

namespace test {

struct TwoEnds {
    tls::SslPtr server;
    tls::SslPtr client;
};

// Goes on with the handshake; what SSL_get_error() says.
inline int shake(const tls::SslPtr& ssl) {
    const int result = SSL_do_handshake(ssl.get());
    return SSL_get_error(ssl.get(), result);
}

// Up to the client's hello, which the server has not read.
inline void say_hello(TwoEnds& ends, SSL_CTX* server_context, SSL_CTX* client_context) {
    ends.server.reset(SSL_new(server_context));
    ends.client.reset(SSL_new(client_context));
    BIO* server_end = nullptr;
    BIO* client_end = nullptr;
    ASSERT_EQ(BIO_new_bio_pair(&server_end, 0, &client_end, 0), 1);
    SSL_set_bio(ends.server.get(), server_end, server_end);
    SSL_set_bio(ends.client.get(), client_end, client_end);
    SSL_set_accept_state(ends.server.get());
    SSL_set_connect_state(ends.client.get());
    EXPECT_EQ(shake(ends.client), SSL_ERROR_WANT_READ);
}

}  // namespace test
