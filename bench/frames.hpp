// SPDX-License-Identifier: Apache-2.0
// Frames of the user's code: a call beneath so many functions that are not inlined and that
// really return each time. After a switch the processor's return predictor holds the other
// stack's addresses, so these returns cost more than elsewhere.
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <type_traits>

template <int frames, typename Call>
[[gnu::noinline]] auto in_frames(Call& call) {
    static_assert(frames > 0);
    auto result = [&call] {
        if constexpr (frames == 1)
            return call();
        else
            return in_frames<frames - 1>(call);
    }();
    benchmark::ClobberMemory();  // between the call and the return: no tail call
    return result;
}

// What call() returns, with so many frames between the caller of this function and it; with
// 0 frames it is inlined.
template <int frames, typename Call>
[[gnu::always_inline]] inline auto beneath(Call call) {
    if constexpr (frames == 0)
        return call();
    else
        return in_frames<frames>(call);
}

// Calls add(number of frames as a type, name) for each number of frames to measure.
template <typename Add>
void for_each_frames(const std::string& operation, Add add) {
    add(std::integral_constant<int, 0>{}, operation);
    add(std::integral_constant<int, 4>{}, operation + "-4-frames");
    add(std::integral_constant<int, 8>{}, operation + "-8-frames");
}
