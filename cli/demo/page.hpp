// SPDX-License-Identifier: Apache-2.0
// The page: the figures, latency distributions and timelines in one HTML file without anything
// from outside, for light and dark screens.
//
// Next layer down: distribution.hpp, timeline.hpp.
#pragma once

#include <string>
#include <vector>

#include "machine.hpp"
#include "outcome.hpp"
#include "statistics.hpp"

namespace asyncjob::demo {

std::string make_page(const std::vector<Phase>& phases, const std::vector<Figures>& figures,
                      const Machine& machine);

// The page's style sheet.
extern const char* const page_style;

}  // namespace asyncjob::demo
