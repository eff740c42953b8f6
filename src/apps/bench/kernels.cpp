#include "apps/bench/kernels.h"

#include <memory>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/kernels/fused_product.h"
#include "core/log.h"
#include "core/text.h"
#include "train/benchmarks/attention_benchmark.h"
#include "train/benchmarks/fused_product_benchmark.h"
#include "train/benchmarks/step_breakdown.h"
#include "train/configuration/precision.h"

namespace cola {

namespace {

void print_table(const char* what, const std::vector<KernelShare>& kernels, const StepBreakdown& step) {
  information("| {} | calls | ms | share | FLOP/s | of a product's | B/s | of a copy's |", what);
  information("|---|---:|---:|---:|---:|---:|---:|---:|");
  for (const KernelShare& kernel : kernels) {
    const double operations = kernel.operations / kernel.seconds, bytes = kernel.bytes / kernel.seconds;
    const bool computes = kernel.operations > 0;
    information("| {} | {} | {:.3f} | {:.1f} % | {} | {} | {} | {:.0f} % |", kernel.name, kernel.calls,
                1e3 * kernel.seconds, 100 * kernel.seconds / step.kernel_seconds,
                computes ? format_count(operations) : "",
                computes ? fmt::format("{:.0f} %", 100 * operations / step.product_rate) : "",
                format_count(bytes), 100 * bytes / step.copy_rate);
  }
}

}  // namespace

void print_step_breakdown(const RunConfiguration& configuration, Device& device) {
  const StepBreakdown step = measure_step_breakdown(configuration, device);
  information("{}, one step of {} x {} tokens on {}: {:.2f} ms, {:.2f} ms of it in kernels",
              configuration.run.name, configuration.train.micro_batch, configuration.data.sequence_length,
              device.name(), 1e3 * step.step_seconds, 1e3 * step.kernel_seconds);
  information("limits in the same run: a plain product {}FLOP/s, a copy {}B/s (read and written)",
              format_count(step.product_rate), format_count(step.copy_rate));
  print_table("kernel", step.kernels, step);
  information("{:.1f} % of the kernels' time lies outside matrix products",
              100 * step.share_outside_products());
  print_table("matrix product", step.products, step);
}

void print_fused_products(const RunConfiguration& configuration, Device& device) {
  if (!device.fused_products().joins(compute_type_of(configuration.train.precision, device))) return;
  const std::vector<FusedProductSeconds> products = measure_fused_products(configuration, device);
  if (products.empty()) return;
  const auto layers = static_cast<double>(configuration.model.num_hidden_layers);
  information("| product in one layer | joined, microseconds | apart | saved in all layers, ms |");
  information("|---|---:|---:|---:|");
  for (const FusedProductSeconds& product : products)
    information("| {} | {:.1f} | {:.1f} | {:.2f} |", product.name, 1e6 * product.joined, 1e6 * product.apart,
                1e3 * layers * (product.apart - product.joined));
  information("| joined, microseconds | alone | cut up | {0} multiprocessors held | {0} held, cut up |",
              held_multiprocessors);
  information("|---|---:|---:|---:|---:|");
  for (const FusedProductSeconds& product : products)
    information("| {} | {:.1f} | {:.1f} | {:.1f} | {:.1f} |", product.name, 1e6 * product.joined,
                1e6 * product.cut_up, 1e6 * product.held, 1e6 * product.held_cut_up);
}

void print_attention_choices(const RunConfiguration& configuration, int gpu) {
  const auto layers = static_cast<double>(configuration.model.num_hidden_layers);
  information("| train.attention | computed by | forward, ms | backward, ms | both in all layers, ms |");
  information("|---|---|---:|---:|---:|");
  for (const auto& [name, choice] :
       {std::pair{"flash", AttentionChoice::flash}, std::pair{"cudnn", AttentionChoice::cudnn},
        std::pair{"whole_heads", AttentionChoice::whole_heads},
        std::pair{"auto", AttentionChoice::automatic}})
    try {
      const std::unique_ptr<Device> device = make_cuda_device(gpu, {.attention = choice});
      const AttentionSeconds seconds = measure_attention(configuration, *device);
      information("| {} | {} | {:.3f} | {:.3f} | {:.2f} |", name, seconds.implementation,
                  1e3 * seconds.forward, 1e3 * seconds.backward,
                  1e3 * layers * (seconds.forward + seconds.backward));
    } catch (const UsageError& error) {
      information("| {} | {} | | | |", name, error.what());
    }
}

}  // namespace cola
