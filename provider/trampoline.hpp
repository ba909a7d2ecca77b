// SPDX-License-Identifier: Apache-2.0
// Functions that stand in for an inner provider's in a dispatch table.
//
// A dispatch table holds plain function pointers and the inner provider's context travels
// through unchanged, so each inner function that is replaced needs a function of its own: one
// of `places` that the template makes, each of which knows its inner function. A place serves
// an inner function for as long as the process lives. When all are taken the inner function
// stays in the table, and is computed in place.
//
// Threads: any. Next layer down: computation.hpp.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <utility>

namespace offload {

inline constexpr std::size_t places = 256;

// Replace is a class with `static R call(Function* inner, Args...)` for functions R(Args...).
template <typename Function, typename Replace>
class Trampolines;

template <typename R, typename... Args, typename Replace>
class Trampolines<R(Args...), Replace> {
  public:
    using Function = R(Args...);

    // The function that stands in for `inner`.
    static Function* of(Function* inner) {
        static std::mutex mutex;
        const std::lock_guard lock(mutex);
        for (std::size_t at = 0; at < places; ++at) {
            Function* const taken = inner_[at].load(std::memory_order_relaxed);
            if (taken == nullptr)
                inner_[at].store(inner, std::memory_order_release);
            if (taken == nullptr || taken == inner)
                return stand_ins(std::make_index_sequence<places>{})[at];
        }
        return inner;
    }

  private:
    template <std::size_t At>
    static R call(Args... args) {
        return Replace::call(inner_[At].load(std::memory_order_acquire), args...);
    }

    template <std::size_t... At>
    static constexpr std::array<Function*, places> stand_ins(std::index_sequence<At...>) {
        return {&call<At>...};
    }

    static inline std::array<std::atomic<Function*>, places> inner_{};
};

}  // namespace offload
