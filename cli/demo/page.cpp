// SPDX-License-Identifier: Apache-2.0
// Contract: page.hpp.
#include "page.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "distribution.hpp"
#include "plan.hpp"
#include "svg.hpp"
#include "table.hpp"
#include "timeline.hpp"

namespace asyncjob::demo {

namespace {

constexpr double rsa_window_ms = 200;
constexpr double device_window_ms = 80;

std::string whole(double value) {
    return std::to_string(static_cast<long>(value + 0.5));
}

// 2 and not 2.0.
std::string format_short(double value) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), "%g", value);
    return text.data();
}

std::string section(const std::string& text) {
    return "<h2>" + escape(text) + "</h2>\n";
}

std::string tile(const std::string& figure, const std::string& what, const std::string& run) {
    return "<div class=\"tile\"><b>" + escape(figure) + "</b>" + escape(what) + "<br><span>" +
           escape(run) + "</span></div>\n";
}

// The last run of each group against the first.
std::string tiles(const std::vector<Phase>& phases, const std::vector<Figures>& figures) {
    std::string text = "<div class=\"tiles\">\n";
    for (std::size_t at = 0; at < phases.size(); ++at) {
        const bool last =
            at + 1 == phases.size() || phases[at + 1].plan.group != phases[at].plan.group;
        if (!last || phases[at].plan.workers == 0)
            continue;
        const Figures& of = figures[at];
        const bool lower = of.plain_p99_ratio >= 1;
        text += tile(format_ratio(lower ? of.plain_p99_ratio : 1 / of.plain_p99_ratio) + "\u00d7",
                     lower ? "lower p99 of plain requests" : "higher p99 of plain requests",
                     phases[at].plan.title);
        text += tile(format_ratio(of.handshakes_ratio) + "\u00d7", "the handshakes per second",
                     phases[at].plan.title);
    }
    return text + "</div>\n";
}

std::string table_rows(const std::vector<Phase>& phases, const std::vector<Figures>& figures) {
    std::string text;
    double most = 1;
    for (const Figures& of : figures)
        most = std::max(most, of.handshakes_per_second);
    for (std::size_t at = 0; at < phases.size(); ++at) {
        const Plan& plan = phases[at].plan;
        const Figures& of = figures[at];
        const bool first = at == 0 || phases[at - 1].plan.group != plan.group;
        const auto cell = [](const std::string& content) { return "<td>" + content + "</td>"; };
        constexpr double longest_bar = 60;  // percent of its cell
        text += std::string("<tr") + (first ? " class=\"first\"" : "") + ">" +
                cell(escape(plan.title)) + "<td class=\"rate\"><span class=\"bar back-" +
                (plan.workers > 0 ? "async" : "sync") +
                "\" style=\"width:" + whole(longest_bar * of.handshakes_per_second / most) +
                "%\"></span>" + whole(of.handshakes_per_second) + "</td>" +
                cell(first ? "" : format_ratio(of.handshakes_ratio) + "\u00d7") +
                cell(format_ms(of.handshake_ms.p50)) + cell(format_ms(of.plain_ms.p50)) +
                cell(format_ms(of.plain_ms.p99)) + cell(format_ms(of.plain_ms.max)) +
                cell(first ? "" : format_ratio(of.plain_p99_ratio) + "\u00d7") +
                cell(whole(static_cast<double>(phases[at].outcome.pauses))) +
                cell(whole(static_cast<double>(phases[at].outcome.failed_handshakes))) + "</tr>\n";
    }
    return text;
}

std::string table(const std::vector<Phase>& phases, const std::vector<Figures>& figures) {
    return "<div class=\"wide\"><table>\n<thead><tr><th>Run</th><th class=\"rate\">Handshakes per "
           "second</th>"
           "<th>times</th><th>handshake p50, ms</th><th>plain p50, ms</th><th>p99, ms</th>"
           "<th>max, ms</th><th>p99 times lower</th><th>pauses</th><th>failed</th></tr></thead>\n"
           "<tbody>\n" +
           table_rows(phases, figures) + "</tbody></table></div>\n";
}

std::string figure(const std::string& svg, const std::string& caption = {}) {
    return "<figure>" + svg + (caption.empty() ? "" : "<figcaption>" + caption + "</figcaption>") +
           "</figure>\n";
}

const Phase* find(const std::vector<Phase>& phases, const std::string& group, bool first) {
    const Phase* found = nullptr;
    for (const Phase& phase : phases) {
        if (phase.plan.group == group && (found == nullptr || !first))
            found = &phase;
    }
    return found;
}

// The first and the last phase of a group, on one scale.
std::string timelines(const std::vector<Phase>& phases, const std::string& group, double length) {
    std::string text;
    const Phase* const before = find(phases, group, true);
    const Phase* const after = find(phases, group, false);
    if (before == nullptr || after == before)
        return text;
    const double tallest =
        std::max({longest_plain(*before, length), longest_plain(*after, length), 1.0});
    for (const Phase* const phase : {before, after})
        text += "<h3>" + escape(phase->plan.title) + "</h3>\n" +
                figure(draw_timeline(*phase, length, tallest));
    return text;
}

std::string details(const Machine& machine, const Plan& plan) {
    const auto row = [](const char* name, const std::string& value) {
        return std::string("<dt>") + name + "</dt><dd>" + escape(value) + "</dd>\n";
    };
    std::array<char, 64> load;
    std::snprintf(load.data(), load.size(), "%.2f when it began", machine.load);
    return "<dl>\n" + row("Date", machine.date) + "<dt>Command</dt><dd><code>" +
           escape(machine.command) + "</code></dd>\n" +
           row("Processor", machine.processor + ", " + std::to_string(machine.cpus) +
                                (machine.cpus == 1 ? " CPU" : " CPUs")) +
           row("Load average", load.data()) + row("System", machine.system) +
           row("OpenSSL", machine.openssl) + row("asyncjob", machine.asyncjob) +
           row("Each run", format_short(plan.seconds) + " s, " + std::to_string(plan.concurrent) +
                               " handshakes at a time, a plain request every " +
                               format_short(plan.interval_ms) + " ms") +
           "</dl>\n";
}

std::string legend() {
    const auto item = [](const char* style, const char* text) {
        return std::string("<span class=\"item\"><span class=\"key back-") + style + "\"></span>" +
               text + "</span> ";
    };
    return "<p class=\"quiet\">" + item("sync", "the server thread works on the connection") +
           item("async", "the same, in a job") +
           item("paused", "the job is paused: a worker signs, or will") +
           item("open", "open, waiting for its turn or its client") + "</p>\n";
}

}  // namespace

std::string make_page(const std::vector<Phase>& phases, const std::vector<Figures>& figures,
                      const Machine& machine) {
    const Plan& plan = phases.front().plan;
    std::string text =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>asyncjob demo</title>\n<style>" +
        std::string(page_style) + "</style>\n</head>\n<body>\n<main>\n";
    text +=
        "<h1>One server thread that signs and answers</h1>\n"
        "<p class=\"lead\">A TLS server on one thread stands still while it signs: each full "
        "handshake needs a private-key operation, and whoever else is connected waits. With jobs "
        "the handshake pauses, a worker thread signs, and the server goes on with the "
        "others.</p>\n";
    text += tiles(phases, figures);
    text += table(phases, figures);
    text += "<p class=\"quiet\">" + std::to_string(plan.concurrent) +
            " clients make full TLS 1.3 handshakes one after another; beside them a plain request "
            "comes every " +
            format_short(plan.interval_ms) +
            " ms, whether or not the last one was answered, and its latency counts from the time "
            "it was due. All of it, clients and workers too, runs on the same CPUs.</p>\n";

    text += section("RSA-4096 on the CPU") + "<p>The certificate has a " +
            std::to_string(cpu_key_bits) +
            "-bit RSA key. Further left is better; bars are "
            "shares of the requests of a run, its tallest always as high.</p>\n" +
            figure(draw_distributions(phases, figures, "rsa"));
    text += "<p>What happened in " + whole(rsa_window_ms) +
            " ms of it. Synchronously one block follows another, on one thread, and plain "
            "requests pile up behind them: each staircase of dots is a time when the server did "
            "not look. With jobs the thread works in slivers between the pauses.</p>\n" +
            legend() + timelines(phases, "rsa", rsa_window_ms);

    text +=
        section("A slow device") +
        "<p>Keys often live in a device or behind a network, which takes its time and no CPU. "
        "Here it takes " +
        format_short(phases.back().plan.device_ms) +
        "&nbsp;ms for a signature and any number at once; a provider that sleeps stands in for it, "
        "with a " +
        std::to_string(device_key_bits) +
        "-bit key so that little else counts. Synchronously the server waits for one "
        "signature after another; with jobs it has as many under way as there are "
        "workers.</p>\n" +
        figure(draw_distributions(phases, figures, "device"));
    text += "<p>" + whole(device_window_ms) + " ms of the first and the last run:</p>\n" +
            legend() + timelines(phases, "device", device_window_ms);

    text += section("How this was made") + details(machine, plan);
    return text + "</main>\n</body>\n</html>\n";
}

}  // namespace asyncjob::demo
