package org.lora4j.device;

/**
 * The calls whose work was queued since the host last waited for it, so that a failure that shows late can name them.
 * The last few are kept. Adding one allocates nothing.
 */
final class InFlight {
    private static final int KEPT = 8;
    private static final int SIZES = 3;

    private final String[] calls = new String[KEPT];
    private final long[] sizes = new long[SIZES * KEPT];
    private long count;

    /** A call and up to three sizes that say which; −1 where there are fewer. */
    void add(String call, long size1, long size2, long size3) {
        int at = (int) (count++ % KEPT);
        calls[at] = call;
        sizes[SIZES * at] = size1;
        sizes[SIZES * at + 1] = size2;
        sizes[SIZES * at + 2] = size3;
    }

    /** The host has waited: everything is done. */
    void clear() {
        count = 0;
    }

    /** "; in flight: cublasSgemm_v2(512, 4096, 16), …", the oldest first; "" where there is nothing. */
    String text() {
        if (count == 0) {
            return "";
        }
        StringBuilder text = new StringBuilder("; in flight: ");
        if (count > KEPT) {
            text.append(count - KEPT).append(" earlier calls, ");
        }
        for (long i = Math.max(0, count - KEPT); i < count; i++) {
            int at = (int) (i % KEPT);
            text.append(calls[at]);
            String separator = "(";
            for (int j = 0; j < SIZES && sizes[SIZES * at + j] >= 0; j++) {
                text.append(separator).append(sizes[SIZES * at + j]);
                separator = ", ";
            }
            text.append(separator.equals("(") ? "" : ")").append(i < count - 1 ? ", " : "");
        }
        return text.toString();
    }
}
