// SPDX-License-Identifier: Apache-2.0
// Contract: table.hpp.
#include "table.hpp"

#include <array>
#include <cstdio>

namespace asyncjob::demo {

namespace {

std::string rounded(double value, int digits) {
    std::array<char, 64> text;
    std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    return text.data();
}

}  // namespace

std::string format_ms(double ms) {
    return rounded(ms, ms < 10 ? 2 : ms < 100 ? 1 : 0);
}

std::string format_ratio(double ratio) {
    return rounded(ratio, ratio < 10 ? 1 : 0);
}

std::string make_table(const std::vector<Phase>& phases, const std::vector<Figures>& figures) {
    std::string text =
        "                              handshakes       plain requests, ms            p99\n"
        "                               /s    times     p50     p99     max   times lower\n";
    for (std::size_t at = 0; at < phases.size(); ++at) {
        const Figures& of = figures[at];
        const bool first = at == 0 || phases[at].plan.group != phases[at - 1].plan.group;
        std::array<char, 160> line;
        std::snprintf(line.data(), line.size(), "%s%-26s %7.0f %8s %7s %7s %7s %13s\n",
                      first && at > 0 ? "\n" : "", phases[at].plan.title.c_str(),
                      of.handshakes_per_second,
                      first ? "" : format_ratio(of.handshakes_ratio).c_str(),
                      format_ms(of.plain_ms.p50).c_str(), format_ms(of.plain_ms.p99).c_str(),
                      format_ms(of.plain_ms.max).c_str(),
                      first ? "" : format_ratio(of.plain_p99_ratio).c_str());
        text += line.data();
    }
    return text;
}

}  // namespace asyncjob::demo
