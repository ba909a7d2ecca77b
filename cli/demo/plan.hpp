// SPDX-License-Identifier: Apache-2.0
// The phases of the demonstration.
#pragma once

#include <vector>

#include "outcome.hpp"

namespace asyncjob::demo {

inline constexpr int cpu_key_bits = 4096;
// The device's time is what counts, so the signature that stands for it is a cheap one.
inline constexpr int device_key_bits = 1024;

std::vector<Plan> plan_phases(double seconds_each, unsigned cpus);

}  // namespace asyncjob::demo
