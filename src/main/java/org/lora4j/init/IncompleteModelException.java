package org.lora4j.init;

import java.util.stream.Collectors;

/**
 * Some layers of a model have no start. The message names each and says why; what was started has been handed over. The
 * cause is what ended the work early, or else the first layer's; those of further layers are suppressed ones.
 */
public final class IncompleteModelException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient ModelReport report;

    /** @param lost why the device can't be used any more; null where it can */
    IncompleteModelException(ModelReport report, RuntimeException lost) {
        super(message(report, lost), lost != null || report.failures().isEmpty() ? lost : report.failures().getFirst().cause());
        this.report = report;
        report.failures().stream().map(ModelReport.Failure::cause).filter(e -> e != getCause()).forEach(this::addSuppressed);
    }

    private static String message(ModelReport report, RuntimeException lost) {
        int started = report.started().size();
        int left = report.notReached().size();
        String stop = lost != null ? "; the device can't be used any more (" + lost.getMessage() + ")" : report.interrupted() ? "; interrupted" : "";
        return started + " of " + (started + report.failures().size() + left) + " layers were started" + stop
                + (left == 0 ? "" : stop.isEmpty() ? "; " + left + " were not reached" : " with " + left + " left")
                + report.failures().stream().map(f -> "; " + f).collect(Collectors.joining());
    }

    /** Which layers were started, which failed and which were not reached; null after serialisation. */
    public ModelReport report() {
        return report;
    }
}
