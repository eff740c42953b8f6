// StopSignal: a polite request to stop, by signal. SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 (what schedulers and
// people send) and SIGHUP (a terminal that is closed; not where nohup has it ignored) raise a flag that the
// trainer looks at between steps; a second SIGINT ends the program at once.
#pragma once

namespace cola {

class StopSignal {
 public:
  /// Installs the handlers; the destructor puts back the signals' usual effect.
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// From now on the first signal is said on stdout the moment it comes, or now if it has come: the end of a
  /// long step may be far away, or never reached.
  void announce_when_received() const;

  /// The number of the signal that came, or 0.
  int received() const;
};

/// "SIGTERM", for messages.
const char* signal_name(int signal);

}  // namespace cola
