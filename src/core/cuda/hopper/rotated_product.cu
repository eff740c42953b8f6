#include "core/cuda/hopper/fused_product_kernel.h"

namespace cola::cuda::fused {

namespace {

// A leaf of visitor trees: the product, its columns rotated in pairs a half head apart. A subtile is one head
// wide.
template <int head_dim>
struct Rotated : OwnNode<RowRotation> {
  using OwnNode<RowRotation>::OwnNode;

  template <typename Coordinates>
  struct Callbacks : fusion::EmptyConsumerStoreCallbacks {
    static constexpr int subtiles = decltype(cute::size<1>(Coordinates{}))::value;  // below each other
    static constexpr int pairs = head_dim / 16;  // of neighbouring columns in half a head, for one thread

    CUTLASS_DEVICE Callbacks(const Coordinates& coordinates, const RowRotation* rotation, bool rotates)
        : coordinates(coordinates), rotation(rotation), rotates(rotates) {}

    Coordinates coordinates;  // of this thread's values: (value, EPI_M, EPI_N)
    const RowRotation* rotation;
    bool rotates;
    float2 cosines[subtiles][2][pairs], sines[subtiles][2][pairs];

    // All heads of a tile turn alike: the angles are read once a tile, all at a time.
    CUTLASS_DEVICE void begin() {
      if (!rotates) return;
      CUTLASS_PRAGMA_UNROLL
      for (int subtile = 0; subtile < subtiles; ++subtile) {
        const auto first = coordinates(cute::_0{}, subtile, cute::_0{});
        CUTLASS_PRAGMA_UNROLL
        for (int r = 0; r < 2; ++r) {
          const int position = (cute::get<0>(first) + 8 * r) % rotation->sequence;
          const int from = position * (head_dim / 2) + cute::get<1>(first) % head_dim;
          CUTLASS_PRAGMA_UNROLL
          for (int j = 0; j < pairs; ++j) {
            cosines[subtile][r][j] = *reinterpret_cast<const float2*>(rotation->cosines + from + 8 * j);
            sines[subtile][r][j] = *reinterpret_cast<const float2*>(rotation->sines + from + 8 * j);
          }
        }
      }
    }

    template <int count>
    CUTLASS_DEVICE cutlass::Array<float, count> visit(const cutlass::Array<float, count>& product, int,
                                                      int epi_m, int) {
      static_assert(count == head_dim / 2, "a subtile is 64 rows of one head, of 128 threads");
      if (!rotates) return product;
      cutlass::Array<float, count> turned;
      CUTLASS_PRAGMA_UNROLL
      for (int r = 0; r < 2; ++r) {
        CUTLASS_PRAGMA_UNROLL
        for (int j = 0; j < pairs; ++j) {
          const float2 cosine = cosines[epi_m][r][j], sine = sines[epi_m][r][j];
          rotate(product, turned, 2 * r + 4 * j, cosine.x, sine.x);
          rotate(product, turned, 2 * r + 4 * j + 1, cosine.y, sine.y);
        }
      }
      return turned;
    }

    template <int count>
    CUTLASS_DEVICE static void rotate(const cutlass::Array<float, count>& product,
                                      cutlass::Array<float, count>& turned, int low, float cosine,
                                      float sine) {
      const float a = rounded(product[low]), b = rounded(product[low + count / 2]);
      turned[low] = a * cosine - b * sine;
      turned[low + count / 2] = b * cosine + a * sine;
    }
  };

  template <bool reference_source, typename... Args>
  CUTLASS_DEVICE auto get_consumer_store_callbacks(const fusion::ConsumerStoreArgs<Args...>& args) {
    const auto of_thread = coordinates<reference_source>(args);
    return Callbacks<decltype(of_thread)>(of_thread, parameters,
                                          cute::get<3>(args.tile_coord_mnkl) < parameters->rotated_batches);
  }
};

template <int head_dim>
struct RotatedFusion {
  static constexpr bool has_input = false;
  template <typename Descriptor>
  using Tree = Compute<Same, Element, Rotated<head_dim>>;
  template <typename Tree>
  static typename Tree::Arguments arguments(const Operands& o) {
    return {o.rotation, {}};
  }
};

}  // namespace

void rotated_product(const Context& context, const Operands& operands) {
  Kernel<RotatedFusion<64>, StoredB::n_by_k, 64>::run(context, operands);
}

}  // namespace cola::cuda::fused
