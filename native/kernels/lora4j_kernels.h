/* Hand-tuned kernels of the host device. Matrices are row-major, leading dimensions are in elements. */
#ifndef LORA4J_KERNELS_H
#define LORA4J_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* A variant of the kernels and the threads it uses. */
typedef struct lora4j_team lora4j_team;

/* Whether this processor runs a variant: "portable", "avx2" (with FMA), "avx512" (F, VL, DQ, BW) or "amx" (with bfloat16, beside those of
   avx512; asks the system for leave to use the tiles, which the whole process has then). */
int lora4j_kernels_runs(const char *variant);

/* Starts threads − 1 threads beside the caller's; NULL where the variant does not run or there is no memory. A thread
   that cannot be started is done without: lora4j_team_threads tells. */
lora4j_team *lora4j_team_open(const char *variant, int threads);
int lora4j_team_threads(const lora4j_team *team);
void lora4j_team_close(lora4j_team *team);

/* Memory of any content, at a multiple of 64 bytes; NULL where there is none. bytes from 1. */
void *lora4j_memory_allocate(int64_t bytes);
void lora4j_memory_free(void *memory);

/* Zeros of the caller's own, at a multiple of 2 MB, in pages of that size where the system grants them (its transparent huge
   pages are on, or for who asks): then a matrix's rows cost few entries of the table of pages. bytes from 1; NULL where there is no memory. */
void *lora4j_memory_map(int64_t bytes);
void lora4j_memory_unmap(void *memory, int64_t bytes);

/* Mapped memory that is not in use for now: the system may take its pages if it needs them, and what they hold. It is of any content then. */
void lora4j_memory_idle(void *memory, int64_t bytes);

/* C = α·op(A)·op(B) + β·D for C m×n and k products to each sum; op(X) is Xᵀ where its flag is not 0. m, n, k from 1; α not 0; D, which may be C
   itself, is not read where β is 0. C overlaps nothing else. The same arguments give the same bits, with any number of threads. "amx" makes large products
   of bfloat16 terms: an error of at most 2⁻²⁴·|a·b| + 2⁻¹²⁵·(|a| + |b| + 3) beside that of summing in float32 (amx.h). */
void lora4j_sgemm(lora4j_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                  int64_t lda, const float *b, int64_t ldb, float beta, const float *d, int64_t ldd, float *c, int64_t ldc);

/* Bytes of scratch memory that lora4j_spower_step needs for these arguments; ldz is 0 where Z is not wanted. */
int64_t lora4j_spower_step_scratch(const lora4j_team *team, int64_t m, int64_t n, int64_t k, int64_t ldz);

/* Y = G·V and, unless z is NULL, Z = Gᵀ·Y and, unless norm2 is NULL, *norm2 = Σ G² in float64, reading G (m×n) from memory once. V n×k, Y m×k, Z n×k; m, n, k from 1.
   No operand overlaps a result. scratch: aligned to 64 bytes, of any content. One call at a time on a team. The same
   arguments and the same number of threads give the same bits. */
void lora4j_spower_step(lora4j_team *team, int64_t m, int64_t n, int64_t k, const float *g, int64_t ldg, const float *v, int64_t ldv,
                        float *y, int64_t ldy, float *z, int64_t ldz, double *norm2, void *scratch);

/* Copies rows of some bytes that begin from_ld and to_ld bytes apart; from and to don't overlap. rows and bytes from 1. */
void lora4j_copy(lora4j_team *team, int64_t rows, int64_t bytes, const void *from, int64_t from_ld, void *to, int64_t to_ld);

/* Σ a·b over all elements of A and B (m×n), each product exact and summed in float64; m, n from 1. */
double lora4j_sdot(lora4j_team *team, int64_t m, int64_t n, const float *a, int64_t lda, const float *b, int64_t ldb);

/* The element of A (m×n) of largest magnitude, the first in row order of equals; NaN if there is one. m, n from 1. */
float lora4j_slargest(lora4j_team *team, int64_t m, int64_t n, const float *a, int64_t lda);

/* Solves X·R = α·B for X, which overwrites B (m×n). R is upper triangular, R[i, j] at r[i·down + j·across]; m from 1, n from 1
   to 64. */
void lora4j_ssolve(lora4j_team *team, int64_t m, int64_t n, float alpha, const float *r, int64_t down, int64_t across, float *b, int64_t ldb);

/* The eigenvalues of a symmetric A (n×n), whose lower triangle is read, in ascending order into w, and its eigenvectors into A's rows,
   computed in float64. n from 1 to 96. Returns 0, and leaves A as it is, where an element is not finite, an eigenvalue is
   beyond float32's range or the iteration does not converge. */
int lora4j_ssyev(lora4j_team *team, int64_t n, float *a, int64_t lda, float *w);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
