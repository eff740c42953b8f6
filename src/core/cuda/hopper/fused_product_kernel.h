// Matrix products on Hopper's tensor cores (wgmma, fed by the bulk tensor copy engine) with element-wise work
// on their results before these leave the multiprocessor: CUTLASS's persistent warp-specialized kernel, with
// an epilogue visitor tree for what happens to the results (CUTLASS, "Epilogue Visitor Trees").
//
// Everything is bf16 in memory and fp32 in between. A product is rounded to bf16 before anything is done with
// it, as separate kernels would do: both ways agree to the bit where the products do, but for the norm's
// backward pass, whose sums are taken elsewhere and in another order. A sum with another tensor alone is
// rounded once, as cuBLAS does it.
#pragma once

#include <cutlass/cutlass.h>

#include <cutlass/epilogue/collective/collective_builder.hpp>
#include <cutlass/epilogue/fusion/sm90_callbacks_tma_warpspecialized.hpp>
#include <cutlass/gemm/collective/collective_builder.hpp>
#include <cutlass/gemm/kernel/gemm_universal.hpp>

#include <cstdint>

#include "core/cuda/check.h"
#include "core/cuda/fast_math.h"
#include "core/cuda/hopper/hopper_products.h"
#include "core/cuda/launch.h"

namespace cola::cuda::fused {

using Element = cutlass::bfloat16_t;
using RowMajor = cutlass::layout::RowMajor;
constexpr int alignment = 8;  // elements: the copy engine moves 16 bytes at least
constexpr auto rounding = cutlass::FloatRoundStyle::round_to_nearest;
namespace fusion = cutlass::epilogue::fusion;
namespace epilogue = cutlass::epilogue::collective;

template <typename Data>
cute::Stride<std::int64_t, cute::_1, std::int64_t> strides(const Matrices<Data>& matrices) {
  return {matrices.row_stride, cute::_1{}, matrices.batch_stride};
}
inline const Element* elements(const Matrices<const void>& matrices) {
  return static_cast<const Element*>(matrices.data);
}
inline Element* elements(const Matrices<void>& matrices) {
  return static_cast<Element*>(matrices.data);
}

// --- What is computed from a product and other inputs, element by element

template <typename Operation, typename T>
struct OnArrays;
template <typename Operation, int count>
struct OnArrays<Operation, cutlass::Array<float, count>> {
  using Values = cutlass::Array<float, count>;
  template <typename... Arrays>
  CUTLASS_DEVICE Values operator()(const Arrays&... inputs) const {
    Values result;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < count; ++i) result[i] = Operation::of(inputs[i]...);
    return result;
  }
};
/// What an operation on floats derives from, so that CUTLASS can use it on arrays.
template <typename Operation>
struct Elementwise {
  template <typename T>
  using On = OnArrays<Operation, T>;
};

__device__ inline float rounded(float x) {
  return static_cast<float>(Element(x));
}

// --- Nodes of visitor trees

using Product = fusion::Sm90AccFetch;
using Input = fusion::Sm90SrcFetch<Element>;
template <typename Operation, typename Result, typename... Inputs>
using Compute =
    fusion::Sm90EVT<fusion::Sm90Compute<Operation::template On, Result, float, rounding>, Inputs...>;

template <typename Descriptor>
struct SecondInputNode {
  using D = epilogue::detail::AuxLoadDescriptor<Descriptor, RowMajor, Element>;
  using Type = fusion::Sm90AuxLoad<D::Stages, typename D::EpilogueTile, Element, typename D::Stride,
                                   typename D::SmemLayoutAtom, typename D::CopyOpS2R>;
};
template <typename Descriptor>
using SecondInput = typename SecondInputNode<Descriptor>::Type;

template <typename Descriptor>
struct SecondOutputNode {
  using D = epilogue::detail::AuxStoreDescriptor<Descriptor, RowMajor, Element>;
  using Type = fusion::Sm90AuxStore<D::Stages, typename D::EpilogueTile, Element, rounding,
                                    typename D::Stride, typename D::SmemLayoutAtom, typename D::CopyOpR2S>;
};
/// Writes a value to the second output and hands it on.
template <typename Descriptor, typename Value>
using SecondOutput = fusion::Sm90EVT<typename SecondOutputNode<Descriptor>::Type, Value>;

/// What this project's own nodes derive from: they have parameters, and neither memory nor anything to load.
template <typename Parameters>
struct OwnNode {
  struct SharedStorage {};
  using Arguments = Parameters;
  using Params = Parameters;

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

  CUTLASS_HOST_DEVICE OwnNode() {}
  CUTLASS_HOST_DEVICE OwnNode(const Params& params, const SharedStorage&) : parameters(&params) {}

  CUTLASS_DEVICE bool is_producer_load_needed() const { return false; }
  CUTLASS_DEVICE bool is_C_load_needed() const { return false; }
  template <typename... Args>
  CUTLASS_DEVICE auto get_producer_load_callbacks(const fusion::ProducerLoadArgs<Args...>&) {
    return fusion::EmptyProducerLoadCallbacks{};
  }

  /// The row, column and batch of each of this thread's values: (value, EPI_M, EPI_N). They lie as wgmma
  /// leaves them (PTX ISA, "Register fragments for wgmma"): of a subtile of 64 rows, value c + 2r + 4j is
  /// that of column 8j + c and row 8r, c and r below 2, counted from the thread's first.
  template <bool reference_source, typename... Args>
  CUTLASS_DEVICE static auto coordinates(const fusion::ConsumerStoreArgs<Args...>& args) {
    const auto [m, n, k, batch] = args.problem_shape_mnkl;
    const auto all = cute::make_identity_tensor(cute::make_shape(m, n, batch));
    const auto of_thread = fusion::sm90_partition_for_epilogue<reference_source>(
        all, args.tile_shape_mnk, args.tile_coord_mnkl, args.epi_tile, args.tiled_copy,
        args.thread_idx);  // (CPY, CPY_M, CPY_N, EPI_M, EPI_N)
    return cute::group_modes<0, 3>(of_thread);
  }

  const Parameters* parameters;
};

/// Hands on what is rounded when it is written.
struct Same : Elementwise<Same> {
  __device__ static float of(float x) { return x; }
};

// --- The kernel

enum class StoredB { n_by_k, k_by_n };

template <typename Gemm>
__global__ void __launch_bounds__(Gemm::MaxThreadsPerBlock, Gemm::MinBlocksPerMultiprocessor)
    fused_product(const __grid_constant__ typename Gemm::Params params) {
  Gemm()(params, reinterpret_cast<char*>(dynamic_shared_memory()));
}

/// Blocks for each multiprocessor, which holds one at a time: each takes its share of the tiles. One is best
/// where all start at once. Where a collective holds some multiprocessors, the blocks without a place would
/// start when the others end, and the kernel take up to 1.8 times as long, so that smaller shares, of which a
/// free multiprocessor takes the next, are worth their starts.
inline int blocks_per_multiprocessor(const Context& context) {
  return context.collectives_beside > 0 ? 3 : 1;
}

/// A Fusion says what becomes of a product: Tree<Descriptor>, its arguments child by child and then the
/// node's own, and whether it has an input.
///
/// Tiles of 128 x 128 results; two groups of four warps work on a tile each in turn, so that one's epilogue
/// runs beside the other's products: these kernels write, and some read, about as long as they multiply.
/// docs/performance.md has what else was tried.
template <typename Fusion, StoredB stored_b, int epilogue_columns = 32>
struct Kernel {
  using Tile = cute::Shape<cute::_128, cute::_128, cute::_64>;
  using Cluster = cute::Shape<cute::_1, cute::_1, cute::_1>;
  using EpilogueTile = cute::Shape<cute::_64, cute::Int<epilogue_columns>>;
  using MainloopSchedule = cutlass::gemm::KernelTmaWarpSpecializedPingpong;
  using Source = std::conditional_t<Fusion::has_input, Element, void>;
  using LayoutB = std::conditional_t<stored_b == StoredB::n_by_k, cutlass::layout::ColumnMajor, RowMajor>;

  /// How many subtiles come in and go out at a time. A kernel that also reads waits for its writes otherwise.
  struct Descriptor {
    static constexpr int StagesC = 4, StagesD = Fusion::has_input ? 4 : 2;
    using EpilogueTile = Kernel::EpilogueTile;
    using Policy = cutlass::epilogue::Sm90TmaWarpSpecialized<StagesC, StagesD, epilogue_columns / 2, false,
                                                             !Fusion::has_input>;
  };
  using Tree = typename Fusion::template Tree<Descriptor>;
  using Epilogue =
      typename epilogue::detail::Sm90TmaBuilderImpl<Tile, EpilogueTile, float, float, Source, RowMajor,
                                                    alignment, Element, RowMajor, alignment, Tree,
                                                    typename Descriptor::Policy>::CollectiveOp;
  using Mainloop = typename cutlass::gemm::collective::CollectiveBuilder<
      cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Element, RowMajor, alignment, Element, LayoutB,
      alignment, float, Tile, Cluster,
      cutlass::gemm::collective::StageCountAutoCarveout<static_cast<int>(
          sizeof(typename Epilogue::SharedStorage))>,
      MainloopSchedule>::CollectiveOp;
  using Gemm = cutlass::gemm::kernel::GemmUniversal<cute::Shape<int, int, int, int>, Mainloop, Epilogue,
                                                    cutlass::gemm::PersistentScheduler>;

  static typename Gemm::Arguments arguments(const Context& context, const Operands& o) {
    typename Mainloop::StrideB stride_b;
    cute::get<stored_b == StoredB::n_by_k ? 0 : 1>(stride_b) = o.b.row_stride;
    cute::get<2>(stride_b) = o.b.batch_stride;
    typename Gemm::Arguments arguments{
        cutlass::gemm::GemmUniversalMode::kGemm,
        {static_cast<int>(o.m), static_cast<int>(o.n), static_cast<int>(o.k), static_cast<int>(o.batch)},
        {elements(o.a), strides(o.a), elements(o.b), stride_b},
        {Fusion::template arguments<Tree>(o), elements(o.input), strides(o.input), elements(o.output),
         strides(o.output)}};
    arguments.hw_info.sm_count = context.multiprocessors * blocks_per_multiprocessor(context);
    return arguments;
  }

  /// Starts the product on the context's stream.
  static void run(const Context& context, const Operands& operands) {
    const typename Gemm::Arguments given = arguments(context, operands);
    require(Gemm::can_implement(given) && Gemm::get_workspace_size(given) == 0,
            "a fused product cannot be started");
    const typename Gemm::Params params = Gemm::to_underlying_arguments(given, nullptr);
    launch("fused product", fused_product<Gemm>,
           {Gemm::get_grid_shape(params), Gemm::get_block_shape(), Gemm::SharedStorageSize,
            alignof(typename Gemm::SharedStorage)},
           context.stream, params);
  }
};

}  // namespace cola::cuda::fused
