// Opens device memory to the GPU's thread when that touches it. Otherwise says which kernel, block and thread
// touched memory that is not there, or that host code touched device memory, before the program ends.
#pragma once

namespace cola::emulation {

/// Called once on every thread that is to have it.
void use_fault_handler_on_this_thread();

}  // namespace cola::emulation
