// SPDX-License-Identifier: Apache-2.0
// Entries of libcrypto's error queue, for the tests of what a switch does with them.
#pragma once

#include <openssl/err.h>

#include <vector>

#include "support.hpp"

namespace test {

inline void push(int reason) {
    ERR_new();
    ERR_set_debug("file.c", reason, "function");
    ERR_set_error(ERR_LIB_USER, reason, nullptr);
}

using Reasons = std::vector<int>;

// Takes the queue's reasons out, the oldest first.
inline Reasons take() {
    Reasons reasons;
    while (const unsigned long code = ERR_get_error()) {
        EXPECT_EQ(ERR_GET_LIB(code), ERR_LIB_USER);
        reasons.push_back(ERR_GET_REASON(code));
    }
    return reasons;
}

inline int newest() {
    return ERR_GET_REASON(ERR_peek_last_error());
}

// The job has marks on two of its entries, one of them twice, and its resumer has one.
inline void expect_marks_to_stay_on_their_entries() {
    TestJob job([] {
        push(1);
        ERR_set_mark();
        push(2);
        push(3);
        ERR_set_mark();
        ERR_set_mark();
        push(4);
        ASYNC_pause_job();
        push(5);
        EXPECT_EQ(ERR_pop_to_mark(), 1);
        EXPECT_EQ(newest(), 3);
        ASYNC_pause_job();
        EXPECT_EQ(ERR_pop_to_mark(), 1);
        EXPECT_EQ(newest(), 3);
        EXPECT_EQ(ERR_pop_to_mark(), 1);
        EXPECT_EQ(take(), Reasons{1});
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(take(), Reasons{});
    push(9);
    ERR_set_mark();
    push(8);
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(ERR_pop_to_mark(), 1);
    EXPECT_EQ(newest(), 9);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(take(), Reasons{9});
}

}  // namespace test
