#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "engine/session.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

TEST(DraftLoading, IsToldOfLikeThatOfTheModel) {
  const test::TempFolder folder;
  const std::string model = write_tiny_model({.layers = 3}, folder.path()).string();
  const std::string draft = write_tiny_model({.layers = 1}, folder.path()).string();
  std::vector<std::pair<size_t, size_t>> told;
  const Session session = Session::load(
      model, {.threads = 2, .draft = draft, .on_progress = [&](size_t done, size_t total) {
                told.emplace_back(done, total);
              }});
  const size_t of_model = session.checkpoint->tensors().size();
  ASSERT_GT(told.size(), of_model);
  const size_t of_draft = told.size() - of_model;
  EXPECT_LT(of_draft, of_model);
  for (size_t i = 0; i < told.size(); ++i) {
    const bool is_draft = i >= of_model;
    EXPECT_EQ(told[i].first, is_draft ? i - of_model + 1 : i + 1);
    EXPECT_EQ(told[i].second, is_draft ? of_draft : of_model);
  }
}

}  // namespace
}  // namespace tessera
