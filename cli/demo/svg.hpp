// SPDX-License-Identifier: Apache-2.0
// Text for HTML, and inline SVG whose colours come from the page's style sheet.
#pragma once

#include <string>
#include <string_view>

namespace asyncjob::demo {

// Text as it may stand in HTML, in an attribute too.
std::string escape(std::string_view text);

class Svg {
  public:
    // label is what a screen reader says.
    Svg(double width, double height, std::string_view label);

    void rect(double x, double y, double width, double height, std::string_view style,
              std::string_view tip = {});
    void line(double x1, double y1, double x2, double y2, std::string_view style);
    void circle(double x, double y, double radius, std::string_view style);
    // anchor: start, middle or end.
    void text(double x, double y, std::string_view anchor, std::string_view style,
              std::string_view text);

    // The finished element.
    std::string take();

  private:
    std::string out_;
};

}  // namespace asyncjob::demo
