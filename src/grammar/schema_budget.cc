#include "grammar/schema_budget.h"

#include "base/error.h"
#include "grammar/network.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxSchemaText = 1 << 20;
constexpr size_t kMaxLanguageStates = 200'000;
constexpr size_t kMaxCombining = 80'000;

thread_local SchemaBudget* budget = nullptr;

}  // namespace

SchemaBudget::SchemaBudget(Scope scope) : outer_(budget) {
  if (budget == nullptr || scope == Scope::kApart) budget = this;
}
SchemaBudget::~SchemaBudget() {
  budget = outer_;
}

void SchemaBudget::spend(Cost cost, size_t amount) {
  if (budget == nullptr) return;
  const size_t sum = budget->spent_[static_cast<size_t>(cost)] += amount;
  switch (cost) {
    case Cost::kText:
      if (sum > kMaxSchemaText)
        fail("json_schema: too large, more than {} bytes together", kMaxSchemaText);
      break;
    case Cost::kStates:
      if (sum > kMaxLanguageStates)
        fail("json_schema: too large, patterns and bounds take more than {} states together",
             kMaxLanguageStates);
      break;
    case Cost::kCombining:
      if (sum > kMaxCombining)
        fail(
            "json_schema: too many alternatives or too large ones: to combine them takes too much "
            "work");
      break;
    case Cost::kSyntax:
      if (sum > kMaxEdges) fail("json_schema: too large, it takes more than {} edges", kMaxEdges);
      break;
  }
}

}  // namespace tessera::grammar
