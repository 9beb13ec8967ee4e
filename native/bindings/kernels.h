/* What jextract reads for the hand-tuned kernels. */
#include <lora4j_kernels.h>
