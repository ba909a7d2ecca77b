// SPDX-License-Identifier: Apache-2.0
// Stacks. Contract and invariants: stack.hpp.
#include "stack.hpp"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>

#include "os/fork_lock.hpp"
#include "os/memory.hpp"

namespace asyncjob {

// The descriptor of a mapping. Behind it stand `count` numbers: a stack of the indices that
// were given back.
struct Slab {
    Slab* next;
    Slab* previous;
    std::byte* base;
    std::uint32_t count;   // stacks in the mapping
    std::uint32_t cut;     // stacks that have been cut, the first `cut` of them
    std::uint32_t in_use;  // stacks with a job
    std::uint32_t given_back;

    std::uint32_t* free_indices() { return reinterpret_cast<std::uint32_t*>(this + 1); }
    [[nodiscard]] bool has_room() const { return given_back > 0 || cut < count; }
};

namespace {

// 48 steps of a cache line keep the first frames within the top page. Measured on 100,000
// parked jobs; an irregular pattern was worse.
constexpr std::uint32_t colours = 48;
constexpr std::size_t cache_line = 64;

void link(Slab*& head, Slab* slab) {
    slab->previous = nullptr;
    slab->next = head;
    if (head != nullptr)
        head->previous = slab;
    head = slab;
}

void unlink(Slab*& head, Slab* slab) {
    if (slab->previous != nullptr)
        slab->previous->next = slab->next;
    else
        head = slab->next;
    if (slab->next != nullptr)
        slab->next->previous = slab->previous;
}

// The user's memory functions: both NULL, or both set. Frozen by the first stack (S17).
os::ForkLock functions_lock;
ASYNC_stack_alloc_fn set_allocate = nullptr;
ASYNC_stack_free_fn set_release = nullptr;
std::atomic<bool> frozen = false;

__attribute__((constructor)) void start() {
    os::follow_forks<functions_lock>();
}

void freeze_functions() {
    if (frozen.load(std::memory_order_acquire)) [[likely]]
        return;
    const os::ForkLock::Guard guard(functions_lock);
    frozen.store(true, std::memory_order_release);
}

// The library's own functions, for a user's that wrap them: a mapping for each stack, with
// a page for its size at the low end and a guard above that.
void* own_allocate(std::size_t* size) {
    const std::size_t page = os::page_size();
    if (size == nullptr || *size > std::numeric_limits<std::size_t>::max() - 2 * page - guard_size)
        return nullptr;
    const std::size_t usable = (*size + page - 1) / page * page;
    const std::size_t whole = page + guard_size + usable;
    std::byte* const base = os::map(whole);
    if (base == nullptr)
        return nullptr;
    if (os::guard(base + page, guard_size) == os::Guard::refused) {
        os::unmap(base, whole);
        return nullptr;
    }
    new (base) std::size_t(whole);
    *size = usable;
    return base + page + guard_size;
}

void own_release(void* address) {
    if (address == nullptr)
        return;
    std::byte* const base = static_cast<std::byte*>(address) - guard_size - os::page_size();
    os::unmap(base, *reinterpret_cast<std::size_t*>(base));
}

Reason allocate_by_user(Stack& stack) {
    std::size_t size = stack_size;
    void* const address = set_allocate(&size);
    if (address == nullptr)
        return Reason::no_stack;
    if (size < smallest_stack) {
        set_release(address);
        return Reason::stack_too_small;
    }
    stack.low = static_cast<std::byte*>(address);
    std::byte* const end = stack.low + size;
    stack.high = end - reinterpret_cast<std::uintptr_t>(end) % cache_line;
    stack.slab = nullptr;
    return Reason::none;
}

std::byte* slot_of(const Slab& slab, std::uint32_t index) {
    return slab.base + std::size_t{index} * stack_size;
}

}  // namespace

Reason StackSource::add_slab() noexcept {
    // Where address space is short (RLIMIT_AS), a smaller slab may still do.
    for (std::size_t count = next_count_; count > 0; count /= 2) {
        std::byte* const base = os::map(count * stack_size);
        if (base == nullptr)
            continue;
        void* const memory = std::malloc(sizeof(Slab) + count * sizeof(std::uint32_t));
        if (memory == nullptr) {
            os::unmap(base, count * stack_size);
            return Reason::no_memory;
        }
        auto* slab = new (memory) Slab{};
        slab->base = base;
        slab->count = static_cast<std::uint32_t>(count);
        link(open_, slab);
        next_count_ = count < largest_slab ? count * 2 : largest_slab;
        return Reason::none;
    }
    return Reason::no_stack;
}

Reason StackSource::take(Stack& stack) noexcept {
    freeze_functions();
    if (set_allocate != nullptr)
        return allocate_by_user(stack);

    if (open_ == nullptr) {
        const Reason reason = add_slab();
        if (reason != Reason::none)
            return reason;
    }
    Slab& slab = *open_;
    std::uint32_t index = 0;
    if (slab.given_back > 0) {
        index = slab.free_indices()[--slab.given_back];
    } else {
        index = slab.cut;
        if (os::guard(slot_of(slab, index), guard_size) == os::Guard::refused) {
            if (slab.in_use == 0) {
                unlink(open_, &slab);
                os::unmap(slab.base, slab.count * stack_size);
                std::free(&slab);
            }
            return Reason::no_guard;
        }
        ++slab.cut;
    }
    ++slab.in_use;
    if (!slab.has_room()) {
        unlink(open_, &slab);
        link(full_, &slab);
    }

    std::byte* const slot = slot_of(slab, index);
    stack.low = slot + guard_size;
    stack.high = slot + stack_size - (index % colours) * cache_line;
    stack.slab = &slab;
    return Reason::none;
}

void StackSource::give(const Stack& stack) noexcept {
    if (stack.slab == nullptr) {
        set_release(stack.low);
        return;
    }
    Slab& slab = *stack.slab;
    const bool had_room = slab.has_room();
    if (--slab.in_use == 0) {
        unlink(had_room ? open_ : full_, &slab);
        os::unmap(slab.base, slab.count * stack_size);
        std::free(&slab);
        return;
    }
    const auto offset = static_cast<std::size_t>(stack.low - slab.base);
    slab.free_indices()[slab.given_back++] = static_cast<std::uint32_t>(offset / stack_size);
    if (!had_room) {
        unlink(full_, &slab);
        link(open_, &slab);
    }
    os::discard(stack.low, static_cast<std::size_t>(stack.high - stack.low));
}

Reason set_stack_functions(ASYNC_stack_alloc_fn allocate, ASYNC_stack_free_fn release) noexcept {
    if ((allocate == nullptr) != (release == nullptr))
        return Reason::null_argument;
    const os::ForkLock::Guard guard(functions_lock);
    if (frozen.load(std::memory_order_relaxed))
        return Reason::stacks_in_use;
    set_allocate = allocate;
    set_release = release;
    return Reason::none;
}

void get_stack_functions(ASYNC_stack_alloc_fn* allocate, ASYNC_stack_free_fn* release) noexcept {
    const os::ForkLock::Guard guard(functions_lock);
    const bool own = set_allocate == nullptr;
    if (allocate != nullptr)
        *allocate = own ? own_allocate : set_allocate;
    if (release != nullptr)
        *release = own ? own_release : set_release;
}

}  // namespace asyncjob
