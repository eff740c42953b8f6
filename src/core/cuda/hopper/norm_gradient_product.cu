#include "core/cuda/block_sum.h"
#include "core/cuda/hopper/fused_product_kernel.h"
#include "core/cuda/pack.h"

namespace cola::cuda::fused {

namespace {

// A node of visitor trees: what a norm's backward pass makes of the product, which is dy, of x, and of the
// gradient to add to. A thread has the same columns in all of a tile's rows; it sums its share of the
// weight's gradient over them, subtile by subtile, the upper before the lower.
struct NormGradient : OwnNode<NormFactors> {
  using OwnNode<NormFactors>::OwnNode;

  template <typename Coordinates>
  struct Callbacks : fusion::EmptyConsumerStoreCallbacks {
    static constexpr int below = decltype(cute::size<1>(Coordinates{}))::value;  // subtiles
    static constexpr int beside = decltype(cute::size<2>(Coordinates{}))::value;
    static constexpr int pairs = 4;  // of neighbouring columns in a subtile of 32, for one thread
    using Pair = RawPack<__nv_bfloat16, 2>;

    CUTLASS_DEVICE Callbacks(const Coordinates& coordinates, const NormFactors* norm, int rows, int columns,
                             int first_share)
        : coordinates(coordinates), norm(norm), rows(rows), columns(columns), first_share(first_share) {}

    Coordinates coordinates;
    const NormFactors* norm;
    int rows, columns, first_share;
    float dy_factors[below][2], x_factors[below][2];
    Pair weights[beside][pairs];
    float dweight[2 * pairs];

    CUTLASS_DEVICE int row(int epi_m) const {
      return cute::get<0>(coordinates(cute::_0{}, epi_m, cute::_0{}));
    }
    CUTLASS_DEVICE int column(int epi_n) const {
      return cute::get<1>(coordinates(cute::_0{}, cute::_0{}, epi_n));
    }

    // Beyond the last row and column all factors are zero, as are the product and x.
    CUTLASS_DEVICE void begin() {
      CUTLASS_PRAGMA_UNROLL
      for (int m = 0; m < below; ++m) {
        CUTLASS_PRAGMA_UNROLL
        for (int r = 0; r < 2; ++r) {
          const int at = row(m) + 8 * r;
          dy_factors[m][r] = at < rows ? norm->dy_factors[at] : 0.0f;
          x_factors[m][r] = at < rows ? norm->x_factors[at] : 0.0f;
        }
      }
      const auto* const weight = static_cast<const __nv_bfloat16*>(norm->weight);
      CUTLASS_PRAGMA_UNROLL
      for (int n = 0; n < beside; ++n) {
        CUTLASS_PRAGMA_UNROLL
        for (int j = 0; j < pairs; ++j) {
          const int at = column(n) + 8 * j;
          weights[n][j] = at < columns ? Pair::load(weight + at) : Pair{};
        }
      }
    }

    template <int count>
    CUTLASS_DEVICE cutlass::Array<float, count> visit(const cutlass::Array<float, count>&, int, int epi_m,
                                                      int epi_n, const cutlass::Array<float, count>& product,
                                                      const cutlass::Array<Element, count>& x,
                                                      const cutlass::Array<Element, count>& before) {
      static_assert(count == 4 * pairs, "a subtile is 64 x 32, of 128 threads");
      cutlass::Array<float, count> after;
      CUTLASS_PRAGMA_UNROLL
      for (int j = 0; j < pairs; ++j) {
        CUTLASS_PRAGMA_UNROLL
        for (int c = 0; c < 2; ++c) {
          float sum = 0;
          CUTLASS_PRAGMA_UNROLL
          for (int r = 0; r < 2; ++r) {
            const int i = c + 2 * r + 4 * j;
            const float scaled = rounded(product[i]) * dy_factors[epi_m][r], read = static_cast<float>(x[i]);
            sum += scaled * read;
            after[i] =
                static_cast<float>(before[i]) + (weights[epi_n][j][c] * scaled - read * x_factors[epi_m][r]);
          }
          dweight[2 * j + c] = epi_m == 0 ? sum : dweight[2 * j + c] + sum;
        }
      }
      return after;
    }

    CUTLASS_DEVICE void end_loop(int epi_m, int epi_n) {
      if (epi_m + 1 == below) store_dweight(epi_n);
    }

    // Lanes whose numbers differ in the upper three bits have the same eight columns, in other rows: at every
    // step two of them give each other half of what they have, until each has the sum of one column.
    CUTLASS_DEVICE void store_dweight(int epi_n) {
      const int lane = lane_index();
      CUTLASS_PRAGMA_UNROLL
      for (int half = pairs, bit = 16; half > 0; half /= 2, bit /= 2) {
        const bool upper = (lane & bit) != 0;
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < half; ++i) {
          const float given = upper ? dweight[i] : dweight[i + half];
          const float kept = upper ? dweight[i + half] : dweight[i];
          dweight[i] = kept + __shfl_xor_sync(0xffffffffu, given, bit);
        }
      }
      const int value = lane / 4, at = column(epi_n) + value / 2 * 8 + value % 2;
      const std::int64_t share = first_share + warp_index() % NormFactors::tile_shares;
      if (at < columns) norm->dweight_shares[share * columns + at] = dweight[0];
    }
  };

  template <bool reference_source, typename... Args>
  CUTLASS_DEVICE auto get_consumer_store_callbacks(const fusion::ConsumerStoreArgs<Args...>& args) {
    using Tile = decltype(args.tile_shape_mnk);
    static_assert(cute::size<0>(Tile{}) == NormFactors::tile_rows, "each of a tile's four warps has a share");
    const auto of_thread = coordinates<reference_source>(args);
    const auto [m, n, k, batch] = args.problem_shape_mnkl;
    return Callbacks<decltype(of_thread)>(of_thread, parameters, m, n,
                                          NormFactors::tile_shares * cute::get<0>(args.tile_coord_mnkl));
  }
};

struct NormGradientFusion {
  static constexpr bool has_input = true;
  template <typename Descriptor>
  using Tree = Compute<Same, Element, fusion::Sm90EVT<NormGradient, Product, Input, SecondInput<Descriptor>>>;
  template <typename Tree>
  static typename Tree::Arguments arguments(const Operands& o) {
    return {{{}, {}, {elements(o.second_input), Element(0), strides(o.second_input)}, o.norm}, {}};
  }
};

}  // namespace

void norm_gradient_product(const Context& context, const Operands& operands) {
  Kernel<NormGradientFusion, StoredB::k_by_n>::run(context, operands);
}

}  // namespace cola::cuda::fused
