// SPDX-License-Identifier: Apache-2.0
// What the conformance tests share. They are one source for two implementations: libcrypto's
// own, which is the oracle, and asyncjob; so they use <openssl/async.h> alone and stay clear
// of every input that libcrypto does not survive.
//
// libcrypto's job stacks have 32 KiB and nothing behind them: keep job functions shallow.
#pragma once

#include <openssl/async.h>

#include <thread>
#include <vector>

#if defined(CONFORMANCE_COMPAT) != defined(ASYNCJOB_STACK_FUNCTIONS)
#error "<openssl/async.h> is not the header that this build is for"
#endif

namespace conformance {

// Not a result of any job here: shows that a call left the result alone.
inline constexpr int untouched = -77;

// A handle with its result, resumed with nothing but the handle.
struct Job {
    ASYNC_JOB* handle = nullptr;
    int result = untouched;

    int start(ASYNC_WAIT_CTX* ctx, int (*function)(void*), const void* args = nullptr,
              size_t size = 0) {
        return ASYNC_start_job(&handle, ctx, &result, function, const_cast<void*>(args), size);
    }

    // The function gets a pointer to a pointer to `state`, see state_of().
    template <typename State>
    int start_on(ASYNC_WAIT_CTX* ctx, int (*function)(void*), State& state) {
        State* const pointer = &state;
        return start(ctx, function, &pointer, sizeof(pointer));
    }

    int resume() { return ASYNC_start_job(&handle, nullptr, &result, nullptr, nullptr, 0); }
};

template <typename State>
State& state_of(void* args) {
    return **static_cast<State**>(args);
}

inline ASYNC_WAIT_CTX* current_ctx() {
    return ASYNC_get_wait_ctx(ASYNC_get_current_job());
}

// A context for one test.
struct Ctx {
    ASYNC_WAIT_CTX* const get = ASYNC_WAIT_CTX_new();

    Ctx() = default;
    Ctx(const Ctx&) = delete;
    Ctx& operator=(const Ctx&) = delete;
    ~Ctx() { ASYNC_WAIT_CTX_free(get); }
};

// Runs what needs a thread without a pool, as each thread has its pool once.
template <typename Function>
void on_new_thread(Function function) {
    std::thread(function).join();
}

inline int pause_once(void*) {
    return ASYNC_pause_job();
}

inline int return_at_once(void*) {
    return 0;
}

using Fds = std::vector<OSSL_ASYNC_FD>;

inline Fds all_fds(ASYNC_WAIT_CTX* ctx) {
    size_t count = 0;
    if (ASYNC_WAIT_CTX_get_all_fds(ctx, nullptr, &count) != 1)
        return {untouched};
    Fds fds(count);
    if (ASYNC_WAIT_CTX_get_all_fds(ctx, fds.data(), &count) != 1)
        return {untouched};
    return fds;
}

struct Changes {
    Fds added;
    Fds deleted;

    bool operator==(const Changes&) const = default;
};

inline Changes changed_fds(ASYNC_WAIT_CTX* ctx) {
    size_t added = 0;
    size_t deleted = 0;
    if (ASYNC_WAIT_CTX_get_changed_fds(ctx, nullptr, &added, nullptr, &deleted) != 1)
        return {{untouched}, {untouched}};
    Changes changes{Fds(added), Fds(deleted)};
    if (ASYNC_WAIT_CTX_get_changed_fds(ctx, changes.added.data(), &added, changes.deleted.data(),
                                       &deleted) != 1)
        return {{untouched}, {untouched}};
    return changes;
}

// Addresses to use as keys.
inline const char keys[8] = {};

}  // namespace conformance
