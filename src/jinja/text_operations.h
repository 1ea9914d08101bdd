// What filters and methods on text share.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "jinja/budget.h"

namespace tessera::jinja {

// At most `count` times unless that is negative. An empty `from` is found around each character.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to,
                        int64_t count, Budget& budget);

enum class Alignment { kLeft, kRight, kCenter };
// Fills up to `width` characters.
std::string pad(std::string_view text, int64_t width, std::string_view fill, Alignment alignment,
                Budget& budget);

// As int(text, radix) and float(text) in Python; nullopt where those raise ValueError. Error for an
// integer beyond 64 bits.
std::optional<int64_t> parse_integer(std::string_view text, int radix);
std::optional<double> parse_float(std::string_view text);

// Rounds to an integer that must fit 64 bits.
int64_t truncate_to_integer(double value);

}  // namespace tessera::jinja
