/* What the self-test's files share: checks that name the line, the violation that is expected, a device to work on. */
#ifndef SIMCUDA_CHECK_H
#define SIMCUDA_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cuda_subset.h"
#include "../simcuda.h"

extern int checks, failures;
extern cudaStream_t stream;
extern cublasHandle_t blas;
extern cusolverDnHandle_t solver;

#define CHECK(condition) check((condition) != 0, __FILE__, __LINE__, #condition)
#define OK(call) check((int)(call) == 0, __FILE__, __LINE__, #call)
/* The call fails with the status and records a violation whose words hold the given ones. */
#define VIOLATES(call, status, words) \
    do { \
        long long before = simcuda_violations(); \
        CHECK((int)(call) == (int)(status)); \
        if (simcuda_violations() == before) check(0, __FILE__, __LINE__, "no violation: " #call); \
        else if (before == 0 && !strstr(simcuda_violation(), words)) check(0, __FILE__, __LINE__, simcuda_violation()); \
    } while (0)

void check(int good, const char *file, int line, const char *what);
/* A reset machine with one non-blocking stream and both handles on it. */
void fresh(void);
void *device_memory(size_t bytes);
void *on_device(const void *data, size_t bytes);
void from_device(void *data, const void *device, size_t bytes);
double uniform(void); /* in [-1, 1), the same at each run */

void test_memory(void);
void test_streams(void);
void test_faults(void);
void test_blas(void);
void test_blas_rules(void);
void test_solver(void);

#endif
