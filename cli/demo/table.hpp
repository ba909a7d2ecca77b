// SPDX-License-Identifier: Apache-2.0
// The figures as text for a terminal.
#pragma once

#include <string>
#include <vector>

#include "outcome.hpp"
#include "statistics.hpp"

namespace asyncjob::demo {

// A number of milliseconds to three digits or so.
std::string format_ms(double ms);

// A ratio to two digits or so.
std::string format_ratio(double ratio);

std::string make_table(const std::vector<Phase>& phases, const std::vector<Figures>& figures);

}  // namespace asyncjob::demo
