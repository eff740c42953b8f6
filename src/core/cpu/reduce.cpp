#include <vector>

#include "core/cpu/kernels.h"
#include "core/cpu/parallel.h"
#include "core/divide_up.h"

namespace cola::cpu {

namespace {

constexpr std::int64_t block = 1 << 16;

// Blocks of fixed size are summed on their own, then in order: the result depends on neither threads nor
// timing.
template <typename Term>
double blocked_sum(const Tensor& values, Term term) {
  const float* value = values.as<float>();
  const std::int64_t elements = values.elements();
  std::vector<double> sums(static_cast<std::size_t>(divide_up(elements, block)));
#pragma omp parallel for schedule(static)
  for (std::size_t b = 0; b < sums.size(); ++b) {
    const std::int64_t first = static_cast<std::int64_t>(b) * block, last = std::min(elements, first + block);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = first; i < last; ++i) sum += term(static_cast<double>(value[i]));
    sums[b] = sum;
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace

double CpuReduce::sum_of_squares(const Tensor& values) const {
  return blocked_sum(values, [](double value) { return value * value; });
}

void CpuReduce::add_sum(const Tensor& values, const Tensor& total) const {
  total.as<double>()[0] += blocked_sum(values, [](double value) { return value; });
}

void CpuReduce::convert(const Tensor& source, const Tensor& destination) const {
  require(source.elements() == destination.elements(), "convert: source and destination differ in size");
  const std::int64_t elements = source.elements();
  for_type(source.type(), [&]<typename From>() {
    for_type(destination.type(), [&]<typename To>() {
      const From* from = source.as<From>();
      To* to = destination.as<To>();
#pragma omp parallel for simd schedule(static)
      for (std::int64_t i = 0; i < elements; ++i) to[i] = static_cast<float>(from[i]);
    });
  });
}

}  // namespace cola::cpu
