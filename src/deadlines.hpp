// SPDX-License-Identifier: Apache-2.0
// Deadlines in the order of time: a binary heap of pointers, in which each deadline knows its
// place, so that one which is not waited for any more is taken out at once.
//
// Invariant: heap_[0] is not used; the deadline at place n is not before the one at n / 2.
//
// Owner: wake.hpp, whose slots are the deadlines. Threads: one. Next layer down: libc.
#pragma once

#include <cstddef>

#include "os/event.hpp"

namespace asyncjob {

struct Deadline {
    os::Time at = os::never;
    std::size_t place = 0;  // in the heap; 0: not in it
};

class Deadlines {
  public:
    // `deadline` is not in the heap. False: out of memory.
    [[nodiscard]] bool add(Deadline* deadline, os::Time at) noexcept;
    // Does nothing if it is not in the heap.
    void remove(Deadline* deadline) noexcept;

    // NULL if there is none.
    [[nodiscard]] Deadline* earliest() const { return size_ > 0 ? heap_[1] : nullptr; }
    [[nodiscard]] os::Time earliest_time() const { return size_ > 0 ? heap_[1]->at : os::never; }

    // Removes all, and frees the heap.
    void clear() noexcept;

  private:
    static constexpr std::size_t first_capacity = 64;

    void put(Deadline* deadline, std::size_t place) {
        heap_[place] = deadline;
        deadline->place = place;
    }
    void move_up(Deadline* deadline, std::size_t place);
    void move_down(Deadline* deadline, std::size_t place);

    Deadline** heap_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;  // places, the unused first one among them
};

}  // namespace asyncjob
