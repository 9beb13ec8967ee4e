/** The command line, {@code java -jar lora4j.jar}: a thin layer over the library's packages. */
package org.lora4j.cli;
