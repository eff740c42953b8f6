// ParameterStore: how a model reaches its weights and where it leaves its gradients. The model asks for a
// unit before it uses it and tells when the unit's gradients of this micro-batch are complete; what happens
// then (nothing, a reduction over ranks, a gather) is the store's business, not the model's.
#pragma once

#include "core/tensor.h"

namespace cola {

class ParameterStore {
 public:
  virtual ~ParameterStore() = default;

  /// The unit's weights, flat, in the compute type; waits until they have arrived. Valid until released.
  virtual Tensor acquire_weights(int unit) = 0;
  virtual void release_weights(int unit) = 0;

  /// The unit's gradient accumulator, flat, fp32: the model adds to it.
  virtual Tensor gradients(int unit) = 0;
  /// No more will be added to this unit in this micro-batch.
  virtual void gradients_ready(int unit) = 0;

  /// Whether the calls of the next forward and backward pass give the device no work of their own, so that
  /// the pass is the same as any other.
  virtual bool next_pass_is_local() const = 0;
};

}  // namespace cola
