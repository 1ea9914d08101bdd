// What somebody may have meant who mistyped a name.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tessera {

// The candidate with the least letters missing, too many, wrong or swapped with a neighbour
// (Damerau 1964), if those are few for the length of the word; else "". Case does not matter.
std::string_view closest(std::string_view word, std::span<const std::string> candidates);

}  // namespace tessera
