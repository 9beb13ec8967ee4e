package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * NVIDIA's own libraries: {@code -Dlora4j.test.nvidia=} with the folders that hold cudart, cuBLAS, cuSOLVER and what they
 * need, those of the toolkit or of NVIDIA's Python wheels. No GPU is needed.
 */
@Tag("cuda")
class NvidiaLibrariesTest {
    private static final String FOLDERS = System.getProperty("lora4j.test.nvidia");

    private CudaLibraries libraries;

    @BeforeEach
    void load() {
        boolean required = Boolean.getBoolean("lora4j.requireNvidia");
        if (required && FOLDERS == null) {
            throw new AssertionError("-Dlora4j.requireNvidia=true, but -Dlora4j.test.nvidia is not set");
        }
        assumeTrue(FOLDERS != null, "-Dlora4j.test.nvidia doesn't say where NVIDIA's libraries are; -Dlora4j.requireNvidia=true makes this a failure");
        libraries = CudaLibraries.load(FOLDERS, variable -> null);
    }

    /** Binding fails with the names of all functions that a library lacks. */
    @Test
    void everyBoundFunctionIsThere() {
        assertFalse(libraries.cublas().version().isEmpty());
        assertFalse(libraries.cusolver().version().isEmpty());
    }

    @Test
    void versionsAreRead() {
        assertTrue(libraries.versions().startsWith("CUDA 13") || libraries.versions().startsWith("CUDA 12"), libraries.versions());
        assertTrue(libraries.cublas().version().matches("1[23]\\.\\d+\\.\\d+"), libraries.cublas().version());
        assertTrue(libraries.cusolver().version().matches("1[12]\\.\\d+\\.\\d+"), libraries.cusolver().version());
    }

    @Test
    void withoutADriverADeviceIsRefusedInTheDriversWords() {
        assumeTrue(libraries.cudart().driverVersion() == 0, "there is a driver");
        String message = assertThrows(DeviceUnavailableException.class, () -> CudaDevice.open(libraries, CudaOptions.defaults())).getMessage();
        assertTrue(message.contains("cudaErrorInsufficientDriver") && message.contains("no driver") && message.contains(libraries.origin()), message);
        assertEquals(message, assertThrows(DeviceUnavailableException.class, () -> CudaDevice.open(libraries, CudaOptions.defaults())).getMessage(),
                "the second time too");
    }
}
