/* What the factorisations of cuSOLVER share. */
#ifndef SIMCUDA_SOLVER_H
#define SIMCUDA_SOLVER_H

#include "simulation.h"

#define BEGIN Call call = call_begin(CUSOLVER, __func__)
#define END return (cusolverStatus_t)call_end(&call)

/* One factorisation in a queue. */
typedef struct Solver {
    bool single, vectors;
    int m, n, k, lda, uplo, lwork;
    char *a, *other, *work; /* other: tau or w */
    int *info;
} Solver;

/* Answers a question for the size of a workspace. */
bool solver_size(Call *call, const void *handle, int *lwork, long long elements);
/* Whether the workspace is large enough and all operands are in order. */
bool solver_ready(Call *call, LibraryHandle *handle, Operand *operands, int count, int lwork, long long needed, const char *function);
/* Spoils the workspace, which is nobody's but the function's. */
void solver_begin(const Solver *solver);
/* Writes info; for LAPACK's refusal of a NaN, NaN into the result instead. */
void solver_end(const Solver *solver, int info, char *result, size_t bytes);

bool all_finite(const char *a, bool single, int rows, int columns, int lda);
void columns_nan(char *a, bool single, int rows, int columns, int lda);

#endif
