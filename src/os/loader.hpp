// SPDX-License-Identifier: Apache-2.0
// Looking into what the dynamic loader has in the process.
//
// The loader has locks that a fork leaves as they are: a child whose parent was looking
// something up on another thread could never look up anything. Lookups here hold a lock of
// this library's that a fork waits for.
//
// Owner: host.cpp, fiber.cpp. Threads: any. Next layer down: libc.
#pragma once

namespace asyncjob::os {

// A handle of a shared library that is in the process already, to be kept for good; NULL if
// it is not. With name NULL the program's global scope.
[[nodiscard]] void* loaded_library(const char* name) noexcept;

// The address of a symbol, or NULL.
[[nodiscard]] void* find_symbol(void* library, const char* name) noexcept;

// The same, of the next library behind this one in the global scope.
[[nodiscard]] void* find_next_symbol(const char* name) noexcept;

}  // namespace asyncjob::os
