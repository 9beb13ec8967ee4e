/** The demonstration: LoRA-GA against LoRA and full fine-tuning on handwritten digits, and the kernels' speed. */
package org.lora4j.demo;
