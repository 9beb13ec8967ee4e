/** The low-rank adapted linear layer: {@link org.lora4j.LoraLinear} and its {@link org.lora4j.LoraConfig}. */
package org.lora4j;
