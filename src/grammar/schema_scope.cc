#include "grammar/schema_scope.h"

#include <cmath>

#include "base/error.h"

namespace tessera::grammar {
namespace {

constexpr double kMaxCount = 100'000;

}  // namespace

int count_of(const Json& schema, const char* keyword, int otherwise, const std::string& where) {
  const auto found = schema.find(keyword);
  if (found == schema.end()) return otherwise;
  const double count = found->is_number() ? found->get<double>() : -1;
  if (count != std::trunc(count) || count < 0)
    fail("json_schema: {}: '{}' is no count", where, keyword);
  if (count > kMaxCount) fail("json_schema: {}: '{}' is more than {}", where, keyword, kMaxCount);
  return static_cast<int>(count);
}

void check_order(int min, int max, const char* what, const std::string& where) {
  if (max != kUnbounded && max < min)
    fail("json_schema: {}: the largest number of {} is {}, the smallest {}", where, what, max, min);
}

}  // namespace tessera::grammar
