// The few shapes that our pictures are made of. Colours are CSS classes, so that a style sheet can
// follow the reader's light or dark background.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace tessera {

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
