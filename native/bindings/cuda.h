/* What jextract reads for the CUDA device: the headers of CUDA's runtime and of NVIDIA's cuBLAS and cuSOLVER. */
#include <cuda_runtime_api.h>
#include <library_types.h>
#include <cublas_v2.h>
#include <cusolverDn.h>
