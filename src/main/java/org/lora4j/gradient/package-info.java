/** Gradients for LoRA-GA without holding them: accumulated, as two thin factors, or as a streaming sketch. */
package org.lora4j.gradient;
