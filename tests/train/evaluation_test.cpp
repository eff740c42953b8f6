#include "train/evaluation.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "io/tokens/token_file.h"
#include "support/test_folder.h"

namespace cola {
namespace {

// Rows of 4 tokens: `padded` of padding alone, then one document.
TokenDataset rows(const TestFolder& folder, int padded) {
  const std::string path = folder.path("rows.h5");
  TokenFileWriter writer(path, {100, 1, 0, "test", Packing::document, 4});
  for (int row = 0; row < padded; ++row) writer.append(std::vector<std::int32_t>{0, 0, 0, 0});
  if (padded < 3) writer.append(std::vector<std::int32_t>{5, 6});
  writer.close();
  writer.publish();
  return TokenDataset(std::vector<std::string>{path}, 4, 100);
}

TEST(Evaluation, NeedsTargetsAmongTheTokensThatItReads) {
  const TestFolder folder;
  const TokenDataset late = rows(folder, 2);
  EXPECT_NO_THROW(require_targets(late, 12));
  EXPECT_THROW(require_targets(late, 8), UsageError);
  const TestFolder other;
  EXPECT_THROW(require_targets(rows(other, 3), 1000), UsageError);
}

}  // namespace
}  // namespace cola
