package org.lora4j.demo;

/** AdamW (Loshchilov and Hutter, arXiv 1711.05101) with PyTorch's defaults, for one parameter in host memory. */
final class AdamW {
    private static final float BETA1 = 0.9f;
    private static final float BETA2 = 0.999f;
    private static final float EPSILON = 1e-8f;
    private static final float WEIGHT_DECAY = 0.01f;

    private final float[] mean;
    private final float[] variance;
    private int step;

    AdamW(int size) {
        mean = new float[size];
        variance = new float[size];
    }

    /** Moves {@code parameter} by one step. */
    void step(float[] parameter, float[] gradient, float learningRate) {
        step++;
        float rate = (float) (learningRate / (1 - Math.pow(BETA1, step)));
        float root = (float) (1 / Math.sqrt(1 - Math.pow(BETA2, step)));
        float keep = 1 - learningRate * WEIGHT_DECAY;
        for (int i = 0; i < parameter.length; i++) {
            float g = gradient[i];
            float m = BETA1 * mean[i] + (1 - BETA1) * g;
            float v = BETA2 * variance[i] + (1 - BETA2) * g * g;
            mean[i] = m;
            variance[i] = v;
            parameter[i] = keep * parameter[i] - rate * m / ((float) Math.sqrt(v) * root + EPSILON);
        }
    }
}
