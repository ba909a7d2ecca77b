// SPDX-License-Identifier: Apache-2.0
// libcrypto, if the process has one: its error queue (S28) and each thread's default
// OSSL_LIB_CTX (S15). No other file knows of it, and without it all this does nothing.
//
// Owner: capi.cpp and thread_state.cpp. Threads: any.
// Next layer down: libcrypto, found at run time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace asyncjob::host {

// Looks for a libcrypto that has come into the process since the last look. Called when a
// thread starts to use jobs and, if libraries have been loaded, as it makes more of them;
// never at a switch. False if there is one, and no memory for what is known of it.
[[nodiscard]] bool look_around() noexcept;

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

// libcrypto's functions for a thread's error queue, from 3.0 on; see <openssl/err.h>.
struct ErrorCalls {
    void (*make)();  // ERR_new
    void (*set_debug)(const char* file, int line, const char* function);
    void (*set_error)(int lib, int reason, const char* format, ...);
    void (*set_data)(char* data, int flags);  // ERR_set_error_data
    unsigned long (*peek)();                  // ERR_peek_error
    unsigned long (*peek_all)(const char** file, int* line, const char** function,
                              const char** data, int* flags);  // ERR_peek_error_all
    unsigned long (*get)();                                    // ERR_get_error
    int (*set_mark)();
    int (*pop_to_mark)();
    int (*clear_last_mark)();
    void* (*allocate)(std::size_t size, const char* file, int line);  // CRYPTO_malloc
    void (*release)(void* memory, const char* file, int line);        // CRYPTO_free
    int (*count_to_mark)();  // from 3.2 on; NULL where there is none, and the next one too
    void* (*get_state)();    // ERR_get_state
};

// NULL without such a libcrypto.
[[nodiscard]] const ErrorCalls* error_calls() noexcept;

}  // namespace asyncjob::host
