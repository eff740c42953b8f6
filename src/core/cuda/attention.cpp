#include "core/cuda/attention.h"

#include <utility>

#include "core/error.h"

namespace cola::cuda {

CudaAttention::CudaAttention(const Context& context, AttentionChoice choice)
    : context_(context), choice_(choice), plain_(context), flash_(context), whole_heads_(context) {
  if (choice == AttentionChoice::cudnn && !find_cudnn())
    throw UsageError("train.attention: cudnn: cuDNN is not in this build or cannot be used here; set auto");
  if (choice == AttentionChoice::whole_heads && !WholeHeadAttention::runs_on(context))
    throw UsageError("train.attention: whole_heads: needs a GPU of compute capability 9.0; set auto");
}

const AttentionKernels* CudaAttention::find_cudnn() const {
  if (!std::exchange(sought_, true)) cudnn_ = make_cudnn_attention(context_, flash_);
  return cudnn_.get();
}

// cuDNN falls back to flash attention, so it is asked only for what that can do too.
const AttentionKernels& CudaAttention::kernels_for(const AttentionShape& shape, DataType type) const {
  if (!FlashAttention::supports(shape, type)) return plain_;
  const bool chooses = choice_ == AttentionChoice::automatic;
  const bool wants_whole_heads =
      choice_ == AttentionChoice::whole_heads || (chooses && WholeHeadAttention::runs_on(context_));
  if (wants_whole_heads && WholeHeadAttention::supports(shape)) return whole_heads_;
  const bool wants_cudnn =
      choice_ == AttentionChoice::cudnn || (chooses && shape.sequence >= shortest_for_cudnn);
  const AttentionKernels* const cudnn = wants_cudnn ? find_cudnn() : nullptr;
  return cudnn ? *cudnn : flash_;
}

void CudaAttention::forward(const AttentionShape& shape, const AttentionInputs& in,
                            const AttentionOutputs& to) const {
  kernels_for(shape, in.q.type()).forward(shape, in, to);
}

void CudaAttention::backward(const AttentionShape& shape, const AttentionInputs& in,
                             const AttentionOutputs& kept, const Tensor& dout, const RotationTables& tables,
                             const AttentionGradients& to) const {
  kernels_for(shape, in.q.type()).backward(shape, in, kept, dout, tables, to);
}

}  // namespace cola::cuda
