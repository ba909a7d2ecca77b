// SPDX-License-Identifier: Apache-2.0
// Contract: distribution.hpp.
#include "distribution.hpp"

#include <algorithm>
#include <cmath>

#include "svg.hpp"
#include "table.hpp"

namespace asyncjob::demo {

namespace {

constexpr double width = 960;
constexpr double left = 214;   // of the plot, right of the titles
constexpr double right = 84;   // beside it
constexpr double row = 92;     // of one phase
constexpr double bars = 62;    // height of the tallest bar
constexpr double bottom = 42;  // for the axis
constexpr int bins_per_decade = 12;

// The decades that hold all latencies.
class Axis {
  public:
    explicit Axis(const std::vector<const Phase*>& phases) {
        double least = 1;
        double most = 1;
        for (const Phase* phase : phases) {
            for (const PlainRequest& request : phase->outcome.plain) {
                least = std::min(least, request.latency);
                most = std::max(most, request.latency);
            }
        }
        first_ = static_cast<int>(std::floor(std::log10(std::max(least, 0.001))));
        last_ = std::max(static_cast<int>(std::ceil(std::log10(most))), first_ + 1);
    }

    [[nodiscard]] int first_decade() const { return first_; }
    [[nodiscard]] int last_decade() const { return last_; }
    [[nodiscard]] int bins() const { return (last_ - first_) * bins_per_decade; }

    [[nodiscard]] int bin_of(double ms) const {
        const double at = (std::log10(std::max(ms, 0.001)) - first_) * bins_per_decade;
        return std::clamp(static_cast<int>(at), 0, bins() - 1);
    }

    [[nodiscard]] double x_of(double ms) const {
        const double share = (std::log10(std::max(ms, 0.001)) - first_) / (last_ - first_);
        return left + std::clamp(share, 0.0, 1.0) * (width - left - right);
    }

    [[nodiscard]] double edge(int bin) const {
        return std::pow(10, first_ + static_cast<double>(bin) / bins_per_decade);
    }

  private:
    int first_;
    int last_;
};

std::vector<double> shares_of(const Phase& phase, const Axis& axis) {
    std::vector<double> shares(static_cast<std::size_t>(axis.bins()));
    const double one = 1.0 / static_cast<double>(phase.outcome.plain.size());
    for (const PlainRequest& request : phase.outcome.plain)
        shares[static_cast<std::size_t>(axis.bin_of(request.latency))] += one;
    return shares;
}

std::string decade_text(int decade) {
    switch (decade) {
        case -3:
            return "1 \u00b5s";
        case -2:
            return "10 \u00b5s";
        case -1:
            return "0.1 ms";
        case 0:
            return "1 ms";
        case 1:
            return "10 ms";
        case 2:
            return "0.1 s";
        default:
            return decade == 3 ? "1 s" : decade == 4 ? "10 s" : "100 s";
    }
}

void draw_axis(Svg& svg, const Axis& axis, double height) {
    for (int decade = axis.first_decade(); decade <= axis.last_decade(); ++decade) {
        const double x = axis.x_of(std::pow(10, decade));
        svg.line(x, 8, x, height - bottom, "grid");
        const bool last = decade == axis.last_decade();
        svg.text(x, height - bottom + 16, last ? "end" : "middle", "tick", decade_text(decade));
    }
    svg.text((left + width - right) / 2, height - 6, "middle", "tick",
             "latency of a plain request (logarithmic)");
}

void draw_mark(Svg& svg, double x, double base, const std::string& text, bool to_the_left) {
    svg.line(x, base - bars - 12, x, base, "mark");
    svg.text(x + (to_the_left ? -4 : 4), base - bars - 5, to_the_left ? "end" : "start", "value",
             text);
}

}  // namespace

std::string draw_distributions(const std::vector<Phase>& phases,
                               const std::vector<Figures>& figures, const std::string& group) {
    std::vector<const Phase*> chosen;
    std::vector<const Figures*> their;
    for (std::size_t at = 0; at < phases.size(); ++at) {
        if (phases[at].plan.group == group) {
            chosen.push_back(&phases[at]);
            their.push_back(&figures[at]);
        }
    }
    const Axis axis(chosen);
    const double height = row * static_cast<double>(chosen.size()) + bottom;
    Svg svg(width, height, "Latency distributions of plain requests");
    draw_axis(svg, axis, height);
    for (std::size_t at = 0; at < chosen.size(); ++at) {
        const Phase& phase = *chosen[at];
        const double base = row * static_cast<double>(at + 1);
        const std::vector<double> shares = shares_of(phase, axis);
        const double tallest = *std::max_element(shares.begin(), shares.end());
        const char* const style = phase.plan.workers > 0 ? "async" : "sync";
        for (int bin = 0; bin < axis.bins(); ++bin) {
            const double share = shares[static_cast<std::size_t>(bin)];
            const double x = axis.x_of(axis.edge(bin));
            const double high = bars * share / tallest;
            if (share > 0)
                svg.rect(x + 0.5, base - high, axis.x_of(axis.edge(bin + 1)) - x - 1, high, style,
                         format_ms(axis.edge(bin)) + " to " + format_ms(axis.edge(bin + 1)) +
                             " ms: " + format_ratio(100 * share) + " %");
        }
        svg.line(left, base, width - right, base, "base");
        svg.text(left - 14, base - 26, "end", "title", phase.plan.title);
        const Latency& latency = their[at]->plain_ms;
        draw_mark(svg, axis.x_of(latency.p50), base, "p50 " + format_ms(latency.p50) + " ms", true);
        draw_mark(svg, axis.x_of(latency.p99), base, "p99 " + format_ms(latency.p99) + " ms",
                  false);
    }
    return svg.take();
}

}  // namespace asyncjob::demo
