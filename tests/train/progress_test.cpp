#include "train/progress.h"

#include <gtest/gtest.h>

namespace cola {
namespace {

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
