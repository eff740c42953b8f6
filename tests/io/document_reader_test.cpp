#include "io/text/document_reader.h"

#include <gtest/gtest.h>

#include <boost/iostreams/copy.hpp>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filter/zstd.hpp>
#include <boost/iostreams/filtering_streambuf.hpp>
#include <filesystem>
#include <numeric>
#include <sstream>
#include <tuple>

#include "core/error.h"
#include "support/test_folder.h"

namespace cola {
namespace {

using Documents = std::vector<std::string>;

Documents read(const TextSegment& segment, std::int64_t document_bytes) {
  DocumentReader reader(segment, document_bytes);
  Documents documents;
  for (std::string document; reader.next(document);) documents.push_back(document);
  return documents;
}

std::string joined(const Documents& documents) {
  return std::accumulate(documents.begin(), documents.end(), std::string());
}

template <typename Filter>
std::string compressed(const std::string& text, Filter filter) {
  boost::iostreams::filtering_streambuf<boost::iostreams::input> stream;
  std::istringstream source(text);
  stream.push(filter);
  stream.push(source);
  std::ostringstream target;
  boost::iostreams::copy(stream, target);
  return target.str();
}
std::string gzipped(const std::string& text) {
  return compressed(text, boost::iostreams::gzip_compressor());
}
std::string zstandard(const std::string& text) {
  return compressed(text, boost::iostreams::zstd_compressor());
}

/// Paragraphs of different lengths with single and double blank lines between them.
std::string prose(int paragraphs) {
  std::string text;
  for (int i = 0; i < paragraphs; ++i) {
    for (int line = 0; line <= i % 5; ++line)
      text += "Paragraph " + std::to_string(i * 7919) + " goes on and on.\n";
    text += i % 3 == 0 ? "\n\n" : i % 3 == 1 ? " \t\n" : "\r\n";
  }
  return text;
}

template <typename Failure>
std::string complaint(const TextSegment& segment) {
  try {
    read(segment, 4096);
    return "";
  } catch (const Failure& error) {
    return error.what();
  }
}

class DocumentReaderTest : public ::testing::Test {
 protected:
  TestFolder folder_;
};

TEST_F(DocumentReaderTest, CutsTextAtBlankLines) {
  const std::string path = folder_.write("a.txt", "one\ntwo\n\nthree\n\n\nfour");
  EXPECT_EQ(read({path}, 1), (Documents{"one\ntwo\n\n", "three\n\n\n", "four"}));
  EXPECT_EQ(read({path}, 10), (Documents{"one\ntwo\n\nthree\n\n\n", "four"}));
  EXPECT_EQ(read({path}, 4096), (Documents{"one\ntwo\n\nthree\n\n\nfour"}));
  EXPECT_EQ(read({path}, 0), (Documents{"one\ntwo\n\nthree\n\n\nfour"}));
}

TEST_F(DocumentReaderTest, DocumentsTogetherAreTheText) {
  const std::string text = "\n\n" + prose(500);
  const std::string path = folder_.write("a.txt", text);
  for (const std::int64_t bytes : {1, 100, 4096}) {
    const Documents documents = read({path}, bytes);
    EXPECT_EQ(joined(documents), text) << bytes;
    for (std::size_t i = 0; i + 1 < documents.size(); ++i)
      EXPECT_GE(static_cast<std::int64_t>(documents[i].size()), bytes);
  }
}

TEST_F(DocumentReaderTest, CutsTextWithoutBlankLinesAtTheEndOfALine) {
  std::string text;
  for (int i = 0; text.size() < 3'000'000; ++i) text += std::to_string(i) + "\n";
  const std::string path = folder_.write("a.txt", text);
  const Documents documents = read({path}, 4096);
  EXPECT_EQ(documents.size(), 3u);
  EXPECT_EQ(joined(documents), text);
  for (const std::string& document : documents) EXPECT_EQ(document.back(), '\n');
}

TEST_F(DocumentReaderTest, CutsALongLineAtWhiteSpace) {
  std::string text;
  for (int i = 0; text.size() < 5'000'000; ++i) text += std::to_string(i) + (i % 7 == 0 ? "\t" : " ");
  const std::string path = folder_.write("a.txt", text);
  const Documents documents = read({path}, 4096);
  EXPECT_EQ(documents.size(), 5u);
  EXPECT_EQ(joined(documents), text);
  for (const std::string& document : documents) {
    EXPECT_LT(document.size(), (std::size_t{1} << 20) + 16);
    EXPECT_TRUE(document.ends_with(' ') || document.ends_with('\t'));
  }
  EXPECT_EQ(read({folder_.write("a.txt.gz", gzipped(text))}, 4096), documents);
  EXPECT_EQ(read({path}, 0), Documents{text});
}

// Languages without spaces, and binary data of another name.
TEST_F(DocumentReaderTest, CutsALineWithoutWhiteSpaceBetweenCharacters) {
  const std::string character = "\xE6\xB5\xB7";
  std::string text;
  while (text.size() < 7'000'000) text += character;
  const Documents documents = read({folder_.write("a.txt", text)}, 4096);
  EXPECT_EQ(documents.size(), 4u);
  EXPECT_EQ(joined(documents), text);
  for (const std::string& document : documents) {
    EXPECT_LE(document.size(), (std::size_t{2} << 20) + 4);
    EXPECT_EQ(document.size() % character.size(), 0u);
  }
  const std::string stray(7'000'000, '\x80');
  const Documents pieces = read({folder_.write("stray.txt", stray)}, 4096);
  EXPECT_EQ(joined(pieces), stray);
  EXPECT_EQ(pieces.size(), 4u);
}

TEST_F(DocumentReaderTest, SegmentsOfALongLineAreTheWhole) {
  std::string text;
  for (int i = 0; text.size() < 9'000'000; ++i) text += "word" + std::to_string(i) + " ";
  text += "\n\n" + prose(300);
  const std::string path = folder_.write("a.txt", text);
  const auto size = static_cast<std::int64_t>(text.size());
  for (const std::int64_t step : {500'000, 1'000'000, 4'000'000}) {
    std::string together;
    for (std::int64_t begin = 0; begin < size; begin += step)
      for (const std::string& document : read({path, begin, std::min(begin + step, size)}, 4096)) {
        EXPECT_TRUE(document.starts_with("word") || document.starts_with("Paragraph"))
            << document.substr(0, 9);
        together += document;
      }
    EXPECT_EQ(together, text) << "in steps of " << step;
  }
}

TEST_F(DocumentReaderTest, SegmentsTogetherAreTheWhole) {
  const std::string text = prose(300);
  const std::string path = folder_.write("a.txt", text);
  const auto size = static_cast<std::int64_t>(text.size());
  for (const std::int64_t step : {1, 7, 64, 1000, 100000}) {
    std::string together;
    for (std::int64_t begin = 0; begin < size; begin += step)
      for (const std::string& document : read({path, begin, std::min(begin + step, size)}, 50)) {
        EXPECT_EQ(document.substr(0, 10), "Paragraph ");
        together += document;
      }
    EXPECT_EQ(together, text) << "in steps of " << step;
  }
}

TEST_F(DocumentReaderTest, JsonSegmentsHoldEveryLineOnce) {
  std::string text;
  Documents expected;
  for (int i = 0; i < 60; ++i) {
    expected.push_back(std::string(static_cast<std::size_t>(1 + i % 9), 'a') + std::to_string(i));
    text += "{\"text\": \"" + expected.back() + "\"}\n";
  }
  const std::string path = folder_.write("a.jsonl", text);
  const auto size = static_cast<std::int64_t>(text.size());
  for (const std::int64_t step : {1, 5, 19, 400}) {
    Documents together;
    for (std::int64_t begin = 0; begin < size; begin += step)
      for (const std::string& document : read({path, begin, std::min(begin + step, size)}, 4096))
        together.push_back(document);
    EXPECT_EQ(together, expected) << "in steps of " << step;
  }
}

TEST_F(DocumentReaderTest, ReadsEveryCompression) {
  const std::string text = prose(20000);
  const std::string half = text.substr(0, text.size() / 2), rest = text.substr(text.size() / 2);
  for (const auto& [name, bytes] : std::vector<std::pair<std::string, std::string>>{
           {"a.txt.gz", gzipped(text)},
           {"two_members.txt.gz", gzipped(half) + gzipped(rest)},
           {"a.txt.zst", zstandard(text)},
           {"two_frames.txt.zst", zstandard(half) + zstandard(rest)},
           {"a.dict.dz", gzipped(text)},
           {"a.txt.dz", gzipped(text)}}) {
    EXPECT_EQ(joined(read({folder_.write(name, bytes)}, 4096)), text) << name;
  }
  EXPECT_EQ(read({folder_.write("a.jsonl.gz", gzipped("{\"text\": \"hello\"}\n"))}, 0), (Documents{"hello"}));
  EXPECT_EQ(read({folder_.write("a.json.zst", zstandard("{\"text\": \"hello\"}\n"))}, 0),
            (Documents{"hello"}));
}

// As gzip itself does: tapes and some writers fill up their last block.
TEST_F(DocumentReaderTest, LeavesZerosBehindTheLastGzipMemberOut) {
  const std::string text = prose(20000), gzip = gzipped(text);
  const std::string half = text.substr(0, text.size() / 2), rest = text.substr(text.size() / 2);
  for (const std::size_t zeros : {1, 2, 7, 512, 300'000, 1'000'000}) {
    const std::string padding(zeros, '\0');
    EXPECT_EQ(joined(read({folder_.write("a.txt.gz", gzip + padding)}, 4096)), text) << zeros;
    EXPECT_EQ(joined(read({folder_.write("b.txt.gz", gzipped(half) + gzipped(rest) + padding)}, 4096)), text);
    EXPECT_EQ(joined(read({folder_.write("c.txt.gz", gzipped("short") + padding)}, 4096)), "short");
    for (const std::string& damaged :
         {gzip + padding + "x", gzip + padding + gzip, gzip + "x" + padding, gzip.substr(0, 1000) + padding,
          gzip.substr(0, gzip.size() - 6) + padding, padding, "\x1f" + padding}) {
      const std::string message = complaint<FileError>({folder_.write("d.txt.gz", damaged)});
      EXPECT_NE(message.find("d.txt.gz: damaged or cut short"), std::string::npos) << message;
    }
  }
}

// Frames as zstd --long=31 writes them of a pipe and of a file, with nothing but a last, empty block inside.
TEST_F(DocumentReaderTest, NamesAWindowThatIsTooLargeForZstd) {
  const std::string magic = "\x28\xB5\x2F\xFD", block("\x01\0\0", 3);
  const std::string pipe = magic + '\0' + '\xA8' + block;
  const std::string file = magic + std::string("\xA0\0\0\0\x10", 5) + block;
  const std::string small = magic + '\0' + '\x88' + block;
  EXPECT_TRUE(read({folder_.write("small.txt.zst", small)}, 0).empty()) << "128 MiB";
  for (const auto& [name, bytes, window] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"pipe.txt.zst", pipe, "2048"}, {"file.txt.zst", zstandard("first\n") + file, "256"}}) {
    const std::string message = complaint<FileError>({folder_.write(name, bytes)});
    EXPECT_NE(message.find(name + ": was compressed with a window of " + window + " MiB, more than the 128"),
              std::string::npos)
        << message;
  }
}

TEST_F(DocumentReaderTest, NoticesCompressedFilesThatAreDamagedOrCutShort) {
  const std::string text = prose(20000), gzip = gzipped(text), zstd = zstandard(text);
  std::string flipped = gzip, extra = zstd + "junk";
  flipped[gzip.size() / 2] = static_cast<char>(flipped[gzip.size() / 2] ^ 0x10);
  for (const auto& [name, bytes] : std::vector<std::pair<std::string, std::string>>{
           {"short.txt.gz", gzip.substr(0, gzip.size() / 2)},
           {"short.txt.zst", zstd.substr(0, zstd.size() / 2)},
           {"almost.txt.zst", zstd.substr(0, zstd.size() - 1)},
           {"second_short.txt.zst", zstd + zstd.substr(0, zstd.size() / 2)},
           {"flipped.txt.gz", flipped},
           {"extra.txt.zst", extra},
           {"text.txt.gz", text},
           {"text.txt.zst", text},
           {"empty.txt.gz", ""}}) {
    const std::string message = complaint<FileError>({folder_.write(name, bytes)});
    EXPECT_NE(message.find(name + ": damaged or cut short"), std::string::npos) << name << ": " << message;
  }
}

TEST_F(DocumentReaderTest, ReadsJsonLines) {
  const std::string path =
      folder_.write("a.jsonl",
                    "{\"url\": \"x\", \"text\": \"one\\ntwo \\u00e9\", \"n\": {\"text\": 3}}\n"
                    "\n"
                    "{\"text\": \"three\"}");
  EXPECT_EQ(read({path}, 4096), (Documents{"one\ntwo \xC3\xA9", "three"}));
}

TEST_F(DocumentReaderTest, ReadsTheFieldThatIsAskedFor) {
  const std::string path = folder_.write("a.jsonl",
                                         "{\"text\": \"other\", \"content\": \"one\"}\n"
                                         "{\"content\": 2, \"text\": \"two\"}\n"
                                         "{\"meta\": {\"content\": \"inside\"}, \"text\": \"three\"}\n");
  DocumentReader reader({path}, 4096, "content");
  std::string document;
  ASSERT_TRUE(reader.next(document));
  EXPECT_EQ(document, "one");
  for (const char* wanted : {"a.jsonl:2: field \"content\" is no text", "a.jsonl:3: no field \"content\""}) {
    try {
      reader.next(document);
      FAIL();
    } catch (const FileError& error) {
      EXPECT_NE(std::string(error.what()).find(wanted), std::string::npos) << error.what();
    }
  }
}

TEST_F(DocumentReaderTest, NamesFileAndLineOfBadJson) {
  const std::string good = "{\"text\": \"good\"}\n";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"{\"text\": \"cut", "not a JSON object: column 14: syntax error while parsing value - invalid string"},
      {"{\"text\": \"a\" 5}", "not a JSON object: column 14: syntax error while parsing object"},
      {"{\"text\": \"a\", \"number\": 1e999 5}", "not a JSON object: column "},
      {"{\"text\": \"a\", \"number\": 1NaN}", "not a JSON object: column "},
      {"{\"text\": \"a\", \"number\": nan}", "not a JSON object: column "},
      {"{\"text\": \"a\", \"number\": 01e999}", "not a JSON object: column "},
      {"{\"text\": NaN}", "field \"text\" is no text"},
      {"[1, 2]", "not a JSON object"},
      {"{\"txt\": \"a\"}", "no field \"text\""},
      {"{\"text\": 5}", "field \"text\" is no text"}};
  for (const auto& [line, expected] : cases) {
    const std::string path = folder_.write("a.jsonl", good + "\n" + good + line + "\n" + good);
    const std::string wanted = "a.jsonl:4: " + expected;
    EXPECT_NE(complaint<FileError>({path}).find(wanted), std::string::npos) << complaint<FileError>({path});
    EXPECT_NE(complaint<FileError>({path, 20, end_of_file}).find(wanted), std::string::npos)
        << "lines count from the file's start: " << complaint<FileError>({path, 20, end_of_file});
  }
}

TEST_F(DocumentReaderTest, PassesStrayBytesOn) {
  EXPECT_EQ(read({folder_.write("a.txt", "caf\xE9\n")}, 0), (Documents{"caf\xE9\n"}));
  EXPECT_EQ(read({folder_.write("a.jsonl", "{\"text\": \"caf\xE9 \xC3\xA9 \xE2\x82\"}\n")}, 0),
            (Documents{"caf\xEF\xBF\xBD \xC3\xA9 \xEF\xBF\xBD\xEF\xBF\xBD"}));
}

// Python's json writes them for what it could not decode.
TEST_F(DocumentReaderTest, ReplacesSurrogatesWithoutTheirOtherHalf) {
  const std::string replacement = "\xEF\xBF\xBD";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"\\ud800", replacement},
      {"\\uDCE9t\\u00e9", replacement + "t\xC3\xA9"},
      {"\\ud83c\\udf0a \\ud83c", "\xF0\x9F\x8C\x8A " + replacement},
      {"\\ud83c\\ud83c\\udf0a", replacement + "\xF0\x9F\x8C\x8A"},
      {"\\ud800\\\\udc00", replacement + "\\udc00"},
      {"\\ud800\\\\ud800 \xE9", replacement + "\\ud800 " + replacement}};
  for (const auto& [json, text] : cases)
    EXPECT_EQ(read({folder_.write("a.jsonl", "{\"text\": \"" + json + "\"}\n")}, 0), Documents{text}) << json;
}

// Python's json writes NaN and Infinity; JSON itself allows numbers of any size.
TEST_F(DocumentReaderTest, TakesAnyNumberInOtherFields) {
  const std::string text = R"(NaN \"Infinity\" 1e999 \\)", read_text = R"(NaN "Infinity" 1e999 \)";
  const std::string long_number(500, '9');
  for (const std::string& number :
       {std::string("1e999"), std::string("-1.5E+999"), std::string("1e-99999"), std::string("NaN"),
        std::string("-Infinity"), std::string("[Infinity, {\"n\": NaN}]"), long_number,
        "-" + long_number + ".5e7", "0." + long_number + "e400"}) {
    const std::string line = "{\"a\": " + number + ", \"text\": \"" + text + "\", \"b\": " + number + "}\n";
    EXPECT_EQ(read({folder_.write("a.jsonl", line)}, 0), Documents{read_text}) << number;
  }
}

TEST_F(DocumentReaderTest, CountsEmptyDocuments) {
  DocumentReader json(
      {folder_.write("a.jsonl", "{\"text\": \"\"}\n{\"text\": \" \\n\"}\n{\"text\": \"x\"}\n")}, 0);
  std::string document;
  EXPECT_TRUE(json.next(document));
  EXPECT_EQ(document, "x");
  EXPECT_FALSE(json.next(document));
  EXPECT_EQ(json.empty_documents(), 2);
  EXPECT_TRUE(read({folder_.write("blank.txt", " \n\n\t\n")}, 0).empty());
  EXPECT_TRUE(read({folder_.write("empty.txt", "")}, 0).empty());
}

TEST(TextFormat, GoesByTheName) {
  EXPECT_EQ(text_format_of("a.txt"), TextFormat::plain);
  EXPECT_EQ(text_format_of("a.b/c.jsonl.zst"), TextFormat::json_lines);
  EXPECT_EQ(text_format_of("c4-train.00000-of-01024.json.gz"), TextFormat::json_lines);
  EXPECT_EQ(text_format_of("gcide.dict.dz"), TextFormat::plain);
  for (const char* name : {"a.csv", "a.gz", "txt", "a.txt.bz2", "a.parquet"})
    EXPECT_THROW(text_format_of(name), UsageError) << name;
}

}  // namespace
}  // namespace cola
