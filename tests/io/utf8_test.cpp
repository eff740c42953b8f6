#include "io/text/utf8.h"

#include <gtest/gtest.h>

namespace cola {
namespace {

TEST(Utf8, KnowsWhatIsIt) {
  for (const char* text : {"", "plain", "caf\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8A"})
    EXPECT_TRUE(is_utf8(text)) << text;
  for (const char* text : {"caf\xE9", "\x80", "\xC0\xAF", "\xE2\x82", "\xED\xA0\x80", "\xF4\x90\x80\x80"})
    EXPECT_FALSE(is_utf8(text)) << text;
}

TEST(Utf8, ReplacesWhatIsNot) {
  EXPECT_EQ(with_valid_utf8("caf\xC3\xA9"), "caf\xC3\xA9");
  EXPECT_EQ(with_valid_utf8("caf\xE9!"), "caf\xEF\xBF\xBD!");
  EXPECT_EQ(with_valid_utf8("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

}  // namespace
}  // namespace cola
