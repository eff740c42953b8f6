#include "train/benchmarks/step_breakdown.h"

#include <algorithm>
#include <functional>

#include "core/observed_device.h"
#include "dist/communicator.h"
#include "train/benchmarks/benchmark_model.h"
#include "train/configuration/precision.h"
#include "train/peak_rate.h"

namespace cola {

namespace {

// The calls of one name together, those without a name left out.
std::vector<KernelShare> add_up(const std::vector<KernelCall>& calls,
                                const std::function<std::string(const KernelCall&)>& name_of_call) {
  std::vector<KernelShare> kernels;
  for (const KernelCall& call : calls) {
    const std::string name = name_of_call(call);
    if (name.empty()) continue;
    auto kernel = std::find_if(kernels.begin(), kernels.end(),
                               [&](const KernelShare& known) { return known.name == name; });
    if (kernel == kernels.end()) kernel = kernels.insert(kernels.end(), KernelShare{.name = name});
    ++kernel->calls;
    kernel->seconds += call.end->seconds_since(*call.begin);
    kernel->operations += call.operations;
    kernel->bytes += call.bytes;
  }
  std::sort(kernels.begin(), kernels.end(),
            [](const KernelShare& a, const KernelShare& b) { return a.seconds > b.seconds; });
  return kernels;
}

}  // namespace

double StepBreakdown::share_outside_products() const {
  double inside = 0;
  for (const KernelShare& kernel : kernels)
    if (kernel.name.starts_with("matrix product")) inside += kernel.seconds;
  return kernel_seconds > 0 ? 1 - inside / kernel_seconds : 0;
}

StepBreakdown measure_step_breakdown(const RunConfiguration& configuration, Device& device, int warm_up) {
  StepBreakdown result;
  const DataType type = compute_type_of(configuration.train.precision, device);
  result.product_rate = measure_product_rate(device, type, telling_product_size(device.kind()));
  result.copy_rate = measure_copy_rate(device, std::size_t{256} << 20);
  ObservedDevice observed(device);
  const auto communicator = make_self_communicator();
  BenchmarkModel model(configuration, observed, *communicator);
  for (int step = 0; step < warm_up; ++step) model.step(1);
  observed.synchronize();
  const auto begin = observed.mark_time();
  observed.start();
  model.step(1);
  const auto end = observed.mark_time();
  const std::vector<KernelCall> calls = observed.stop();
  result.kernels = add_up(calls, [](const KernelCall& call) { return call.name; });
  result.products = add_up(calls, [](const KernelCall& call) { return call.shape; });
  result.step_seconds = end->seconds_since(*begin);
  for (const KernelShare& kernel : result.kernels) result.kernel_seconds += kernel.seconds;
  return result;
}

}  // namespace cola
