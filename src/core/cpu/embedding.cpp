#include <cstring>

#include "core/cpu/kernels.h"
#include "core/cpu/parallel.h"

namespace cola::cpu {

void CpuEmbedding::forward(const Tensor& ids, const Tensor& table, const Tensor& out) const {
  const std::int64_t rows = ids.elements();
  const std::size_t row_bytes = static_cast<std::size_t>(table.dim(1)) * size_of(table.type());
  require(out.type() == table.type() && out.dim(0) == rows && out.dim(1) == table.dim(1),
          "embedding: the output differs from ids and table in shape or type");
  const std::int32_t* id = ids.as<std::int32_t>();
  const auto* from = static_cast<const std::byte*>(table.data());
  auto* to = static_cast<std::byte*>(out.data());
#pragma omp parallel for schedule(static)
  for (std::int64_t r = 0; r < rows; ++r)
    std::memcpy(to + static_cast<std::size_t>(r) * row_bytes,
                from + static_cast<std::size_t>(id[r]) * row_bytes, row_bytes);
}

void CpuEmbedding::backward(const Tensor& ids, const Tensor& d_out, const Tensor& d_table) const {
  const std::int64_t rows = ids.elements(), columns = d_table.dim(1);
  for_type(d_out.type(), [&]<typename T>() {
    const std::int32_t* id = ids.as<std::int32_t>();
    const T* gradient = d_out.as<T>();
    float* total = d_table.as<float>();
    // A thread owns a stretch of columns and adds all rows to it in order: no two threads meet, the sum has
    // one order.
#pragma omp parallel
    {
      const auto [begin, end] = part_of(columns, omp_get_thread_num(), omp_get_num_threads(), 16);
      for (std::int64_t r = 0; r < rows; ++r) {
        float* row = total + std::int64_t{id[r]} * columns;
        const T* added = gradient + r * columns;
        const std::int64_t last = end;
#pragma omp simd
        for (std::int64_t c = begin; c < last; ++c) row[c] += static_cast<float>(added[c]);
      }
    }
  });
}

}  // namespace cola::cpu
