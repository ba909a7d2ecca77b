// SPDX-License-Identifier: Apache-2.0
// A server that gives up on a connection whose handshake is paused in libssl's job: it cancels
// the job, whose handle the code that pauses has noted, and then frees the connection.
#include <asyncjob/async.h>
#include <asyncjob/control.h>
#include <gtest/gtest.h>
#include <openssl/err.h>

#include <vector>

#include "connection.hpp"
#include "tls/certificate.hpp"
#include "tls/support.hpp"

namespace {

struct Connection : test::TwoEnds {
    ASYNC_JOB* job = nullptr;
    std::vector<int> pauses;  // what they returned
};

// Runs in libssl's job.
int on_certificate(SSL* ssl, void* /*arg*/) {
    auto& connection = *static_cast<Connection*>(SSL_get_app_data(ssl));
    connection.job = ASYNC_get_current_job();
    connection.pauses.push_back(ASYNC_pause_job());
    return connection.pauses.back();
}

class CancelledHandshake : public testing::Test {
  protected:
    CancelledHandshake() {
        SSL_CTX_set_mode(server_context_.get(), SSL_MODE_ASYNC);
        SSL_CTX_set_cert_cb(server_context_.get(), on_certificate, nullptr);
    }

    // Up to the pause.
    void begin(Connection& connection) {
        test::say_hello(connection, server_context_.get(), client_context_.get());
        SSL_set_app_data(connection.server.get(), &connection);
        EXPECT_EQ(test::shake(connection.server), SSL_ERROR_WANT_ASYNC);
    }

    const tls::Identity identity_ = tls::make_identity();
    const tls::SslCtxPtr server_context_ = tls::make_server_context(identity_);
    const tls::SslCtxPtr client_context_ = tls::make_client_context(identity_);
};

TEST_F(CancelledHandshake, S6EndsAndTheConnectionCanBeFreed) {
    Connection connection;
    begin(connection);
    int result = 0;
    EXPECT_EQ(asyncjob_cancel(&connection.job, &result), ASYNC_FINISH);
    EXPECT_EQ(connection.pauses, std::vector<int>{0});
    EXPECT_NE(ERR_peek_error(), 0U) << "libssl says that the callback failed";
    ERR_clear_error();
    connection.server.reset();
}

TEST_F(CancelledHandshake, S6OthersOfTheThreadGoOn) {
    Connection given_up;
    Connection other;
    begin(given_up);
    begin(other);
    int result = 0;
    EXPECT_EQ(asyncjob_cancel(&given_up.job, &result), ASYNC_FINISH);
    ERR_clear_error();
    given_up.server.reset();
    int server = 0;
    int client = 0;
    for (int turn = 0; turn < 10 && (server != 1 || client != 1); ++turn) {
        server = SSL_do_handshake(other.server.get());
        client = SSL_do_handshake(other.client.get());
    }
    EXPECT_EQ(server, 1);
    EXPECT_EQ(client, 1);
    EXPECT_EQ(other.pauses.front(), 1);
}

TEST_F(CancelledHandshake, S6AllAtTheEndOfAnEventLoop) {
    std::vector<Connection> connections(100);
    for (Connection& connection : connections)
        begin(connection);
    EXPECT_EQ(asyncjob_cancel_all(), connections.size());
    ERR_clear_error();
    for (const Connection& connection : connections)
        EXPECT_EQ(connection.pauses, std::vector<int>{0});
}

}  // namespace
