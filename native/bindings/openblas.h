/* What jextract reads for the host device: the headers inside the OpenBLAS artifact. */
#include <openblas_config.h>
#include <cblas.h>
#include <lapacke.h>

/* The thread setting of Intel MKL (mkl_service.h), which exports the same CBLAS and LAPACKE. */
void MKL_Set_Num_Threads(int nth);
int MKL_Get_Max_Threads(void);
void MKL_Get_Version_String(char *buffer, int len);
