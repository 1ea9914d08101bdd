// Writes a LoRA adapter with random weights for a model, as PEFT would: for measuring.
//
//   random_lora MODEL OUT_FOLDER [RANK [F32|F16|BF16]]
#include <fmt/format.h>

#include <string>

#include "base/error.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "support/tiny_lora.h"

int main(int argc, char** argv) {
  using namespace tessera;
  if (argc < 3 || argc > 5) {
    fmt::print(stderr, "usage: random_lora MODEL OUT_FOLDER [RANK [F32|F16|BF16]]\n");
    return 2;
  }
  try {
    TinyLora lora{.rank = argc > 3 ? std::stoi(argv[3]) : 16, .alpha = 32};
    if (argc > 4) lora.format = &require_format(argv[4]);
    const auto model = open_checkpoint(resolve_model(argv[1]));
    lora.strength = 0.02f;  // the model goes on to speak
    write_tiny_peft(lora, *model, argv[2]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
