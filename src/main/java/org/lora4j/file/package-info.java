/** How files are written; not part of the API. */
package org.lora4j.file;
