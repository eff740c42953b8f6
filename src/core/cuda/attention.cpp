#include "core/cuda/attention.h"

#include "core/error.h"

namespace cola::cuda {

CudaAttention::CudaAttention(const Context& context, AttentionChoice choice)
    : plain_(context), flash_(context) {
  if (choice == AttentionChoice::automatic || choice == AttentionChoice::cudnn)
    cudnn_ = make_cudnn_attention(context, flash_);
  if (choice == AttentionChoice::cudnn && !cudnn_)
    throw UsageError("train.attention: cudnn: cuDNN is not in this build or cannot be used here; set auto");
}

// cuDNN falls back to flash attention, so it is asked only for what that can do too.
const AttentionKernels& CudaAttention::kernels_for(const AttentionShape& shape, DataType type) const {
  if (!FlashAttention::supports(shape, type)) return plain_;
  if (cudnn_) return *cudnn_;
  return flash_;
}

void CudaAttention::forward(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
                            const Tensor& out, const Tensor& log_sum_exp) const {
  kernels_for(shape, q.type()).forward(shape, q, k, v, out, log_sum_exp);
}

void CudaAttention::backward(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
                             const Tensor& out, const Tensor& log_sum_exp, const Tensor& dout,
                             const Tensor& dq, const Tensor& dk, const Tensor& dv) const {
  kernels_for(shape, q.type()).backward(shape, q, k, v, out, log_sum_exp, dout, dq, dk, dv);
}

}  // namespace cola::cuda
