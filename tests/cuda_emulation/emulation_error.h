// EmulationError: a fault of a kernel, or of the way it was launched, that the emulated GPU has found.
#pragma once

#include "core/error.h"

namespace cola::emulation {

class EmulationError : public Error {
 public:
  using Error::Error;
};

}  // namespace cola::emulation
