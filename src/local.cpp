// SPDX-License-Identifier: Apache-2.0
// Keys and values of job-local storage. Contract: local.hpp.
#include "local.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace asyncjob {

namespace {

constexpr std::size_t slots = ASYNCJOB_KEYS_MAX;
constexpr int rounds = ASYNCJOB_DESTRUCTOR_ROUNDS;

// A slot is free, being made, or holds a key; a generation ends with its key's deletion.
enum Phase : std::uint64_t { free_now = 0, in_making = 1, in_use = 2, phases = 4 };

struct Slot {
    std::atomic<std::uint64_t> state;  // generation * phases + phase
    std::atomic<LocalDestructor> destructor;
};
constinit Slot table[slots];

// Generations are counted from 1 in a key.
LocalKey key_of(std::uint64_t generation, std::size_t slot) {
    return (generation + 1) * slots + slot;
}
std::size_t slot_of(LocalKey key) {
    return key % slots;
}
std::uint64_t state_in_use(LocalKey key) {
    return (key / slots - 1) * phases + in_use;
}

bool is_key(LocalKey key) {
    return key >= slots &&
           table[slot_of(key)].state.load(std::memory_order_acquire) == state_in_use(key);
}

// NULL also if the key has been deleted, before this or meanwhile.
LocalDestructor destructor_of(LocalKey key) {
    const LocalDestructor destructor =
        table[slot_of(key)].destructor.load(std::memory_order_acquire);
    return is_key(key) ? destructor : nullptr;
}

}  // namespace

Reason create_local_key(LocalKey& key, LocalDestructor destructor) noexcept {
    for (std::size_t at = 0; at < slots; ++at) {
        Slot& slot = table[at];
        std::uint64_t state = slot.state.load(std::memory_order_relaxed);
        if (state % phases != free_now || !slot.state.compare_exchange_strong(
                                              state, state + in_making, std::memory_order_acquire))
            continue;
        slot.destructor.store(destructor, std::memory_order_release);
        slot.state.store(state + in_use, std::memory_order_release);
        key = key_of(state / phases, at);
        return Reason::none;
    }
    return Reason::no_key;
}

Reason delete_local_key(LocalKey key) noexcept {
    if (key < slots)
        return Reason::invalid_key;
    std::uint64_t state = state_in_use(key);
    return table[slot_of(key)].state.compare_exchange_strong(state, state - in_use + phases,
                                                             std::memory_order_release)
               ? Reason::none
               : Reason::invalid_key;
}

void* LocalValues::get(LocalKey key) const noexcept {
    const std::size_t slot = slot_of(key);
    return slot < capacity_ && values_[slot].key == key && is_key(key) ? values_[slot].value
                                                                       : nullptr;
}

Reason LocalValues::set(LocalKey key, void* value) noexcept {
    if (!is_key(key))
        return Reason::invalid_key;
    const std::size_t slot = slot_of(key);
    if (slot >= capacity_) {
        if (value == nullptr)
            return Reason::none;
        if (!grow(slot))
            return Reason::no_memory;
    }
    values_[slot] = {key, value};
    return Reason::none;
}

bool LocalValues::grow(std::size_t slot) noexcept {
    constexpr std::size_t smallest = 4;
    std::size_t capacity = std::max(capacity_, smallest);
    while (capacity <= slot)
        capacity *= 2;
    auto* const values = static_cast<Value*>(std::realloc(values_, capacity * sizeof(Value)));
    if (values == nullptr)
        return false;
    std::memset(values + capacity_, 0, (capacity - capacity_) * sizeof(Value));
    values_ = values;
    capacity_ = capacity;
    return true;
}

// A destructor may store values, and so move them. Returns whether any was called.
bool LocalValues::destroy_once() noexcept {
    bool called = false;
    for (std::size_t slot = 0; slot < capacity_; ++slot) {
        const Value value = values_[slot];
        values_[slot] = {};
        if (value.value == nullptr)
            continue;
        const LocalDestructor destructor = destructor_of(value.key);
        if (destructor == nullptr)
            continue;
        destructor(value.value);
        called = true;
    }
    return called;
}

void LocalValues::destroy() noexcept {
    for (int round = 0; round < rounds && destroy_once(); ++round) {
    }
    std::free(values_);
    *this = {};
}

}  // namespace asyncjob
