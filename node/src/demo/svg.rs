//! The demonstration as a picture, for light and dark pages.

use std::fmt::Write as _;

use super::record::{Link, Window};
use super::verdict::Check;

/// Parts the time is drawn in.
const PARTS: u32 = 96;
/// Geometry, in pixels: the whole, and one chart.
const WIDTH: u32 = 960;
const CHART_WIDTH: u32 = 384;
const CHART_HEIGHT: u32 = 64;
const LEFT: u32 = 112;
const RIGHT: u32 = LEFT + CHART_WIDTH + 48;
const TOP: u32 = 96;
const ROW: u32 = CHART_HEIGHT + 36;
/// How much of a chart's height is filled when a link carries what is expected.
const EXPECTED: f64 = 0.6;

const STYLE: &str = "\
text{font:14px system-ui,sans-serif;fill:#1f2328}.t{font-size:18px;font-weight:600}.s{font-size:12px;fill:#59636e}.e{text-anchor:end}\
.a{fill:#bc4c00}.w{fill:#0969da}.l{stroke:#d1d9e0;stroke-width:1}.g{fill:#ffffff}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.s{fill:#9198a1}.a{fill:#f0883e}.w{fill:#4493f8}\
.l{stroke:#3d444d}.g{fill:#0d1117}}";

/// What is drawn besides the links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caption<'a> {
    /// The first line.
    pub(crate) title: &'a str,
    /// Datagrams per second expected on a link, both ways.
    pub(crate) rate: u32,
    /// The longest message, in bytes: a full bar.
    pub(crate) most: u32,
    /// The verdict.
    pub(crate) checks: &'a [Check],
}

/// The picture of `links` over `window`.
pub(crate) fn draw(links: &[Link], window: Window, caption: Caption<'_>) -> String {
    let foot = links.iter().fold(TOP, |y, _| y + ROW) + 24;
    let height = caption.checks.iter().fold(foot, |y, _| y + 20) + 16;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">{}</title>\n\
         <desc id=\"d\">Left: bytes of messages on their way for each client over {} seconds. Right: datagrams per \
         moment on each client's link.</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"g\" width=\"100%\" height=\"100%\"/>\n",
        escape(caption.title),
        window.length.as_secs()
    );
    text(&mut svg, 24, 36, "t", caption.title);
    text(&mut svg, LEFT, 68, "", "What the applications do");
    text(&mut svg, LEFT, 84, "s", "bytes on their way, logarithmic scale");
    text(&mut svg, RIGHT, 68, "", "What the network sees");
    let step = window.part(0, PARTS).length;
    text(&mut svg, RIGHT, 84, "s", &format!("datagrams per {} ms, both ways", step.as_millis()));
    for (row, link) in (0..).zip(links) {
        let base = TOP + row * ROW + CHART_HEIGHT;
        let series = link.series(window, PARTS, window.end());
        text(&mut svg, 24, base - CHART_HEIGHT / 2, "", link.name);
        text(&mut svg, LEFT, base + 16, "s", link.does);
        let [up, down] = link.count(window);
        let seen = link.lengths().iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        text(&mut svg, RIGHT, base + 16, "s", &format!("{} datagrams of {seen} bytes", up + down));
        let most = f64::from(caption.most).ln_1p();
        let bytes = series.bytes.iter().map(|bytes| f64::from(*bytes).ln_1p() / most);
        bars(&mut svg, "a", LEFT, base, bytes);
        let expected = f64::from(caption.rate) * step.as_secs_f64();
        let datagrams = series.datagrams.iter().map(|count| f64::from(*count) / expected.max(1.0) * EXPECTED);
        bars(&mut svg, "w", RIGHT, base, datagrams);
    }
    let axis = foot - 8;
    for left in [LEFT, RIGHT] {
        text(&mut svg, left, axis, "s", "0 s");
        text(&mut svg, left + CHART_WIDTH, axis, "s e", &format!("{} s", window.length.as_secs()));
    }
    for (line, check) in (0..).zip(caption.checks) {
        let mark = if check.holds { "✓" } else { "✗" };
        text(&mut svg, 24, foot + 20 * line + 12, "s", &format!("{mark} {}", check.what));
    }
    svg.push_str("</svg>\n");
    svg
}

fn text(svg: &mut String, x: u32, y: u32, class: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>", escape(text));
}

/// One path of bars standing on a line at `base`, each as high as its share of the chart.
fn bars(svg: &mut String, class: &str, left: u32, base: u32, shares: impl Iterator<Item = f64>) {
    let width = f64::from(CHART_WIDTH) / f64::from(PARTS);
    let mut path = String::new();
    for (n, share) in (0_u32..).zip(shares) {
        let height = f64::from(CHART_HEIGHT) * share.clamp(0.0, 1.0);
        if height > 0.0 {
            let x = f64::from(left) + f64::from(n) * width;
            let _ = write!(path, "M{x:.1} {base}v-{height:.1}h{:.1}v{height:.1}z", width * 0.8);
        }
    }
    let _ = writeln!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    let _ = writeln!(svg, "<path class=\"l\" d=\"M{left} {base}h{CHART_WIDTH}\"/>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
