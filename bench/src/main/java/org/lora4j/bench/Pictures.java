package org.lora4j.bench;

import java.awt.Color;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.lora4j.bench.Lora4jContender.Form;

/** The pictures of the report. */
final class Pictures {
    private final Session session;
    private final Path folder;

    private Pictures(Session session, Path folder) {
        this.session = session;
        this.folder = folder;
    }

    /** Draws what there are results for; the names of the files. */
    static List<String> draw(Session session, Path folder) throws IOException {
        Files.createDirectories(folder);
        Pictures pictures = new Pictures(session, folder);
        List<String> names = new ArrayList<>();
        names.add(pictures.overhead());
        names.add(pictures.percentOfLimit());
        for (Growth.Axis axis : Growth.Axis.ALL) {
            names.add(pictures.growth(axis.name(), "time", "milliseconds", Growth.Point::ms));
            names.add(pictures.growth(axis.name(), "memory", "MiB at most", point -> point.bytes() / (1 << 20)));
        }
        return names;
    }

    private String overhead() throws IOException {
        XYChart chart = chart("An adapter's overhead over the frozen products in place, b 512, m = n = 2048", "rank", "percent");
        chart.getStyler().setXAxisLogarithmic(true);
        for (Work work : new Work[] {Work.FORWARD, Work.FORWARD_BACKWARD}) {
            List<Measured> line = session.items.stream().filter(x -> x.item().work() == work && x.item().b() == 512 && x.item().m() == 2048).toList();
            if (line.isEmpty()) {
                continue;
            }
            double[] ranks = line.stream().mapToDouble(x -> x.item().r()).toArray();
            chart.addSeries(work + ", measured", ranks, line.stream().mapToDouble(x -> x.overheadPercent(Form.FROZEN_IN_PLACE).median()).toArray());
            chart.addSeries(work + ", least possible", ranks,
                    line.stream().mapToDouble(x -> 100 * x.item().leastOverhead(session.gemmCeiling(), session.readGBs)).toArray());
        }
        return save(chart, chart.getSeriesMap().isEmpty(), "overhead");
    }

    private String percentOfLimit() throws IOException {
        CategoryChart chart = new CategoryChartBuilder().width(1200).height(640).title("Percent of the machine's limit").build();
        chart.getStyler().setChartBackgroundColor(Color.WHITE);
        chart.getStyler().setXAxisLabelRotation(60);
        chart.getStyler().setLegendVisible(false);
        chart.getStyler().setYAxisMin(0.0).setYAxisMax(110.0);
        if (!session.items.isEmpty()) {
            chart.addSeries("lora4j", session.items.stream().map(x -> x.item().toString()).toList(),
                    session.items.stream().map(x -> x.percentOfLimit(session.gemmCeiling(), session.readGBs)).toList());
        }
        return save(chart, session.items.isEmpty(), "limit");
    }

    private String growth(String axis, String what, String unit, ToDoubleFunction<Growth.Point> value) throws IOException {
        XYChart chart = chart(what + " by " + (axis.equals("size") ? "m = n" : axis), axis.equals("size") ? "m = n" : axis, unit);
        chart.getStyler().setXAxisLogarithmic(true).setYAxisLogarithmic(true);
        for (Growth g : session.growth) {
            if (g.axis().equals(axis) && !g.points().isEmpty()) {
                double exponent = what.equals("time") ? g.timeExponent() : g.memoryExponent();
                chart.addSeries("%s, exponent %.2f".formatted(g.work(), exponent), g.points().stream().mapToDouble(Growth.Point::value).toArray(),
                        g.points().stream().mapToDouble(value).toArray());
            }
        }
        return save(chart, chart.getSeriesMap().isEmpty(), what + "-" + axis);
    }

    private static XYChart chart(String title, String x, String y) {
        XYChart chart = new XYChartBuilder().width(800).height(520).title(title).xAxisTitle(x).yAxisTitle(y).build();
        chart.getStyler().setLegendPosition(LegendPosition.InsideNW);
        chart.getStyler().setChartBackgroundColor(Color.WHITE);
        return chart;
    }

    private String save(Chart<?, ?> chart, boolean empty, String name) throws IOException {
        if (empty) {
            Files.deleteIfExists(folder.resolve(name + ".png"));
            return "";
        }
        BitmapEncoder.saveBitmap(chart, folder.resolve(name + ".png").toString(), BitmapEncoder.BitmapFormat.PNG);
        return name + ".png";
    }
}
