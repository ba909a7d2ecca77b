// SPDX-License-Identifier: Apache-2.0
// A thread's events, the newest ones: what it has written to without a lock, and whoever writes
// the file reads.
//
// Events have numbers, which go on from one thread of a ring to the next. The number of a job's
// event before this one tells whether that is still there: an end of a slice without its beginning
// is seen by this alone, however deep jobs are nested.
//
// Owner: trace.cpp. Threads: one adds; one reads. Next layer down: relaxed.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/clock.hpp"
#include "os/thread.hpp"
#include "relaxed.hpp"
#include "trace.hpp"

namespace asyncjob::trace {

struct Record {
    os::Time at;
    const void* job;       // its handle; NULL: of a wake, not known
    const void* function;  // the job's; not of a wake
    Event event;
    std::uint32_t before;  // the low half of the job's last event's number, and 1; 0: none
};

class Ring {
  public:
    static constexpr std::size_t capacity = std::size_t{64} * 1024;  // in 2 MiB

    // Returns the number.
    std::uint64_t add(const Record& record) noexcept {
        const std::uint64_t number = next_.load(std::memory_order_relaxed);
        Slot& slot = slots_[number % capacity];
        slot.at = record.at;
        slot.job = record.job;
        slot.function = record.function;
        slot.event_and_before = static_cast<std::uint64_t>(record.before) << 8U |
                                static_cast<std::uint64_t>(record.event);
        next_.store(number + 1, std::memory_order_release);
        return number;
    }

    [[nodiscard]] std::uint64_t end() const { return next_.load(std::memory_order_acquire); }
    // The first one that is there. The oldest is given up: the thread may be writing over it.
    [[nodiscard]] std::uint64_t begin(std::uint64_t end) const {
        return end - first_ < capacity ? first_ : end - (capacity - 1);
    }
    [[nodiscard]] std::uint64_t dropped(std::uint64_t end) const { return begin(end) - first_; }

    [[nodiscard]] Record at(std::uint64_t number) const {
        const Slot& slot = slots_[number % capacity];
        const std::uint64_t both = slot.event_and_before;
        return {slot.at, slot.job, slot.function, static_cast<Event>(both & 0xffU),
                static_cast<std::uint32_t>(both >> 8U)};
    }

    // The next thread's events.
    void begin_anew() { first_ = end(); }

    int thread = 0;  // the system's number
    char name[os::thread_name_size]{};
    Ring* made_before = nullptr;  // in the list of all

  private:
    struct Slot {
        Relaxed<os::Time> at;
        Relaxed<const void*> job;
        Relaxed<const void*> function;
        Relaxed<std::uint64_t> event_and_before;
    };

    std::atomic<std::uint64_t> next_ = 0;
    std::uint64_t first_ = 0;
    Slot slots_[capacity];
};

}  // namespace asyncjob::trace
