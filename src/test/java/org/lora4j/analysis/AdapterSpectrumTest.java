package org.lora4j.analysis;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.Random;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/** The singular values of B·A against an SVD of the product itself; the effective rank against its definition. */
class AdapterSpectrumTest extends DeviceTest {
    @ParameterizedTest
    @CsvSource({"13,17,3", "1,1,1", "17,5,5", "5,17,5", "3,17,5", "17,3,5", "4,4,7", "31,29,8"})
    void theValuesAreThoseOfTheProduct(int m, int n, int r) {
        Random random = new Random(m * 100 + n * 10 + r);
        DataType type = DataType.FLOAT64;
        try (Matrix a = Reference.random(r, n, type, random).on(device, type);
                Matrix b = Reference.random(m, r, type, random).on(device, type);
                Matrix product = device.allocate(type, m, n)) {
            device.gemm(1, b, Op.NONE, a, Op.NONE, 0, product);
            int k = Math.min(m, n);
            try (Matrix u = device.allocate(type, m, k); Matrix s = device.allocate(type, 1, k); Matrix vt = device.allocate(type, k, n)) {
                device.svd(product, u, s, vt);
                double[] expected = Arrays.copyOf(s.read(), Math.min(k, r));
                AdapterSpectrum spectrum = AdapterSpectrum.of(a, b);
                assertArrayEquals(expected, spectrum.singularValues(), 1e-13 * expected[0] * Math.sqrt(m + n));
                assertEquals(Math.sqrt(device.dot(product, product)), spectrum.norm(), 1e-13 * expected[0] * Math.sqrt(m + n));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1;1;1;1, 4", "5;0;0, 1", "0;0, 0", "0.5;0.25;0.25, 2.8284271247461903"})
    void theEffectiveRankIsThatOfRoyAndVetterli(String values, double expected) {
        double[] sigma = Arrays.stream(values.split(";")).mapToDouble(Double::parseDouble).toArray();
        assertEquals(expected, new AdapterSpectrum(sigma).effectiveRank(), 1e-12);
    }

    /** [B | −B]·[A; A] is nothing but rounding, which has no rank; neither has B = 0. */
    @ParameterizedTest
    @CsvSource({"1", "0"})
    void whatCancelsHasNoRank(double size) {
        Random random = new Random(3);
        Reference a = Reference.random(4, 19, DataType.FLOAT64, random);
        Reference b = Reference.random(23, 4, DataType.FLOAT64, random);
        try (Matrix twice = device.allocate(DataType.FLOAT64, 8, 19); Matrix both = device.allocate(DataType.FLOAT64, 23, 8);
                Matrix a0 = a.on(device, DataType.FLOAT64); Matrix b0 = b.times(size).on(device, DataType.FLOAT64)) {
            device.copy(a0, twice.rows(0, 4));
            device.copy(a0, twice.rows(4, 8));
            device.copy(b0, both.columns(0, 4));
            device.copy(b0, both.columns(4, 8));
            device.scale(-1, both.columns(4, 8));
            assertEquals(0, AdapterSpectrum.of(twice, both).effectiveRank());
            assertThrows(IllegalArgumentException.class, () -> AdapterSpectrum.of(twice, b0));
        }
    }
}
