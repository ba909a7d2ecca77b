// SPDX-License-Identifier: Apache-2.0
// Guarded stacks, cut from slabs, and the user's memory functions in place of them.
//
// A slab is one mapping for many stacks. Each stack is `stack_size` bytes of address space,
// the lowest part being its guard, which is made when the stack is first cut; the pages
// above become resident as they are touched. Tops are coloured: staggered by cache lines,
// so that the first frames of many parked jobs do not compete for the same cache sets.
//
// Invariants: a slab is in its source's list `open_` while it has a stack to give, in `full_`
// otherwise; a slab without a stack in use is unmapped.
//
// Owner: job_pool.hpp, one source per thread. Threads: a source belongs to its thread; the
// memory functions are the process's. Next layer down: os/memory.hpp.
#pragma once

#include <cstddef>

#include "reason.hpp"

namespace asyncjob {

// Bytes of address space of a stack, its guard included.
inline constexpr std::size_t stack_size = std::size_t{128} * 1024;

// Bytes of the guard: more than a page, so that few frames are large enough to step over it.
inline constexpr std::size_t guard_size = std::size_t{32} * 1024;

// The least that a user's allocation function may give.
inline constexpr std::size_t smallest_stack = std::size_t{16} * 1024;

struct Slab;

struct Stack {
    std::byte* low;   // lowest usable address
    std::byte* high;  // end of the usable part; 64-byte aligned, coloured
    Slab* slab;       // where it was cut from; NULL: by the user's allocation function
};

class StackSource {
  public:
    // Makes a stack. Fails with no_memory, no_stack, no_guard or stack_too_small.
    Reason take(Stack& stack) noexcept;

    // Gives a stack back, and its memory to the system.
    void give(const Stack& stack) noexcept;

    // For a thread that ends: forgets slabs that have stacks in use for ever.
    void forget() noexcept { *this = StackSource{}; }

  private:
    Reason add_slab() noexcept;

    Slab* open_ = nullptr;
    Slab* full_ = nullptr;
    std::size_t next_count_ = first_slab;

    static constexpr std::size_t first_slab = 8;       // 1 MiB of address space
    static constexpr std::size_t largest_slab = 1024;  // 128 MiB
};

// S17. Both functions, or two NULLs for the library's own.
Reason set_stack_functions(ASYNC_stack_alloc_fn allocate, ASYNC_stack_free_fn release) noexcept;
void get_stack_functions(ASYNC_stack_alloc_fn* allocate, ASYNC_stack_free_fn* release) noexcept;

}  // namespace asyncjob
