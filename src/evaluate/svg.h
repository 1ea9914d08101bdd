// The few shapes that our pictures are made of. Colours are CSS classes, so that a style sheet can
// follow the reader's light or dark background.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace tessera {

// Okabe & Ito's palette and its like: told apart by most eyes, on light and on dark.
inline constexpr std::string_view kPictureStyle = R"(
text { font: 13px system-ui, sans-serif; }
.background { fill: #ffffff; }
.ink { fill: #1f2328; } .soft { fill: #59636e; font-size: 11px; }
.title { fill: #1f2328; font-size: 20px; font-weight: 600; }
.strong { fill: #1f2328; font-weight: 600; }
.reached { fill: #1f2328; font-size: 12px; font-weight: 600; paint-order: stroke; stroke: #ffffff;
  stroke-width: 3px; stroke-linejoin: round; }
.grid { stroke: #d1d9e0; fill: none; } .guide { stroke: #9aa4af; fill: none; stroke-dasharray: 2 4; }
.roof { stroke: #1f2328; stroke-width: 2; fill: none; }
.second { stroke: #59636e; stroke-width: 1.5; stroke-dasharray: 6 4; fill: none; }
.waiting { fill: #cf222e; }
.pale { opacity: 0.28; } circle { stroke: #ffffff; stroke-width: 1; }
.c0 { fill: #0072b2; } .c1 { fill: #d55e00; } .c2 { fill: #56b4e9; } .c3 { fill: #009e73; }
.c4 { fill: #e69f00; } .c5 { fill: #8b5cf6; } .c6 { fill: #cc79a7; } .c7 { fill: #8c959f; }
@media (prefers-color-scheme: dark) {
.background { fill: #0d1117; }
.ink, .title, .strong { fill: #f0f6fc; } .soft { fill: #9198a1; }
.reached { fill: #f0f6fc; stroke: #0d1117; }
.grid { stroke: #2f3742; } .guide { stroke: #656c76; }
.roof { stroke: #f0f6fc; } .second { stroke: #9198a1; } .waiting { fill: #ff7b72; }
circle { stroke: #0d1117; } .pale { opacity: 0.38; }
}
)";

// 1, 2 and 5 times each power of ten within 10^low .. 10^high: where an axis of logarithms has
// marks.
std::vector<double> log_ticks(double low, double high);

class Svg {
 public:
  struct Point {
    double x, y;
  };
  enum class Anchor { kStart, kMiddle, kEnd };

  static std::string escape(std::string_view text);  // for XML; control characters become escapes

  // `tip` shows when the pointer rests on the shape; may be empty.
  void rectangle(Point at, double width, double height, std::string_view css,
                 std::string_view tip = {});
  void circle(Point center, double radius, std::string_view css, std::string_view tip = {});
  void line(const std::vector<Point>& points, std::string_view css);
  // `turned`: degrees clockwise about `at`.
  void text(Point at, std::string_view text, std::string_view css, Anchor anchor = Anchor::kStart,
            double turned = 0);

  // The file: shapes in the order they were drawn.
  std::string finish(double width, double height, std::string_view style) const;

 private:
  void shape(std::string_view element, std::string_view tip);

  std::string body_;
};

}  // namespace tessera
