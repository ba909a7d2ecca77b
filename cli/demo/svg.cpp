// SPDX-License-Identifier: Apache-2.0
// Contract: svg.hpp.
#include "svg.hpp"

#include <array>
#include <cstdio>

namespace asyncjob::demo {

namespace {

// A hundredth of a pixel is enough.
std::string number(double value) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), "%.2f", value);
    std::string result = text.data();
    result.erase(result.find_last_not_of('0') + 1);
    if (result.back() == '.')
        result.pop_back();
    return result;
}

std::string attribute(const char* name, double value) {
    return std::string(" ") + name + "=\"" + number(value) + '"';
}

std::string attribute(const char* name, std::string_view value) {
    return std::string(" ") + name + "=\"" + escape(value) + '"';
}

}  // namespace

std::string escape(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '&':
                result += "&amp;";
                break;
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            case '"':
                result += "&quot;";
                break;
            case '\'':
                result += "&#39;";
                break;
            default:
                result += c;
        }
    }
    return result;
}

Svg::Svg(double width, double height, std::string_view label)
    : out_("<svg viewBox=\"0 0 " + number(width) + " " + number(height) + "\" role=\"img\"" +
           attribute("aria-label", label) + ">\n") {}

void Svg::rect(double x, double y, double width, double height, std::string_view style,
               std::string_view tip) {
    out_ += "<rect" + attribute("class", style) + attribute("x", x) + attribute("y", y) +
            attribute("width", width) + attribute("height", height);
    out_ += tip.empty() ? "/>\n" : "><title>" + escape(tip) + "</title></rect>\n";
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view style) {
    out_ += "<line" + attribute("class", style) + attribute("x1", x1) + attribute("y1", y1) +
            attribute("x2", x2) + attribute("y2", y2) + "/>\n";
}

void Svg::circle(double x, double y, double radius, std::string_view style) {
    out_ += "<circle" + attribute("class", style) + attribute("cx", x) + attribute("cy", y) +
            attribute("r", radius) + "/>\n";
}

void Svg::text(double x, double y, std::string_view anchor, std::string_view style,
               std::string_view text) {
    out_ += "<text" + attribute("class", style) + attribute("x", x) + attribute("y", y) +
            attribute("text-anchor", anchor) + ">" + escape(text) + "</text>\n";
}

std::string Svg::take() {
    return std::move(out_) + "</svg>\n";
}

}  // namespace asyncjob::demo
