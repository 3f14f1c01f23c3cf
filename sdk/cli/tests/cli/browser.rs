//! Reports, looked at in a real browser: at the width of a desk and of a phone, by day and by night.

use std::path::Path;
use std::process::Command;

use tilemark::Image;

use crate::eval::{with_data, with_other};
use crate::workshop::Workshop;

/// Whether the browser is there. `TILEMARK_TEST_BROWSER=1` makes its absence a failure.
pub(crate) fn is_there() -> bool {
    let there =
        Command::new("chromium").arg("--version").output().is_ok_and(|output| output.status.success());
    let required = std::env::var_os("TILEMARK_TEST_BROWSER").is_some();
    assert!(there || !required, "TILEMARK_TEST_BROWSER is set, and there is no `chromium`");
    if !there {
        eprintln!("skipped: `chromium` is not installed, so no page was looked at");
    }
    there
}

/// A page, and how wide its window is in pixels.
type Window = (&'static str, u32);

/// How high all windows are: pages are longer.
const HEIGHT: u32 = 2400;

/// What a page is in a browser.
struct Seen {
    /// The width of what is on it, in pixels.
    width: u32,
    /// Its words.
    text: String,
    /// Its pixels.
    pixels: Vec<[u8; 3]>,
}

/// A page of ours around the reports, side by side, which measures them: a window cannot be as narrow as a phone, and a browser takes a second to
/// start. It complains once itself, so that a browser that tells nothing is found out.
const FRAMES: &str = r#"<!DOCTYPE html><html><body style="margin:0;display:flex">WINDOWS
<script>
console.error("a probe");
window.onload = () => document.querySelectorAll("iframe").forEach((frame, at) => {
  const page = frame.contentDocument;
  for (const details of page.querySelectorAll("details")) details.open = true;
  document.body.setAttribute(`data-width-${at}`, page.documentElement.scrollWidth);
  document.body.setAttribute(`data-text-${at}`, page.body.innerText);
});
</script></body></html>"#;

/// What each page is in its window, by night or by day.
fn look(workshop: &Workshop, windows: &[Window], dark: bool) -> Vec<Seen> {
    let frame = |(page, width): &Window| {
        format!(
            r#"<iframe src="{page}" style="border:0;flex:none;width:{width}px;height:{HEIGHT}px"></iframe>"#
        )
    };
    let all: u32 = windows.iter().map(|(_, width)| width).sum();
    let frames: String = windows.iter().map(frame).collect();
    workshop.write("frames.html", FRAMES.replace("WINDOWS", &frames));
    let screen = workshop.path(if dark { "dark.png" } else { "light.png" });
    let at = |name: &str| workshop.path(name).display().to_string();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
        .args(["--allow-file-access-from-files", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--user-data-dir={}", at("browser")))
        .arg(format!("--window-size={all},{HEIGHT}"))
        .arg(format!("--screenshot={}", screen.display()))
        .arg(format!("file://{}", at("frames.html")))
        .output()
        .unwrap();
    let [dom, log] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{log}");
    let complaints: Vec<&str> = log.lines().filter(|line| line.contains(":CONSOLE:")).collect();
    assert!(complaints.len() == 1 && complaints[0].contains("a probe"), "dark {dark}: {complaints:?}");
    keep(&screen);
    let screen = Image::decode(&std::fs::read(screen).unwrap()).unwrap();
    assert_eq!((screen.width(), screen.height()), (all, HEIGHT));
    let data = |name: &str, at: usize| {
        let start = dom.split_once(&format!("data-{name}-{at}=\""));
        let start = start.unwrap_or_else(|| panic!("{name} {at} in {dom}\n{log}")).1;
        start.split_once('"').unwrap().0.replace("&nbsp;", " ").replace("&lt;", "<")
    };
    let mut left = 0;
    let one = |(at, (_, width)): (usize, &Window)| {
        let pixels = crop(&screen, left, *width);
        left += width;
        Seen { width: data("width", at).parse().unwrap(), text: data("text", at), pixels }
    };
    windows.iter().enumerate().map(one).collect()
}

/// The pixels of some columns.
fn crop(screen: &Image, left: u32, width: u32) -> Vec<[u8; 3]> {
    let (pixels, _) = screen.pixels().as_chunks::<3>();
    let rows = pixels.chunks_exact(screen.width() as usize);
    rows.flat_map(|row| &row[left as usize..(left + width) as usize]).copied().collect()
}

/// Puts a picture of the screen where somebody can look at it: `TILEMARK_KEEP_SCREENS=DIR`.
fn keep(screen: &Path) {
    if let Some(folder) = std::env::var_os("TILEMARK_KEEP_SCREENS") {
        std::fs::copy(screen, Path::new(&folder).join(screen.file_name().unwrap())).unwrap();
    }
}

/// Looks at pages with these words on them.
fn check(workshop: &Workshop, windows: &[(Window, &[String])], dark: bool) {
    let asked: Vec<Window> = windows.iter().map(|(window, _)| *window).collect();
    for (((page, width), words), seen) in windows.iter().zip(look(workshop, &asked, dark)) {
        let told = format!("{page} at {width}, dark {dark}");
        assert!(seen.width <= *width, "{told}: {} pixels wide", seen.width);
        for word in *words {
            assert!(seen.text.contains(word), "{told}: {word:?} in {}", seen.text);
        }
        let bytes = seen.pixels.as_flattened();
        let mean = bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>() / bytes.len() as u64;
        assert_eq!(mean < 128, dark, "{told}: {mean} on average");
        let colours: std::collections::BTreeSet<&[u8; 3]> = seen.pixels.iter().collect();
        assert!(colours.len() > 30, "{told}: {} colours", colours.len());
    }
}

#[test]
fn reports_are_readable_at_every_width() {
    if !is_there() {
        return;
    }
    let workshop = with_data(60);
    with_other(&workshop, "white\nred\ngreen\nblue\nblack\n");
    let line = "eval tiny.tmk --trust vendor.pub --device host --data data --json --html eval.html";
    let report = workshop.tilemark(line).ok().json();
    let hits = report["counts"]["hits"].to_string();
    let shown = |key: &str| report[key].as_str().unwrap().to_owned();
    let root = report["data"]["root"].as_str().unwrap().to_owned();
    let value = format!("{:.2} %", 100.0 * report["metrics"][0]["value"].as_f64().unwrap());
    let of_one = [hits, shown("identity"), shown("answers"), root, value, "wilson".into()];

    let line =
        "compare tiny.tmk other.tmk --trust vendor.pub --data data --devices host --json --html compare.html";
    let compared = workshop.tilemark(line).ok().json();
    let of_two = [compared["conclusion"].as_str().unwrap().to_owned(), "on the front".into()];

    let phone = [(("eval.html", 390), &of_one[..]), (("compare.html", 390), &of_two[..])];
    let desk = [(("eval.html", 1280), &of_one[..]), (("compare.html", 1280), &of_two[..])];
    check(&workshop, &[phone, desk].concat(), false);
    check(&workshop, &phone, true);
    for page in ["eval.html", "compare.html"] {
        let page = String::from_utf8(workshop.read(page)).unwrap();
        assert!(!page.contains(".png"), "a sample is named: {page}");
    }
}
