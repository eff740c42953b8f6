#include "apps/common/device_choice.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <exception>
#include <vector>

#include "core/error.h"
#include "core/gpu_facts.h"
#include "core/host_topology.h"
#include "core/log.h"
#include "core/text.h"
#include "dist/placement/job_allocation.h"

namespace cola {

namespace {

// Says why `auto` leads to the CPU, where a GPU was probably meant.
void warn_of_missing_gpus(bool speaks) {
  if (const std::string obstacle = find_cuda_obstacle(); !obstacle.empty())
    return warning("this run is on the CPU, as no GPU can be used: {}", obstacle);
  const std::optional<Allocation> job = find_allocation(environment_variable, lines_of_file);
  if (!speaks || !job) return;
  const std::string told = describe_cuda().empty()
                               ? describe_unused_gpus(job, environment_variable("CUDA_VISIBLE_DEVICES"),
                                                      read_host_topology().gpus.size())
                               : describe_missing_gpus(job);
  if (!told.empty()) warning("{}", told);
}

std::unique_ptr<Device> make_gpu(const RunConfiguration& configuration, const RankPlace& place) try {
  return make_cuda_device(std::max(0, place.gpu_number), {configuration.train.attention});
} catch (const DeviceError& error) {
  if (place.gpu_number < 0) throw UsageError("train.device: {}", error.what());
  throw;
}

// What a GPU alone has cannot be had where `auto` led to the CPU.
void require_no_gpu_settings(const RunConfiguration& configuration) {
  if (configuration.parallel.collectives == Collectives::nccl)
    throw UsageError("parallel.collectives: nccl needs GPUs, and none is used here; set it to auto or mpi");
  if (configuration.train.cuda_graphs == RecordedPasses::on)
    throw UsageError("train.cuda_graphs: on needs a GPU, and none is used here; set it to auto");
  if (configuration.train.attention != AttentionChoice::automatic)
    throw UsageError("train.attention: chooses kernels of a GPU, and none is used here; set it to auto");
}

}  // namespace

std::optional<EarlySettings> early_settings(int count, char** arguments) try {
  namespace options = boost::program_options;
  std::string configuration;
  std::vector<std::string> settings;
  options::options_description description;
  auto add = description.add_options();
  add("config", options::value(&configuration));
  add("set", options::value(&settings)->composing());
  options::variables_map values;
  options::store(
      options::command_line_parser(count, arguments).options(description).allow_unregistered().run(), values);
  options::notify(values);
  if (configuration.empty()) return std::nullopt;
  const RunConfiguration run = load_run_configuration(configuration, settings);
  return EarlySettings{{run.train.device == DeviceChoice::cpu, run.parallel.bind_network},
                       std::chrono::seconds(run.parallel.timeout_seconds)};
} catch (const std::exception&) {
  return std::nullopt;
}

std::string describe_missing_gpus(const std::optional<Allocation>& job) {
  if (!job) return {};
  return fmt::format(
      "this run is on the CPU, as {} gave the job no GPU here: ask for one a rank ({}), or set train.device: "
      "cpu",
      job->scheduler, job->scheduler == "Slurm" ? "--gpus-per-node" : "ngpus in -l select");
}

std::string describe_unused_gpus(const std::optional<Allocation>& job,
                                 const std::optional<std::string>& visible, std::size_t gpus_of_host) {
  const bool hidden = visible && (visible->empty() || *visible == "-1" || *visible == "NoDevFiles");
  if (!job || hidden || (!visible && gpus_of_host == 0)) return {};
  return fmt::format(
      "this run is on the CPU, as this program was built without CUDA, and there are GPUs in the {} job: "
      "build it with -DCOLA_CUDA=on, or set train.device: cpu",
      job->scheduler);
}

RankPlace place_rank(const RunConfiguration& configuration, MpiSession& session) {
  const int gpus = configuration.train.device == DeviceChoice::cpu ? 0 : cuda_device_count();
  if (configuration.train.device == DeviceChoice::automatic && gpus == 0)
    warn_of_missing_gpus(session.world().rank() == 0);
  return bind_rank(session, gpus, configuration.train.threads);
}

std::unique_ptr<Device> make_device(const RunConfiguration& configuration, RankPlace& place) {
  const bool on_gpu = place.gpu_number >= 0 || configuration.train.device == DeviceChoice::cuda;
  if (!on_gpu) require_no_gpu_settings(configuration);
  auto device = on_gpu ? make_gpu(configuration, place) : make_cpu_device(static_cast<int>(place.threads));
  place.device = device->name();
  return device;
}

}  // namespace cola
