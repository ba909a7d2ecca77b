// SPDX-License-Identifier: Apache-2.0
// asyncjob_thread_options of the public interface, to and from what the pool has. Structs that
// grow are here too: how one of another version of the header is read and written.
//
// Owner: capi_options.cpp and others that have such a struct. Threads: any. Next layer down:
// job_pool.hpp.
#pragma once

#include <cstddef>

#include "api.hpp"
#include "job_pool.hpp"
#include "reason.hpp"

namespace asyncjob {

// Checks what the user gave. `to` is changed on success only.
Reason read_options(const asyncjob_thread_options& from, PoolOptions& to) noexcept;

[[nodiscard]] asyncjob_thread_options show_options(const PoolOptions& options) noexcept;

// Writes as much of a struct as the user's version of it has. `least` is the first version's size.
Reason give_struct(void* to, std::size_t size, const void* from, std::size_t known,
                   std::size_t least) noexcept;

}  // namespace asyncjob
