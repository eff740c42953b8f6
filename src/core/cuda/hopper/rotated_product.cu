#include "core/cuda/hopper/fused_product_kernel.h"

namespace cola::cuda::fused {

namespace {

// A leaf of visitor trees: the product, its columns rotated in pairs a half head apart. A thread's share of a
// subtile that is one head wide is laid out as wgmma leaves it (PTX ISA, "Register fragments for wgmma"):
// value c + 2r + 4j is that of column 8j + c and row 8r, c and r below 2, counted from the thread's first.
template <int head_dim>
struct Rotated {
  struct SharedStorage {};
  using Arguments = Rotation;
  using Params = Rotation;

  template <typename ProblemShape>
  static constexpr Params to_underlying_arguments(const ProblemShape&, const Arguments& arguments, void*) {
    return arguments;
  }
  template <typename ProblemShape>
  static bool can_implement(const ProblemShape&, const Arguments&) {
    return true;
  }
  template <typename ProblemShape>
  static std::size_t get_workspace_size(const ProblemShape&, const Arguments&) {
    return 0;
  }
  template <typename ProblemShape>
  static cutlass::Status initialize_workspace(const ProblemShape&, const Arguments&, void*, cudaStream_t,
                                              cutlass::CudaHostAdapter* = nullptr) {
    return cutlass::Status::kSuccess;
  }

  CUTLASS_HOST_DEVICE Rotated() {}
  CUTLASS_HOST_DEVICE Rotated(const Params& params, const SharedStorage&) : rotation(&params) {}

  CUTLASS_DEVICE bool is_producer_load_needed() const { return false; }
  CUTLASS_DEVICE bool is_C_load_needed() const { return false; }
  template <typename... Args>
  CUTLASS_DEVICE auto get_producer_load_callbacks(const fusion::ProducerLoadArgs<Args...>&) {
    return fusion::EmptyProducerLoadCallbacks{};
  }

  template <typename Coordinates>
  struct Callbacks : fusion::EmptyConsumerStoreCallbacks {
    static constexpr int subtiles = decltype(cute::size<1>(Coordinates{}))::value;  // below each other
    static constexpr int pairs = head_dim / 16;  // of neighbouring columns in half a head, for one thread

    CUTLASS_DEVICE Callbacks(const Coordinates& coordinates, const Rotation* rotation, bool rotates)
        : coordinates(coordinates), rotation(rotation), rotates(rotates) {}

    Coordinates coordinates;  // of this thread's values: (value, EPI_M, EPI_N)
    const Rotation* rotation;
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
    const auto [m, n, k, batch] = args.problem_shape_mnkl;
    const auto coordinates = cute::make_identity_tensor(cute::make_shape(m, n, batch));
    const auto of_thread = fusion::sm90_partition_for_epilogue<reference_source>(
        coordinates, args.tile_shape_mnk, args.tile_coord_mnkl, args.epi_tile, args.tiled_copy,
        args.thread_idx);  // (CPY, CPY_M, CPY_N, EPI_M, EPI_N)
    const auto grouped = cute::group_modes<0, 3>(of_thread);
    return Callbacks<decltype(grouped)>(grouped, rotation,
                                        cute::get<3>(args.tile_coord_mnkl) < rotation->rotated_batches);
  }

  const Rotation* rotation;
};

// Hands on what is rounded when it is written.
struct Same : Elementwise<Same> {
  __device__ static float of(float x) { return x; }
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
