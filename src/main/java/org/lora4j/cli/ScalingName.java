package org.lora4j.cli;

import org.lora4j.Scaling;

/** How users name a {@link Scaling}. */
enum ScalingName {
    RSLORA(Scaling.RANK_STABILISED),
    STANDARD(Scaling.STANDARD);

    private final Scaling scaling;

    ScalingName(Scaling scaling) {
        this.scaling = scaling;
    }

    Scaling scaling() {
        return scaling;
    }

    static ScalingName of(Scaling scaling) {
        return scaling == Scaling.STANDARD ? STANDARD : RSLORA;
    }
}
