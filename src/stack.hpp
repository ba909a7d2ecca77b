// SPDX-License-Identifier: Apache-2.0
// Guarded stacks, cut from slabs, and the user's memory functions in place of them.
//
// A slab is one mapping for many stacks. The lowest part of each is its guard; guards are made
// some at a time, before the stacks above them are used. The pages above become resident as they
// are touched. Tops are coloured: staggered by cache lines, so that the first frames of many
// parked jobs do not compete for the same cache sets.
//
// A slab's addresses are the library's for ever. Once none of its stacks is in use it is
// retired: memory, page tables and guards go back, in one system call, and what is looked at
// there reads as zero. Whoever puts something at the top of a stack that may be looked at after
// the stack was given back relies on this (job.hpp), and may leave a number with the stack.
//
// Invariants: a slab is in its source's list `open_` while it has a stack to give, in `full_`
// otherwise, in `retired_` while no stack is in use.
//
// Owner: job_pool.hpp, one source per thread. Threads: a source belongs to its thread; the
// memory functions are the process's, and so are the slabs that ended threads have retired.
// Next layer down: os/memory.hpp.
#pragma once

#include <cstddef>

#include "reason.hpp"

namespace asyncjob {

// Bytes of the guard: arch::least_guard, a page at least.
[[nodiscard]] std::size_t guard_size() noexcept;

// What the stacks of a source are like.
struct StackShape {
    // Bytes that a job's frames may use, as round_stack_size() makes them; in a slab a page comes
    // to them, for a header and the stagger of the tops.
    std::size_t usable = std::size_t{96} * 1024;
    bool is_guarded = true;

    [[nodiscard]] bool operator==(const StackShape&) const = default;

    // Of address space, without that page. It is what a user's allocation function is asked for.
    [[nodiscard]] std::size_t with_guard() const { return usable + guard_size(); }
};

// To an even number of pages: with guard and header they are an odd one then, and stacks do not
// follow each other at a power of two.
[[nodiscard]] std::size_t round_stack_size(std::size_t bytes) noexcept;

// The most that a job may have. Stacks are for frames; tables go elsewhere.
inline constexpr std::size_t largest_stack = std::size_t{1024} * 1024 * 1024;

// The least that a job may have, and that a user's allocation function may give: a signal's frame
// takes up to 11 KiB on processors with tile registers (AMX), and the job's own come to it.
inline constexpr std::size_t smallest_stack = std::size_t{16} * 1024;

struct Slab;

struct Stack {
    std::byte* low;   // lowest usable address
    std::byte* high;  // end of the usable part; 64-byte aligned, coloured
    Slab* slab;       // where it was cut from; NULL: by the user's allocation function
};

// A stack in a slab, as its guard finds it.
struct GuardedStack {
    std::byte* low;
    std::byte* high;
    std::size_t usable;  // see StackShape
};

// The stack, in use or not, whose guard has the address. Any thread, and in signal handlers: it
// takes no lock.
[[nodiscard]] bool find_by_guard(const void* address, GuardedStack& found) noexcept;

class StackSource {
  public:
    // Sets the shape of the stacks to come. While none is in use.
    void set_shape(const StackShape& shape) noexcept;
    [[nodiscard]] const StackShape& shape() const { return shape_; }

    // Makes a stack. `left` becomes the number that was left with it, 0 to 127, 0 at first; not
    // for stacks of the user's functions. Fails with no_memory, no_stack, no_guard,
    // no_addresses, no_mappings or stack_too_small.
    Reason take(Stack& stack, unsigned& left) noexcept;

    // Gives a stack back. The memory of stacks in a slab goes back to the system with that of
    // others, soon.
    void give(const Stack& stack, unsigned left) noexcept;

    // Gives all memory back that give() has kept.
    void tidy() noexcept;

    // The same, and slabs that no stack is in use of to whoever needs one.
    void settle() noexcept;

    // For a thread that ends: settles, and forgets the slabs that are in use for ever.
    void leave() noexcept;

  private:
    Reason open_slab() noexcept;
    [[nodiscard]] Slab* take_retired() noexcept;
    static Reason guard_more(Slab& slab) noexcept;
    void forget(Slab* slab) noexcept;
    void retire(Slab* slab) noexcept;
    static void discard(Slab& slab) noexcept;

    StackShape shape_;
    Slab* open_ = nullptr;
    Slab* full_ = nullptr;
    Slab* retired_ = nullptr;
    std::size_t next_count_ = first_slab;

    // Stacks in a slab; fewer where they are larger than usual.
    static constexpr std::size_t first_slab = 8;       // 1 MiB of address space
    static constexpr std::size_t largest_slab = 1024;  // 128 MiB
    // Where addresses have 32 bits they are too few for more.
    static constexpr std::size_t largest_slab_bytes =
        std::size_t{sizeof(void*) == 8 ? 256 : 16} * 1024 * 1024;
};

// S17. Both functions, or two NULLs for the library's own.
Reason set_stack_functions(ASYNC_stack_alloc_fn allocate, ASYNC_stack_free_fn release) noexcept;
void get_stack_functions(ASYNC_stack_alloc_fn* allocate, ASYNC_stack_free_fn* release) noexcept;

}  // namespace asyncjob
