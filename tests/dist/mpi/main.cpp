// Runs the tests on every rank of an MPI job. An error on one rank ends the job, so that no other waits for
// it; only rank 0 prints, and failures of other ranks go to stderr.
#include <gtest/gtest.h>

#include <cstdio>
#include <exception>

#include "dist/mpi/world.h"

namespace cola::testing {

namespace {

MpiSession* current_session = nullptr;

class FailurePrinter final : public ::testing::EmptyTestEventListener {
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (result.failed())
      std::fprintf(stderr, "rank %d: %s:%d: %s\n", session().world().rank(), result.file_name(),
                   result.line_number(), result.message());
  }
};

int run_tests() {
  if (session().world().rank() != 0) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter);  // GoogleTest owns it
  }
  return RUN_ALL_TESTS();
}

}  // namespace

MpiSession& session() {
  return *current_session;
}

}  // namespace cola::testing

int main(int argument_count, char** arguments) {
  ::testing::InitGoogleTest(&argument_count, arguments);
  GTEST_FLAG_SET(catch_exceptions, false);
  cola::MpiSession session(argument_count, arguments);
  cola::testing::current_session = &session;
  try {
    return cola::testing::run_tests();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", session.world().rank(), error.what());
    session.world().abort(1);
  }
}
