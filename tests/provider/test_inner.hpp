// SPDX-License-Identifier: Apache-2.0
// A provider for tests, wrapped by offload: its keys are empty, and its operations do what
// the test tells them through this structure, which test and module share.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

namespace test_inner {

struct Control {
    std::mutex mutex;
    std::condition_variable changed;

    // What the test tells, under the mutex.
    bool hold = false;  // computations wait until this is false
    bool fail = false;  // computations raise an error and fail
    bool no_cache = false;
    bool no_signatures = false;      // signature algorithms are not offered
    bool one_context = false;        // the provider's context is NULL
    unsigned char version = 1;       // the first byte of each result
    void (*before)(void) = nullptr;  // called as each computation begins

    // What the provider tells, under the mutex.
    int holding = 0;   // computations that wait now
    int computed = 0;  // computations that have ended
    int contexts = 0;  // operation contexts that live
    int providers = 0;
    int queries = 0;
    int unqueries = 0;
    int used_after_teardown = 0;
    std::thread::id thread;  // of the last computation
};

}  // namespace test_inner

// The module's only one; found with dlsym().
extern "C" test_inner::Control* test_inner_control();
