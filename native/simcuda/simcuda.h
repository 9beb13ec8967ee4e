/*
 * What a test tells the simulated CUDA device and asks it. These functions never fail, are not counted, and are not part
 * of CUDA. One simulation a process; all functions may be called by any thread.
 */
#ifndef SIMCUDA_H
#define SIMCUDA_H

#ifdef __cplusplus
extern "C" {
#endif

/* Forgets counts, faults, limits and violations, and frees what is alive. The machine has 2 devices of 1 GiB, compute is on. */
void simcuda_reset(void);

/* ---- what goes wrong */

/* The k-th counted call from now on (k from 1) returns `code` and does nothing; destroying calls still free. 0: none.
   `code` 0 stands for the library's own general failure: 700 of cudart, 13 of cuBLAS, 6 of cuSOLVER. */
void simcuda_fail_at(long long k, int code);
/* The work that the k-th counted call from now on queues fails when it is executed, and so late: the error then comes from
   the synchronising call and from every later one of cudart until simcuda_reset (sticky, as cudaErrorIllegalAddress is). 0: none. */
void simcuda_fail_late(long long k, int code);
/* Whether the fault set by the last of the two has struck. */
int simcuda_fault_struck(void);
/* The next `times` gesvdj calls do not converge: info = min(m, n) + 1. */
void simcuda_no_convergence(int times);
/* The next `times` gesvdj calls give a wrong V and say nothing of it. */
void simcuda_wrong_svd(int times);
/* Bytes of device memory of each device. */
void simcuda_memory_limit(long long bytes);
/* How many devices the machine has; 0: cudaGetDeviceCount answers cudaErrorNoDevice. -1: no driver, cudaErrorInsufficientDriver. */
void simcuda_devices(int count);
/* The newest CUDA that the driver takes, 13000 by default. */
void simcuda_driver(int version);
/* 0: calls are checked and counted but no arithmetic is done and nothing is copied, to time the caller. */
void simcuda_compute(int on);

/* ---- what has been done */

/* How many counted calls there were since the last reset: of all functions, or of the one that is named. */
long long simcuda_calls(void);
long long simcuda_calls_of(const char *function);
/* The name of the k-th counted call since the last reset (k from 1), or NULL. */
const char *simcuda_call_name(long long k);
/* Copies that were queued and their bytes: kind 1 host to device, 2 device to host, 3 device to device (cudaMemcpyKind). */
long long simcuda_copies(int kind);
long long simcuda_copied_bytes(int kind);
/* Calls that made the host wait: stream and event synchronisation, results in host memory, pageable copies, cudaFree. */
long long simcuda_synchronisations(void);
/* What is alive now: kind 0 device memory, 1 pinned host memory, 2 streams, 3 events, 4 cuBLAS handles, 5 cuSOLVER handles,
   6 gesvdj infos. */
long long simcuda_live(int kind);
long long simcuda_live_bytes(int kind);

/* Access out of range, to freed memory, of unpinned memory as if it were pinned, bad parameters: how many since the last
   reset, and the words of the first, "" if none. A violation also makes its call fail. */
long long simcuda_violations(void);
const char *simcuda_violation(void);

#ifdef __cplusplus
}
#endif
#endif
