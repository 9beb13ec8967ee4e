/* Each function of cuBLAS against a plain loop in float64. */
#include "check.h"

#define CAPACITY 4096

static double a[CAPACITY], b[CAPACITY], c[CAPACITY], expected[CAPACITY], got[CAPACITY];

/* Encodings independent of the simulation's: by the compiler's types, bfloat16 by rounding in float64. */
static void encode(const double *from, void *to, cudaDataType type, int count)
{
    for (int i = 0; i < count; i++) {
        float f = (float)from[i];
        uint32_t bits;
        memcpy(&bits, &f, 4);
        switch ((int)type) {
        case CUDA_R_64F: ((double *)to)[i] = from[i]; break;
        case CUDA_R_32F: ((float *)to)[i] = f; break;
        case CUDA_R_16F: ((_Float16 *)to)[i] = (_Float16)f; break;
        default: ((uint16_t *)to)[i] = (uint16_t)(bits >> 16); /* cut off: any bfloat16 will do as input */
        }
    }
}

static void decode(const void *from, double *to, cudaDataType type, int count)
{
    for (int i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)((const uint16_t *)from)[type == CUDA_R_16BF ? i : 0] << 16;
        float f;
        memcpy(&f, &bits, 4);
        to[i] = type == CUDA_R_64F ? ((const double *)from)[i] : type == CUDA_R_32F ? ((const float *)from)[i]
            : type == CUDA_R_16F ? (float)((const _Float16 *)from)[i] : f;
    }
}

static size_t bytes(cudaDataType type)
{
    return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2;
}

static double precision(cudaDataType type)
{
    return type == CUDA_R_64F ? 0x1p-52 : type == CUDA_R_32F ? 0x1p-23 : type == CUDA_R_16F ? 0x1p-11 : 0x1p-8;
}

/* Random numbers as the type has them, on the device. */
static void *random_on_device(double *values, cudaDataType type, int count)
{
    char raw[CAPACITY * 8];
    for (int i = 0; i < count; i++) values[i] = uniform();
    encode(values, raw, type, count);
    decode(raw, values, type, count);
    return on_device(raw, (size_t)count * bytes(type));
}

static void agree(const void *device, cudaDataType type, int count, double scale, int line)
{
    char raw[CAPACITY * 8];
    from_device(raw, device, (size_t)count * bytes(type));
    decode(raw, got, type, count);
    double tolerance = scale * precision(type), worst = 0;
    for (int i = 0; i < count; i++) {
        double off = isnan(expected[i]) && isnan(got[i]) ? 0 : fabs(got[i] - expected[i]);
        if (!(off <= worst)) worst = off;
    }
    check(worst <= tolerance, __FILE__, line, "differs from the plain loop");
}

static void product(cudaDataType in, cudaDataType out, int ta, int tb, int m, int n, int k, double alpha, double beta, int batches)
{
    int am = ta ? k : m, an = ta ? m : k, bm = tb ? n : k, bn = tb ? k : n, lda = am + 3, ldb = bm + 1, ldc = m + 2;
    int sa = lda * an + 5, sb = ldb * bn, sc = ldc * n + 1, total = sc * batches;
    void *da = random_on_device(a, in, sa * batches), *db = random_on_device(b, in, sb * batches);
    void *dc = beta != 0 ? random_on_device(c, out, total) : device_memory((size_t)total * bytes(out));
    for (int i = 0; i < total; i++) expected[i] = beta != 0 ? c[i] : NAN;
    for (int batch = 0; batch < batches; batch++) {
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                double sum = 0;
                for (int l = 0; l < k; l++) {
                    sum += a[batch * sa + (ta ? i * lda + l : l * lda + i)] * b[batch * sb + (tb ? l * ldb + j : j * ldb + l)];
                }
                double *e = &expected[batch * sc + j * ldc + i];
                *e = alpha * sum + (beta != 0 ? beta * *e : 0);
            }
        }
    }
    float alpha32 = (float)alpha, beta32 = (float)beta;
    int wide = in == CUDA_R_64F;
    const void *x = wide ? (void *)&alpha : &alpha32, *y = wide ? (void *)&beta : &beta32;
    cublasComputeType_t compute = wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
    cublasOperation_t opa = ta ? CUBLAS_OP_T : CUBLAS_OP_N, opb = tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    if (batches > 1) {
        OK(cublasGemmStridedBatchedEx(blas, opa, opb, m, n, k, x, da, in, lda, sa, db, in, ldb, sb, y, dc, out, ldc, sc, batches,
            compute, CUBLAS_GEMM_DEFAULT));
    } else if (wide) {
        OK(cublasDgemm_v2(blas, opa, opb, m, n, k, x, da, lda, db, ldb, y, dc, ldc));
    } else if (in == CUDA_R_32F && k % 2) {
        OK(cublasSgemm_v2(blas, opa, opb, m, n, k, x, da, lda, db, ldb, y, dc, ldc));
    } else {
        OK(cublasGemmEx(blas, opa, opb, m, n, k, x, da, in, lda, db, in, ldb, y, dc, out, ldc, compute, CUBLAS_GEMM_DEFAULT));
    }
    agree(dc, out, total, 4 * sqrt(k + 1) * (fabs(alpha) + fabs(beta) + 1), __LINE__);
    OK(cudaFree(da));
    OK(cudaFree(db));
    OK(cudaFree(dc));
}

static void products(void)
{
    static const cudaDataType types[][2] = {{CUDA_R_64F, CUDA_R_64F}, {CUDA_R_32F, CUDA_R_32F}, {CUDA_R_16F, CUDA_R_16F},
        {CUDA_R_16F, CUDA_R_32F}, {CUDA_R_16BF, CUDA_R_16BF}, {CUDA_R_16BF, CUDA_R_32F}};
    static const int shapes[][3] = {{1, 1, 1}, {7, 5, 13}, {17, 1, 4}, {1, 19, 4}, {3, 4, 0}, {16, 16, 16}};
    for (int t = 0; t < 6; t++) {
        for (int s = 0; s < 6; s++) {
            for (int op = 0; op < 4; op++) {
                product(types[t][0], types[t][1], op & 1, op >> 1, shapes[s][0], shapes[s][1], shapes[s][2], 1.5, op ? -0.5 : 0, 1);
                product(types[t][0], types[t][1], op & 1, op >> 1, shapes[s][0], shapes[s][1], shapes[s][2], 1, 0, 3);
            }
        }
    }
    product(CUDA_R_32F, CUDA_R_32F, 0, 0, 6, 5, 4, 0, 0, 1);
    CHECK(simcuda_violations() == 0);
}

static void sums_and_transposes(cudaDataType type)
{
    int wide = type == CUDA_R_64F, m = 5, n = 7, ld = 9;
    for (int op = 0; op < 4; op++) {
        int ta = op & 1, tb = op >> 1;
        void *da = random_on_device(a, type, ld * 9), *db = random_on_device(b, type, ld * 9), *dc = random_on_device(c, type, ld * n);
        double alpha = 0.5, beta = -2;
        float alpha32 = 0.5f, beta32 = -2;
        memcpy(expected, c, sizeof c);
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                expected[j * ld + i] = alpha * a[ta ? i * ld + j : j * ld + i] + beta * b[tb ? i * ld + j : j * ld + i];
            }
        }
        if (wide) OK(cublasDgeam(blas, ta, tb, m, n, &alpha, da, ld, &beta, db, ld, dc, ld));
        else OK(cublasSgeam(blas, ta, tb, m, n, &alpha32, da, ld, &beta32, db, ld, dc, ld));
        agree(dc, type, ld * n, 8, __LINE__);
    }
    double one = 1, zero = 0;
    float one32 = 1, zero32 = 0;
    void *da = random_on_device(a, type, ld * n);
    memcpy(expected, a, sizeof a);
    for (int j = 0; j < n; j++) for (int i = 0; i < m; i++) expected[j * ld + i] *= 2;
    if (wide) OK(cublasDgeam(blas, 0, 0, m, n, &one, da, ld, &one, da, ld, da, ld)); /* in place */
    else OK(cublasSgeam(blas, 0, 0, m, n, &one32, da, ld, &one32, da, ld, da, ld));
    if (wide) OK(cublasDgeam(blas, 0, 1, m, n, &one, da, ld, &zero, NULL, ld, da, ld));
    else OK(cublasSgeam(blas, 0, 1, m, n, &one32, da, ld, &zero32, NULL, ld, da, ld));
    agree(da, type, ld * n, 8, __LINE__);
}

/* B = X of op(A) X = alpha B, so op(A) B' = alpha B. */
static void triangles(cudaDataType type)
{
    int wide = type == CUDA_R_64F, m = 6, n = 4, ld = 8;
    for (int choice = 0; choice < 16; choice++) {
        int right = choice & 1, upper = choice >> 1 & 1, op = choice >> 2 & 1, unit = choice >> 3, order = right ? n : m;
        double alpha = 1.5, triangle[64];
        float alpha32 = 1.5f;
        random_on_device(a, type, ld * order);
        for (int i = 0; i < order; i++) a[i * ld + i] = 3 + fabs(a[i * ld + i]);
        for (int j = 0; j < order; j++) { /* what is not referenced is NaN */
            for (int i = 0; i < order; i++) {
                int inside = upper ? i < j : i > j;
                triangle[j * ld + i] = inside ? a[j * ld + i] : i == j ? unit ? 1 : a[j * ld + i] : 0;
                if (i == j ? unit : !inside) a[j * ld + i] = NAN;
            }
        }
        char raw[CAPACITY * 8];
        encode(a, raw, type, ld * order);
        void *da = on_device(raw, (size_t)(ld * (order - 1) + order) * bytes(type)), *db = random_on_device(b, type, ld * n);
        if (wide) OK(cublasDtrsm_v2(blas, right, upper, op, unit, m, n, &alpha, da, ld, db, ld));
        else OK(cublasStrsm_v2(blas, right, upper, op, unit, m, n, &alpha32, da, ld, db, ld));
        from_device(raw, db, (size_t)(ld * n) * bytes(type));
        decode(raw, got, type, ld * n);
        double worst = 0;
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                double sum = 0;
                for (int l = 0; l < order; l++) {
                    double t = right ? triangle[op ? l * ld + j : j * ld + l] : triangle[op ? i * ld + l : l * ld + i];
                    sum += t * (right ? got[l * ld + i] : got[j * ld + l]);
                }
                double off = fabs(sum - alpha * b[j * ld + i]);
                if (!(off <= worst)) worst = off;
            }
        }
        CHECK(worst < 200 * precision(type));
    }
}

static void vectors(cudaDataType type)
{
    void *d = random_on_device(a, type, 40);
    double alpha = -3;
    float alpha32 = -3;
    int wide = type == CUDA_R_64F;
    OK(cublasScalEx(blas, 20, wide ? (void *)&alpha : &alpha32, wide ? CUDA_R_64F : CUDA_R_32F, d, type, 2, wide ? CUDA_R_64F : CUDA_R_32F));
    for (int i = 0; i < 40; i++) expected[i] = i % 2 ? a[i] : -3 * a[i];
    agree(d, type, 40, 4, __LINE__);
    if (bytes(type) == 2) return;
    int largest = 0, index;
    double sum = 0, total = 0;
    float total32;
    for (int i = 0; i < 20; i++) {
        if (fabs(got[2 * i]) > fabs(got[2 * largest])) largest = i;
        sum += fabs(got[2 * i]);
    }
    if (wide) OK(cublasIdamax_v2(blas, 20, d, 2, &index));
    else OK(cublasIsamax_v2(blas, 20, d, 2, &index));
    CHECK(index == largest + 1);
    if (wide) OK(cublasDasum_v2(blas, 20, d, 2, &total));
    else OK(cublasSasum_v2(blas, 20, d, 2, &total32));
    CHECK(fabs((wide ? total : (double)total32) - sum) <= 20 * sum * precision(type));
}

/* TF32 has 10 bits of fraction: 1 + 2^-12 is 1 in it. */
static void tf32(void)
{
    float x = 1 + 0x1p-12f, one = 1, zero = 0, result, *d = on_device(&x, 4), *c = device_memory(4);
    OK(cublasSgemm_v2(blas, 0, 0, 1, 1, 1, &one, d, 1, d, 1, &zero, c, 1));
    from_device(&result, c, 4);
    CHECK(result == x * x);
    OK(cublasSetMathMode(blas, CUBLAS_TF32_TENSOR_OP_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
    OK(cublasSgemm_v2(blas, 0, 0, 1, 1, 1, &one, d, 1, d, 1, &zero, c, 1));
    from_device(&result, c, 4);
    CHECK(result == 1);
    OK(cublasSetMathMode(blas, CUBLAS_DEFAULT_MATH));
}

/* One rounding, to the even one of two that are as near: 1 + 2^-11 and 1 + 3·2^-11 in half precision. */
static void rounding(void)
{
    _Float16 in[2] = {1, 0x1p-11f16}, three[2] = {1, 3 * 0x1p-11f16}, result;
    float one = 1, zero = 0;
    _Float16 ones[2] = {1, 1};
    void *row = on_device(in, 4), *row3 = on_device(three, 4), *column = on_device(ones, 4), *c = device_memory(2);
    OK(cublasGemmEx(blas, 0, 0, 1, 1, 2, &one, row, CUDA_R_16F, 1, column, CUDA_R_16F, 2, &zero, c, CUDA_R_16F, 1, CUBLAS_COMPUTE_32F, -1));
    from_device(&result, c, 2);
    CHECK((float)result == 1);
    OK(cublasGemmEx(blas, 0, 0, 1, 1, 2, &one, row3, CUDA_R_16F, 1, column, CUDA_R_16F, 2, &zero, c, CUDA_R_16F, 1, CUBLAS_COMPUTE_32F, -1));
    from_device(&result, c, 2);
    CHECK((float)result == 1 + 0x1p-9f);
}

void test_blas(void)
{
    products();
    sums_and_transposes(CUDA_R_32F);
    sums_and_transposes(CUDA_R_64F);
    triangles(CUDA_R_32F);
    triangles(CUDA_R_64F);
    vectors(CUDA_R_32F);
    vectors(CUDA_R_64F);
    vectors(CUDA_R_16F);
    vectors(CUDA_R_16BF);
    tf32();
    rounding();
    CHECK(simcuda_violations() == 0);
    if (simcuda_violations()) printf("%s\n", simcuda_violation());
}
