/** Devices, the matrices in their memory, and the native libraries that work on them. */
package org.lora4j.device;
