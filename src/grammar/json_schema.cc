#include "grammar/json_schema.h"

#include "base/error.h"
#include "base/printable.h"
#include "grammar/schema_budget.h"
#include "grammar/schema_writer.h"

namespace tessera::grammar {

Syntax schema_syntax(std::string_view schema, Undeclared undeclared) {
  const SchemaBudget budget;
  SchemaBudget::spend(Cost::kText, schema.size());
  try {
    return SchemaWriter(schema, undeclared).write();
  } catch (const Json::exception& error) {
    fail("json_schema: {}", printable(error.what(), 200));
  }
}

}  // namespace tessera::grammar
