//! Bar charts as SVG: plain text, so that a change of figures is a change of lines.

use std::fmt::Write;

/// A chart: groups of bars below each other, all to one scale.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) groups: Vec<Group>,
}

pub(super) struct Group {
    pub(super) label: String,
    pub(super) bars: Vec<Bar>,
}

pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    /// From the least to the greatest of all rounds.
    pub(super) range: (f64, f64),
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
/// What is left for the figure at the end of the longest bar.
const RIGHT: f64 = 90.0;
const TITLE: f64 = 36.0;
const HEADING: f64 = 24.0;
const ROW: f64 = 20.0;
const BAR: f64 = 13.0;
/// Those that nobody can tell apart are no use; these are far apart also in grey.
const COLORS: [(&str, &str); 7] = [
    ("distlock handover", "#084594"),
    ("distlock plain", "#9ecae1"),
    ("distlock", "#2171b5"),
    ("raw-local", "#525252"),
    ("raw", "#969696"),
    ("rslock 10 ms", "#fdae6b"),
    ("rslock", "#e6550d"),
];
const OTHERS: &str = "#74c476";

impl Chart {
    /// The chart as a file, with a line end at its end.
    pub(super) fn to_svg(&self) -> String {
        let bars = self.groups.iter().flat_map(|group| &group.bars);
        let greatest = bars.clone().map(|bar| bar.range.1.max(bar.value)).fold(0.0, f64::max);
        let scale = if greatest > 0.0 { (WIDTH - LEFT - RIGHT) / greatest } else { 0.0 };
        let rows = f64::from(u32::try_from(bars.count()).unwrap_or(u32::MAX));
        let headings = f64::from(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        let height = TITLE + HEADING * headings + ROW * rows + 8.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, 10.0, 22.0, "font-size=\"15\"", &self.title);
        let mut y = TITLE;
        for group in &self.groups {
            text(&mut svg, 10.0, y + 16.0, "font-weight=\"bold\"", &group.label);
            y += HEADING;
            for bar in &group.bars {
                bar.draw(&mut svg, y, scale);
                y += ROW;
            }
        }
        svg + "</svg>\n"
    }
}

impl Bar {
    fn draw(&self, svg: &mut String, y: f64, scale: f64) {
        let Self { name, value, range: (least, greatest) } = self;
        let (width, middle) = (value * scale, y + BAR / 2.0);
        text(svg, LEFT - 6.0, y + 11.0, "text-anchor=\"end\"", name);
        let color = color(name);
        writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{color}\"/>"
        )
        .ok();
        let (from, to) = (LEFT + least * scale, LEFT + greatest * scale);
        writeln!(
            svg,
            "<path d=\"M{from:.1} {middle}H{to:.1}\" stroke=\"#000000\" stroke-width=\"1.5\"/>"
        )
        .ok();
        text(svg, to.max(LEFT + width) + 6.0, y + 11.0, "", &short(*value));
    }
}

fn color(name: &str) -> &'static str {
    COLORS.iter().find(|(known, _)| *known == name).map_or(OTHERS, |(_, color)| color)
}

/// Three digits that count.
pub(super) fn short(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 99.95 {
        format!("{value:.0}")
    } else if magnitude >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn text(svg: &mut String, x: f64, y: f64, style: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let gap = if style.is_empty() { "" } else { " " };
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\"{gap}{style}>{content}</text>").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> String {
        let bar = |value: &f64| Bar { name: "raw".into(), value: *value, range: (*value, *value) };
        let bars = values.iter().map(bar).collect();
        Chart { title: "a < b".into(), groups: vec![Group { label: "W1".into(), bars }] }.to_svg()
    }

    #[test]
    fn the_longest_bar_fills_the_width_and_the_others_are_in_proportion() {
        let svg = chart(&[50.0, 100.0]);
        assert!(svg.contains("width=\"520.0\"") && svg.contains("width=\"260.0\""), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"), "{svg}");
    }

    #[test]
    fn nothing_to_show_is_no_error() {
        assert!(chart(&[0.0]).contains("width=\"0.0\""));
        assert!(chart(&[]).contains("</svg>"));
    }

    #[test]
    fn figures_are_rounded_to_what_counts() {
        assert_eq!([1.0, 12.34, 1234.5].map(short), ["1.00", "12.3", "1234"]);
    }
}
