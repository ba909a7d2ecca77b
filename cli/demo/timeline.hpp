// SPDX-License-Identifier: Apache-2.0
// A picture of a short part of a phase: what each connection did on the server thread, and
// below it how long plain requests took that were due at that time.
#pragma once

#include <string>

#include "outcome.hpp"

namespace asyncjob::demo {

// length_ms from the window's begin; tallest_ms is the latency at the top of the scale.
std::string draw_timeline(const Phase& phase, double length_ms, double tallest_ms);

// The longest latency of a plain request in that time.
double longest_plain(const Phase& phase, double length_ms);

}  // namespace asyncjob::demo
