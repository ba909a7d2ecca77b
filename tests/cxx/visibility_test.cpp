// SPDX-License-Identifier: Apache-2.0
// A program and a library that are built to hide their names, and use job.hpp both: what one throws
// the other knows, and what should be one in a process is.
#include "plugin.hpp"
#include "support.hpp"

namespace test {
namespace {

TEST(Visibility, CancelledIsCaughtThatALibraryThrows) {
    bool was_caught = false;
    auto catches = asyncjob::make_job(nullptr, [&] {
        try {
            plugin_pause();
        } catch (const asyncjob::Cancelled&) {
            was_caught = true;
            throw;
        }
    });
    catches.resume();
    catches.cancel();  // and knows what it was
    EXPECT_TRUE(was_caught);
    EXPECT_THROW(catches.result(), asyncjob::Cancelled);
}

TEST(Visibility, TheErrorCategoryIsOne) {
    EXPECT_EQ(&plugin_category(), &asyncjob::error_category());
}

TEST(Visibility, AJobLocalValueIsOne) {
    auto job = asyncjob::make_job(nullptr, [] {
        plugin_local() = 7;
        return asyncjob::this_job::local<int>();
    });
    job.resume();
    EXPECT_EQ(job.result(), 7);
}

}  // namespace
}  // namespace test
