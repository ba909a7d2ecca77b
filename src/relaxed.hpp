// SPDX-License-Identifier: Apache-2.0
// A variable that one thread writes and others may look at: loads and stores are what they would
// be without it, but no race.
//
// Owner: whoever has one. Threads: one writes, any read. Next layer down: none.
#pragma once

#include <atomic>

namespace asyncjob {

template <typename Value>
class Relaxed {
  public:
    constexpr Relaxed() = default;
    constexpr Relaxed(Value value) : value_(value) {}
    Relaxed(const Relaxed& other) : value_(other.get()) {}
    Relaxed& operator=(const Relaxed& other) {
        if (this != &other)
            *this = other.get();
        return *this;
    }
    ~Relaxed() = default;

    Relaxed& operator=(Value value) {
        value_.store(value, std::memory_order_relaxed);
        return *this;
    }
    Relaxed& operator+=(Value more) { return *this = get() + more; }

    [[nodiscard]] Value get() const { return value_.load(std::memory_order_relaxed); }
    operator Value() const { return get(); }

  private:
    std::atomic<Value> value_{};
};

}  // namespace asyncjob
