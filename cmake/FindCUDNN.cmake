# cuDNN 9: target CUDNN::cudnn.
include(FindBesideCUDA)
find_beside_cuda(CUDNN cudnn_graph.h cudnn)
