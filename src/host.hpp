// SPDX-License-Identifier: Apache-2.0
// libcrypto, if the process has one: its error queue (S28) and each thread's default
// OSSL_LIB_CTX (S15). No other file knows of it, and without it all this does nothing.
//
// Owner: capi.cpp and thread_state.cpp. Threads: any; `lib_ctx` is the calling thread's.
// Next layer down: libcrypto, found at run time.
#pragma once

#include <atomic>

namespace asyncjob::host {

// Looks for a libcrypto that has come into the process since the last look. Called when a
// thread starts to use jobs and, if libraries have been loaded, as it makes more of them;
// never at a switch.
void look_around() noexcept;

// Puts a reason on libcrypto's error queue, as raised by a function of the public interface.
void raise(int reason, const char* function) noexcept;

// The calling thread's default library context; NULL stands for the process's. Kept up to
// date by seeing the changes, see host.cpp, so that a switch compares and calls nothing.
extern constinit thread_local void* lib_ctx;

// Whether changes cannot be seen here, so that refresh_lib_ctx() must be called before
// `lib_ctx` is read.
extern std::atomic<bool> lib_ctx_unseen;

void refresh_lib_ctx() noexcept;

// Makes `ctx` (NULL: the process's) the calling thread's default.
void set_lib_ctx(void* ctx) noexcept;

}  // namespace asyncjob::host
