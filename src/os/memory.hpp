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

// Gives a whole mapping's memory, page tables and guards back, but keeps its addresses, which
// read as zero and cannot be written. False if the system cannot: older kernels may have taken
// the mapping away by then, which is_mapped() tells.
[[nodiscard]] bool retire(std::byte* address, std::size_t size) noexcept;

[[nodiscard]] bool is_mapped(std::byte* address, std::size_t size) noexcept;

// Makes retired addresses as map() would return them. False, and nothing has changed, if memory
// cannot be had or the mapping is not there.
[[nodiscard]] bool revive(std::byte* address, std::size_t size) noexcept;

// What a mapping or its change is refused for, with ENOMEM in each case.
enum class Shortage {
    memory,     // or what the system promises of it
    addresses,  // RLIMIT_AS
    mappings,   // vm.max_map_count
};

// Why `size` bytes could not be mapped or guarded, to be asked right after the refusal. Some system
// calls; other threads may have changed the matter meanwhile.
[[nodiscard]] Shortage why_refused(std::size_t size) noexcept;

enum class Guard {
    marker,   // MADV_GUARD_INSTALL: no mapping of its own, so any number of them
    mapping,  // mprotect(PROT_NONE): splits the mapping, which vm.max_map_count limits
    refused,  // neither
};

// Makes `size` bytes (whole pages) fault on every access, by the first method that this
// kernel allows for this memory.
[[nodiscard]] Guard guard(std::byte* address, std::size_t size) noexcept;

// A part of the address space.
struct Range {
    std::byte* address;
    std::size_t size;
};

// Makes guards of ranges by markers, many in a system call. Returns how many of the first have
// theirs; 0 where that is not possible, and guard() may be.
[[nodiscard]] std::size_t guard_many(const Range* ranges, std::size_t count) noexcept;

// The lowest address in a part of the address space whose page is resident; its end if none is.
[[nodiscard]] std::byte* lowest_resident(std::byte* low, std::byte* high) noexcept;

// Copies what another thread may be changing, or may have unmapped: the kernel does it. False if
// it cannot, or has to do it through a pipe and there are no fds, or more than PIPE_BUF bytes. May
// be called in a signal handler.
[[nodiscard]] bool copy_memory(void* to, const void* from, std::size_t size) noexcept;

// Gives the resident pages of ranges back, which read as zero afterwards. Guards stay.
void discard_many(const Range* ranges, std::size_t count) noexcept;

}  // namespace asyncjob::os
