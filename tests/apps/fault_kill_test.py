"""A rank killed anywhere in a checkpoint's life costs no committed checkpoint and no bit of the result."""
import harness
from fault_sweep import POINTS, sweep


class Kill(harness.TrainingTest):
    def test_every_fault_point_and_some_random_moments(self):
        count = len(POINTS) * 3 // 2 + 1  # every third trial strikes at a random moment
        struck = sweep(self, 2, count, 20261123, lambda text: None)
        self.assertGreaterEqual(struck, count // 2)


if __name__ == "__main__":
    harness.unittest.main()
