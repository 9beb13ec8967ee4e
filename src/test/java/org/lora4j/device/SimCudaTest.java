package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;

/** Tests on the simulated GPU alone. Each starts on a fresh one, and ends with nothing alive and no rule of CUDA's broken. */
@Tag("cuda")
abstract class SimCudaTest {
    @BeforeEach
    void reset() {
        assumeTrue(SimCuda.isBuilt(), "the simulated CUDA device was not built: it needs a C compiler and CMake");
        SimCuda.reset();
    }

    @AfterEach
    void nothingIsLeftBehind() {
        if (SimCuda.isBuilt()) {
            assertEquals("", SimCuda.leaks(), "still alive");
            assertEquals("", SimCuda.violation());
            SimCuda.reset();
        }
    }
}
