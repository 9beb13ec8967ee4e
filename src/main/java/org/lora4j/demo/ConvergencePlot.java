package org.lora4j.demo;

import java.awt.Color;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.IntStream;

import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The loss of each method over the steps, as a picture. */
final class ConvergencePlot {
    private ConvergencePlot() {}

    /** @param curves the best outcome of each method by its label */
    static void draw(Map<String, Adaptation.Outcome> curves, Path file) throws IOException {
        XYChart chart = new XYChartBuilder().width(1000).height(640)
                .title("Digits 0–4 adapt to 5–9: mean of " + Adaptation.Plan.DEMONSTRATION.seeds() + " seeds, each method at its best learning rate")
                .xAxisTitle("step").yAxisTitle("log-loss on the training digits 5–9").build();
        chart.getStyler().setYAxisLogarithmic(true);
        chart.getStyler().setLegendPosition(LegendPosition.InsideNE);
        chart.getStyler().setChartBackgroundColor(Color.WHITE);
        chart.getStyler().setSeriesColors(new Color[] {new Color(0x1f77b4), new Color(0xff7f0e), new Color(0x7b2d8b)});
        chart.getStyler().setXAxisMaxLabelCount(13);
        chart.getStyler().setXAxisMin(0.0).setXAxisMax((double) Adaptation.Plan.DEMONSTRATION.steps());
        double[] steps = IntStream.rangeClosed(1, Adaptation.Plan.DEMONSTRATION.steps()).asDoubleStream().toArray();
        curves.forEach((label, outcome) -> {
            XYSeries series = chart.addSeries(label + ", learning rate " + outcome.learningRate(), steps, outcome.loss());
            series.setMarker(SeriesMarkers.NONE);
        });
        BitmapEncoder.saveBitmap(chart, file.toString(), BitmapEncoder.BitmapFormat.PNG);
    }
}
