#include "core/cuda/block_sum.h"
#include "core/cuda/hopper/fused_product_kernel.h"

namespace cola::cuda::fused {

namespace {

struct SiluGradient : Elementwise<SiluGradient> {
  __device__ static float of(float product, float x) { return rounded(product) * silu_slope(x); }
};

// A node of visitor trees: hands its first child's values on, and sums their products with those of its
// second over the tile's columns. Four lanes have a row's values, in a fixed order.
struct DotOfRows : OwnNode<RowDots> {
  using OwnNode<RowDots>::OwnNode;

  template <typename Coordinates>
  struct Callbacks : fusion::EmptyConsumerStoreCallbacks {
    static constexpr int below = decltype(cute::size<1>(Coordinates{}))::value;  // subtiles
    static constexpr int beside = decltype(cute::size<2>(Coordinates{}))::value;

    CUTLASS_DEVICE Callbacks(const Coordinates& coordinates, float* dots, int rows)
        : coordinates(coordinates), dots(dots), rows(rows) {}

    Coordinates coordinates;
    float* dots;  // of the tile's columns, [rows]
    int rows;
    float sums[below][2];

    // Beyond the last row and column both are zero.
    template <int count>
    CUTLASS_DEVICE cutlass::Array<Element, count> visit(const cutlass::Array<float, count>&, int, int epi_m,
                                                        int epi_n,
                                                        const cutlass::Array<Element, count>& values,
                                                        const cutlass::Array<Element, count>& others) {
      static_assert(count == 16, "a subtile is 64 x 32, of 128 threads");
      CUTLASS_PRAGMA_UNROLL
      for (int r = 0; r < 2; ++r) {
        float sum = epi_n == 0 ? 0.0f : sums[epi_m][r];
        CUTLASS_PRAGMA_UNROLL
        for (int i = 2 * r; i < count; i += 4)
          sum += static_cast<float>(values[i]) * static_cast<float>(others[i]) +
                 static_cast<float>(values[i + 1]) * static_cast<float>(others[i + 1]);
        sums[epi_m][r] = sum;
      }
      return values;
    }

    CUTLASS_DEVICE void end_loop(int epi_m, int epi_n) {
      if (epi_n + 1 < beside) return;
      CUTLASS_PRAGMA_UNROLL
      for (int r = 0; r < 2; ++r) {
        float sum = sums[epi_m][r];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        const int row = cute::get<0>(coordinates(cute::_0{}, epi_m, cute::_0{})) + 8 * r;
        if (lane_index() % 4 == 0 && row < rows) dots[row] = sum;
      }
    }
  };

  template <bool reference_source, typename... Args>
  CUTLASS_DEVICE auto get_consumer_store_callbacks(const fusion::ConsumerStoreArgs<Args...>& args) {
    static_assert(cute::size<1>(decltype(args.tile_shape_mnk){}) == RowDots::tile_columns);
    const auto of_thread = coordinates<reference_source>(args);
    const auto [m, n, k, batch] = args.problem_shape_mnkl;
    const auto [tile_m, tile_n, tile_k, part] = args.tile_coord_mnkl;
    return Callbacks<decltype(of_thread)>(of_thread,
                                          parameters->dots + (part * RowDots::stretches(n) + tile_n) * m, m);
  }
};

struct SiluGradientFusion {
  static constexpr bool has_input = true;
  template <typename Descriptor>
  using Tree = Compute<Same, Element,
                       fusion::Sm90EVT<DotOfRows, Compute<SiluGradient, Element, Product, Input>, Input>>;
  template <typename Tree>
  static typename Tree::Arguments arguments(const Operands& o) {
    return {{{{}, {}, {}}, {}, o.row_dots}, {}};
  }
};

}  // namespace

void silu_gradient_product(const Context& context, const Operands& operands) {
  Kernel<SiluGradientFusion, StoredB::k_by_n>::run(context, operands);
}

}  // namespace cola::cuda::fused
