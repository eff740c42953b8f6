#include "train/stop_signal.h"

#include <csignal>

namespace cola {

namespace {

constexpr int stop_signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};

// A signal handler can reach nothing but a static object of this type.
volatile std::sig_atomic_t received_signal = 0;

void set_handler(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

// A launcher may have been started with some of them blocked, and hand that on.
void unblock_stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : stop_signals) sigaddset(&signals, signal);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

void remember(int signal) {
  received_signal = signal;
  // Schedulers may send theirs more than once, and none of them may kill a checkpoint that is being written;
  // a person who types Ctrl-C twice means it.
  if (signal == SIGINT) set_handler(signal, SIG_DFL);
}

}  // namespace

StopSignal::StopSignal() {
  received_signal = 0;
  for (const int signal : stop_signals) set_handler(signal, remember);
  unblock_stop_signals();
}

StopSignal::~StopSignal() {
  for (const int signal : stop_signals) set_handler(signal, SIG_DFL);
}

int StopSignal::received() const {
  return received_signal;
}

const char* signal_name(int signal) {
  switch (signal) {
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGUSR2:
      return "SIGUSR2";
    default:
      return "a signal";
  }
}

}  // namespace cola
