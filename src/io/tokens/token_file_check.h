// Reads a whole token file against its contract.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/tokens/token_file.h"

namespace cola {

struct TokenFileReport {
  std::int64_t end_tokens = 0;        // eos_id
  std::int64_t padding_tokens = 0;    // in rows, what training leaves out; else pad_id, unless it is eos_id
  std::vector<std::string> problems;  // one line each, the first of each kind; none if the file is good
};

/// Checks every id against vocab_size, that /documents rises from 0, and that documents begin and end as the
/// packing says.
TokenFileReport check_token_file(const TokenFile& file);

}  // namespace cola
