#include "cli/calibration_text.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "tessera/tessera.h"

namespace tessera::cli {

std::string write_calibration_text(const std::string& reference, const LoadOptions& load, int texts,
                                   int length,
                                   const std::function<void(size_t done, size_t total)>& progress) {
  LanguageModel model = LanguageModel::load(reference, load);
  // Where no token begins a text, the end of a line does.
  const std::string beginning = model.tokenize("").empty() ? "\n" : "";
  const auto read = static_cast<int>(model.tokenize(beginning).size());
  if (read >= model.context()) fail("a context of {} tokens holds no text", model.context());
  GenerateOptions options;
  options.max_tokens = std::min(length, model.context() - read);
  options.ignore_eos = true;
  options.sampling = {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 1};
  size_t pieces = 0;  // of text, as they come: about a token each
  const size_t expected = static_cast<size_t>(texts) * static_cast<size_t>(options.max_tokens);
  const std::vector<std::string> prompts(static_cast<size_t>(texts), beginning);
  std::string text;
  for (const Generation& written : model.generate(prompts, options, [&](size_t, std::string_view) {
         if (progress) progress(std::min(++pieces, expected), expected);
         return true;
       })) {
    text += written.text;
    text += '\n';
  }
  return text;
}

}  // namespace tessera::cli
