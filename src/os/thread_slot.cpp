// SPDX-License-Identifier: Apache-2.0
// Values of keys in glibc's thread control block. Contract: thread_slot.hpp.
//
// glibc has the first 32 keys' values in the control block, which pthread_self() points to: an
// array of pairs, a sequence number and the value. Where in the block is found out once, by
// storing values under a key of our own and looking for them.
#include "os/thread_slot.hpp"

#include <pthread.h>

#include <atomic>
#include <cstddef>

namespace asyncjob::os {

#if defined(__GLIBC__)

namespace {

constexpr pthread_key_t inline_keys = 32;
constexpr std::size_t pair = 2 * sizeof(void*);
constexpr std::size_t searched = 1536;  // of a control block of 2304 bytes and more

constexpr long unknown = 0;
constexpr long not_found = -1;
std::atomic<long> first_value = unknown;  // key 0's, from the start of the control block

const void* const* at_offset(std::size_t offset) {
    return reinterpret_cast<const void* const*>(pthread_self() + offset);
}

// Where in the block a key's value appears, and changes with it.
long find_offset(pthread_key_t key) {
    const char values[2] = {};
    if (pthread_setspecific(key, &values[0]) != 0)
        return not_found;
    long found = not_found;
    for (std::size_t offset = 0; offset < searched; offset += sizeof(void*)) {
        if (*at_offset(offset) != &values[0])
            continue;
        (void)pthread_setspecific(key, &values[1]);
        if (*at_offset(offset) == &values[1])
            found = static_cast<long>(offset);
        (void)pthread_setspecific(key, &values[0]);
    }
    (void)pthread_setspecific(key, nullptr);
    return found;
}

long find_first_value() {
    pthread_key_t key{};
    if (pthread_key_create(&key, nullptr) != 0)
        return not_found;
    const long offset = key < inline_keys ? find_offset(key) : not_found;
    pthread_key_delete(key);
    return offset == not_found ? not_found : offset - static_cast<long>(key * pair);
}

}  // namespace

const void* const* place_of_specific(const void* value) noexcept {
    long first = first_value.load(std::memory_order_relaxed);
    if (first == unknown) {
        first = find_first_value();
        first_value.store(first, std::memory_order_relaxed);
    }
    if (first == not_found)
        return nullptr;
    for (pthread_key_t key = 0; key < inline_keys; ++key) {
        if (pthread_getspecific(key) != value)
            continue;
        const void* const* const place = at_offset(static_cast<std::size_t>(first) + key * pair);
        return *place == value ? place : nullptr;
    }
    return nullptr;
}

#else

const void* const* place_of_specific(const void*) noexcept {
    return nullptr;
}

#endif

}  // namespace asyncjob::os
