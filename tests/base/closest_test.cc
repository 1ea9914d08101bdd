#include "base/closest.h"

#include <gtest/gtest.h>

#include <vector>

namespace tessera {
namespace {

TEST(Closest, FindsWhatWasMeant) {
  const std::vector<std::string> names = {"run", "serve", "tokenize", "quantize", "smollm2:135m"};
  for (const auto& [word, meant] :
       std::vector<std::pair<std::string, std::string>>{{"rnu", "run"},            // swapped
                                                        {"serv", "serve"},         // missing
                                                        {"serrve", "serve"},       // too many
                                                        {"tokenise", "tokenize"},  // wrong
                                                        {"QUANTIZE", "quantize"},  // case
                                                        {"smolm2:135m", "smollm2:135m"},
                                                        {"smollm2:153m", "smollm2:135m"},
                                                        {"tkoenzie", "tokenize"}}) {
    EXPECT_EQ(closest(word, names), meant) << word;
  }
}

TEST(Closest, IsSilentWhereNothingIsNear) {
  const std::vector<std::string> names = {"run", "serve"};
  for (const std::string word : {"xyz", "", "r", "completely else", "service-desk"}) {
    EXPECT_EQ(closest(word, names), "") << word;
  }
  EXPECT_EQ(closest("run", {}), "");
  EXPECT_EQ(closest(std::string(100'000, 'r'), names), "");
}

}  // namespace
}  // namespace tessera
