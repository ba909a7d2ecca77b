// SPDX-License-Identifier: Apache-2.0
// Connections whose job has ended without them, and handles whose memory has gone: what is left of
// them is told from a paused job's handle, and no memory of others is touched, which
// AddressSanitizer and memcheck see. In children, as where libssl has the handle is found out once.
#include <malloc.h>

#include <cstdint>
#include <cstdlib>
#include <thread>
#include <utility>

#include "../support.hpp"
#include "connections.hpp"

namespace ssl_test {
namespace {

class Stale : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Tls, Stale, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), version_name);

// Has libssl's place for the handle found out.
void tear_one_down(int version) {
    Ends ends(version);
    ends.pause_handshake(ends.server);
    free_paused(ends, ends.server);
}

TEST_P(Stale, AJobThatWasCancelledWithAllIsNotLost) {
    EXPECT_TRUE(test::passes_in_child([version = GetParam()] {
        tear_one_down(version);
        Ends ends(version);
        ends.pause_handshake(ends.server);
        EXPECT_EQ(asyncjob_cancel_all(), 1U);
        ASSERT_EQ(SSL_waiting_for_async(ends.server.get()), 1) << "libssl has not heard of it";
        ERR_clear_error();
        const std::size_t cancelled = asyncjob_ssl_cancelled();
        const std::size_t lost = asyncjob_ssl_lost();
        ends.server_app.gone = true;
        ends.server.reset();
        EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled);
        EXPECT_EQ(asyncjob_ssl_lost(), lost);
        EXPECT_EQ(ERR_peek_error(), 0U);
        EXPECT_EQ(ends.server_app.calls_after, std::vector<std::string>{});
    }));
}

TEST_P(Stale, ItsConnectionCanBeClearedAndUsedAgain) {
    EXPECT_TRUE(test::passes_in_child([version = GetParam()] {
        tear_one_down(version);
        Ends ends(version);
        ends.pause_handshake(ends.server);
        EXPECT_EQ(asyncjob_cancel_all(), 1U);
        ERR_clear_error();
        ASSERT_EQ(SSL_clear(ends.server.get()), 1);
        EXPECT_EQ(SSL_waiting_for_async(ends.server.get()), 0);
        EXPECT_EQ(ERR_peek_error(), 0U);
        ends.connect_another_client();
        ends.pause_handshake(ends.server);
        ends.expect_finished();
    }));
}

int pause_once(void* /*args*/) {
    return ASYNC_pause_job();
}

// Gives the server's end a new SSL behind which, in its neighbourhood, there is a block of memory
// that begins with the handle of a job which is paused; the block is freed.
void leave_handle_behind(Ends& ends) {
    constexpr std::size_t near = std::size_t{64} * 1024;
    constexpr int tries = 500;
    std::vector<tls::SslPtr> connections;
    std::vector<void*> blocks;
    std::uintptr_t distance = near;
    while (distance >= near && connections.size() < tries) {
        connections.emplace_back(SSL_new(ends.server_context_.get()));
        SSL* const ssl = connections.back().get();
        blocks.push_back(std::calloc(1, malloc_usable_size(ssl)));
        distance =
            reinterpret_cast<std::uintptr_t>(blocks.back()) - reinterpret_cast<std::uintptr_t>(ssl);
    }
    ASSERT_LT(distance, near) << "no block has come to be behind its SSL";
    int result = 0;
    // Not at the beginning, where libc keeps what it needs for free blocks.
    auto* const handle = static_cast<ASYNC_JOB**>(blocks.back()) + 100;
    EXPECT_EQ(ASYNC_start_job(handle, nullptr, &result, pause_once, nullptr, 0), ASYNC_PAUSE);
    ends.server = std::move(connections.back());
    SSL_set_app_data(ends.server.get(), &ends.server_app);
    SSL_set_accept_state(ends.server.get());
    ends.join();
    for (void* const block : blocks)
        std::free(block);
}

TEST_P(Stale, AHandleWhoseMemoryHasGoneIsNotTouched) {
    EXPECT_TRUE(test::passes_in_child([version = GetParam()] {
        Ends ends(version);
        leave_handle_behind(ends);
        // The connection's job is another thread's, so it is not found.
        std::thread([&] {
            ends.pause_handshake(ends.server);
            EXPECT_EQ(asyncjob_cancel_all(), 1U);
        }).join();
        ends.server.reset();
        EXPECT_EQ(asyncjob_ssl_cancelled(), 0U);
        EXPECT_EQ(asyncjob_cancel_all(), 1U) << "the other job has been cancelled";
    }));
}

TEST_P(Stale, TheConnectionsOwnJobIsFoundBeforeIt) {
    EXPECT_TRUE(test::passes_in_child([version = GetParam()] {
        Ends ends(version);
        leave_handle_behind(ends);
        ends.pause_handshake(ends.server);
        ends.server.reset();
        EXPECT_EQ(asyncjob_ssl_cancelled(), 1U);
        EXPECT_EQ(asyncjob_cancel_all(), 1U);
    }));
}

}  // namespace
}  // namespace ssl_test
