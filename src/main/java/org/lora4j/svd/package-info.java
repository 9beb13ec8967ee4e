/** Leading singular triplets of a matrix. */
package org.lora4j.svd;
