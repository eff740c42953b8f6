#include "fault_handler.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "block_runner.h"
#include "emulated_gpu.h"

namespace cola::emulation {

namespace {

// What handled them before: the system, or a sanitizer.
struct sigaction before_segment, before_bus;

// Not strictly allowed in a signal handler (it allocates), but the program is lost anyway.
void explain(int number, siginfo_t* information) {
  sigaction(number, number == SIGBUS ? &before_bus : &before_segment,
            nullptr);  // takes over when this returns
  EmulatedGpu& gpu = EmulatedGpu::instance();
  const bool on_gpu = gpu.on_gpu_thread();
  const bool of_device = gpu.memory().kind_of(information->si_addr) == MemoryKind::device;
  std::string text =
      fmt::format("emulated GPU: {} touched {}, {}", on_gpu ? gpu.runner().describe_current() : "host code",
                  information->si_addr, of_device ? "which is device memory" : "where no memory is mapped");
  // The processor names no address for a misaligned one, but the compiler's check has just been made.
  if (on_gpu && !gpu.runner().fault().empty()) text = "emulated GPU: " + gpu.runner().fault();
  text += fmt::format(" (COLA_EMULATION_SEED={})\n", gpu.seed());
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) _exit(1);
}

// Kernels and copies, which touch device memory, are interrupted between no two parts of what this needs.
void handle(int number, siginfo_t* information, void*) {
  EmulatedGpu& gpu = EmulatedGpu::instance();
  if (!gpu.on_gpu_thread() || !gpu.memory().open(information->si_addr)) explain(number, information);
}

}  // namespace

void use_fault_handler_on_this_thread() {
  static constexpr std::size_t stack_bytes = 64 << 10;
  // Never given back: the handler may be needed until the very end of the thread. Not a thread-local
  // variable, which would be taken for a shared array (see SharedMemory).
  void* memory = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  stack_t stack{};
  stack.ss_sp = memory;
  stack.ss_size = stack_bytes;
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  struct sigaction now {};
  sigaction(SIGSEGV, nullptr, &now);
  if (now.sa_sigaction == handle) return;
  sigaction(SIGSEGV, &action, &before_segment);
  sigaction(SIGBUS, &action, &before_bus);
}

}  // namespace cola::emulation
