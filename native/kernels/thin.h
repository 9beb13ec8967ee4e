/* Products of which one matrix is thin: read where it is, the other one is read once. */
#ifndef LORA4J_THIN_H
#define LORA4J_THIN_H

#include "variants.h"

/* Whether C = α·op(A)·op(B) + β·D, m×n of k products, is such a product. */
int lora4j_is_thin(const lora4j_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k);

/* That product; the order of a sum's products does not depend on the threads. */
void lora4j_thin_product(lora4j_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                         int64_t lda, const float *b, int64_t ldb, float beta, const float *d, int64_t ldd, float *c, int64_t ldc);

#endif
