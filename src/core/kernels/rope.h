// Rotary position embedding (Su et al., 2021), with the pairing of Hugging Face's LLaMA: element i of a head
// is rotated with element i + head_dim / 2 by the angle position * theta^(-2i / head_dim).
#pragma once

#include "core/tensor.h"

namespace cola {

enum class Rotation { forward, backward };

/// Cosines and sines of the angles of each position [positions, head_dim / 2], fp32.
struct RotationTables {
  Tensor cosines, sines;
};

class RopeKernels {
 public:
  virtual ~RopeKernels() = default;

  /// x [batch * sequence, heads * head_dim], rotated in place; row r has position r % sequence. cosines and
  /// sines [sequence, head_dim / 2] fp32. `backward` rotates the other way, which is the gradient.
  virtual void rotate(const Tensor& x, const Tensor& cosines, const Tensor& sines,
                      Rotation rotation) const = 0;
};

}  // namespace cola
