//! Pictures as SVG, written by hand: nothing here needs more than lines, bars and words.

use super::{
    measure::Figures,
    rows::{Kind, Row},
    system::System,
    table::Results,
};
use std::fmt::Write as _;

/// A picture beside the page of a run.
#[derive(Debug)]
pub struct Picture {
    pub file: String,
    pub title: &'static str,
    pub svg: String,
}

/// The pictures of a run: the throughput of all rows, then each row whose figures are a curve.
pub fn all(rows: &[&Row], results: &Results) -> Vec<Picture> {
    let (mut groups, mut curved) = (Vec::new(), Vec::new());
    for row in rows {
        let curves: Vec<(System, &Figures)> =
            row.systems.iter().filter_map(|s| Some((*s, results.get(&(row.name, *s))?))).collect();
        let drawn = match row.kind {
            Kind::First => seconds(row.title, &curves),
            Kind::Steady | Kind::Half if row.shown.contains(&"p99.9") => latency(row.title, &curves),
            _ => None,
        };
        let file = format!("versus-{}.svg", row.name);
        curved.extend(drawn.map(|svg| Picture { file, title: row.title, svg }));
        let first = row.shown[0];
        if matches!(first, "mb_per_s" | "requests_per_s" | "consumed_mb_per_s" | "transactions_per_s") {
            let value = |f: &Figures| f.values.get(first).copied();
            groups.push((row.name, curves.iter().filter_map(|(s, f)| Some((*s, value(f)?))).collect()));
        }
    }
    let title = "Throughput, as a multiple of the first system of each row";
    let bars = bars(title, &groups).map(|svg| Picture { file: "versus-throughput.svg".into(), title, svg });
    bars.into_iter().chain(curved).collect()
}

/// The end of the page: all of these.
pub fn markdown(pictures: &[Picture]) -> String {
    let mut out = String::new();
    if !pictures.is_empty() {
        out.push_str("\n## Pictures\n");
    }
    for picture in pictures {
        let _ = write!(out, "\n![{}]({})\n", picture.title, picture.file);
    }
    out
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 50.0;
const PLOT_WIDTH: f64 = 480.0;
const PLOT_HEIGHT: f64 = 260.0;

fn colour(system: System) -> &'static str {
    match system {
        System::Kafka => "#b3541e",
        System::KafkaFlush => "#e0a458",
        System::FlumenDurable => "#1d5c8a",
        System::FlumenRelaxed => "#6fb1d8",
    }
}

/// A picture that is being drawn.
struct Svg(String);

impl Svg {
    fn new(height: f64, title: &str) -> Svg {
        let mut svg = Svg(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        ));
        let _ = writeln!(svg.0, "<text x=\"20\" y=\"24\" font-size=\"15\">{}</text>", escape(title));
        svg
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#333333\">{text}</text>"
        );
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let _ = writeln!(
            self.0,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        let _ = writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        );
    }

    fn path(&mut self, points: &[(f64, f64)], colour: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            self.0,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
    }

    fn legend(&mut self, systems: &[System]) {
        for (i, system) in systems.iter().enumerate() {
            let y = TOP + 10.0 + 18.0 * i as f64;
            self.bar(LEFT + PLOT_WIDTH + 14.0, y - 9.0, 10.0, 10.0, colour(*system));
            self.text(LEFT + PLOT_WIDTH + 28.0, y, "start", system.name());
        }
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Latency (µs, logarithmic) over the share of requests (in nines).
pub fn latency(title: &str, curves: &[(System, &Figures)]) -> Option<String> {
    let points = || curves.iter().flat_map(|(_, f)| &f.curve).filter(|(_, us)| *us > 0.0);
    let (low, high) = points().fold((f64::MAX, 0f64), |(l, h), (_, us)| (l.min(*us), h.max(*us)));
    if high <= 0.0 {
        return None;
    }
    let (low, high) = (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0));
    const NINES: f64 = 5.0;
    let x = |share: f64| LEFT + PLOT_WIDTH * (-(1.0 - share).max(1e-9).log10()).clamp(0.0, NINES) / NINES;
    let y = |us: f64| TOP + PLOT_HEIGHT * (1.0 - (us.log10() - low) / (high - low));
    let mut svg = Svg::new(TOP + PLOT_HEIGHT + 50.0, title);
    for decade in low as i32..=high as i32 {
        let at = y(10f64.powi(decade));
        svg.line((LEFT, at), (LEFT + PLOT_WIDTH, at));
        let name = if decade >= 3 {
            format!("{} ms", 10f64.powi(decade - 3))
        } else {
            format!("{} µs", 10f64.powi(decade))
        };
        svg.text(LEFT - 6.0, at + 4.0, "end", &name);
    }
    for (share, name) in
        [(0.0, "0"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")]
    {
        svg.line((x(share), TOP), (x(share), TOP + PLOT_HEIGHT));
        svg.text(x(share), TOP + PLOT_HEIGHT + 18.0, "middle", name);
    }
    svg.text(
        LEFT + PLOT_WIDTH / 2.0,
        TOP + PLOT_HEIGHT + 38.0,
        "middle",
        "share of requests answered within",
    );
    for (system, figures) in curves {
        let line: Vec<_> =
            figures.curve.iter().filter(|(_, us)| *us > 0.0).map(|(q, us)| (x(*q), y(*us))).collect();
        svg.path(&line, colour(*system));
    }
    svg.legend(&curves.iter().map(|(s, _)| *s).collect::<Vec<_>>());
    Some(svg.finish())
}

/// Requests a second over the seconds since the start.
pub fn seconds(title: &str, curves: &[(System, &Figures)]) -> Option<String> {
    let most = curves.iter().flat_map(|(_, f)| &f.every_second).fold(0f64, |m, v| m.max(*v));
    let length = curves.iter().map(|(_, f)| f.every_second.len()).max()?.max(2);
    if most <= 0.0 {
        return None;
    }
    let x = |i: usize| LEFT + PLOT_WIDTH * i as f64 / (length - 1) as f64;
    let y = |v: f64| TOP + PLOT_HEIGHT * (1.0 - v / most);
    let mut svg = Svg::new(TOP + PLOT_HEIGHT + 50.0, title);
    for part in 0..=4 {
        let value = most * f64::from(part) / 4.0;
        svg.line((LEFT, y(value)), (LEFT + PLOT_WIDTH, y(value)));
        svg.text(LEFT - 6.0, y(value) + 4.0, "end", &super::table::digits(value));
    }
    for i in (0..length).step_by(length.div_ceil(8)) {
        svg.text(x(i), TOP + PLOT_HEIGHT + 18.0, "middle", &(i + 1).to_string());
    }
    svg.text(LEFT + PLOT_WIDTH / 2.0, TOP + PLOT_HEIGHT + 38.0, "middle", "second after the start");
    for (system, figures) in curves {
        let line: Vec<_> = figures.every_second.iter().enumerate().map(|(i, v)| (x(i), y(*v))).collect();
        svg.path(&line, colour(*system));
    }
    svg.legend(&curves.iter().map(|(s, _)| *s).collect::<Vec<_>>());
    Some(svg.finish())
}

/// One bar a system for each group: its figure as a multiple of the group's first system.
pub fn bars(title: &str, groups: &[(&str, Vec<(System, f64)>)]) -> Option<String> {
    let groups: Vec<_> = groups.iter().filter(|(_, bars)| bars.first().is_some_and(|b| b.1 > 0.0)).collect();
    let most = groups.iter().flat_map(|(_, b)| b.iter().map(|v| v.1 / b[0].1)).fold(0f64, f64::max);
    if most <= 0.0 {
        return None;
    }
    let bar_count: usize = groups.iter().map(|(_, b)| b.len()).sum();
    let height = TOP + 16.0 * bar_count as f64 + 10.0 * groups.len() as f64 + 20.0;
    let mut svg = Svg::new(height.max(TOP + 100.0), title);
    let mut y = TOP;
    for (name, bars) in groups {
        svg.text(LEFT + 10.0, y + 12.0, "end", name);
        for (system, value) in bars {
            let ratio = value / bars[0].1;
            let width = (PLOT_WIDTH - 70.0) * ratio / most;
            svg.bar(LEFT + 16.0, y, width, 13.0, colour(*system));
            let text = format!("{}×", super::table::digits(ratio));
            svg.text(LEFT + 20.0 + width, y + 11.0, "start", &text);
            y += 16.0;
        }
        y += 10.0;
    }
    svg.legend(&System::ALL);
    Some(svg.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows::ROWS;

    #[test]
    fn pictures_stay_inside_their_frame() {
        let figures = Figures {
            curve: vec![(0.0, 80.0), (0.5, 100.0), (0.999, 90_000.0), (1.0, 2e6)],
            every_second: vec![10.0, 400.0, 20.0],
            ..Figures::default()
        };
        let curves = [(System::Kafka, &figures), (System::FlumenDurable, &figures)];
        for picture in [latency("a < b", &curves).unwrap(), seconds("s", &curves).unwrap()] {
            assert!(
                picture.starts_with("<svg") && picture.ends_with("</svg>\n") && !picture.contains("a < b")
            );
            for points in picture.split("points=\"").skip(1) {
                for point in points.split('"').next().unwrap().split(' ') {
                    let (x, y) = point.split_once(',').unwrap();
                    let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                    assert!((LEFT - 0.1..=LEFT + PLOT_WIDTH + 0.1).contains(&x), "{point}");
                    assert!((TOP - 0.1..=TOP + PLOT_HEIGHT + 0.1).contains(&y), "{point}");
                }
            }
        }
    }

    #[test]
    fn the_page_shows_every_picture() {
        let figures = Figures {
            curve: vec![(0.0, 80.0), (1.0, 900.0)],
            every_second: vec![10.0, 400.0],
            values: [("mb_per_s", 5.0), ("requests_per_s", 7.0)].map(|(n, v)| (n.to_owned(), v)).into(),
        };
        let rows: Vec<&Row> =
            ROWS.iter().filter(|row| ["bulk", "open", "first", "idle"].contains(&row.name)).collect();
        let results: Results =
            rows.iter().map(|row| ((row.name, System::FlumenDurable), figures.clone())).collect();
        let pictures = all(&rows, &results);
        let files: Vec<&str> = pictures.iter().map(|picture| picture.file.as_str()).collect();
        assert_eq!(files, ["versus-throughput.svg", "versus-open.svg", "versus-first.svg"]);
        let page = markdown(&pictures);
        assert!(files.iter().all(|file| page.contains(&format!("]({file})\n"))), "{page}");
        assert!(all(&rows, &Results::new()).is_empty() && markdown(&[]).is_empty());
    }

    #[test]
    fn nothing_measured_is_no_picture() {
        assert!(latency("", &[(System::Kafka, &Figures::default())]).is_none());
        assert!(seconds("", &[(System::Kafka, &Figures::default())]).is_none());
        assert!(bars("", &[("a", vec![(System::Kafka, 0.0)])]).is_none());
    }
}
