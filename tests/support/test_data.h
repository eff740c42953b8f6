// Where the tests' files lie: in the source tree, or where COLA_TEST_DATA says when the programs were copied to
// another machine.
#pragma once

#include <cstdlib>
#include <string>

namespace cola {

/// `file` is relative to the source tree, for example "tests/golden/cola.h5".
inline std::string test_data(const std::string& file) {
  const char* moved = std::getenv("COLA_TEST_DATA");
  return std::string(moved ? moved : COLA_SOURCE_DIR) + "/" + file;
}

}  // namespace cola
