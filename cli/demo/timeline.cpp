// SPDX-License-Identifier: Apache-2.0
// Contract: timeline.hpp.
#include "timeline.hpp"

#include <algorithm>
#include <cmath>

#include "svg.hpp"
#include "table.hpp"

namespace asyncjob::demo {

namespace {

constexpr double width = 960;
constexpr double left = 104;
constexpr double right = 14;
constexpr double top = 6;
constexpr double lane_height = 10;
constexpr double gap = 16;  // between the lanes and the requests
constexpr double plain_height = 84;
constexpr double bottom = 38;
constexpr double least_width = 0.8;  // of what is too short to be seen

// 1, 2 or 5 times a power of ten, so that there are four to ten steps.
double step_of(double length) {
    const double power = std::pow(10, std::floor(std::log10(length / 4)));
    for (const double factor : {5.0, 2.0}) {
        if (length / (power * factor) >= 4)
            return power * factor;
    }
    return power;
}

class Picture {
  public:
    Picture(const Phase& phase, double length, double tallest)
        : phase_(phase),
          begin_(phase.outcome.window.begin),
          length_(length),
          tallest_(tallest),
          lanes_(count_lanes()),
          lanes_end_(top + lanes_ * lane_height),
          base_(lanes_end_ + gap + plain_height),
          svg_(width, base_ + bottom, "Timeline of " + phase.plan.title) {}

    std::string draw() {
        draw_axes();
        // What is drawn later lies above.
        for (const Activity activity : {Activity::open, Activity::paused, Activity::running}) {
            for (const Span& span : phase_.outcome.spans) {
                if (span.activity == activity && span.begin < begin_ + length_)
                    draw_span(span);
            }
        }
        draw_plain();
        return svg_.take();
    }

  private:
    [[nodiscard]] double count_lanes() const {
        unsigned most = phase_.plan.concurrent - 1;
        for (const Span& span : phase_.outcome.spans)
            most = std::max(most, span.lane);
        return most + 1;
    }

    [[nodiscard]] double x_of(double ms) const {
        const double share = std::clamp((ms - begin_) / length_, 0.0, 1.0);
        return left + share * (width - left - right);
    }

    void draw_axes() {
        const double step = step_of(length_);
        for (double ms = 0; ms <= length_ + step / 1000; ms += step) {
            const double x = x_of(begin_ + ms);
            svg_.line(x, top, x, base_, "grid");
            svg_.text(x, base_ + 15, ms + step / 2 > length_ ? "end" : "middle", "tick",
                      format_axis(ms));
        }
        svg_.text((left + width - right) / 2, base_ + 32, "middle", "tick", "time, ms");
        svg_.text(left - 10, (top + lanes_end_) / 2 - 4, "end", "title", "TLS");
        svg_.text(left - 10, (top + lanes_end_) / 2 + 11, "end", "tick", "one row per");
        svg_.text(left - 10, (top + lanes_end_) / 2 + 24, "end", "tick", "connection");
        svg_.text(left - 10, base_ - plain_height / 2 - 10, "end", "title", "Plain");
        svg_.text(left - 10, base_ - plain_height / 2 + 5, "end", "tick", "latency");
        svg_.line(left, base_ - plain_height, width - right, base_ - plain_height, "grid");
        svg_.text(left - 6, base_ - plain_height + 4, "end", "tick", format_ms(tallest_) + " ms");
        svg_.text(left - 6, base_ + 3, "end", "tick", "0");
        svg_.line(left, base_, width - right, base_, "base");
    }

    static std::string format_axis(double ms) {
        return std::to_string(std::lround(ms * 10) / 10) +
               (std::lround(ms * 10) % 10 != 0 ? "." + std::to_string(std::lround(ms * 10) % 10)
                                               : "");
    }

    void draw_span(const Span& span) {
        const double x = x_of(span.begin);
        const double wide = x_of(span.end) - x;
        const double y = top + span.lane * lane_height;
        const std::string time = format_ms(span.end - span.begin) + " ms";
        switch (span.activity) {
            case Activity::open:
                return svg_.rect(x, y + lane_height / 2 - 1, wide, 2, "open");
            case Activity::paused:
                return svg_.rect(x, y + 2, wide, lane_height - 4, "paused", "paused for " + time);
            case Activity::running:
                return svg_.rect(x, y + 1, std::max(wide, least_width), lane_height - 2,
                                 phase_.plan.workers > 0 ? "async" : "sync",
                                 "the server thread works on it for " + time);
        }
    }

    void draw_plain() {
        const char* const style = phase_.plan.workers > 0 ? "async" : "sync";
        const std::string stem = std::string(style) + "-stem";
        for (const PlainRequest& request : phase_.outcome.plain) {
            if (request.scheduled < begin_ || request.scheduled > begin_ + length_)
                continue;
            const double x = x_of(request.scheduled);
            const double y = base_ - plain_height * std::min(request.latency / tallest_, 1.0);
            svg_.line(x, base_, x, y, stem);
            svg_.circle(x, y, 1.8, style);
        }
    }

    const Phase& phase_;
    const double begin_;
    const double length_;
    const double tallest_;
    const double lanes_;
    const double lanes_end_;
    const double base_;
    Svg svg_;
};

}  // namespace

double longest_plain(const Phase& phase, double length_ms) {
    const double begin = phase.outcome.window.begin;
    double longest = 0;
    for (const PlainRequest& request : phase.outcome.plain) {
        if (request.scheduled >= begin && request.scheduled <= begin + length_ms)
            longest = std::max(longest, request.latency);
    }
    return longest;
}

std::string draw_timeline(const Phase& phase, double length_ms, double tallest_ms) {
    const double shown = phase.outcome.window.end - phase.outcome.window.begin;
    return Picture(phase, std::min(length_ms, shown), tallest_ms).draw();
}

}  // namespace asyncjob::demo
