// SPDX-License-Identifier: Apache-2.0
// Callbacks that are told are those that were set, whatever libssl has got.
#include "connections.hpp"

namespace ssl_test {
namespace {

TEST(Setters, ContextsTellTheApplicationsCallbacks) {
    const tls::SslCtxPtr context(SSL_CTX_new(TLS_method()));
    SSL_CTX* const ctx = context.get();
    const auto info = [](const SSL*, int, int) {};
    const auto verify = [](int ok, X509_STORE_CTX*) { return ok; };
    const auto keylog = [](const SSL*, const char*) {};
    const auto new_session = [](SSL*, SSL_SESSION*) { return 0; };
    const auto get_session = [](SSL*, const unsigned char*, int, int*) -> SSL_SESSION* {
        return nullptr;
    };
    const auto client_certificate = [](SSL*, X509**, EVP_PKEY**) { return 0; };
    int (*const status)(SSL*, void*) = [](SSL*, void*) { return SSL_TLSEXT_ERR_NOACK; };
    SSL_CTX_set_info_callback(ctx, info);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, verify);
    SSL_CTX_set_keylog_callback(ctx, keylog);
    SSL_CTX_sess_set_new_cb(ctx, new_session);
    SSL_CTX_sess_set_get_cb(ctx, get_session);
    SSL_CTX_set_client_cert_cb(ctx, client_certificate);
    EXPECT_EQ(SSL_CTX_set_tlsext_status_cb(ctx, status), 1);
    EXPECT_EQ(SSL_CTX_get_info_callback(ctx), +info);
    EXPECT_EQ(SSL_CTX_get_verify_callback(ctx), +verify);
    EXPECT_EQ(SSL_CTX_get_keylog_callback(ctx), +keylog);
    EXPECT_EQ(SSL_CTX_sess_get_new_cb(ctx), +new_session);
    EXPECT_EQ(SSL_CTX_sess_get_get_cb(ctx), +get_session);
    EXPECT_EQ(SSL_CTX_get_client_cert_cb(ctx), +client_certificate);
    int (*told)(SSL*, void*) = nullptr;
    EXPECT_EQ(SSL_CTX_get_tlsext_status_cb(ctx, &told), 1);
    EXPECT_EQ(told, status);

    const tls::SslPtr ssl(SSL_new(ctx));
    EXPECT_EQ(SSL_get_verify_callback(ssl.get()), +verify);
    EXPECT_EQ(SSL_get_info_callback(ssl.get()), nullptr);
    SSL_set_info_callback(ssl.get(), info);
    EXPECT_EQ(SSL_get_info_callback(ssl.get()), +info);
}

TEST(Setters, NoCallbackIsNoCallback) {
    const tls::SslCtxPtr context(SSL_CTX_new(TLS_method()));
    SSL_CTX* const ctx = context.get();
    EXPECT_EQ(SSL_CTX_get_info_callback(ctx), nullptr);
    SSL_CTX_set_info_callback(ctx, [](const SSL*, int, int) {});
    SSL_CTX_set_info_callback(ctx, nullptr);
    EXPECT_EQ(SSL_CTX_get_info_callback(ctx), nullptr);
    int (*told)(SSL*, void*) = nullptr;
    EXPECT_EQ(SSL_CTX_get_tlsext_status_cb(ctx, &told), 1);
    EXPECT_EQ(told, nullptr);
}

TEST(Setters, EachConnectionsCallbacksAreCalled) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        Ends ends(version);
        ends.expect_finished();
        EXPECT_GT(ends.server_app.calls, 20);
        EXPECT_GT(ends.client_app.calls, 20);
    }
}

}  // namespace
}  // namespace ssl_test
