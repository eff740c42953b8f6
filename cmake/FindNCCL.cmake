# NCCL: target NCCL::nccl.
include(FindBesideCUDA)
find_beside_cuda(NCCL nccl.h nccl)
