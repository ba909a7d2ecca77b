// SPDX-License-Identifier: Apache-2.0
// Looking into what the dynamic loader has in the process.
//
// The loader has locks that a fork leaves as they are: a child whose parent was looking
// something up on another thread must not look up anything, and is told so here. No lock of
// ours is held meanwhile, since a library's constructor, which runs under the loader's lock,
// may use jobs or fork.
//
// Owner: host.cpp, fiber.cpp, thread_state.cpp, dump.cpp, overflow.cpp. Threads: any. Next layer
// down: libc.
#pragma once

#include <cstddef>

namespace asyncjob::os {

// How many libraries have been loaded so far: when it has not changed, nothing new can be
// found. 0 if lookups are not possible.
[[nodiscard]] unsigned long long libraries_loaded() noexcept;

// A handle of a shared library that is in the process already, to be kept for good; NULL if
// it is not. With name NULL the program's global scope.
[[nodiscard]] void* loaded_library(const char* name) noexcept;

// The same for the first library whose file name begins with `prefix`.
[[nodiscard]] void* loaded_library_like(const char* prefix) noexcept;

// The address of a symbol, or NULL. With a version, what a reference of that version is bound to:
// one of the same version or of none, as preloaded libraries have it.
[[nodiscard]] void* find_symbol(void* library, const char* name,
                                const char* version = nullptr) noexcept;

// The same, of the next library behind this one in the scope that this one is in.
[[nodiscard]] void* find_next_symbol(const char* name, const char* version = nullptr) noexcept;

// The same, in the scope of the library that has `address`.
[[nodiscard]] void* find_symbol_from(const void* address, const char* name,
                                     const char* version = nullptr) noexcept;

// Whether two addresses are in shared libraries, and not in the same one; false where that cannot
// be told.
[[nodiscard]] bool are_in_two_libraries(const void* one, const void* other) noexcept;

// What stands at an address of code: the name of its function, or where that is not exported of
// its file; NULL if it is in none. The name lives as long as the library is there.
struct Symbol {
    const char* name;
    std::size_t offset;
};
[[nodiscard]] Symbol symbol_at(const void* address) noexcept;

// The same for handlers of signals that may have interrupted anything, the loader too: takes no
// lock, and allocates nothing. The address is in code that is running, so its library stays. To
// be prepared outside of handlers. NULL where libc cannot (it is older than glibc 2.35, or
// another).
void prepare_symbols_in_handlers() noexcept;
[[nodiscard]] Symbol symbol_in_handler(const void* address) noexcept;

// Keeps the library or program that has `address` in the process for good.
void keep_loaded(const void* address) noexcept;

}  // namespace asyncjob::os
