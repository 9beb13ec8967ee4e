/**
 * Files: {@link org.lora4j.io.SafeTensors} reads and writes tensors, {@link org.lora4j.io.PeftAdapter} reads adapters as
 * Hugging Face's PEFT has them and {@link org.lora4j.io.PeftExport} writes them.
 *
 * <p>Nothing that a file says is believed before it is checked: whatever the bytes, the result is the tensors or an
 * {@link java.io.IOException} that names file, tensor and reason, and memory is taken for what the file holds, never for
 * what it claims to hold. All numbers are little-endian, as the machines are that the library runs on.
 */
package org.lora4j.io;
