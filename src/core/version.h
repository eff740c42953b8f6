// The version of all programs, which CMake reads here too.
#pragma once

namespace cola {

inline constexpr const char* version = "0.1.0";

}  // namespace cola
