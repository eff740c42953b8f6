#include "train/stop_signal.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace cola {

namespace {

constexpr int stop_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

// A signal handler can reach nothing but static objects of this type.
volatile std::sig_atomic_t received_signal = 0, announces = 0;

void set_handler(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

// nohup has a run ignore the end of its terminal, and means it.
bool is_left_alone(int signal) {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return signal == SIGHUP && action.sa_handler == SIG_IGN;
}

void set_handlers(void (*handler)(int)) {
  for (const int signal : stop_signals)
    if (!is_left_alone(signal)) set_handler(signal, handler);
}

// A launcher may have been started with some of them blocked, and hand that on.
void unblock_stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : stop_signals) sigaddset(&signals, signal);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

// Inside of a signal handler, where little more than write() may be called.
void announce(int signal) {
  char line[128] = "";
  std::strcat(line, isatty(STDOUT_FILENO) != 0 ? "\n" : "");  // a live line may be open
  std::strcat(line, signal_name(signal));
  std::strcat(line, ": stopping at the end of this step, with a checkpoint");
  std::strcat(line, signal == SIGINT ? "; a second one ends the run at once\n" : "\n");
  [[maybe_unused]] const ssize_t written = write(STDOUT_FILENO, line, std::strlen(line));
}

void remember(int signal) {
  const int error = errno;
  if (received_signal == 0 && announces != 0) announce(signal);
  received_signal = signal;
  // Schedulers may send theirs more than once, and none of them may kill a checkpoint that is being written;
  // a person who types Ctrl-C twice means it.
  if (signal == SIGINT) set_handler(signal, SIG_DFL);
  errno = error;
}

}  // namespace

StopSignal::StopSignal() {
  received_signal = 0;
  announces = 0;
  set_handlers(remember);
  unblock_stop_signals();
}

StopSignal::~StopSignal() {
  set_handlers(SIG_DFL);
}

void StopSignal::announce_when_received() const {
  announces = 1;
  if (const int signal = received(); signal != 0) announce(signal);
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
    case SIGHUP:
      return "SIGHUP";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGUSR2:
      return "SIGUSR2";
    default:
      return "a signal";
  }
}

}  // namespace cola
