// The student of a distillation, as people ask for it.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "text/tokenizer.h"

namespace tessera::train {

// "layers=8": so many of the teacher's layers, evenly spread, the first and the last among them
// (DistilBERT, Sanh et al. 2019). "layers=0,2,5": these, by their numbers, ascending. Error for
// numbers that are none, or not of the teacher's.
std::vector<int> parse_student_layers(std::string_view text, int layers);

// "layers=...", or a file or a name of a model with the teacher's vocabulary: what `prune` left of
// it, or a smaller one of its family. `tokenizer`: the teacher's. Error for a teacher that loses no
// layer, a vocabulary that differs, naming where first, or a model that cannot be trained.
std::shared_ptr<const Checkpoint> open_student(std::string_view reference,
                                               std::shared_ptr<const Checkpoint> teacher,
                                               const Tokenizer& tokenizer);

}  // namespace tessera::train
