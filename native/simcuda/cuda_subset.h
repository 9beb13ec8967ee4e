/*
 * The part of CUDA that lora4j uses, in declarations of our own: what the simulation is compiled with. Compiled with
 * SIMCUDA_NVIDIA_HEADERS it takes NVIDIA's headers in this one's place, and a differing signature is an error.
 */
#ifndef SIMCUDA_CUDA_SUBSET_H
#define SIMCUDA_CUDA_SUBSET_H

#include <stddef.h>

#include "cuda_values.h"

#define SUBSET_CONSTANT(name, value) name = value,

typedef enum cudaError { CUDA_ERROR_VALUES(SUBSET_CONSTANT) } cudaError_t;
enum cudaMemcpyKind { CUDA_MEMCPY_VALUES(SUBSET_CONSTANT) };
enum cudaMemoryType { CUDA_MEMORY_TYPE_VALUES(SUBSET_CONSTANT) };
enum cudaDeviceAttr { CUDA_ATTRIBUTE_VALUES(SUBSET_CONSTANT) };
enum { CUDA_FLAG_VALUES(SUBSET_CONSTANT) };
typedef enum cudaDataType_t { CUDA_DATA_TYPE_VALUES(SUBSET_CONSTANT) } cudaDataType;
typedef enum libraryPropertyType_t { LIBRARY_PROPERTY_VALUES(SUBSET_CONSTANT) } libraryPropertyType;
typedef enum { CUBLAS_STATUS_VALUES(SUBSET_CONSTANT) } cublasStatus_t;
typedef enum { CUBLAS_OPERATION_VALUES(SUBSET_CONSTANT) } cublasOperation_t;
typedef enum { CUBLAS_SIDE_VALUES(SUBSET_CONSTANT) } cublasSideMode_t;
typedef enum { CUBLAS_FILL_VALUES(SUBSET_CONSTANT) } cublasFillMode_t;
typedef enum { CUBLAS_DIAG_VALUES(SUBSET_CONSTANT) } cublasDiagType_t;
typedef enum { CUBLAS_MATH_VALUES(SUBSET_CONSTANT) } cublasMath_t;
typedef enum { CUBLAS_COMPUTE_VALUES(SUBSET_CONSTANT) } cublasComputeType_t;
typedef enum { CUBLAS_ALGORITHM_VALUES(SUBSET_CONSTANT) } cublasGemmAlgo_t;
typedef enum { CUSOLVER_STATUS_VALUES(SUBSET_CONSTANT) } cusolverStatus_t;
typedef enum { CUSOLVER_EIG_MODE_VALUES(SUBSET_CONSTANT) } cusolverEigMode_t;

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct cublasContext *cublasHandle_t;
typedef struct cusolverDnContext *cusolverDnHandle_t;
typedef struct gesvdjInfo *gesvdjInfo_t;

struct cudaPointerAttributes {
    enum cudaMemoryType type;
    int device;
    void *devicePointer;
    void *hostPointer;
    long reserved[8];
};

/* What the simulation does not fill in is left out: between the members stand bytes that stay zero. */
struct cudaDeviceProp {
    char name[256];
    char uuidAndLuid[32];
    size_t totalGlobalMem;
    size_t sharedMemPerBlock;
    int regsPerBlock;
    int warpSize;
    size_t memPitch;
    int maxThreadsPerBlock;
    char gridAndConstants[36];
    int major;
    int minor;
    char textures[16];
    int multiProcessorCount;
    char limits[196];
    int asyncEngineCount;
    int unifiedAddressing;
    char features[416];
};

#define SUBSET_OFFSET(type, member, offset) _Static_assert(offsetof(type, member) == offset, #type "." #member);
#define SUBSET_SIZE(type, size) _Static_assert(sizeof(type) == size, #type);
CUDA_OFFSETS(SUBSET_OFFSET)
CUDA_SIZES(SUBSET_SIZE)

/* ---- cudart */

cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device);
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device);
cudaError_t cudaSetDevice(int device);
const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError(void);
cudaError_t cudaMemGetInfo(size_t *freeBytes, size_t *totalBytes);
cudaError_t cudaMalloc(void **address, size_t size);
cudaError_t cudaFree(void *address);
cudaError_t cudaHostAlloc(void **address, size_t size, unsigned int flags);
cudaError_t cudaFreeHost(void *ptr);
cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *ptr);
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemcpy2DAsync(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width, size_t height,
    enum cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *address, int value, size_t count, cudaStream_t stream);
cudaError_t cudaMemset2DAsync(void *address, size_t pitch, int value, size_t width, size_t height,
    cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventDestroy(cudaEvent_t event);

/* ---- cuBLAS */

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle);
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle);
cublasStatus_t cublasGetProperty(libraryPropertyType type, int *value);
const char *cublasGetStatusName(cublasStatus_t status);
const char *cublasGetStatusString(cublasStatus_t status);
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *work, size_t size);
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
    int k, const float *alpha, const float *a, int lda, const float *b, int ldb, const float *beta, float *c,
    int ldc);
cublasStatus_t cublasDgemm_v2(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
    int k, const double *alpha, const double *a, int lda, const double *b, int ldb, const double *beta, double *c,
    int ldc);
cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
    int k, const void *alpha, const void *a, cudaDataType typeA, int lda, const void *b, cudaDataType typeB, int ldb,
    const void *beta, void *c, cudaDataType typeC, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t algorithm);
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
    int m, int n, int k, const void *alpha, const void *a, cudaDataType typeA, int lda, long long strideA,
    const void *b, cudaDataType typeB, int ldb, long long strideB, const void *beta, void *c, cudaDataType typeC,
    int ldc, long long strideC, int batches, cublasComputeType_t compute, cublasGemmAlgo_t algorithm);
cublasStatus_t cublasSgeam(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
    const float *alpha, const float *a, int lda, const float *beta, const float *b, int ldb, float *c, int ldc);
cublasStatus_t cublasDgeam(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
    const double *alpha, const double *a, int lda, const double *beta, const double *b, int ldb, double *c, int ldc);
cublasStatus_t cublasStrsm_v2(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
    cublasOperation_t trans, cublasDiagType_t diag, int m, int n, const float *alpha, const float *a, int lda,
    float *b, int ldb);
cublasStatus_t cublasDtrsm_v2(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
    cublasOperation_t trans, cublasDiagType_t diag, int m, int n, const double *alpha, const double *a, int lda,
    double *b, int ldb);
cublasStatus_t cublasScalEx(cublasHandle_t handle, int n, const void *alpha, cudaDataType typeAlpha, void *x,
    cudaDataType typeX, int incx, cudaDataType execution);
cublasStatus_t cublasIsamax_v2(cublasHandle_t handle, int n, const float *x, int incx, int *result);
cublasStatus_t cublasIdamax_v2(cublasHandle_t handle, int n, const double *x, int incx, int *result);
cublasStatus_t cublasSasum_v2(cublasHandle_t handle, int n, const float *x, int incx, float *result);
cublasStatus_t cublasDasum_v2(cublasHandle_t handle, int n, const double *x, int incx, double *result);

/* ---- cuSOLVER */

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t *handle);
cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle);
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream);
cusolverStatus_t cusolverGetProperty(libraryPropertyType type, int *value);
cusolverStatus_t cusolverDnCreateGesvdjInfo(gesvdjInfo_t *options);
cusolverStatus_t cusolverDnDestroyGesvdjInfo(gesvdjInfo_t options);
cusolverStatus_t cusolverDnXgesvdjSetTolerance(gesvdjInfo_t options, double tolerance);
cusolverStatus_t cusolverDnXgesvdjSetMaxSweeps(gesvdjInfo_t options, int sweeps);
cusolverStatus_t cusolverDnXgesvdjGetSweeps(cusolverDnHandle_t handle, gesvdjInfo_t options, int *sweeps);
cusolverStatus_t cusolverDnXgesvdjGetResidual(cusolverDnHandle_t handle, gesvdjInfo_t options, double *residual);
cusolverStatus_t cusolverDnSgesvdj_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t job, int econ, int m,
    int n, const float *a, int lda, const float *s, const float *u, int ldu, const float *v, int ldv, int *lwork,
    gesvdjInfo_t options);
cusolverStatus_t cusolverDnDgesvdj_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t job, int econ, int m,
    int n, const double *a, int lda, const double *s, const double *u, int ldu, const double *v, int ldv, int *lwork,
    gesvdjInfo_t options);
cusolverStatus_t cusolverDnSgesvdj(cusolverDnHandle_t handle, cusolverEigMode_t job, int econ, int m, int n, float *a,
    int lda, float *s, float *u, int ldu, float *v, int ldv, float *work, int lwork, int *info, gesvdjInfo_t options);
cusolverStatus_t cusolverDnDgesvdj(cusolverDnHandle_t handle, cusolverEigMode_t job, int econ, int m, int n,
    double *a, int lda, double *s, double *u, int ldu, double *v, int ldv, double *work, int lwork, int *info,
    gesvdjInfo_t options);
cusolverStatus_t cusolverDnSgesvdjBatched_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t job, int m, int n,
    const float *a, int lda, const float *s, const float *u, int ldu, const float *v, int ldv, int *lwork,
    gesvdjInfo_t options, int batches);
cusolverStatus_t cusolverDnDgesvdjBatched_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t job, int m, int n,
    const double *a, int lda, const double *s, const double *u, int ldu, const double *v, int ldv, int *lwork,
    gesvdjInfo_t options, int batches);
cusolverStatus_t cusolverDnSgesvdjBatched(cusolverDnHandle_t handle, cusolverEigMode_t job, int m, int n, float *a,
    int lda, float *s, float *u, int ldu, float *v, int ldv, float *work, int lwork, int *info, gesvdjInfo_t options,
    int batches);
cusolverStatus_t cusolverDnDgesvdjBatched(cusolverDnHandle_t handle, cusolverEigMode_t job, int m, int n, double *a,
    int lda, double *s, double *u, int ldu, double *v, int ldv, double *work, int lwork, int *info,
    gesvdjInfo_t options, int batches);
cusolverStatus_t cusolverDnSgeqrf_bufferSize(cusolverDnHandle_t handle, int m, int n, float *a, int lda, int *lwork);
cusolverStatus_t cusolverDnDgeqrf_bufferSize(cusolverDnHandle_t handle, int m, int n, double *a, int lda, int *lwork);
cusolverStatus_t cusolverDnSgeqrf(cusolverDnHandle_t handle, int m, int n, float *a, int lda, float *tau, float *work,
    int lwork, int *info);
cusolverStatus_t cusolverDnDgeqrf(cusolverDnHandle_t handle, int m, int n, double *a, int lda, double *tau,
    double *work, int lwork, int *info);
cusolverStatus_t cusolverDnSorgqr_bufferSize(cusolverDnHandle_t handle, int m, int n, int k, const float *a, int lda,
    const float *tau, int *lwork);
cusolverStatus_t cusolverDnDorgqr_bufferSize(cusolverDnHandle_t handle, int m, int n, int k, const double *a, int lda,
    const double *tau, int *lwork);
cusolverStatus_t cusolverDnSorgqr(cusolverDnHandle_t handle, int m, int n, int k, float *a, int lda, const float *tau,
    float *work, int lwork, int *info);
cusolverStatus_t cusolverDnDorgqr(cusolverDnHandle_t handle, int m, int n, int k, double *a, int lda,
    const double *tau, double *work, int lwork, int *info);
cusolverStatus_t cusolverDnSpotrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, float *a,
    int lda, int *lwork);
cusolverStatus_t cusolverDnDpotrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, double *a,
    int lda, int *lwork);
cusolverStatus_t cusolverDnSpotrf(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, float *a, int lda,
    float *work, int lwork, int *info);
cusolverStatus_t cusolverDnDpotrf(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, double *a, int lda,
    double *work, int lwork, int *info);
cusolverStatus_t cusolverDnSsyevd_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t job, cublasFillMode_t uplo,
    int n, const float *a, int lda, const float *w, int *lwork);
cusolverStatus_t cusolverDnDsyevd_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t job, cublasFillMode_t uplo,
    int n, const double *a, int lda, const double *w, int *lwork);
cusolverStatus_t cusolverDnSsyevd(cusolverDnHandle_t handle, cusolverEigMode_t job, cublasFillMode_t uplo, int n,
    float *a, int lda, float *w, float *work, int lwork, int *info);
cusolverStatus_t cusolverDnDsyevd(cusolverDnHandle_t handle, cusolverEigMode_t job, cublasFillMode_t uplo, int n,
    double *a, int lda, double *w, double *work, int lwork, int *info);

#endif
