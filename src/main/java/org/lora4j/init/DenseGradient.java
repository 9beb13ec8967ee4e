package org.lora4j.init;

import java.util.Objects;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.gradient.GradientSource;
import org.lora4j.svd.SingularTriplets;
import org.lora4j.svd.TopSvd;

/** A gradient that is there as a matrix, and the method for its singular vectors, which are found in float32 for one of 16 bits. */
record DenseGradient(Matrix matrix, TopSvd svd) implements GradientSource {
    DenseGradient {
        Objects.requireNonNull(matrix, "gradient");
        Objects.requireNonNull(svd, "svd");
    }

    @Override
    public Device device() {
        return matrix.device();
    }

    @Override
    public DataType type() {
        return matrix.type();
    }

    @Override
    public long rows() {
        return matrix.rows();
    }

    @Override
    public long cols() {
        return matrix.cols();
    }

    @Override
    public SingularTriplets top(int k, long seed) {
        if (matrix.type() == matrix.type().accumulation()) {
            return svd.top(matrix, k, seed);
        }
        try (Matrix wide = matrix.temporaryCopy(matrix.type().accumulation())) {
            return svd.top(wide, k, seed);
        }
    }
}
