#include "evaluate/roofline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "evaluate/units.h"
#include "support/well_formed.h"

namespace tessera {
namespace {

constexpr Peaks kPeaks{
    .read_bytes_per_second = 10e9, .dot_macs_per_second = 100e9, .fma_macs_per_second = 20e9};

Work work_of(double memory_bytes, double dot_macs, double float_macs) {
  return {memory_bytes, 0, dot_macs, float_macs};
}

TEST(Roofline, TheLimitIsTheLongerOfReadingAndArithmetic) {
  EXPECT_DOUBLE_EQ(limit_seconds(work_of(10e9, 100e9, 0), kPeaks), 1);
  EXPECT_DOUBLE_EQ(limit_seconds(work_of(20e9, 100e9, 0), kPeaks), 2);
  EXPECT_DOUBLE_EQ(limit_seconds(work_of(20e9, 100e9, 40e9), kPeaks), 3);  // int8, then f32
  EXPECT_TRUE(bound_by_reading(work_of(20e9, 100e9, 0), kPeaks));
  EXPECT_FALSE(bound_by_reading(work_of(20e9, 100e9, 40e9), kPeaks));
}

TEST(Roofline, UnitsHaveThreeDigits) {
  EXPECT_EQ(with_unit(0, "s"), "0 s");
  EXPECT_EQ(with_unit(0.00392, "s"), "3.92 ms");
  EXPECT_EQ(with_unit(98.44e6, "B"), "98.4 MB");
  EXPECT_EQ(with_unit(999.6e6, "B"), "1.00 GB");
  EXPECT_EQ(with_unit(570e9, "MAC/s"), "570 GMAC/s");
  EXPECT_EQ(with_unit(1e-12, "s"), "0.00 ns");
  EXPECT_EQ(with_unit(5e18, "B"), "5000000 TB");
  EXPECT_EQ(percent(0.846), "85%");
}

OperationProfile linear(std::string matrix, double seconds, const Work& work) {
  OperationProfile operation;
  operation.name = "linear";
  operation.matrix = std::move(matrix);
  operation.formats = "Q4_K";
  operation.rows = 1536;
  operation.columns = 8960;
  operation.calls = 28;
  operation.seconds = seconds;
  operation.work = work;
  return operation;
}

OperationProfile other(std::string name, double seconds) {
  OperationProfile operation;
  operation.name = std::move(name);
  operation.calls = 1;
  operation.seconds = seconds;
  return operation;
}

Phase make_phase(std::string name, int tokens) {
  Phase phase;
  phase.name = std::move(name);
  phase.tokens = tokens;
  phase.seconds = 0.1;
  phase.operations = {linear("gate, up", 0.05, work_of(400e6, 800e6 * tokens, 0)),
                      linear("a <name> & \"more\"", 0.03, work_of(150e6, 300e6 * tokens, 0)),
                      other("norm", 0.01), other("gather", 1e-6),
                      other("everything else", 0.009999)};
  phase.parallel = {.sections = 200, .seconds = 0.09, .waiting = 0.005, .idle = 0.01};
  return phase;
}

Roofline make_roofline() {
  Roofline roofline;
  roofline.machine = "CPU, AVX2, 2 threads";
  roofline.peaks = kPeaks;
  roofline.weight_bytes = 550e6;
  for (const int n : {1, 2, 3, 4, 5, 15, 16, 512}) {
    roofline.phases.push_back(make_phase(n == 1 ? "decode" : fmt::format("verify {}", n), n));
  }
  return roofline;
}

TEST(Roofline, APhasesWorkIsThatOfItsOperations) {
  const Roofline roofline = make_roofline();
  EXPECT_DOUBLE_EQ(roofline.phases[0].work().memory_bytes, 550e6);
  EXPECT_DOUBLE_EQ(roofline.phases[1].work().dot_macs, 2200e6);
  EXPECT_DOUBLE_EQ(roofline.phases[1].tokens_per_second(), 20);
  EXPECT_EQ(roofline.decode(), &roofline.phases[0]);
  EXPECT_EQ(Roofline().decode(), nullptr);
}

size_t columns_of(const std::string& line) {  // of UTF-8 text without wide characters
  return static_cast<size_t>(
      std::ranges::count_if(line, [](char c) { return (c & 0xc0) != 0x80; }));
}

TEST(RooflineText, FitsTheTerminalAndDrawsBarsWhereThereIsRoom) {
  for (const int width : {80, 100, 120, 200}) {
    const std::string text = to_text(make_roofline(), width);
    std::istringstream lines(text);
    bool in_table = false;
    for (std::string line; std::getline(lines, line); in_table &= !line.empty()) {
      if (line.starts_with("  operation")) in_table = true;
      if (in_table && width >= 100) {
        EXPECT_LE(columns_of(line), static_cast<size_t>(width)) << line;
      }
    }
    EXPECT_EQ(text.find("█") != std::string::npos, width > 110) << width;
  }
}

TEST(RooflineText, SaysWhatPeopleAskFor) {
  const std::string text = to_text(make_roofline(), 132);
  EXPECT_NE(text.find("decode: 10.0 tokens/s, 100 ms a step"), std::string::npos) << text;
  EXPECT_NE(text.find("reads 5.50 GB/s, 55% of the bandwidth"), std::string::npos) << text;
  EXPECT_NE(text.find("1.00 x the time of one token"), std::string::npos) << text;
  EXPECT_NE(text.find("gate, up Q4_K 1536x8960"), std::string::npos) << text;
  EXPECT_NE(text.find("waiting at barriers"), std::string::npos) << text;
  EXPECT_EQ(text.find("gather"), std::string::npos) << "too short to be a row of its own";
}

TEST(RooflineSvg, IsWellFormedWhateverTheNames) {
  using test::is_well_formed;
  EXPECT_FALSE(is_well_formed("<a><b></a></b>"));
  EXPECT_FALSE(is_well_formed("<a>x & y</a>"));
  const std::string svg = to_svg(make_roofline(), "</title> & \"\x01\xff\n");
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_EQ(svg.find("http", svg.find("xmlns") + 40), std::string::npos) << "self-contained";
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(RooflineSvg, NothingMeasuredIsAPictureToo) {
  Roofline roofline;
  roofline.peaks = kPeaks;
  EXPECT_TRUE(test::is_well_formed(to_svg(roofline, "empty")));
  EXPECT_FALSE(to_text(roofline, 80).empty());
}

}  // namespace
}  // namespace tessera
