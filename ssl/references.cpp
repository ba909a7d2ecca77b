// SPDX-License-Identifier: Apache-2.0
// References. Contract: references.hpp.
#include "references.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "os/fork_lock.hpp"

namespace asyncjob::ssl::references {

namespace {

struct Entry {
    Entry* next;
    const SSL* ssl;
    std::size_t count;  // at least 1
};

constexpr std::size_t buckets = 4096;
Entry* table[buckets];
std::atomic<std::size_t> entries = 0;  // most programs have none, and take no lock
constinit os::ForkLock lock;

__attribute__((constructor)) void follow_forks() {
    os::follow_forks<lock>();
}

// Where the entry is, or would be.
Entry** place_of(const SSL* ssl) {
    const auto address = reinterpret_cast<std::uintptr_t>(ssl);
    Entry** place = &table[(address >> 6 ^ address >> 18) % buckets];
    while (*place != nullptr && (*place)->ssl != ssl)
        place = &(*place)->next;
    return place;
}

}  // namespace

bool add(const SSL* ssl) noexcept {
    const os::ForkLock::Guard guard(lock);
    Entry** const place = place_of(ssl);
    if (*place == nullptr) {
        auto* const entry = static_cast<Entry*>(std::malloc(sizeof(Entry)));
        if (entry == nullptr)
            return false;
        *entry = {nullptr, ssl, 0};
        *place = entry;
        entries.fetch_add(1);
    }
    ++(*place)->count;
    return true;
}

bool remove(const SSL* ssl) noexcept {
    if (entries.load() == 0)
        return true;
    const os::ForkLock::Guard guard(lock);
    Entry** const place = place_of(ssl);
    Entry* const entry = *place;
    if (entry == nullptr)
        return true;
    if (--entry->count == 0) {
        *place = entry->next;
        std::free(entry);
        entries.fetch_sub(1);
    }
    return false;
}

}  // namespace asyncjob::ssl::references
