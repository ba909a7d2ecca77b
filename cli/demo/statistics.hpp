// SPDX-License-Identifier: Apache-2.0
// The figures of a phase, and how it compares with the first phase of its group.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "machine.hpp"
#include "outcome.hpp"

namespace asyncjob::demo {

struct Latency {
    double p50 = 0;
    double p99 = 0;
    double max = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Latency, p50, p99, max)

// The smallest value that the share (0 to 1) of all values does not exceed; 0 if there are
// none. values must be sorted.
double quantile(const std::vector<double>& values, double share);

Latency summarize(std::vector<double> values);

struct Figures {
    double handshakes_per_second = 0;
    Latency handshake_ms;
    Latency plain_ms;
    double handshakes_ratio = 0;  // to the synchronous phase of the group; more is better
    double plain_p99_ratio = 0;   // of the synchronous phase to this one; more is better
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Figures, handshakes_per_second, handshake_ms, plain_ms,
                                   handshakes_ratio, plain_p99_ratio)

// One for each phase, in their order.
std::vector<Figures> figures_of(const std::vector<Phase>& phases);

// All that is known, for machines.
nlohmann::json to_json(const std::vector<Phase>& phases, const Machine& machine);

}  // namespace asyncjob::demo
