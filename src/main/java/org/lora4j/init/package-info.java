/**
 * Starts of an adapter. Each {@link org.lora4j.init.Initializer} sets A and B of a layer and keeps its effective weight;
 * {@link org.lora4j.init.LoraGa} is the gradient-aligned one.
 */
package org.lora4j.init;
