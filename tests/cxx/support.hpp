// SPDX-License-Identifier: Apache-2.0
// What the tests of the C++ interface share. Header-only, over the public headers alone: these
// tests are also built with another C++ library than the rest.
#pragma once

#include <gtest/gtest.h>
#include <asyncjob/job.hpp>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "../tools.hpp"

namespace test {

// The code of the std::system_error that the call throws; an empty one if it throws none.
template <typename Call>
std::error_code code_of(Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().category(), asyncjob::error_category());
        return error.code();
    }
    return {};
}

// What the std::exception says that the call throws; empty if it throws none.
template <typename Call>
std::string message_of(Call call) {
    try {
        call();
    } catch (const std::exception& exception) {
        return exception.what();
    }
    return {};
}

// Pauses until it is cancelled, which it leaves by; counts itself meanwhile.
[[noreturn]] inline void pause_for_ever(int& frames) {
    struct Frame {
        explicit Frame(int& count) : frames(count) { ++frames; }
        ~Frame() { --frames; }
        Frame(const Frame&) = delete;
        Frame& operator=(const Frame&) = delete;
        int& frames;
    };
    const Frame frame(frames);
    for (;;)
        asyncjob::pause();
}

// The thread has none that runs or is paused.
inline void expect_no_jobs() {
    asyncjob_stats_t stats{};
    EXPECT_EQ(asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_THREAD), 1);
    EXPECT_EQ(stats.live, 0U);
    EXPECT_EQ(stats.started, stats.finished);
}

}  // namespace test
