// SPDX-License-Identifier: Apache-2.0
// Code in libssl's job that tries something in vain, which leaves entries in the thread's error
// queue, and then pauses: SSL_get_error() looks at the queue before it says SSL_ERROR_WANT_ASYNC.
// Built against this library and against libcrypto's own jobs, which shows what it is for.
#include <gtest/gtest.h>
#include <openssl/async.h>
#include <openssl/err.h>

#include "connection.hpp"
#include "tls/certificate.hpp"
#include "tls/support.hpp"

namespace {

#ifdef ASYNCJOB_STOCK
constexpr int while_paused = SSL_ERROR_SSL;  // a failed connection, says libssl
constexpr int others_meanwhile = SSL_ERROR_SSL;
constexpr bool carried = false;
#else
constexpr int while_paused = SSL_ERROR_WANT_ASYNC;
constexpr int others_meanwhile = SSL_ERROR_WANT_READ;
constexpr bool carried = true;
#endif

using test::shake;

struct Connection : test::TwoEnds {
    int found = 0;  // after the pause, of the try's entries
};

void try_in_vain(int reason) {
    ERR_new();
    ERR_set_debug("cache.c", 12, "look_up");
    ERR_set_error(ERR_LIB_USER, reason, "no such entry");
}

// Runs in libssl's job.
int on_certificate(SSL* ssl, void* /*arg*/) {
    auto& connection = *static_cast<Connection*>(SSL_get_app_data(ssl));
    try_in_vain(1);
    try_in_vain(2);
    if (ASYNC_pause_job() != 1)
        return 0;
    for (const int reason : {1, 2})
        if (ERR_GET_REASON(ERR_get_error()) == reason)
            ++connection.found;
    return 1;
}

class FailedTry : public testing::Test {
  protected:
    FailedTry() {
        ERR_clear_error();
        SSL_CTX_set_mode(server_context_.get(), SSL_MODE_ASYNC);
        SSL_CTX_set_cert_cb(server_context_.get(), on_certificate, nullptr);
    }

    void connect(Connection& connection) {
        test::say_hello(connection, server_context_.get(), client_context_.get());
        SSL_set_app_data(connection.server.get(), &connection);
    }

    const tls::Identity identity_ = tls::make_identity();
    const tls::SslCtxPtr server_context_ = tls::make_server_context(identity_);
    const tls::SslCtxPtr client_context_ = tls::make_client_context(identity_);
};

TEST_F(FailedTry, S16DoesNotFailTheConnectionThatPaused) {
    Connection connection;
    connect(connection);
    EXPECT_EQ(shake(connection.server), while_paused);
    EXPECT_EQ(ERR_peek_error() == 0, carried);
    if (!carried) {
        ERR_clear_error();  // what stock's users have to do, and the job loses
        (void)shake(connection.server);
        EXPECT_EQ(connection.found, 0);
        return;
    }
    int server = SSL_ERROR_WANT_READ;
    int client = SSL_ERROR_WANT_READ;
    for (int turn = 0; turn < 10 && (server != SSL_ERROR_NONE || client != SSL_ERROR_NONE);
         ++turn) {
        server = shake(connection.server);
        client = shake(connection.client);
    }
    EXPECT_EQ(server, SSL_ERROR_NONE);
    EXPECT_EQ(client, SSL_ERROR_NONE);
    EXPECT_EQ(connection.found, 2);
}

TEST_F(FailedTry, S16DoesNotFailAnotherConnection) {
    Connection paused;
    Connection other;
    connect(other);  // first, as a handshake clears the queue; an SSL_read() does not
    for (int turn = 0; turn < 10; ++turn) {
        (void)shake(other.server);
        ERR_clear_error();
        (void)shake(other.client);
    }
    ASSERT_EQ(SSL_is_init_finished(other.client.get()), 1);
    char byte = 0;
    EXPECT_LE(SSL_read(other.client.get(), &byte, 1), 0);  // takes the session tickets
    connect(paused);
    EXPECT_EQ(shake(paused.server), while_paused);
    const int read = SSL_read(other.client.get(), &byte, 1);
    EXPECT_EQ(SSL_get_error(other.client.get(), read), others_meanwhile);
    ERR_clear_error();
    EXPECT_EQ(shake(paused.server), SSL_ERROR_WANT_READ);
    EXPECT_EQ(paused.found, carried ? 2 : 0);
}

}  // namespace
