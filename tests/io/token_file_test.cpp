#include "io/tokens/token_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "core/error.h"
#include "io/tokens/token_file_check.h"
#include "support/test_folder.h"

namespace cola {
namespace {

using Ids = std::vector<std::int32_t>;

const TokenFileAttributes bytes_attributes{258, 256, 257, "bytes", Packing::packed, 0};

class TokenFileTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const TokenFileAttributes& attributes,
                    const std::vector<Ids>& documents) {
    TokenFileWriter writer(folder_.path(name), attributes);
    for (const Ids& document : documents) writer.append(document);
    writer.close();
    writer.publish();
    return folder_.path(name);
  }
  static Ids all(const TokenFile& file) {
    Ids ids(static_cast<std::size_t>(file.tokens()));
    file.read(0, ids);
    return ids;
  }
  template <typename Value>
  void overwrite(const std::string& path, const char* dataset, std::uint64_t element, Value value) {
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    const hid_t opened = H5Dopen2(file, dataset, H5P_DEFAULT);
    const auto offset = H5Dget_offset(opened) + element * sizeof value;
    H5Dclose(opened);
    H5Fclose(file);
    std::fstream bytes(path, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(static_cast<std::streamoff>(offset));
    bytes.write(reinterpret_cast<const char*>(&value), sizeof value);
  }
  std::string failure(const std::string& path) {
    try {
      const TokenFile file(path);
      return "";
    } catch (const FileError& error) {
      return error.what();
    }
  }

  TestFolder folder_;
};

TEST_F(TokenFileTest, PackedDocumentsAreJoinedByTheEnd) {
  const TokenFile file(write("a.h5", bytes_attributes, {{1, 2, 3}, {4}, {5, 6}}));
  EXPECT_EQ(all(file), (Ids{1, 2, 3, 256, 4, 256, 5, 6, 256}));
  std::vector<std::uint64_t> starts(3);
  file.read_documents(0, starts);
  EXPECT_EQ(starts, (std::vector<std::uint64_t>{0, 4, 6}));
  EXPECT_EQ(file.token_bytes(), 2);
  EXPECT_EQ(file.attributes().vocab_size, 258);
  EXPECT_EQ(file.attributes().pad_id, 257);
  EXPECT_EQ(file.attributes().tokenizer, "bytes");
  EXPECT_EQ(file.attributes().packing, Packing::packed);
  EXPECT_TRUE(check_token_file(file).problems.empty());
}

TEST_F(TokenFileTest, DocumentRowsAreCutOrEndedAndPadded) {
  TokenFileAttributes attributes = bytes_attributes;
  attributes.packing = Packing::document;
  attributes.sequence_length = 4;
  const TokenFile file(write("a.h5", attributes, {{1}, {1, 2, 3}, {1, 2, 3, 4}, {1, 2, 3, 4, 5}}));
  EXPECT_EQ(all(file), (Ids{1, 256, 257, 257, 1, 2, 3, 256, 1, 2, 3, 4, 1, 2, 3, 4}));
  EXPECT_EQ(file.documents(), 4);
  EXPECT_EQ(file.attributes().sequence_length, 4);
  const TokenFileReport report = check_token_file(file);
  EXPECT_TRUE(report.problems.empty());
  EXPECT_EQ(report.end_tokens, 2);
  EXPECT_EQ(report.padding_tokens, 2);
}

// As models do that have no pad piece.
TEST_F(TokenFileTest, RowsMayBePaddedWithTheEnd) {
  const TokenFileAttributes attributes{258, 256, 256, "bytes", Packing::document, 4};
  const std::string path = write("a.h5", attributes, {{1}, {1, 2, 3}, {1, 2, 3, 4}});
  EXPECT_EQ(all(TokenFile(path)), (Ids{1, 256, 256, 256, 1, 2, 3, 256, 1, 2, 3, 4}));
  const TokenFileReport report = check_token_file(TokenFile(path));
  EXPECT_TRUE(report.problems.empty());
  EXPECT_EQ(report.padding_tokens, 2);
  overwrite<std::uint16_t>(path, "/tokens", 2, 9);
  EXPECT_EQ(check_token_file(TokenFile(path)).problems,
            (std::vector<std::string>{"token 2 is neither of a document nor padding"}));
}

// As training reads them: a pad_id before the row's end is the document's.
TEST_F(TokenFileTest, PaddingIsWhatFillsTheEndsOfRows) {
  const TokenFileAttributes attributes{258, 256, 257, "bytes", Packing::document, 4};
  const TokenFile file(write("a.h5", attributes, {{257, 1}, {1, 257, 257, 257}, {257, 257, 257, 2}}));
  EXPECT_EQ(check_token_file(file).padding_tokens, 1 + 3 + 0);
  const TokenFile packed(write("b.h5", bytes_attributes, {{1, 257, 2}}));
  EXPECT_EQ(check_token_file(packed).padding_tokens, 1);
}

TEST_F(TokenFileTest, LargeVocabulariesTakeFourBytes) {
  TokenFileAttributes attributes{128256, 128001, 128001, "large", Packing::packed, 0};
  const TokenFile file(write("a.h5", attributes, {{70000, 5}, {128255}}));
  EXPECT_EQ(file.token_bytes(), 4);
  EXPECT_EQ(all(file), (Ids{70000, 5, 128001, 128255, 128001}));
}

TEST_F(TokenFileTest, SurvivesMoreThanTheWritersBuffers) {
  std::vector<Ids> documents;
  for (std::int32_t i = 0; i < 3000; ++i) {
    Ids document(1000);
    std::iota(document.begin(), document.end(), i);
    for (auto& id : document) id %= 256;
    documents.push_back(document);
  }
  const TokenFile file(write("a.h5", bytes_attributes, documents));
  ASSERT_EQ(file.tokens(), 3003000);
  for (const std::int32_t document : {0, 1, 1500, 2999}) {
    Ids ids(1001);
    file.read(document * std::int64_t{1001}, ids);
    EXPECT_EQ(ids[0], document % 256);
    EXPECT_EQ(ids[999], (document + 999) % 256);
    EXPECT_EQ(ids[1000], 256);
  }
}

TEST_F(TokenFileTest, IsPlainHdf5) {
  const std::string path = write("a.h5", bytes_attributes, {{1, 2}});
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t tokens = H5Dopen2(file, "/tokens", H5P_DEFAULT),
              documents = H5Dopen2(file, "/documents", H5P_DEFAULT);
  const hid_t type = H5Dget_type(tokens), creation = H5Dget_create_plist(tokens),
              wide = H5Dget_type(documents);
  EXPECT_GT(H5Tequal(type, H5T_STD_U16LE), 0);
  EXPECT_GT(H5Tequal(wide, H5T_STD_U64LE), 0);
  EXPECT_EQ(H5Pget_layout(creation), H5D_CONTIGUOUS);
  std::uint16_t ids[3] = {};
  EXPECT_GE(H5Dread(tokens, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, ids), 0);
  EXPECT_EQ(ids[1], 2);
  EXPECT_EQ(ids[2], 256);
  for (const char* name : {"vocab_size", "eos_id", "pad_id", "tokenizer", "packing"})
    EXPECT_GT(H5Aexists(file, name), 0) << name;
  for (const hid_t type_id : {type, wide}) H5Tclose(type_id);
  H5Pclose(creation);
  H5Dclose(tokens);
  H5Dclose(documents);
  H5Fclose(file);
}

TEST_F(TokenFileTest, NothingIsLeftOfAWriterThatDoesNotPublish) {
  {
    TokenFileWriter writer(folder_.path("a.h5"), bytes_attributes);
    writer.append(Ids{1, 2});
    EXPECT_TRUE(folder_.names().empty()) << "scratch files have no names";
    writer.close();
    EXPECT_EQ(folder_.names(), (std::vector<std::string>{"a.h5.tmp"}));
  }
  EXPECT_TRUE(folder_.names().empty());
}

// The room on the disk of this process's open files that have no name.
std::int64_t bytes_of_nameless_files() {
  std::int64_t bytes = 0;
  for (int descriptor = 0; descriptor < 256; ++descriptor) {
    struct stat status {};
    if (::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 0)
      bytes += 512 * std::int64_t{status.st_blocks};
  }
  return bytes;
}

TEST_F(TokenFileTest, TokensLieOnTheDiskOnce) {
  const std::int64_t before = bytes_of_nameless_files();
  TokenFileWriter writer(folder_.path("a.h5"), bytes_attributes);
  const Ids document(3'000'000, 7);
  writer.append(document);
  EXPECT_GT(bytes_of_nameless_files() - before, 4'000'000);
  writer.close();
  const int file = ::open(folder_.path("probe").c_str(), O_RDWR | O_CREAT, 0666);
  const bool can_release = ::fallocate(file, 0, 0, 8192) == 0 &&
                           ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0;
  ::close(file);
  if (!can_release) GTEST_SKIP() << "this file system cannot free parts of a file";
  EXPECT_LT(bytes_of_nameless_files() - before, 100'000);
  writer.publish();
  EXPECT_EQ(all(TokenFile(folder_.path("a.h5"))).at(2'999'999), 7);
}

TEST_F(TokenFileTest, RefusesIdsOutsideTheVocabulary) {
  TokenFileWriter writer(folder_.path("a.h5"), bytes_attributes);
  EXPECT_THROW(writer.append(Ids{258}), Error);
  EXPECT_THROW(writer.append(Ids{-1}), Error);
  EXPECT_THROW(writer.append(Ids{}), Error);
  TokenFileWriter empty(folder_.path("b.h5"), bytes_attributes);
  EXPECT_THROW(empty.close(), Error);
  EXPECT_THROW(empty.publish(), Error);
}

TEST_F(TokenFileTest, NamesAFolderItCannotWriteTo) {
  try {
    TokenFileWriter writer(folder_.path("missing/a.h5"), bytes_attributes);
    FAIL();
  } catch (const FileError&) {
    FAIL() << "a failing write is no fault of the input";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("missing/a.h5"), std::string::npos) << error.what();
  }
}

TEST_F(TokenFileTest, NamesFileAndOffsetOfABadId) {
  const std::string path = write("a.h5", bytes_attributes, {Ids(1000, 7)});
  overwrite<std::uint16_t>(path, "/tokens", 600, 999);
  const TokenFile file(path);
  Ids ids(500);
  file.read(0, ids);
  try {
    file.read(500, ids);
    FAIL();
  } catch (const FileError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("a.h5: token 600 is 999"), std::string::npos) << message;
  }
  EXPECT_EQ(check_token_file(file).problems.size(), 1u);
}

TEST_F(TokenFileTest, RefusesWhatIsNoTokenFile) {
  EXPECT_NE(failure(folder_.path("none.h5")).find("No such file"), std::string::npos);
  folder_.write("text.h5", "no HDF5 at all");
  EXPECT_NE(failure(folder_.path("text.h5")).find("text.h5: cannot open as HDF5: "), std::string::npos);
  const hid_t file = H5Fcreate(folder_.path("other.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  EXPECT_NE(failure(folder_.path("other.h5")).find("no dataset /tokens"), std::string::npos);
  const std::string whole = write("a.h5", bytes_attributes, {Ids(100000, 7)});
  std::filesystem::resize_file(whole, 100000);
  EXPECT_NE(failure(whole).find("truncated file"), std::string::npos) << failure(whole);
}

TEST_F(TokenFileTest, NoticesAFileThatWasReplacedBeforeItWasRead) {
  const std::string path = write("a.h5", bytes_attributes, {{1, 2, 3}});
  const TokenFile opened(path), late(path);
  EXPECT_EQ(all(opened), (Ids{1, 2, 3, 256}));
  const auto time = std::filesystem::last_write_time(path);
  write("a.h5", bytes_attributes, {{4, 5, 6}});
  std::filesystem::last_write_time(path, time + std::chrono::nanoseconds(1));
  EXPECT_EQ(all(opened), (Ids{1, 2, 3, 256})) << "what is open stays what it was";
  try {
    all(late);
    FAIL();
  } catch (const FileError& error) {
    EXPECT_EQ(error.what(), path + ": was replaced since the run began");
  }
}

// Scratch folders are cleared of files that nobody has touched for long.
TEST_F(TokenFileTest, ReadsAFileThatWasTouchedOrCopiedWithItsTime) {
  const std::string path = write("a.h5", bytes_attributes, {{1, 2, 3}});
  const TokenFile late(path), later(path);
  const auto time = std::filesystem::last_write_time(path);
  std::filesystem::last_write_time(path, time + std::chrono::seconds(5));
  EXPECT_EQ(all(late), (Ids{1, 2, 3, 256}));
  std::filesystem::copy_file(path, folder_.path("copy.h5"));
  std::filesystem::rename(folder_.path("copy.h5"), path);
  std::filesystem::last_write_time(path, time);
  EXPECT_EQ(all(later), (Ids{1, 2, 3, 256}));
}

TEST_F(TokenFileTest, RefusesReadsBeyondTheEnd) {
  const TokenFile file(write("a.h5", bytes_attributes, {{1, 2, 3}}));
  Ids ids(3);
  EXPECT_NO_THROW(file.read(1, ids));
  EXPECT_THROW(file.read(2, ids), Error);
  EXPECT_THROW(file.read(-1, ids), Error);
  std::vector<std::uint64_t> starts(2);
  EXPECT_THROW(file.read_documents(0, starts), Error);
}

TEST_F(TokenFileTest, ChecksFindDocumentsThatDoNotEnd) {
  const std::string path = write("a.h5", bytes_attributes, {{1, 2, 3}, {4, 5, 6}});
  overwrite<std::uint16_t>(path, "/tokens", 3, 9);
  const auto problems = check_token_file(TokenFile(path)).problems;
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0], "document 1 begins without an end before it");
  EXPECT_EQ(problems[1], "1 end-of-document ids for 2 documents");
}

TEST_F(TokenFileTest, ChecksFindOffsetsThatDoNotRise) {
  const std::string path = write("a.h5", bytes_attributes, {{1, 2, 3}, {4, 5, 6}, {7}});
  overwrite<std::uint64_t>(path, "/documents", 1, 0);
  EXPECT_FALSE(check_token_file(TokenFile(path)).problems.empty());
}

}  // namespace
}  // namespace cola
