// SPDX-License-Identifier: Apache-2.0
// Job-local storage: the process's keys, and the values that a job has under them.
//
// A key is a slot and the generation of the slot's owner. A value is kept together with its whole
// key, so what was stored under a deleted key is never found, nor destroyed, by a later one of the
// same slot.
//
// Owner of LocalValues: job.hpp. Threads: keys any, without a lock, which a fork might leave held;
// values those of their job. Next layer down: reason.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reason.hpp"

namespace asyncjob {

using LocalKey = std::uint64_t;  // never 0
using LocalDestructor = void (*)(void*);

Reason create_local_key(LocalKey& key, LocalDestructor destructor) noexcept;
Reason delete_local_key(LocalKey key) noexcept;

class LocalValues {
  public:
    // NULL if there is none.
    [[nodiscard]] void* get(LocalKey key) const noexcept;

    // NULL takes the value out. Fails, with all as it was, without memory or such a key.
    Reason set(LocalKey key, void* value) noexcept;

    // Destroys the values, in rounds, as destructors may store others; and gives the memory back.
    void destroy() noexcept;

  private:
    struct Value {
        LocalKey key;  // 0: none
        void* value;
    };

    [[nodiscard]] bool grow(std::size_t slot) noexcept;
    bool destroy_once() noexcept;

    Value* values_ = nullptr;  // by slot
    std::size_t capacity_ = 0;
};

}  // namespace asyncjob
