package org.lora4j.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.HashMap;
import java.util.Map;

import org.junit.jupiter.api.Test;

/** Right results pass; one wrong element, in any place of any result, does not. */
class VerificationTest {
    private static final int B = 5;
    private static final int M = 70;
    private static final int N = 60;
    private static final int R = 3;

    /** C (rows, cols) = factor·Σₖ a(i,k)·b(k,j). */
    private interface Element {
        double at(int i, int j);
    }

    private static float[] product(int rows, int cols, int inner, double factor, Element a, Element b) {
        float[] c = new float[rows * cols];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                double sum = 0;
                for (int k = 0; k < inner; k++) {
                    sum += a.at(i, k) * b.at(k, j);
                }
                c[i * cols + j] = (float) (factor * sum);
            }
        }
        return c;
    }

    private static float[] plus(float[] a, float[] b) {
        float[] c = a.clone();
        for (int i = 0; i < c.length; i++) {
            c[i] += b[i];
        }
        return c;
    }

    private static Map<String, float[]> right(Item item, Inputs.Set in) {
        Map<String, float[]> results = new HashMap<>();
        if (item.work() == Work.POWER_STEP || item.work() == Work.PRODUCT) {
            float[] y = product(M, R, N, 1, (i, k) -> in.g()[i * N + k], (k, j) -> in.v()[k * R + j]);
            results.put("y", y);
            results.put("z", product(N, R, M, 1, (i, k) -> in.g()[k * N + i], (k, j) -> y[k * R + j]));
            return results;
        }
        if (item.work() == Work.TRANSPOSED_PRODUCT) {
            results.put("z", product(N, R, M, 1, (i, k) -> in.g()[k * N + i], (k, j) -> in.v()[k * R + j]));
            return results;
        }
        if (item.work() == Work.SQUARES) {
            results.put("squares", product(1, 1, M * N, 1, (i, k) -> in.g()[k], (k, j) -> in.g()[k]));
            return results;
        }
        double eta = item.eta();
        float[] w = plus(in.w(), product(M, N, R, eta, (i, k) -> in.b()[i * R + k], (k, j) -> in.a()[k * N + j]));
        if (item.work() == Work.MERGE) {
            results.put("w", w);
            return results;
        }
        results.put("y", product(B, M, N, 1, (i, k) -> in.x()[i * N + k], (k, j) -> w[j * N + k]));
        results.put("dx", product(B, N, M, 1, (i, k) -> in.dy()[i * M + k], (k, j) -> w[k * N + j]));
        float[] t = product(B, R, N, eta, (i, k) -> in.x()[i * N + k], (k, j) -> in.a()[j * N + k]);
        float[] dt = product(B, R, M, eta, (i, k) -> in.dy()[i * M + k], (k, j) -> in.b()[k * R + j]);
        results.put("da", product(R, N, B, 1, (i, k) -> dt[k * R + i], (k, j) -> in.x()[k * N + j]));
        results.put("db", product(M, R, B, 1, (i, k) -> in.dy()[k * M + i], (k, j) -> t[k * R + j]));
        return results;
    }

    @Test
    void everyElementCounts() {
        for (Work work : new Work[] {Work.FORWARD, Work.FORWARD_BACKWARD, Work.MERGE, Work.POWER_STEP, Work.PRODUCT, Work.TRANSPOSED_PRODUCT, Work.SQUARES}) {
            Item item = new Item(work, work.isPass() ? B : 0, M, N, R);
            Inputs.Set in = new Inputs(item, 3, 1).get(0);
            Map<String, float[]> results = right(item, in);
            assertEquals(1, Verification.check(item, in, results));
            for (String name : Verification.wanted(work)) {
                float[] values = results.get(name);
                double size = 0;
                for (float value : values) {
                    size += (double) value * value / values.length;
                }
                for (int i = 0; i < values.length; i++) {
                    float kept = values[i];
                    values[i] += (float) Math.sqrt(size);
                    assertThrows(ArithmeticException.class, () -> Verification.check(item, in, results), work + ", " + name + ", element " + i);
                    values[i] = Float.NaN;
                    assertThrows(ArithmeticException.class, () -> Verification.check(item, in, results), work + ", NaN in " + name);
                    values[i] = kept;
                }
            }
        }
    }

    @Test
    void aStartOfOtherDirectionsIsWrong() {
        Item item = new Item(Work.INIT, 0, M, N, R);
        Inputs.Set in = new Inputs(item, 4, 1).get(0);
        Inputs.Set other = new Inputs(new Item(Work.MERGE, 0, M, N, R), 5, 1).get(0); // random A and B
        float[] w = plus(in.w(), product(M, N, R, -item.eta(), (i, k) -> other.b()[i * R + k], (k, j) -> other.a()[k * N + j]));
        assertThrows(ArithmeticException.class, () -> Verification.check(item, in, Map.of("w", w, "a", other.a(), "b", other.b())));
    }
}
