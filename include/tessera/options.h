// What can be asked of a model: how it is loaded, how tokens are chosen, when an answer ends. The
// command line, the server and the library take the same ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace tessera {

// A low-rank adapter (LoRA) that is loaded beside a model: a folder that Hugging Face's PEFT wrote,
// its adapter_model.safetensors, or a GGUF file of llama.cpp's converter. Texts of which nothing
// else is said go through it by `scale`; 0: only those that ask for it.
struct LoraFile {
  std::string path;
  float scale = 1.0f;
};

// That an answer goes through a loaded adapter, and by how much.
struct LoraUse {
  int id = 0;  // its place in LoadOptions::lora
  float scale = 1.0f;
};

struct LoadOptions {
  int threads = 0;                // 0: one for each core this process may use
  int context = 0;                // tokens; 0: what the model was trained for
  std::string kv_format = "f16";  // or "q8_0"
  // How words are cut before tokenization, by the name of the family ("qwen2", "llama-bpe"), for a
  // model that names one that is not known; "": what the model says.
  std::string pre_tokenizer = {};
  // How messages become a prompt: the name of a well-known format ("chatml", "gemma") or a file
  // with a Jinja template, for a model that has none or a wrong one; "": what the model ships.
  std::string chat_template = {};
  // LLM.int8() (Dettmers et al. 2022): matrices of more than 8 bits are cut to 8 when they are
  // loaded, and activations of this magnitude and more meet their weights in f32 instead of being
  // quantized among others; 6 is the paper's. Checkpoints that bitsandbytes made for it bring their
  // own. 0: off.
  float llm_int8_threshold = 0;
  // A smaller model, which drafts for the decoders `auto` and `draft`:
  // "MODEL[,bits=4][,head=32768][,bridge=1]". It changes no text, so it need not be exact: its
  // matrices are cut to 4 bits (bits=0: as the file has them), and it proposes only the first 32768
  // tokens, which are the frequent ones (head=0: all). It must have the same vocabulary, but with
  // bridge=1, where it reads and writes by way of bytes. "": none.
  std::string draft = {};
  // Medusa heads trained for the model, for the decoders `auto` and `medusa`: a GGUF that `tessera
  // train medusa` or `tessera quantize` wrote, or the safetensors they are published in. "": none.
  std::string medusa = {};
  // Load the model's own layer that predicts further tokens (multi-token prediction), for the
  // decoders `auto` and `mtp`. Error if it has none.
  bool mtp = false;
  // Such a layer that was trained for the model and lies in a file beside it (EAGLE), for the same
  // decoders: a GGUF that `tessera train eagle` wrote. "": none.
  std::string eagle = {};
  // Adapters, in the order of their numbers; of any base, quantized or not.
  std::vector<LoraFile> lora = {};
  // Where weights are kept in a file without a name instead of in memory, for models larger than
  // it: what is not used leaves memory, and is read again when it is. Of a mixture of experts that
  // is most of it. Changes no answer. "": in memory.
  std::string weights_folder = {};
  // Called while weights are read: (done, total) tensors, of the model and then of its draft. May
  // be empty.
  std::function<void(size_t done, size_t total)> on_progress = {};
};

// From a row of logits to a token. What is left open is as here for the library, the command line,
// the server and its page alike.
struct SamplingOptions {
  float temperature = 0.8f;  // 0: greedy
  // Keep the k most likely tokens (Fan et al. 2018). 0: off.
  int top_k = 40;
  // Keep the smallest set with this much probability (Holtzman et al. 2020). 1: off.
  float top_p = 0.95f;
  // Keep tokens at least this likely, relative to the best (Nguyen et al. 2024). 0: off.
  float min_p = 0.05f;
  // Divides positive logits of seen tokens, multiplies others (Keskar et al. 2019). 1: off.
  float repetition_penalty = 1.0f;
  int penalty_window = 64;         // last tokens that the repetition penalty looks at; -1: all
  float presence_penalty = 0.0f;   // subtracted once from the logit of a token generated before
  float frequency_penalty = 0.0f;  // subtracted for each time it was generated
  // Token id -> added to its logit; -infinity forbids a token.
  std::unordered_map<int32_t, float> logit_bias = {};
  // The same seed gives the same text, with every decoder. None: another text each time;
  // Generation::seed says by which.
  std::optional<uint64_t> seed = {};

  // Throws std::runtime_error naming the first value that is out of range.
  void validate() const;
};

// When a beam search (GenerateOptions::beams) ends.
enum class EarlyStopping {
  kNo,     // when no text is expected to become better than the ones that ended: a guess
  kYes,    // when as many texts have ended as there are beams
  kNever,  // when no text can become better
};

struct GenerateOptions {
  int max_tokens = -1;  // -1: until the model ends its answer or the context is full
  SamplingOptions sampling = {};
  std::vector<std::string> stop = {};  // the answer ends before the first of these
  bool ignore_eos = false;
  // Before the answer has so many tokens nothing ends it: no token that would comes, unless a form
  // leaves no other, and no stop text counts.
  int min_tokens = 0;
  std::vector<int32_t> stop_tokens = {};  // which end the answer, and are no part of its text
  // Words whose tokens never come one after another, whether they begin the text or follow a blank.
  // Other tokens may spell them all the same.
  std::vector<std::string> bad_words = {};
  // The adapters that the answer goes through, their sums added, and no others. None: those of
  // LoadOptions::lora by their scales.
  std::optional<std::vector<LoraUse>> lora = {};
  // How tokens are proposed: it never changes the text, only how fast that comes.
  std::string decoder = "auto";
  // What the answer is expected to resemble, for example the file that it edits. It takes fewer
  // steps where it does (decoders auto and prediction), and never another text.
  std::string prediction = {};
  // More than one: beam search. Instead of a token at a time, so many of the likeliest texts are
  // followed, all in one batch, and the best that ended is the answer; the others are
  // Generation::beams. Nothing is drawn: the temperature has to be 0, and the decoder plain, which
  // auto is then. A text's score is the sum of its tokens' log-probabilities / length ^
  // length_penalty, the length in generated tokens; so 0 compares sums, 1 means, and more prefers
  // long texts. As Hugging Face's transformers have it.
  int beams = 1;
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::kNo;
  // The form that the answer must keep to, one of the two; it then always parses, unless max_tokens
  // cuts it off. docs/structured-output.md says what they may hold.
  std::string grammar = {};      // in GBNF, the notation of llama.cpp
  std::string json_schema = {};  // "{}": any JSON; {"type": "object"}: any object
  // Special tokens spelled out in the prompt are control tokens. False: they are text; of chat(),
  // what the messages spell is text, and what the chat template writes itself are control tokens.
  bool parse_special = true;
  std::function<bool()> is_cancelled = {};  // asked after every step; true ends the answer
};

}  // namespace tessera
