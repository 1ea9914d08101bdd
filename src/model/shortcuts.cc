#include "model/shortcuts.h"

#include "formats/int8_groups.h"

namespace tessera {

ModelShortcuts llm_int8(float outlier_threshold) {
  return {.format = int8_groups, .outlier_threshold = outlier_threshold};
}

}  // namespace tessera
