// SPDX-License-Identifier: Apache-2.0
// Contract: statistics.hpp.
#include "statistics.hpp"

#include <algorithm>
#include <cmath>

namespace asyncjob::demo {

double quantile(const std::vector<double>& values, double share) {
    if (values.empty())
        return 0;
    const auto rank = std::ceil(share * static_cast<double>(values.size()));
    return values[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

Latency summarize(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return {quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)};
}

std::vector<Figures> figures_of(const std::vector<Phase>& phases) {
    std::vector<Figures> all;
    std::size_t first = 0;  // of the group
    for (std::size_t at = 0; at < phases.size(); ++at) {
        const Outcome& outcome = phases[at].outcome;
        std::vector<double> plain;
        for (const PlainRequest& request : outcome.plain)
            plain.push_back(request.latency);
        Figures figures;
        figures.handshakes_per_second =
            static_cast<double>(outcome.handshakes.size()) / outcome.seconds;
        figures.handshake_ms = summarize(outcome.handshakes);
        figures.plain_ms = summarize(std::move(plain));
        all.push_back(figures);
        if (phases[at].plan.group != phases[first].plan.group)
            first = at;
        all[at].handshakes_ratio = figures.handshakes_per_second / all[first].handshakes_per_second;
        all[at].plain_p99_ratio = all[first].plain_ms.p99 / figures.plain_ms.p99;
    }
    return all;
}

nlohmann::json to_json(const std::vector<Phase>& phases, const Machine& machine) {
    const std::vector<Figures> figures = figures_of(phases);
    nlohmann::json runs = nlohmann::json::array();
    for (std::size_t at = 0; at < phases.size(); ++at)
        runs.push_back({{"plan", phases[at].plan},
                        {"figures", figures[at]},
                        {"measured", phases[at].outcome}});
    return {{"machine", machine}, {"phases", runs}};
}

}  // namespace asyncjob::demo
