/*
 * The constants of CUDA's headers that the simulation uses. cuda_subset.h makes enumerations of them;
 * against_nvidia.c asserts that NVIDIA's own headers say the same. V takes a name and its value.
 */
#ifndef SIMCUDA_CUDA_VALUES_H
#define SIMCUDA_CUDA_VALUES_H

#define CUDA_ERROR_VALUES(V) \
    V(cudaSuccess, 0) \
    V(cudaErrorInvalidValue, 1) \
    V(cudaErrorMemoryAllocation, 2) \
    V(cudaErrorInitializationError, 3) \
    V(cudaErrorInvalidPitchValue, 12) \
    V(cudaErrorInvalidHostPointer, 16) \
    V(cudaErrorInvalidDevicePointer, 17) \
    V(cudaErrorInvalidMemcpyDirection, 21) \
    V(cudaErrorInsufficientDriver, 35) \
    V(cudaErrorNoDevice, 100) \
    V(cudaErrorInvalidDevice, 101) \
    V(cudaErrorECCUncorrectable, 214) \
    V(cudaErrorInvalidResourceHandle, 400) \
    V(cudaErrorNotReady, 600) \
    V(cudaErrorIllegalAddress, 700) \
    V(cudaErrorLaunchOutOfResources, 701) \
    V(cudaErrorLaunchTimeout, 702) \
    V(cudaErrorMisalignedAddress, 716) \
    V(cudaErrorLaunchFailure, 719) \
    V(cudaErrorNotSupported, 801) \
    V(cudaErrorUnknown, 999)

#define CUDA_MEMCPY_VALUES(V) \
    V(cudaMemcpyHostToHost, 0) \
    V(cudaMemcpyHostToDevice, 1) \
    V(cudaMemcpyDeviceToHost, 2) \
    V(cudaMemcpyDeviceToDevice, 3) \
    V(cudaMemcpyDefault, 4)

#define CUDA_MEMORY_TYPE_VALUES(V) \
    V(cudaMemoryTypeUnregistered, 0) \
    V(cudaMemoryTypeHost, 1) \
    V(cudaMemoryTypeDevice, 2) \
    V(cudaMemoryTypeManaged, 3)

#define CUDA_ATTRIBUTE_VALUES(V) \
    V(cudaDevAttrMaxThreadsPerBlock, 1) \
    V(cudaDevAttrWarpSize, 10) \
    V(cudaDevAttrMaxPitch, 11) \
    V(cudaDevAttrMultiProcessorCount, 16) \
    V(cudaDevAttrAsyncEngineCount, 40) \
    V(cudaDevAttrUnifiedAddressing, 41) \
    V(cudaDevAttrComputeCapabilityMajor, 75) \
    V(cudaDevAttrComputeCapabilityMinor, 76)

#define CUDA_FLAG_VALUES(V) \
    V(cudaStreamDefault, 0) \
    V(cudaStreamNonBlocking, 1) \
    V(cudaEventDefault, 0) \
    V(cudaEventBlockingSync, 1) \
    V(cudaEventDisableTiming, 2) \
    V(cudaHostAllocDefault, 0) \
    V(cudaHostAllocPortable, 1) \
    V(cudaHostAllocMapped, 2) \
    V(cudaHostAllocWriteCombined, 4)

#define CUDA_DATA_TYPE_VALUES(V) \
    V(CUDA_R_32F, 0) \
    V(CUDA_R_64F, 1) \
    V(CUDA_R_16F, 2) \
    V(CUDA_R_16BF, 14)

#define LIBRARY_PROPERTY_VALUES(V) \
    V(MAJOR_VERSION, 0) \
    V(MINOR_VERSION, 1) \
    V(PATCH_LEVEL, 2)

#define CUBLAS_STATUS_VALUES(V) \
    V(CUBLAS_STATUS_SUCCESS, 0) \
    V(CUBLAS_STATUS_NOT_INITIALIZED, 1) \
    V(CUBLAS_STATUS_ALLOC_FAILED, 3) \
    V(CUBLAS_STATUS_INVALID_VALUE, 7) \
    V(CUBLAS_STATUS_ARCH_MISMATCH, 8) \
    V(CUBLAS_STATUS_MAPPING_ERROR, 11) \
    V(CUBLAS_STATUS_EXECUTION_FAILED, 13) \
    V(CUBLAS_STATUS_INTERNAL_ERROR, 14) \
    V(CUBLAS_STATUS_NOT_SUPPORTED, 15) \
    V(CUBLAS_STATUS_LICENSE_ERROR, 16)

#define CUBLAS_OPERATION_VALUES(V) \
    V(CUBLAS_OP_N, 0) \
    V(CUBLAS_OP_T, 1) \
    V(CUBLAS_OP_C, 2)

#define CUBLAS_SIDE_VALUES(V) \
    V(CUBLAS_SIDE_LEFT, 0) \
    V(CUBLAS_SIDE_RIGHT, 1)

#define CUBLAS_FILL_VALUES(V) \
    V(CUBLAS_FILL_MODE_LOWER, 0) \
    V(CUBLAS_FILL_MODE_UPPER, 1) \
    V(CUBLAS_FILL_MODE_FULL, 2)

#define CUBLAS_DIAG_VALUES(V) \
    V(CUBLAS_DIAG_NON_UNIT, 0) \
    V(CUBLAS_DIAG_UNIT, 1)

#define CUBLAS_MATH_VALUES(V) \
    V(CUBLAS_DEFAULT_MATH, 0) \
    V(CUBLAS_TENSOR_OP_MATH, 1) \
    V(CUBLAS_PEDANTIC_MATH, 2) \
    V(CUBLAS_TF32_TENSOR_OP_MATH, 3) \
    V(CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION, 16)

#define CUBLAS_COMPUTE_VALUES(V) \
    V(CUBLAS_COMPUTE_16F, 64) \
    V(CUBLAS_COMPUTE_32F, 68) \
    V(CUBLAS_COMPUTE_64F, 70) \
    V(CUBLAS_COMPUTE_32F_FAST_TF32, 77)

#define CUBLAS_ALGORITHM_VALUES(V) \
    V(CUBLAS_GEMM_DEFAULT, -1) \
    V(CUBLAS_GEMM_ALGO0, 0) \
    V(CUBLAS_GEMM_ALGO23, 23) \
    V(CUBLAS_GEMM_DEFAULT_TENSOR_OP, 99) \
    V(CUBLAS_GEMM_ALGO15_TENSOR_OP, 115)

#define CUSOLVER_STATUS_VALUES(V) \
    V(CUSOLVER_STATUS_SUCCESS, 0) \
    V(CUSOLVER_STATUS_NOT_INITIALIZED, 1) \
    V(CUSOLVER_STATUS_ALLOC_FAILED, 2) \
    V(CUSOLVER_STATUS_INVALID_VALUE, 3) \
    V(CUSOLVER_STATUS_ARCH_MISMATCH, 4) \
    V(CUSOLVER_STATUS_MAPPING_ERROR, 5) \
    V(CUSOLVER_STATUS_EXECUTION_FAILED, 6) \
    V(CUSOLVER_STATUS_INTERNAL_ERROR, 7) \
    V(CUSOLVER_STATUS_MATRIX_TYPE_NOT_SUPPORTED, 8) \
    V(CUSOLVER_STATUS_NOT_SUPPORTED, 9)

#define CUSOLVER_EIG_MODE_VALUES(V) \
    V(CUSOLVER_EIG_MODE_NOVECTOR, 0) \
    V(CUSOLVER_EIG_MODE_VECTOR, 1)

/* Places in the structures that cross the border: type, member, offset in bytes (CUDA 13, 64-bit Linux). */
#define CUDA_OFFSETS(V) \
    V(struct cudaPointerAttributes, type, 0) \
    V(struct cudaPointerAttributes, device, 4) \
    V(struct cudaPointerAttributes, devicePointer, 8) \
    V(struct cudaPointerAttributes, hostPointer, 16) \
    V(struct cudaDeviceProp, name, 0) \
    V(struct cudaDeviceProp, totalGlobalMem, 288) \
    V(struct cudaDeviceProp, warpSize, 308) \
    V(struct cudaDeviceProp, memPitch, 312) \
    V(struct cudaDeviceProp, major, 360) \
    V(struct cudaDeviceProp, minor, 364) \
    V(struct cudaDeviceProp, multiProcessorCount, 384) \
    V(struct cudaDeviceProp, asyncEngineCount, 584) \
    V(struct cudaDeviceProp, unifiedAddressing, 588)

#define CUDA_SIZES(V) \
    V(struct cudaPointerAttributes, 88) \
    V(struct cudaDeviceProp, 1008)

#endif
