// Rotary position embedding (Su et al., 2021), with the pairing of Hugging Face's LLaMA: element i of a head
// is rotated with element i + head_dim / 2 by the angle position * theta^(-2i / head_dim).
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace cola {

enum class Rotation { forward, backward };

/// Cosines and sines of the angles of each position [positions, head_dim / 2], fp32.
struct RotationTables {
  Tensor cosines, sines;

  std::int64_t positions() const { return cosines.dim(0); }
  std::int64_t half_head_dim() const { return cosines.dim(1); }
  RotationTables first_positions(std::int64_t count) const {
    return {cosines.rows(0, count), sines.rows(0, count)};
  }
};

class RopeKernels {
 public:
  virtual ~RopeKernels() = default;

  /// x [batch * sequence, heads * head_dim], rotated in place; row r has position r % sequence, sequence
  /// being the tables' number of positions. `backward` rotates the other way, which is the gradient.
  virtual void rotate(const Tensor& x, const RotationTables& tables, Rotation rotation) const = 0;
};

}  // namespace cola
