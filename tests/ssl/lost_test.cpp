// SPDX-License-Identifier: Apache-2.0
// SSL_free() of connections whose paused job cannot be cancelled: they are lost, as without the
// library, and counted.
#include <thread>

#include "../support.hpp"
#include "connections.hpp"

namespace ssl_test {
namespace {

class Lost : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Tls, Lost, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), version_name);

// What other threads have started cannot be cancelled here, and is what it was.
TEST_P(Lost, OnAnotherThreadIsCountedAsLost) {
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    const std::size_t lost = asyncjob_ssl_lost();
    for (const bool known : {false, true}) {
        Ends ends(GetParam());
        std::thread([&] {
            if (known) {  // where libssl has the handle
                Ends others(GetParam());
                others.pause_handshake(others.server);
            }
            ends.pause_handshake(ends.server);
        }).join();
        ends.server_app.gone = true;
        ends.server.reset();
        EXPECT_EQ(ends.server_app.calls_after, std::vector<std::string>{});
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
    EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled + 1);
    EXPECT_EQ(asyncjob_ssl_lost(), lost + 2);
}

// 17 functions: more than there are stand-ins.
template <int number>
void info(const SSL* /*ssl*/, int /*type*/, int /*value*/) {}
template <int... numbers>
void set_many(SSL* ssl, std::integer_sequence<int, numbers...> /*of*/) {
    (SSL_set_info_callback(ssl, info<numbers>), ...);
}

TEST_P(Lost, WithMoreCallbacksThanCanBeKeptAwayLeavesTheJob) {
    EXPECT_TRUE(test::passes_in_child([&] {
        Ends ends(GetParam());
        testing::internal::CaptureStderr();
        set_many(ends.server.get(), std::make_integer_sequence<int, 20>());
        const std::string said = testing::internal::GetCapturedStderr();
        EXPECT_NE(said.find("more than 16 callbacks"), std::string::npos) << said;
        EXPECT_EQ(said.find('\n'), said.size() - 1) << "once: " << said;
        EXPECT_EQ(SSL_get_info_callback(ends.server.get()), &info<19>);
        ends.pause_handshake(ends.server);
        const std::size_t cancelled = asyncjob_ssl_cancelled();
        const std::size_t lost = asyncjob_ssl_lost();
        ends.server.reset();
        EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled);
        EXPECT_EQ(asyncjob_ssl_lost(), lost + 1);
    }));
}

}  // namespace
}  // namespace ssl_test
