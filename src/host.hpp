// SPDX-License-Identifier: Apache-2.0
// libcrypto, if the process has one: its error queue (S28) and each thread's default
// OSSL_LIB_CTX (S15). No other file knows of it, and without it all this does nothing.
//
// Owner: capi.cpp and thread_state.cpp. Threads: any.
// Next layer down: libcrypto, found at run time.
#pragma once

#include <cstdint>

namespace asyncjob::host {

// Looks for a libcrypto that has come into the process since the last look. Called when a
// thread starts to use jobs and, if libraries have been loaded, as it makes more of them;
// never at a switch.
void look_around() noexcept;

// Puts a reason on libcrypto's error queue, as raised by a function of the public interface.
void raise(int reason, const char* function) noexcept;

// Nothing is asked of libcrypto at a switch. As long as the calling thread has no default
// library context but the process's, for which NULL stands, there is nothing to carry; from
// then on, or where that cannot be seen (see host.cpp), `bit` is set in `flags`. Both stay the
// thread's until it ends or follows with other flags.
void follow_lib_ctx(std::uint32_t* flags, std::uint32_t bit) noexcept;

// The calling thread's default.
[[nodiscard]] void* lib_ctx() noexcept;

// Makes `ctx` (NULL: the process's) the calling thread's default, and returns what was.
[[nodiscard]] void* exchange_lib_ctx(void* ctx) noexcept;

}  // namespace asyncjob::host
