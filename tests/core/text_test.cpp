#include "core/text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/test_folder.h"

namespace cola {
namespace {

TEST(Format, DurationsCountsAndBytes) {
  EXPECT_EQ(format_duration(9.4), "9 s");
  EXPECT_EQ(format_duration(250), "4 min 10 s");
  EXPECT_EQ(format_duration(11520), "3 h 12 min");
  EXPECT_EQ(format_duration(-1), "0 s");
  EXPECT_EQ(format_count(0), "0.00");
  EXPECT_EQ(format_count(131072), "131 k");
  EXPECT_EQ(format_count(1.339e9), "1.34 G");
  EXPECT_EQ(format_count(999.9), "1.00 k");
  EXPECT_EQ(format_bytes(1.5 * 1024 * 1024 * 1024), "1.50 GiB");
  EXPECT_EQ(format_bytes(100.0), "100 B");
  EXPECT_EQ(format_bytes(std::size_t{3} << 19), "1.50 MiB");
}

TEST(Lines, AreThoseThatAreNotEmpty) {
  const TestFolder folder;
  EXPECT_EQ(lines_of_file(folder.write("hosts", "x1\n\nx2")), (std::vector<std::string>{"x1", "x2"}));
  EXPECT_TRUE(lines_of_file(folder.path("gone")).empty());
}

}  // namespace
}  // namespace cola
