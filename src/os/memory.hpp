// SPDX-License-Identifier: Apache-2.0
// Memory for stacks and job headers, from the operating system: map, guard, unmap.
//
// Owner: stack.cpp and job.cpp. Threads: any. Next layer down: the kernel.
#pragma once

#include <cstddef>

namespace asyncjob::os {

// Bytes in a page.
[[nodiscard]] std::size_t page_size() noexcept;

// Maps `size` bytes (a multiple of the page size) of zeroed memory whose pages become
// resident when touched and are never joined to huge pages. NULL if it cannot be had.
[[nodiscard]] std::byte* map(std::size_t size) noexcept;

void unmap(std::byte* address, std::size_t size) noexcept;

enum class Guard {
    marker,   // MADV_GUARD_INSTALL: no mapping of its own, so any number of them
    mapping,  // mprotect(PROT_NONE): splits the mapping, which vm.max_map_count limits
    refused,  // neither
};

// Makes `size` bytes (whole pages) fault on every access, by the first method that this
// kernel allows for this memory.
[[nodiscard]] Guard guard(std::byte* address, std::size_t size) noexcept;

// Gives the resident pages of a range back; it reads as zero afterwards. Guards stay.
void discard(std::byte* address, std::size_t size) noexcept;

}  // namespace asyncjob::os
