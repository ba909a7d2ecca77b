// SPDX-License-Identifier: Apache-2.0
// Marks on the error queue (S16) of a libcrypto which does not give its queues out, but counts
// the entries behind a mark: OpenSSL 4. Nothing else is in here, as the library finds
// ERR_count_to_mark() when the process starts, if at all.
#include <dlfcn.h>
#include <openssl/err.h>

#include "error_entries.hpp"

// These two bind before libcrypto's, for the library under test.
extern "C" ERR_STATE* ERR_get_state() {
    return nullptr;
}

extern "C" int ERR_count_to_mark() {
    static const auto next = reinterpret_cast<ERR_STATE* (*)()>(dlsym(RTLD_NEXT, "ERR_get_state"));
    const ERR_STATE* const state = next();
    int count = 0;
    for (int at = state->top; at != state->bottom && state->err_marks[at] == 0;
         at = (at + ERR_NUM_ERRORS - 1) % ERR_NUM_ERRORS)
        ++count;
    return count;
}

namespace test {
namespace {

TEST(ErrorMarks, StayOnTheirEntriesWhereLibcryptoCanCount) {
    expect_marks_to_stay_on_their_entries();
}

TEST(ErrorMarks, OfAFullQueueStayOnTheirEntries) {
    constexpr int most = ERR_NUM_ERRORS - 1;
    TestJob job([] {
        for (int i = 1; i <= most; ++i) {
            push(i);
            ERR_set_mark();
        }
        ASYNC_pause_job();
        for (int i = most; i >= 1; --i) {
            EXPECT_EQ(newest(), i);
            EXPECT_EQ(ERR_pop_to_mark(), 1);
            EXPECT_EQ(newest(), i);
            EXPECT_EQ(ERR_pop_to_mark(), i > 1 ? 1 : 0);  // to the one before, whose mark goes
            if (i > 1)
                ERR_set_mark();
        }
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(take(), Reasons{});
}

}  // namespace
}  // namespace test
