// SPDX-License-Identifier: Apache-2.0
// Stacks. Contract and invariants: stack.hpp.
#include "stack.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <utility>

#include "arch/guard.hpp"
#include "os/fork_lock.hpp"
#include "os/memory.hpp"
#include "sanitizer.hpp"

namespace asyncjob {

// The descriptor of a mapping. Behind it stand `count` indices, a stack of those that were given
// back, and `count` notes, one for each stack.
struct Slab {
    Slab* next;
    Slab* previous;
    Slab* known_before;  // in the list of all that are known
    std::byte* base;
    std::uint32_t count;    // stacks in the mapping
    std::uint32_t guarded;  // stacks with guards, the first `guarded` of them
    std::uint32_t cut;      // stacks that have been taken at some time, the first `cut`
    std::uint32_t in_use;
    std::uint32_t given_back;
    std::uint32_t touched;  // of those given back, how many may have resident pages
    bool is_known;          // a stack has been taken from it at some time
    bool is_to_retire;      // in left_over: it could not be
    StackShape shape;       // for ever: of headers at stale handles nothing else may be made
    std::size_t stride;     // bytes from one stack to the next

    static constexpr unsigned is_touched = 128;  // in a note, beside what was left with the stack

    [[nodiscard]] std::uint32_t* free_indices() {
        return reinterpret_cast<std::uint32_t*>(this + 1);
    }
    [[nodiscard]] std::uint8_t* notes() {
        return reinterpret_cast<std::uint8_t*>(free_indices() + count);
    }
    [[nodiscard]] bool has_room() const { return given_back > 0 || cut < count; }
    [[nodiscard]] std::byte* slot(std::size_t index) const { return base + index * stride; }
    [[nodiscard]] std::size_t size() const { return count * stride; }
    [[nodiscard]] std::size_t guard() const { return shape.is_guarded ? guard_size() : 0; }
    [[nodiscard]] std::byte* low(std::size_t index) const { return slot(index) + guard(); }
    [[nodiscard]] std::byte* high(std::size_t index) const;

    // Nothing is in it.
    void become_new() {
        guarded = shape.is_guarded ? 0 : count;
        cut = 0;
        given_back = 0;
        touched = 0;
    }
};

namespace {

// 48 steps of a cache line keep the first frames within the top page. Measured on 100,000
// parked jobs; an irregular pattern was worse.
constexpr std::uint32_t colours = 48;
constexpr std::size_t cache_line = 64;

// Guards made at a time: with more the time for one hardly falls (0.9 us alone, 0.55 in 64s).
constexpr std::size_t guards_at_once = 64;

// How many stacks of a slab may be given back before their pages are: a quarter; and of stacks that
// are larger than usual as many as cannot hold more memory than those of the usual size.
constexpr std::uint32_t untidy(const Slab& slab) {
    const std::size_t usual = std::max<std::size_t>(32, slab.count / 4);
    const std::size_t of_this_size = usual * StackShape{}.usable / slab.shape.usable;
    return static_cast<std::uint32_t>(std::clamp<std::size_t>(of_this_size, 1, usual));
}

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

}  // namespace

std::byte* Slab::high(std::size_t index) const {
    return slot(index) + stride - (index % colours) * cache_line;
}

namespace {

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
    const std::size_t guard = guard_size();
    if (size == nullptr || *size > std::numeric_limits<std::size_t>::max() - 2 * page - guard)
        return nullptr;
    const std::size_t usable = (*size + page - 1) / page * page;
    const std::size_t whole = page + guard + usable;
    std::byte* const base = os::map(whole);
    if (base == nullptr)
        return nullptr;
    if (os::guard(base + page, guard) == os::Guard::refused) {
        os::unmap(base, whole);
        return nullptr;
    }
    new (base) std::size_t(whole);
    *size = usable;
    return base + page + guard;
}

void own_release(void* address) {
    if (address == nullptr)
        return;
    std::byte* const base = static_cast<std::byte*>(address) - guard_size() - os::page_size();
    os::unmap(base, *reinterpret_cast<std::size_t*>(base));
}

// Not a power of two, else the parts that jobs use would share a few sets of the caches and of
// the TLB.
std::size_t stride_of(const StackShape& shape) {
    return (shape.is_guarded ? guard_size() : 0) + round_stack_size(shape.usable) + os::page_size();
}

// Why a mapping of this size was refused.
Reason no_mapping(std::size_t size) {
    switch (os::why_refused(size)) {
        case os::Shortage::addresses:
            return Reason::no_addresses;
        case os::Shortage::mappings:
            return Reason::no_mappings;
        default:
            return Reason::no_stack;
    }
}

Reason allocate_by_user(Stack& stack, const StackShape& shape) {
    std::size_t size = shape.with_guard();
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

// Retired slabs of threads that have ended, and empty ones that could not be retired. Taken as a
// whole, so there is no ABA.
std::atomic<Slab*> left_over = nullptr;
std::atomic<std::size_t> to_retire = 0;  // how many of them are such

// Slabs with jobs that ended threads have left paused: never looked at again, but not leaked.
std::atomic<Slab*> lost = nullptr;

// All slabs that a stack was ever taken from, whose addresses and descriptors stay.
std::atomic<Slab*> known = nullptr;

void make_known(Slab& slab) {
    slab.is_known = true;
    slab.known_before = known.load(std::memory_order_relaxed);
    while (!known.compare_exchange_weak(slab.known_before, &slab, std::memory_order_release,
                                        std::memory_order_relaxed)) {
    }
}

// Puts a list of slabs in front of one that threads share.
void give_to(std::atomic<Slab*>& list, Slab* first) {
    if (first == nullptr)
        return;
    Slab* last = first;
    while (last->next != nullptr)
        last = last->next;
    sanitizer::gives(&list);
    last->next = list.load(std::memory_order_relaxed);
    while (!list.compare_exchange_weak(last->next, first, std::memory_order_release,
                                       std::memory_order_relaxed)) {
    }
}

// A slab of left_over that is to be retired no more.
void note_retired(Slab& slab) {
    if (std::exchange(slab.is_to_retire, false))
        to_retire.fetch_sub(1, std::memory_order_relaxed);
}

// Tries again what could not be done when their threads ended.
void retire_left_over() {
    if (to_retire.load(std::memory_order_relaxed) == 0)
        return;
    Slab* const all = left_over.exchange(nullptr, std::memory_order_acquire);
    sanitizer::takes(&left_over);
    for (Slab* slab = all; slab != nullptr; slab = slab->next) {
        if (slab->is_to_retire && os::retire(slab->base, slab->size()))
            note_retired(*slab);
    }
    give_to(left_over, all);
}

}  // namespace

std::size_t guard_size() noexcept {
    return std::max(arch::least_guard, os::page_size());
}

std::size_t round_stack_size(std::size_t bytes) noexcept {
    const std::size_t step = 2 * os::page_size();
    return (bytes + step - 1) / step * step;
}

bool find_by_guard(const void* address, GuardedStack& found) noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    for (const Slab* slab = known.load(std::memory_order_acquire); slab != nullptr;
         slab = slab->known_before) {
        const std::uintptr_t offset = at - reinterpret_cast<std::uintptr_t>(slab->base);
        if (offset >= slab->size() || offset % slab->stride >= slab->guard())
            continue;
        const std::size_t index = offset / slab->stride;
        found = {slab->low(index), slab->high(index), slab->shape.usable};
        return true;
    }
    return false;
}

// Slabs that are in use belong to jobs that are none of the source's any more.
void StackSource::set_shape(const StackShape& shape) noexcept {
    if (shape == shape_)
        return;
    leave();
    shape_ = shape;
}

// Of the shape that is needed now; NULL if there is none.
Slab* StackSource::take_retired() noexcept {
    if (retired_ == nullptr) {
        // In their order: small slabs, which are sooner empty, stay before large ones.
        Slab* others = nullptr;
        Slab** last_own = &retired_;
        Slab** last_other = &others;
        Slab* slab = left_over.exchange(nullptr, std::memory_order_acquire);
        sanitizer::takes(&left_over);
        while (slab != nullptr) {
            Slab**& last = slab->shape == shape_ ? last_own : last_other;
            *last = slab;
            last = &slab->next;
            slab = slab->next;
        }
        *last_own = nullptr;
        *last_other = nullptr;
        give_to(left_over, others);
    }
    Slab* const slab = retired_;
    if (slab == nullptr || !os::revive(slab->base, slab->size()))
        return nullptr;
    retired_ = slab->next;
    note_retired(*slab);
    return slab;
}

Reason StackSource::open_slab() noexcept {
    if (Slab* const slab = take_retired(); slab != nullptr) {
        link(open_, slab);
        return Reason::none;
    }
    const std::size_t stride = stride_of(shape_);
    const std::size_t most = std::max<std::size_t>(1, largest_slab_bytes / stride);
    // Where address space is short (RLIMIT_AS), a smaller slab may still do.
    for (std::size_t count = std::min(next_count_, most); count > 0; count /= 2) {
        std::byte* const base = os::map(count * stride);
        if (base == nullptr)
            continue;
        void* const memory =
            std::calloc(1, sizeof(Slab) + count * (sizeof(std::uint32_t) + sizeof(std::uint8_t)));
        if (memory == nullptr) {
            os::unmap(base, count * stride);
            return Reason::no_memory;
        }
        auto* slab = new (memory) Slab{};
        slab->base = base;
        slab->count = static_cast<std::uint32_t>(count);
        slab->shape = shape_;
        slab->stride = stride;
        slab->become_new();
        link(open_, slab);
        next_count_ = count < largest_slab ? count * 2 : largest_slab;
        return Reason::none;
    }
    return no_mapping(stride);
}

Reason StackSource::guard_more(Slab& slab) noexcept {
    os::Range ranges[guards_at_once];
    const std::size_t count = std::min<std::size_t>(guards_at_once, slab.count - slab.guarded);
    for (std::size_t at = 0; at < count; ++at)
        ranges[at] = {slab.slot(slab.guarded + at), guard_size()};
    const std::size_t guarded = os::guard_many(ranges, count);
    slab.guarded += static_cast<std::uint32_t>(guarded);
    if (guarded > 0)
        return Reason::none;
    if (os::guard(ranges[0].address, guard_size()) == os::Guard::refused)
        return os::why_refused(0) == os::Shortage::mappings ? Reason::no_mappings
                                                            : Reason::no_guard;
    ++slab.guarded;
    return Reason::none;
}

Reason StackSource::take(Stack& stack, unsigned& left) noexcept {
    freeze_functions();
    if (set_allocate != nullptr)
        return allocate_by_user(stack, shape_);

    if (open_ == nullptr) {
        const Reason reason = open_slab();
        if (reason != Reason::none)
            return reason;
    }
    Slab& slab = *open_;
    std::uint32_t index = 0;
    if (slab.given_back > 0) {
        index = slab.free_indices()[--slab.given_back];
        if ((slab.notes()[index] & Slab::is_touched) != 0)
            --slab.touched;
    } else {
        if (slab.cut == slab.guarded) {
            const Reason reason = guard_more(slab);
            if (reason != Reason::none) {
                if (!slab.is_known)
                    forget(&slab);
                else if (slab.in_use == 0)
                    retire(&slab);
                return reason;
            }
        }
        index = slab.cut++;
    }
    ++slab.in_use;
    if (!slab.is_known)
        make_known(slab);
    if (!slab.has_room()) {
        unlink(open_, &slab);
        link(full_, &slab);
    }

    left = slab.notes()[index] & ~Slab::is_touched;
    slab.notes()[index] = static_cast<std::uint8_t>(left);  // in use: not to be discarded
    stack.low = slab.low(index);
    stack.high = slab.high(index);
    stack.slab = &slab;
    return Reason::none;
}

void StackSource::give(const Stack& stack, unsigned left) noexcept {
    if (stack.slab == nullptr) {
        set_release(stack.low);
        return;
    }
    Slab& slab = *stack.slab;
    const auto index =
        static_cast<std::uint32_t>(static_cast<std::size_t>(stack.low - slab.base) / slab.stride);
    if (!slab.has_room()) {
        unlink(full_, &slab);
        link(open_, &slab);
    }
    slab.notes()[index] = static_cast<std::uint8_t>(left | Slab::is_touched);
    slab.free_indices()[slab.given_back++] = index;
    ++slab.touched;
    if (--slab.in_use == 0)
        retire(&slab);
    else if (slab.touched >= untidy(slab))
        discard(slab);
}

// A slab in open_ that no stack was ever taken from.
void StackSource::forget(Slab* slab) noexcept {
    unlink(open_, slab);
    os::unmap(slab->base, slab->size());
    std::free(slab);
}

// A slab in open_, none of whose stacks is in use. Where it cannot be retired it stays open.
void StackSource::retire(Slab* slab) noexcept {
    const bool retired = os::retire(slab->base, slab->size());
    if (!retired && os::is_mapped(slab->base, slab->size())) {
        discard(*slab);
        return;
    }
    for (std::uint32_t at = 0; at < slab->cut; ++at)
        slab->notes()[at] &= static_cast<std::uint8_t>(~Slab::is_touched);
    slab->become_new();
    unlink(open_, slab);
    slab->next = nullptr;
    if (retired) {
        slab->next = retired_;
        retired_ = slab;
    } else {
        give_to(lost, slab);  // the system has taken its addresses
    }
}

// Gives the pages of stacks back that were given back. Neighbours are one range, guards between
// them included.
void StackSource::discard(Slab& slab) noexcept {
    os::Range ranges[guards_at_once];
    std::size_t count = 0;
    std::byte* end = nullptr;
    for (std::uint32_t at = 0; at < slab.cut; ++at) {
        std::uint8_t& note = slab.notes()[at];
        if ((note & Slab::is_touched) == 0)
            continue;
        note &= static_cast<std::uint8_t>(~Slab::is_touched);
        std::byte* const slot = slab.slot(at);
        if (slot == end) {
            ranges[count - 1].size += slab.stride;
        } else {
            if (count == guards_at_once) {
                os::discard_many(ranges, count);
                count = 0;
            }
            ranges[count++] = {slot + slab.guard(), slab.stride - slab.guard()};
        }
        end = slot + slab.stride;
    }
    os::discard_many(ranges, count);
    slab.touched = 0;
}

void StackSource::tidy() noexcept {
    for (Slab* slab = open_; slab != nullptr; slab = slab->next) {
        if (slab->touched > 0)
            discard(*slab);
    }
}

void StackSource::settle() noexcept {
    for (Slab* slab = open_; slab != nullptr;) {
        Slab* const next = slab->next;
        if (slab->in_use == 0)
            retire(slab);  // it could not be when it became empty
        slab = next;
    }
    tidy();
    give_to(left_over, std::exchange(retired_, nullptr));
    retire_left_over();
}

void StackSource::leave() noexcept {
    settle();
    while (Slab* const slab = open_) {
        unlink(open_, slab);
        slab->next = nullptr;
        if (slab->in_use > 0) {
            give_to(lost, slab);
            continue;
        }
        slab->become_new();
        slab->is_to_retire = true;
        to_retire.fetch_add(1, std::memory_order_relaxed);
        give_to(left_over, slab);
    }
    give_to(lost, full_);
    *this = StackSource{};
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
