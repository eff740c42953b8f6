// cuDNN's attention in a build without cuDNN: there is none.
#include "core/cuda/attention.h"

namespace cola::cuda {

std::unique_ptr<AttentionKernels> make_cudnn_attention(const Context&, const AttentionKernels&) {
  return nullptr;
}

std::size_t cudnn_version() {
  return 0;
}

}  // namespace cola::cuda
