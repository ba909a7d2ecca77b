// SPDX-License-Identifier: Apache-2.0
// Pictures of plain requests' latencies: one histogram below the other, on one logarithmic
// axis.
#pragma once

#include <string>
#include <vector>

#include "outcome.hpp"
#include "statistics.hpp"

namespace asyncjob::demo {

// Histograms of the phases of one group.
std::string draw_distributions(const std::vector<Phase>& phases,
                               const std::vector<Figures>& figures, const std::string& group);

}  // namespace asyncjob::demo
