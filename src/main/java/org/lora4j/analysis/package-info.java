/** Measurements that say whether a start of an adapter is good: gradient alignment and scale stability. */
package org.lora4j.analysis;
