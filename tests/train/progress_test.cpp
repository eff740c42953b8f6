#include "train/progress.h"

#include <gtest/gtest.h>

namespace cola {
namespace {

TEST(Format, DurationsCountsAndBytes) {
  EXPECT_EQ(format_duration(9.4), "9 s");
  EXPECT_EQ(format_duration(250), "4 min 10 s");
  EXPECT_EQ(format_duration(11520), "3 h 12 min");
  EXPECT_EQ(format_duration(-1), "0 s");
  EXPECT_EQ(format_count(0), "0.00");
  EXPECT_EQ(format_count(131072), "131 k");
  EXPECT_EQ(format_count(1.339e9), "1.34 G");
  EXPECT_EQ(format_count(999.9), "1.00 k");
  EXPECT_EQ(format_bytes(1.5 * 1024 * 1024 * 1024), "1.50 GiB");
  EXPECT_EQ(format_bytes(100), "100 B");
}

TEST(ProgressLine, SaysWhatAPersonLooksFor) {
  const StepMetrics metrics{.step = 7,
                            .loss = 4.25,
                            .learning_rate = 1e-3,
                            .gradient_norm = 0.5,
                            .tokens_per_second = 12300,
                            .model_flops_utilization = 0.453};
  EXPECT_EQ(progress_line(metrics, 300, 125),
            "step   7/300 | loss 4.2500 | lr 1.00e-03 | grad norm 0.500 | 12.3 k tokens/s | 45.3 % of peak | "
            "2 min 5 s left");
}

}  // namespace
}  // namespace cola
