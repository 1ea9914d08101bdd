// Conversations that a template does not take as they are.
#include "text/fit_messages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "base/error.h"
#include "paths.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

ChatFormat format_of(std::string_view source) {
  ChatFormat format{ChatTemplate(source), "<s>", "</s>"};
  format.capabilities = probe_template(format.source, "<s>", "</s>");
  return format;
}

std::map<std::string, std::string> shipped_templates() {
  std::map<std::string, std::string> found;
  for (const auto& entry :
       std::filesystem::directory_iterator(TESSERA_TEST_DATA "/chat_templates")) {
    if (entry.path().extension() != ".jinja") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    found[entry.path().stem().string()] = {std::istreambuf_iterator<char>(file), {}};
  }
  return found;
}

ChatFormat shipped(const std::string& name) {
  return format_of(shipped_templates().at(name));
}

std::string letters(const TemplateCapabilities& c) {
  return std::string(c.system_role ? "s" : "-") + (c.lone_system ? "o" : "-") +
         (c.late_system ? "l" : "-") + (c.more_systems ? "m" : "-") +
         (c.repeated_user ? "u" : "-") + (c.repeated_assistant ? "a" : "-") +
         (c.text_content ? "c" : "-") + (c.tools ? "t" : "-");
}

TEST(TemplateCapabilities, AreFoundByRendering) {
  const std::map<std::string, std::string> expected = {
      {"gemma2", "------c-"},          {"gemma3", "s-----c-"},        {"llama2", "s-----c-"},
      {"mistral_v1", "------c-"},      {"chatml", "solmuac-"},        {"phi3", "solmuac-"},
      {"qwen2.5", "solmuact"},         {"mistral_tools", "s-----ct"}, {"harmony", "so--uact"},
      {"zephyr", "solmuac-"},          {"deepseek_v3", "solmuac-"},   {"llama3_tools", "solmuact"},
      {"gemma_functions", "so--uact"}, {"qwen3_coder", "sol-uact"},
  };
  for (const auto& [name, capabilities] : expected) {
    EXPECT_EQ(letters(shipped(name).capabilities), capabilities) << name;
  }
}

TEST(TemplateCapabilities, WhatIsSilentlyLeftOutIsLacking) {
  EXPECT_EQ(
      letters(format_of("{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}")
                  .capabilities),
      "----uac-");
  EXPECT_EQ(letters(format_of("{{ messages[-1].content }}").capabilities), "------c-");
  // Speaks of tools, and shows none.
  EXPECT_EQ(letters(format_of("{% if tools and false %}x{% endif %}"
                              "{% for m in messages %}{{ m.content }}{% endfor %}")
                        .capabilities),
            "solmuac-");
  EXPECT_EQ(
      letters(format_of("{% for m in messages %}{{ m.content[0].text }}{% endfor %}").capabilities),
      "solmua--");
}

TEST(TemplateCapabilities, NothingIsSaidOfATemplateThatShowsNothing) {
  for (const char* source :
       {"", "plain", "{{ raise_exception('no') }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"}) {
    EXPECT_EQ(letters(format_of(source).capabilities), "solmuac-") << source;
  }
}

TEST(FitMessages, ASystemTextGoesBeforeTheUsersNextText) {
  const ChatFormat gemma = shipped("gemma2");
  EXPECT_EQ(render_chat(gemma, {{"system", "Be brief."}, {"user", "Hi"}}),
            "<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(
      render_chat(gemma, {{"user", "Hi"}, {"assistant", "Ho"}, {"system", "S"}, {"user", "U"}}),
      "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHo<end_of_turn>\n"
      "<start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(render_chat(gemma, {{"system", "S"}, {"system", "T"}}),
            "<s><start_of_turn>user\nS\n\nT<end_of_turn>\n<start_of_turn>model\n");
  // Nothing is moved behind what the assistant said.
  EXPECT_EQ(render_chat(gemma, {{"system", "S"}, {"assistant", "A"}, {"user", "U"}}),
            "<s><start_of_turn>user\nS<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n"
            "<start_of_turn>user\nU<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(render_chat(gemma, {{"system", ""}, {"user", "U"}}),
            "<s><start_of_turn>user\nU<end_of_turn>\n<start_of_turn>model\n");
}

// A character that greets, say. The template itself refuses it.
TEST(FitMessages, AnAssistantMaySpeakFirst) {
  EXPECT_EQ(render_chat(shipped("gemma2"), {{"assistant", "Hello!"}, {"user", "Hi"}}),
            "<s><start_of_turn>user\n<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n"
            "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(render_chat(shipped("gemma3"), {{"system", "S"}, {"assistant", "A"}, {"user", "U"}}),
            render_chat(shipped("gemma3"),
                        {{"system", "S"}, {"user", ""}, {"assistant", "A"}, {"user", "U"}}));
  EXPECT_EQ(render_chat(shipped("chatml"), {{"assistant", "A"}, {"user", "U"}}),
            "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
            "<|im_start|>assistant\n")
      << "where the template takes it, as it is";
}

TEST(FitMessages, TheFirstSystemMessageTakesThoseThatFollowIt) {
  const ChatFormat gemma = shipped("gemma3");
  EXPECT_EQ(render_chat(gemma, {{"system", "S"}, {"system", "T"}, {"user", "U"}}),
            "<s><start_of_turn>user\nS\n\nT\n\nU<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(render_chat(gemma, {{"system", "S"}, {"user", "U"}, {"system", "T"}}),
            "<s><start_of_turn>user\nS\n\nU\n\nT<end_of_turn>\n<start_of_turn>model\n");
}

TEST(FitMessages, TurnsOfOneRoleBecomeOneWhereRolesMustAlternate) {
  EXPECT_EQ(render_chat(shipped("mistral_v1"), {{"user", "a"}, {"user", "b"}, {"user", "c"}}),
            render_chat(shipped("mistral_v1"), {{"user", "a\n\nb\n\nc"}}));
  EXPECT_EQ(
      render_chat(
          shipped("llama2"),
          {{"system", "s"}, {"user", "a"}, {"assistant", "b"}, {"assistant", "c"}, {"user", "d"}}),
      render_chat(shipped("llama2"),
                  {{"system", "s"}, {"user", "a"}, {"assistant", "b\n\nc"}, {"user", "d"}}));
}

TEST(FitMessages, JoinedTurnsKeepTheirCallsAndTheirParts) {
  const TemplateCapabilities none{.system_role = false,
                                  .more_systems = false,
                                  .repeated_user = false,
                                  .repeated_assistant = false};
  const Json part = {{"type", "text"}, {"text", "x"}};
  const auto fitted =
      fit_messages({{"system", "s"},
                    {"user", Json::array({part})},
                    {"assistant", nullptr, {{"tool_calls", {1}}}},
                    {"assistant", "b", {{"tool_calls", {2}}, {"reasoning_content", "r"}}}},
                   none);
  ASSERT_EQ(fitted.size(), 2u);
  EXPECT_EQ(fitted[0].content,
            Json::parse(R"([{"type":"text","text":"s"},{"type":"text","text":"\n\n"},
                                              {"type":"text","text":"x"}])"));
  EXPECT_EQ(fitted[1].content, "b");
  EXPECT_EQ(fitted[1].extra, Json::parse(R"({"tool_calls":[1,2],"reasoning_content":"r"})"));
}

TEST(FitMessages, TextsBecomePartsForATemplateThatReadsParts) {
  const ChatFormat format =
      format_of("{% for m in messages %}[{{ m.content[0].text }}]{% endfor %}");
  EXPECT_EQ(render_chat(format, {{"system", "s"}, {"user", "u"}}), "[s][u]");
}

// No conversation that could be rendered before is rendered in another way.
TEST(FitMessages, WhatATemplateTakesStaysAsItIs) {
  for (const auto& [name, source] : shipped_templates()) {
    const ChatFormat fitted = format_of(source);
    const ChatFormat plain{ChatTemplate(source), "<s>", "</s>"};
    for (const std::vector<Message>& messages : std::vector<std::vector<Message>>{
             {{"user", "Hi"}},
             {{"user", "Hi"}, {"assistant", "Ho"}, {"user", "Why?"}},
             {{"user", "Hi"}, {"assistant", "Ho"}},
             {{"system", "Be brief."}, {"user", "Hi"}},
             {{"user", "tulip"}, {"assistant", "daisy"}, {"system", "lilac"}, {"user", "poppy"}},
             {{"system", "Be brief."}, {"user", "tulip"}, {"user", "daisy"}},
             {{"user", "tulip"},
              {"assistant", "daisy"},
              {"assistant", "aster"},
              {"system", "lilac"},
              {"user", "poppy"}}}) {
      std::string before;
      try {
        before = render_chat(plain, messages);
      } catch (const Error&) {
        continue;
      }
      const bool shows_all =
          std::all_of(messages.begin(), messages.end(), [&](const Message& message) {
            return before.find(message.content.get<std::string>()) != std::string::npos;
          });
      if (!shows_all) continue;
      EXPECT_EQ(render_chat(fitted, messages), before) << name;
    }
  }
}

// And what was refused or lost is there.
TEST(FitMessages, EveryTemplateShowsEveryText) {
  for (const auto& [name, source] : shipped_templates()) {
    const ChatFormat format = format_of(source);
    for (const std::vector<Message>& messages : std::vector<std::vector<Message>>{
             {{"system", "tulip"}, {"user", "daisy"}},
             {{"system", "tulip"}, {"system", "aster"}, {"user", "daisy"}},
             {{"user", "tulip"}, {"user", "aster"}},
             {{"user", "tulip"}, {"assistant", "aster"}, {"assistant", "daisy"}, {"user", "lilac"}},
             {{"user", "tulip"}, {"assistant", "aster"}, {"system", "daisy"}, {"user", "lilac"}},
             {{"system", "tulip"}},
             {{"system", "tulip"}, {"system", "daisy"}},
             {{"assistant", "tulip"}, {"user", "daisy"}},
             {{"assistant", "tulip"}, {"assistant", "aster"}, {"user", "daisy"}},
             {{"system", "aster"}, {"assistant", "tulip"}, {"user", "daisy"}},
             {{"user", "tulip"}, {"system", "aster"}}}) {
      const std::string prompt = render_chat(format, messages);
      for (const Message& message : messages) {
        const auto text = message.content.get<std::string>();
        EXPECT_NE(prompt.find(text), std::string::npos) << name << ": " << text;
      }
    }
  }
}

}  // namespace
}  // namespace tessera
