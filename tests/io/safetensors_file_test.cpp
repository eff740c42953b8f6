#include "io/exchange/safetensors_file.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "support/test_folder.h"

namespace cola {
namespace {

class Safetensors : public ::testing::Test {
 protected:
  /// A file of this header and so many bytes of data, as another program would write it.
  std::string write(const std::string& header, const std::string& data) const {
    std::string bytes(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    return folder_.write("weights.safetensors", bytes + header + data);
  }
  template <typename Word>
  static std::string bytes_of(const std::vector<Word>& words) {
    return {reinterpret_cast<const char*>(words.data()), words.size() * sizeof(Word)};
  }
  /// What is said of the file, without its path; empty if it opens.
  std::string complaint(const std::string& path) const {
    try {
      const SafetensorsFile file(path);
      return {};
    } catch (const FileError& error) {
      const std::string text = error.what();
      EXPECT_EQ(text.substr(0, path.size() + 2), path + ": ");
      return text.substr(path.size() + 2);
    }
  }
  std::string complaint(const std::string& header, std::size_t bytes) const {
    return complaint(write(header, std::string(bytes, 'x')));
  }

  TestFolder folder_;
};

TEST_F(Safetensors, GivesEachTypeAsFp32) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"half":{"dtype":"F16","shape":[8],"data_offsets":[12,28]},)"
      R"("brain":{"dtype":"BF16","shape":[3,2],"data_offsets":[0,12]},)"
      R"("full":{"dtype":"F32","shape":[2],"data_offsets":[28,36]}})";
  const std::vector<std::uint16_t> brain{0x3f80, 0xc000, 0x7f80, 0x0001, 0x8000, 0x4049};
  // 1, -2, 65504 (the largest), 2^-24 (the smallest), -(1023 * 2^-24), -0, infinity, a NaN
  const std::vector<std::uint16_t> half{0x3c00, 0xc000, 0x7bff, 0x0001, 0x83ff, 0x8000, 0x7c00, 0x7e01};
  const SafetensorsFile file(
      write(header, bytes_of(brain) + bytes_of(half) + bytes_of(std::vector{0.1f, -3e38f})));
  EXPECT_EQ(file.names(), (std::vector<std::string>{"brain", "full", "half"}));
  EXPECT_EQ(file.shape("brain"), (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(file.checksums(), "");
  std::vector<float> values(6);
  file.read("brain", values);
  EXPECT_EQ(values, (std::vector<float>{1, -2, INFINITY, 0x1p-133f, -0.0f, 3.140625f}));
  EXPECT_TRUE(std::signbit(values[4]));
  values.resize(8);
  file.read("half", values);
  EXPECT_TRUE(std::isnan(values[7]));
  values.pop_back();
  EXPECT_EQ(values, (std::vector<float>{1, -2, 65504, 0x1p-24f, -1023 * 0x1p-24f, -0.0f, INFINITY}));
  EXPECT_TRUE(std::signbit(values[5]));
  values.resize(2);
  file.read("full", values);
  EXPECT_EQ(values, (std::vector<float>{0.1f, -3e38f}));
  EXPECT_THROW(file.read("brain", values), FileError) << "another number of elements";
  EXPECT_THROW(file.read("none", values), FileError);
}

TEST_F(Safetensors, MayBeEmpty) {
  EXPECT_EQ(complaint("{}", 0), "");
  EXPECT_EQ(complaint(R"({"a":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]}})", 0), "");
  EXPECT_EQ(complaint(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4), "");
}

TEST_F(Safetensors, NeedsAHeader) {
  EXPECT_EQ(complaint(folder_.write("none", "")), "is no safetensors file: it has 0 bytes");
  EXPECT_EQ(
      complaint(folder_.write("long", std::string(7, '\xff') + "\x7f{}")),
      "is no safetensors file, or was cut short: a header of 9223372036854775807 bytes in a file of 10");
  EXPECT_EQ(
      complaint(folder_.write("all", std::string(8, '\xff') + "{}")),
      "is no safetensors file, or was cut short: a header of 18446744073709551615 bytes in a file of 10");
  for (const char* header : {"", "{", "[]", "3", "null", "{\"a\":}", "\xff\xff"})
    EXPECT_EQ(complaint(header, 0), "is no safetensors file: its header is no JSON object") << header;
  for (const char* key : {"__metadata__", "a"}) {
    const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
    EXPECT_EQ(complaint(fmt::format("{{\"{}\":{}}}", key, deep), 0),
              "is no safetensors file: its header is no JSON object");
  }
  EXPECT_NE(complaint(folder_.path("missing")).find("No such file"), std::string::npos);
}

TEST_F(Safetensors, NamesATensorThatCannotBe) {
  const auto of = [&](const std::string& fields) { return complaint(R"({"a.b":{)" + fields + "}}", 16); };
  EXPECT_EQ(complaint(R"({"a":7})", 0), "a: is no JSON object");
  EXPECT_EQ(of(R"("dtype":"I64","shape":[2],"data_offsets":[0,16])"),
            "a.b: has dtype I64; F32, BF16 and F16 can be read");
  EXPECT_EQ(of(R"("shape":[4],"data_offsets":[0,16])"), "a.b: has dtype null; F32, BF16 and F16 can be read");
  EXPECT_EQ(of(R"("dtype":"F32","data_offsets":[0,16])"), "a.b: has no list shape");
  EXPECT_EQ(of(R"("dtype":"F32","shape":4,"data_offsets":[0,16])"), "a.b: has no list shape");
  EXPECT_EQ(of(R"("dtype":"F32","shape":[4])"), "a.b: has no list data_offsets");
  EXPECT_EQ(of(R"("dtype":"F32","shape":[-4],"data_offsets":[0,16])"),
            "a.b: shape holds -4, which is no size");
  EXPECT_EQ(of(R"("dtype":"F32","shape":[4.0],"data_offsets":[0,16])"),
            "a.b: shape holds 4.0, which is no size");
  EXPECT_EQ(of(R"("dtype":"F32","shape":["4"],"data_offsets":[0,16])"),
            "a.b: shape holds \"4\", which is no size");
  EXPECT_EQ(of(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,16])"),
            "a.b: shape holds 18446744073709551615, which is no size");
  EXPECT_EQ(of(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16])"),
            "a.b: its shape is larger than any file");
}

TEST_F(Safetensors, NamesATensorThatLiesWhereItCannot) {
  const auto of = [&](const std::string& place) {
    return complaint(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":)" + place + "}}", 16);
  };
  EXPECT_EQ(of("[0,16]"), "");
  for (const char* place :
       {"[0,17]", "[16,0]", "[0]", "[0,8,16]", "[4,20]", "[9223372036854775807,9223372036854775807]"})
    EXPECT_EQ(of(place), fmt::format("a: its data_offsets {} do not lie in the 16 bytes of data", place));
  EXPECT_EQ(of("[0,12]"), "a: its data_offsets [0,12] do not hold [4] of F32");
  EXPECT_EQ(of("[0,0]"), "a: its data_offsets [0,0] do not hold [4] of F32");
  const auto two = [&](const std::string& first, const std::string& second, std::size_t bytes) {
    return complaint(R"({"a":{"dtype":"BF16","shape":[4],"data_offsets":)" + first +
                         R"(},"b":{"dtype":"BF16","shape":[4],"data_offsets":)" + second + "}}",
                     bytes);
  };
  EXPECT_EQ(two("[8,16]", "[0,8]", 16), "");
  EXPECT_EQ(two("[0,8]", "[4,12]", 12), "b: its data_offsets overlap another tensor's");
  EXPECT_EQ(two("[0,8]", "[0,8]", 8), "b: its data_offsets overlap another tensor's");
  EXPECT_EQ(two("[0,8]", "[10,18]", 18), "b: the 2 bytes before it belong to no tensor");
  EXPECT_EQ(two("[0,8]", "[8,16]", 20), "its last 4 bytes belong to no tensor");
  EXPECT_EQ(two("[0,8]", "[8,16]", 12), "b: its data_offsets [8,16] do not lie in the 12 bytes of data");
}

}  // namespace
}  // namespace cola
