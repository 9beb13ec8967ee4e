package org.lora4j.device;

/** A native library refused or failed: the call, its arguments, the code it returned and what that code means. */
public class NativeException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final String call;
    private final int code;

    /**
     * @param call the function with its arguments, as in {@code LAPACKE_sgesdd_work(m=64, n=48)}
     * @param code what it returned
     * @param meaning the code in the library's own words
     */
    public NativeException(String call, int code, String meaning) {
        super(call + " returned " + code + ": " + meaning);
        this.call = call;
        this.code = code;
    }

    /** The function with its arguments. */
    public String call() {
        return call;
    }

    /** The library's return code; LAPACK calls it {@code info}. */
    public int code() {
        return code;
    }
}
