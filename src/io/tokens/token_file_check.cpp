#include "io/tokens/token_file_check.h"

#include <algorithm>

#include "core/error.h"

namespace cola {

namespace {

constexpr std::int64_t block_size = std::int64_t{1} << 18;

/// Walks through a file token by token, beside it the starts of its documents.
class Walk {
 public:
  explicit Walk(const TokenFile& file) : file_(file), attributes_(file.attributes()) {}

  TokenFileReport run() {
    try {
      std::vector<std::int32_t> ids(block_size);
      for (std::int64_t first = 0; first < file_.tokens(); first += block_size) {
        ids.resize(static_cast<std::size_t>(std::min(block_size, file_.tokens() - first)));
        file_.read(first, ids);
        for (std::size_t i = 0; i < ids.size(); ++i) visit(first + static_cast<std::int64_t>(i), ids[i]);
      }
      finish();
    } catch (const FileError& failure) {
      report_.problems.push_back(failure.what());
    }
    return std::move(report_);
  }

 private:
  bool in_rows() const { return attributes_.packing == Packing::document; }

  void visit(std::int64_t place, std::int32_t id) {
    const bool row_start = in_rows() && place % attributes_.sequence_length == 0;
    if (row_start) ended_ = false;
    if (place == next_start()) {
      if (!in_rows() && place > 0 && previous_ != attributes_.eos_id)
        complain(start_without_end_, fmt::format("document {} begins without an end before it", documents_));
      if (in_rows() && !row_start)
        complain(start_in_row_, fmt::format("document {} begins inside a row", documents_));
      ++documents_;
    } else if (row_start) {
      complain(start_in_row_, fmt::format("no document begins at the row of token {}", place));
    }
    if (in_rows() && ended_ && id != attributes_.pad_id)
      complain(token_after_end_, fmt::format("token {} is neither of a document nor padding", place));
    report_.end_tokens += id == attributes_.eos_id;
    count_padding(place, id, row_start);
    ended_ = ended_ || id == attributes_.eos_id;
    previous_ = id;
  }

  /// As training leaves it out: in rows what fills their ends. Where a model without a pad piece pads with
  /// eos_id, the first of that run is the document's own end.
  void count_padding(std::int64_t place, std::int32_t id, bool row_start) {
    const bool pads_with_end = attributes_.pad_id == attributes_.eos_id;
    if (!in_rows()) {
      report_.padding_tokens += id == attributes_.pad_id && !pads_with_end;
      return;
    }
    if (row_start) padding_run_ = 0;
    padding_run_ = id == attributes_.pad_id ? padding_run_ + 1 : 0;
    const bool row_end = (place + 1) % attributes_.sequence_length == 0;
    if (row_end) report_.padding_tokens += std::max<std::int64_t>(0, padding_run_ - pads_with_end);
  }

  void finish() {
    if (documents_ != file_.documents())
      report_.problems.push_back(fmt::format(
          "/documents does not rise from 0 within the {} tokens (offset {})", file_.tokens(), documents_));
    if (in_rows()) return;
    if (previous_ != attributes_.eos_id) report_.problems.push_back("the last document has no end");
    if (report_.end_tokens != file_.documents())
      report_.problems.push_back(
          fmt::format("{} end-of-document ids for {} documents", report_.end_tokens, file_.documents()));
  }

  std::int64_t next_start() {
    if (documents_ >= file_.documents()) return -1;
    const std::int64_t wanted = documents_ - starts_begin_;
    if (wanted >= static_cast<std::int64_t>(starts_.size())) {
      starts_begin_ = documents_;
      starts_.resize(static_cast<std::size_t>(std::min(block_size, file_.documents() - documents_)));
      file_.read_documents(starts_begin_, starts_);
      return static_cast<std::int64_t>(starts_.front());
    }
    return static_cast<std::int64_t>(starts_[static_cast<std::size_t>(wanted)]);
  }

  void complain(bool& said, const std::string& problem) {
    if (!said) report_.problems.push_back(problem);
    said = true;
  }

  const TokenFile& file_;
  const TokenFileAttributes& attributes_;
  TokenFileReport report_;
  std::vector<std::uint64_t> starts_;  // a block of /documents, from number starts_begin_ on
  std::int64_t starts_begin_ = 0, documents_ = 0;
  std::int64_t previous_ = -1;
  std::int64_t padding_run_ = 0;  // pad_ids of the row in a row, up to here
  bool ended_ = false;            // the row's document
  bool start_without_end_ = false, start_in_row_ = false, token_after_end_ = false;
};

}  // namespace

TokenFileReport check_token_file(const TokenFile& file) {
  return Walk(file).run();
}

}  // namespace cola
