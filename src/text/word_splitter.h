// Cuts texts into words, as a TextPipeline says.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/text_pipeline.h"

namespace tessera {

class WordSplitter {
 public:
  // Throws Error for an expression that is malformed or not supported.
  explicit WordSplitter(std::span<const WordStep> steps);
  ~WordSplitter();
  WordSplitter(WordSplitter&&) noexcept;

  // Words in a text of their own, for steps change letters. None is empty.
  struct Words {
    std::string text;
    struct Word {
      size_t begin, end;
    };
    std::vector<Word> words;
  };
  struct Place {
    bool begins_text = false;  // what is cut is the beginning of a text
    bool continues = false;    // it goes on with another text: nothing is put before it
  };
  Words split(std::string text, Place place) const;

 private:
  struct Step;
  std::vector<Step> steps_;
};

}  // namespace tessera
