// SPDX-License-Identifier: Apache-2.0
// The callbacks of SSL_set_quic_tls_cbs() are an application's like all others: they are called
// until its connection is freed. libssl's part is played by neighbours/quic_libssl.cpp, so that
// this does not need OpenSSL 3.5.
#include "../support.hpp"
#include "connections.hpp"
#include "neighbours/quic_libssl.hpp"

namespace ssl_test {
namespace {

using test::passes_in_child;

// Each returns another number, and looks at what it has got.
int on_send(SSL* ssl, const unsigned char* bytes, std::size_t size, std::size_t* consumed,
            void* arg) {
    static_cast<App*>(arg)->call("send");
    EXPECT_EQ(&App::of(ssl), arg);
    EXPECT_EQ(size, 3U);
    EXPECT_EQ(bytes[2], 3);
    *consumed = size;
    return 11;
}
int on_receive(SSL* /*ssl*/, const unsigned char** bytes, std::size_t* size, void* arg) {
    static_cast<App*>(arg)->call("receive");
    *bytes = nullptr;
    *size = 0;
    return 12;
}
int on_release(SSL* /*ssl*/, std::size_t size, void* arg) {
    static_cast<App*>(arg)->call("release");
    EXPECT_EQ(size, 3U);
    return 13;
}
int on_secret(SSL* /*ssl*/, std::uint32_t level, int direction, const unsigned char* secret,
              std::size_t size, void* arg) {
    static_cast<App*>(arg)->call("secret");
    EXPECT_EQ(level, 2U);
    EXPECT_EQ(direction, 1);
    EXPECT_EQ(secret[0], 1);
    EXPECT_EQ(size, 3U);
    return 14;
}
int on_params(SSL* /*ssl*/, const unsigned char* params, std::size_t size, void* arg) {
    static_cast<App*>(arg)->call("parameters");
    EXPECT_EQ(params[1], 2);
    EXPECT_EQ(size, 3U);
    return 15;
}
int on_alert(SSL* /*ssl*/, unsigned char alert, void* arg) {
    static_cast<App*>(arg)->call("alert");
    EXPECT_EQ(alert, 40);
    return 16;
}

template <class Function>
OSSL_DISPATCH entry(int number, Function function) {
    return {quic::first + number, reinterpret_cast<void (*)()>(function)};
}

const OSSL_DISPATCH table[] = {entry(0, on_send),   entry(1, on_receive), entry(2, on_release),
                               entry(3, on_secret), entry(4, on_params),  entry(5, on_alert),
                               {0, nullptr}};

const std::vector<int> own_results = {11, 12, 13, 14, 15, 16};

TEST(Quic, CallbacksAreCalledWithWhatLibsslGives) {
    EXPECT_TRUE(passes_in_child([] {
        Ends ends(TLS1_3_VERSION, false);
        ASSERT_EQ(SSL_set_quic_tls_cbs(ends.server.get(), table, &ends.server_app), 1);
        EXPECT_EQ(play_quic(ends.server.get()), own_results);
        EXPECT_EQ(ends.server_app.calls, quic::callbacks);
    }));
}

// What the handshake would call behind the pause.
std::vector<int> results_behind;
int play_behind_pause(SSL* ssl, void* /*arg*/) {
    armed.come_by(Pause::certificate);
    results_behind = play_quic(ssl);
    return 1;
}

TEST(Quic, NoneIsCalledForAConnectionThatIsFreed) {
    EXPECT_TRUE(passes_in_child([] {
        Ends ends(TLS1_3_VERSION, false);
        ASSERT_EQ(SSL_set_quic_tls_cbs(ends.server.get(), table, &ends.server_app), 1);
        SSL_set_cert_cb(ends.server.get(), play_behind_pause, nullptr);
        ends.pause_handshake(ends.server, Pause::certificate);
        free_paused(ends, ends.server);
        EXPECT_EQ(results_behind, std::vector<int>(quic::callbacks, 0));
    }));
}

TEST(Quic, OthersAreCalledWhileAConnectionIsFreed) {
    EXPECT_TRUE(passes_in_child([] {
        Ends ends(TLS1_3_VERSION, false);
        Ends others(TLS1_3_VERSION, false);
        ASSERT_EQ(SSL_set_quic_tls_cbs(others.server.get(), table, &others.server_app), 1);
        const auto play_others = [](SSL* /*ssl*/, void* other) {
            armed.come_by(Pause::certificate);
            results_behind = play_quic(static_cast<SSL*>(other));
            return 1;
        };
        SSL_set_cert_cb(ends.server.get(), play_others, others.server.get());
        ends.pause_handshake(ends.server, Pause::certificate);
        free_paused(ends, ends.server);
        EXPECT_EQ(results_behind, own_results);
    }));
}

// One of a later OpenSSL, say.
TEST(Quic, WithACallbackThatNobodyKnowsJobsAreLeft) {
    EXPECT_TRUE(passes_in_child([] {
        Ends ends(TLS1_3_VERSION, false);
        std::vector<OSSL_DISPATCH> more(std::begin(table), std::end(table));
        more.insert(more.begin(), entry(quic::callbacks, on_alert));
        testing::internal::CaptureStderr();
        ASSERT_EQ(SSL_set_quic_tls_cbs(ends.server.get(), more.data(), &ends.server_app), 1);
        const std::string said = testing::internal::GetCapturedStderr();
        EXPECT_NE(said.find("QUIC callbacks"), std::string::npos) << said;
        EXPECT_EQ(play_quic(ends.server.get()), own_results);
        ends.pause_handshake(ends.server);
        ends.server.reset();
        EXPECT_EQ(asyncjob_ssl_lost(), 1U);
    }));
}

}  // namespace
}  // namespace ssl_test
