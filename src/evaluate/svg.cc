#include "evaluate/svg.h"

#include <cmath>

#include "base/printable.h"

namespace tessera {

std::vector<double> log_ticks(double low, double high) {
  std::vector<double> ticks;
  for (double decade = std::floor(low); decade <= high; ++decade) {
    for (const double digit : {1, 2, 5}) {
      const double tick = digit * std::pow(10, decade);
      if (std::log10(tick) >= low && std::log10(tick) <= high) ticks.push_back(tick);
    }
  }
  return ticks;
}

std::string Svg::escape(std::string_view text) {
  std::string escaped;
  constexpr size_t kLongest = 1000;
  for (const char c : printable(text, kLongest)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

void Svg::shape(std::string_view element, std::string_view tip) {
  const auto name = element.substr(0, element.find(' '));
  if (tip.empty()) {
    body_ += fmt::format("<{}/>\n", element);
  } else {
    body_ += fmt::format("<{}><title>{}</title></{}>\n", element, escape(tip), name);
  }
}

void Svg::rectangle(Point at, double width, double height, std::string_view css,
                    std::string_view tip) {
  shape(fmt::format(R"(rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}")", at.x,
                    at.y, width, height, css),
        tip);
}

void Svg::circle(Point center, double radius, std::string_view css, std::string_view tip) {
  shape(fmt::format(R"(circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" class="{}")", center.x, center.y,
                    radius, css),
        tip);
}

void Svg::line(const std::vector<Point>& points, std::string_view css) {
  std::string list;
  for (const Point& point : points)
    list += fmt::format("{}{:.1f},{:.1f}", list.empty() ? "" : " ", point.x, point.y);
  shape(fmt::format(R"(polyline points="{}" class="{}")", list, css), {});
}

void Svg::text(Point at, std::string_view text, std::string_view css, Anchor anchor,
               double turned) {
  constexpr std::string_view kAnchors[] = {"start", "middle", "end"};
  std::string turn;
  if (turned != 0)
    turn = fmt::format(" transform='rotate({:.1f} {:.1f} {:.1f})'", turned, at.x, at.y);
  body_ += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}"{}>{}</text>)",
                       at.x, at.y, css, kAnchors[static_cast<int>(anchor)], turn, escape(text));
  body_ += "\n";
}

std::string Svg::finish(double width, double height, std::string_view style) const {
  return fmt::format(
      R"(<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}">
<style>{2}</style>
<rect class="background" width="100%" height="100%"/>
{3}</svg>
)",
      width, height, style, body_);
}

}  // namespace tessera
