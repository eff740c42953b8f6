#include "dist/placement/environment_variables.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace cola {
namespace {

TEST(EnvironmentVariable, IsThatOfThisProcess) {
  ::setenv("COLA_TEST_VARIABLE", "7", 1);
  EXPECT_EQ(environment_variable("COLA_TEST_VARIABLE"), "7");
  ::unsetenv("COLA_TEST_VARIABLE");
  EXPECT_FALSE(environment_variable("COLA_TEST_VARIABLE"));
}

}  // namespace
}  // namespace cola
