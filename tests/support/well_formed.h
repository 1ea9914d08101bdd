// Whether a picture is XML.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace tessera::test {

// Enough of XML for what Svg writes: tags nest, attributes are quoted, & begins an entity.
inline ::testing::AssertionResult is_well_formed(std::string_view xml) {
  std::vector<std::string> open;
  const auto fail_at = [&](size_t at) {
    return ::testing::AssertionFailure() << "at " << at << ": " << xml.substr(at, 80);
  };
  for (size_t i = 0; i < xml.size();) {
    if (xml[i] == '&') {
      const std::string_view entity = xml.substr(i, xml.find(';', i) - i);
      if (entity != "&amp" && entity != "&lt" && entity != "&gt" && entity != "&quot")
        return fail_at(i);
    }
    if (static_cast<unsigned char>(xml[i]) < ' ' && xml[i] != '\n') return fail_at(i);
    if (xml[i] == '>') return fail_at(i);
    if (xml[i] != '<') {
      ++i;
      continue;
    }
    size_t end = i + 1;
    for (char quote = 0; end < xml.size() && (quote != 0 || xml[end] != '>'); ++end) {
      if (xml[end] == '<') return fail_at(i);
      if (quote == 0 && (xml[end] == '"' || xml[end] == '\'')) {
        quote = xml[end];
      } else if (xml[end] == quote) {
        quote = 0;
      }
    }
    if (end == xml.size()) return fail_at(i);
    const std::string_view tag = xml.substr(i + 1, end - i - 1);
    const std::string name(tag.substr(0, tag.find_first_of(" \n")));
    if (tag.starts_with('/')) {
      if (open.empty() || "/" + open.back() != name) return fail_at(i);
      open.pop_back();
    } else if (!tag.ends_with('/') && !tag.starts_with('?')) {
      open.push_back(name);
    }
    i = end + 1;
  }
  return open.empty() ? ::testing::AssertionSuccess() : fail_at(xml.size());
}

}  // namespace tessera::test
