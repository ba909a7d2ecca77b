// SPDX-License-Identifier: Apache-2.0
// What the tests of libasyncjob-ssl share: two connected ends in memory, whose private keys are in
// a "card" that pauses the job, and an application that must not be called when it has gone.
#pragma once

#define OPENSSL_SUPPRESS_DEPRECATED
#include <asyncjob/async.h>
#include <asyncjob/control.h>
#include <asyncjob/ssl.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "tls/certificate.hpp"
#include "tls/support.hpp"

namespace ssl_test {

inline std::string version_name(const testing::TestParamInfo<int>& info) {
    return info.param == TLS1_2_VERSION ? "1_2" : "1_3";
}

// Where a job pauses, by what the test wants.
enum class Pause { nowhere, signature, certificate, message, verification };

// The calling thread's. A pause disarms it.
struct Armed {
    Pause at = Pause::nowhere;
    std::vector<int> results;  // of ASYNC_pause_job()

    void come_by(Pause here) {
        if (at != here || ASYNC_get_current_job() == nullptr)
            return;
        at = Pause::nowhere;
        results.push_back(ASYNC_pause_job());
    }
};
inline thread_local Armed armed;

// A key's copy in the card, which signs after a pause, cancelled or not.
inline int sign_on_card(int type, const unsigned char* digest, int size, unsigned char* signature,
                        unsigned* length, const BIGNUM* inverse, const BIGNUM* rp, EC_KEY* key) {
    armed.come_by(Pause::signature);
    decltype(&sign_on_card) sign = nullptr;
    EC_KEY_METHOD_get_sign(EC_KEY_OpenSSL(), &sign, nullptr, nullptr);
    return sign(type, digest, size, signature, length, inverse, rp, key);
}

inline EC_KEY_METHOD* card() {
    static const std::unique_ptr<EC_KEY_METHOD, tls::FreeWith<EC_KEY_METHOD_free>> method = [] {
        EC_KEY_METHOD* const made = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
        int (*setup)(EC_KEY*, BN_CTX*, BIGNUM**, BIGNUM**) = nullptr;
        ECDSA_SIG* (*sign_sig)(const unsigned char*, int, const BIGNUM*, const BIGNUM*, EC_KEY*) =
            nullptr;
        EC_KEY_METHOD_get_sign(EC_KEY_OpenSSL(), nullptr, &setup, &sign_sig);
        EC_KEY_METHOD_set_sign(made, sign_on_card, setup, sign_sig);
        return decltype(method)(made);
    }();
    return method.get();
}

inline tls::Identity identity_on_card() {
    tls::Identity identity = tls::make_identity();
    EC_KEY* const key = EVP_PKEY_get1_EC_KEY(identity.key.get());
    EC_KEY_set_method(key, card());
    identity.key.reset(EVP_PKEY_new());
    EVP_PKEY_assign_EC_KEY(identity.key.get(), key);
    return identity;
}

// The application's part of a connection. When it has gone, nothing may call it.
struct App {
    bool gone = false;
    int calls = 0;                         // before it had gone
    std::vector<std::string> calls_after;  // and then

    void call(const char* name) {
        if (gone)
            calls_after.emplace_back(name);
        else
            ++calls;
    }
    static App& of(const SSL* ssl) { return *static_cast<App*>(SSL_get_app_data(ssl)); }
};

// Each kind of callback that a handshake can come by, on a context.
void set_all_callbacks(SSL_CTX* context);

class Ends {
  public:
    explicit Ends(int version, bool all_callbacks = true)
        : version_(version),
          server_context_(tls::make_server_context(identity_)),
          client_context_(tls::make_client_context(identity_)) {
        // So that both ends may sign.
        SSL_CTX_use_certificate(client_context_.get(), identity_.certificate.get());
        SSL_CTX_use_PrivateKey(client_context_.get(), identity_.key.get());
        X509_STORE_add_cert(SSL_CTX_get_cert_store(server_context_.get()),
                            identity_.certificate.get());
        SSL_CTX_set_verify(server_context_.get(), SSL_VERIFY_PEER, nullptr);
        for (SSL_CTX* const context : {server_context_.get(), client_context_.get()}) {
            SSL_CTX_set_min_proto_version(context, version);
            SSL_CTX_set_max_proto_version(context, version);
            SSL_CTX_set_session_id_context(context, &session_id_context, 1);
            SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_BOTH);
            if (all_callbacks)
                set_all_callbacks(context);
        }
        connect();
    }

    // New ends.
    void connect() {
        server.reset(SSL_new(server_context_.get()));
        client.reset(SSL_new(client_context_.get()));
        SSL_set_app_data(server.get(), &server_app);
        SSL_set_app_data(client.get(), &client_app);
        SSL_set_tlsext_host_name(client.get(), "localhost");
        join();
        SSL_set_accept_state(server.get());
        SSL_set_connect_state(client.get());
    }

    // Another client, for a server that was cleared.
    void connect_another_client() {
        client.reset(SSL_new(client_context_.get()));
        SSL_set_app_data(client.get(), &client_app);
        SSL_set_connect_state(client.get());
        SSL_set_accept_state(server.get());
        join();
    }

    // A new pair of BIOs between them. The server's and the client's stay for the test to see.
    void join() {
        BIO* server_bio = nullptr;
        BIO* client_bio = nullptr;
        ASSERT_EQ(BIO_new_bio_pair(&server_bio, 0, &client_bio, 0), 1);
        BIO_up_ref(server_bio);
        BIO_up_ref(client_bio);
        server_end.reset(server_bio);
        client_end.reset(client_bio);
        SSL_set_bio(server.get(), server_bio, server_bio);
        SSL_set_bio(client.get(), client_bio, client_bio);
    }

    // Both go on until neither can, or one is paused.
    void shake() {
        for (int turn = 0; turn < 10; ++turn) {
            for (SSL* const ssl : {client.get(), server.get()}) {
                const int error = SSL_get_error(ssl, SSL_do_handshake(ssl));
                if (error == SSL_ERROR_WANT_ASYNC)
                    return;
                ASSERT_TRUE(error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ)
                    << tls::describe_failure("handshake", error);
            }
        }
    }

    void expect_finished() {
        shake();
        EXPECT_EQ(SSL_is_init_finished(server.get()), 1);
        EXPECT_EQ(SSL_is_init_finished(client.get()), 1);
    }

    // Shakes hands up to a pause of one end.
    void pause_handshake(const tls::SslPtr& end, Pause at = Pause::signature) {
        SSL_set_mode(end.get(), SSL_MODE_ASYNC);
        armed.at = at;
        armed.results.clear();
        shake();
        ASSERT_EQ(SSL_waiting_for_async(end.get()), 1);
    }

    static constexpr unsigned char session_id_context = 1;
    const int version_;
    const tls::Identity identity_ = identity_on_card();
    App server_app;
    App client_app;
    const tls::SslCtxPtr server_context_;
    const tls::SslCtxPtr client_context_;
    std::unique_ptr<BIO, tls::FreeWith<BIO_free>> server_end;
    std::unique_ptr<BIO, tls::FreeWith<BIO_free>> client_end;
    tls::SslPtr server;
    tls::SslPtr client;
};

// Frees a connection as a server does that has given up, and has its own part freed before.
// What it must not do to anybody is looked at.
inline void free_paused(Ends& ends, tls::SslPtr& end) {
    const bool is_server = &end == &ends.server;
    App& app = is_server ? ends.server_app : ends.client_app;
    BIO* const peer = is_server ? ends.client_end.get() : ends.server_end.get();
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    const std::size_t lost = asyncjob_ssl_lost();
    const std::size_t pending = BIO_ctrl_pending(peer);
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 17);
    const unsigned long error = ERR_peek_error();
    errno = 33;
    app.gone = true;
    end.reset();
    EXPECT_EQ(errno, 33);
    EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled + 1);
    EXPECT_EQ(asyncjob_ssl_lost(), lost);
    EXPECT_EQ(app.calls_after, std::vector<std::string>{});
    EXPECT_EQ(armed.results, std::vector<int>{0});
    EXPECT_EQ(BIO_ctrl_pending(peer), pending) << "the peer has got something";
    EXPECT_EQ(ERR_peek_error(), error) << "the error queue is the application's";
    EXPECT_EQ(ERR_peek_last_error(), error);
    ERR_clear_error();
    EXPECT_EQ(asyncjob_cancel_all(), 0U) << "a job is left";
}

}  // namespace ssl_test
