//! The store's web site: its files, and what people do on it in a real browser.

use std::path::Path;
use std::time::Instant;

use tilemark_testkit::catalogue::write_store;

use crate::browser::is_there;
use crate::chromium::Chromium;
use crate::workshop::Workshop;

/// A workshop with the site of a store of so many publishers and apps in `site`.
fn with_site(publishers: usize, apps: usize) -> Workshop {
    let shop = Workshop::new();
    write_store(&shop.path("store"), publishers, apps);
    shop.tilemark("store add store --root store/metadata/1.root.json").ok();
    let line = "store site site --title Kiosk --address https://store.example.org --json";
    let made = shop.tilemark(line).ok().json();
    assert_eq!(
        (made["apps"].as_u64(), made["refused"].as_u64()),
        (Some((publishers * apps) as u64), Some(0))
    );
    shop
}

fn count(browser: &mut Chromium) -> String {
    browser.text("document.getElementById('count').textContent")
}

/// Sets a field as a person does: the page is told.
fn choose(browser: &mut Chromium, field: &str, value: &str) {
    browser.value(&format!(
        "(() => {{ const field = document.getElementById('{field}'); field.value = '{value}'; \
         field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"
    ));
}

#[test]
fn people_find_an_app_among_many() {
    if !is_there() {
        return;
    }
    let shop = with_site(20, 60);
    let mut browser = Chromium::start(&shop);
    browser.window(1280, 900, false);
    let index = shop.path("site/index.html");
    browser.open(&index, "");
    assert_eq!(count(&mut browser), "1,200 apps");
    browser.keep("site-light.png");

    // Each narrows what the one before left, and a link leads to the same.
    choose(&mut browser, "input", "image");
    assert_eq!(count(&mut browser), "800 of 1,200 apps");
    choose(&mut browser, "output", "detections");
    assert_eq!(count(&mut browser), "200 of 1,200 apps");
    choose(&mut browser, "license", "MIT");
    choose(&mut browser, "price", "0");
    choose(&mut browser, "device", "opencl-gpu");
    choose(&mut browser, "ms", "5");
    choose(&mut browser, "q", "VEHICLES eiger");
    let found = count(&mut browser);
    let left: usize = found.split(' ').next().unwrap().parse().unwrap();
    assert!((1..10).contains(&left), "{found}");
    let tags =
        browser.text("[...document.querySelectorAll('.apps .tags')].map((tags) => tags.innerText).join('|')");
    for tags in tags.split('|') {
        assert!(
            tags.contains("image → detections") && tags.contains("MIT") && tags.contains("Free"),
            "{tags}"
        );
        let ms: f64 = tags
            .split(" ms on opencl-gpu")
            .next()
            .unwrap()
            .split_whitespace()
            .last()
            .unwrap()
            .parse()
            .unwrap();
        assert!(ms <= 5.0, "{tags}");
    }
    let fragment = browser.text("location.hash");
    browser.open(&index, &fragment);
    assert_eq!(count(&mut browser), found);
    choose(&mut browser, "q", "giraffe");
    assert_eq!(count(&mut browser), "0 of 1,200 apps");
    browser.value("document.querySelector('button[type=reset]').click()");
    browser.until("document.getElementById('count').textContent === '1,200 apps'");
    browser.value("[...document.querySelectorAll('.pager button')].find((button) => button.textContent == 'Last').click()");
    assert!(browser.text("document.querySelector('.pager span').textContent").contains("Page 24 of 24"));
    assert_eq!(browser.complaints(), [""; 0]);
}

/// The words of what has the focus.
fn focused(browser: &mut Chromium) -> String {
    browser.text("((at) => at.id || at.textContent.trim() || at.tagName)(document.activeElement)")
}

#[test]
fn a_keyboard_alone_leads_to_an_app_and_its_command() {
    if !is_there() {
        return;
    }
    let shop = with_site(4, 30);
    let mut browser = Chromium::start(&shop);
    browser.window(1280, 900, false);
    browser.open(&shop.path("site/index.html"), "");
    browser.press("Tab");
    assert_eq!(focused(&mut browser), "Skip to the content");
    let seen = "((at) => getComputedStyle(at).outlineStyle + at.getBoundingClientRect().left)(document.activeElement)";
    let outline = browser.text(seen);
    assert!(outline.starts_with("solid") && !outline.contains('-'), "{outline}");
    for _ in 0..10 {
        if focused(&mut browser) == "q" {
            break;
        }
        browser.press("Tab");
    }
    assert_eq!(focused(&mut browser), "q");
    browser.write("acme/tagger-18");
    assert_eq!(count(&mut browser), "1 of 120 apps");
    assert_eq!(browser.text("document.getElementById('count').getAttribute('aria-live')"), "polite");
    for _ in 0..20 {
        if focused(&mut browser) == "acme/tagger-18" {
            break;
        }
        browser.press("Tab");
    }
    assert_eq!(focused(&mut browser), "acme/tagger-18");
    browser.press("Enter");
    browser
        .until("location.href.endsWith('/apps/acme/tagger-18.html') && document.readyState === 'complete'");
    assert_eq!(
        browser.text("document.querySelector('.command code').textContent"),
        "tilemark store install acme/tagger-18"
    );
    for _ in 0..10 {
        if focused(&mut browser) == "Copy" {
            break;
        }
        browser.press("Tab");
    }
    assert_eq!(focused(&mut browser), "Copy");
    browser.press("Enter");
    browser.until("['Copied', 'Selected'].includes(document.activeElement.textContent)");
    assert_eq!(browser.complaints(), [""; 0]);
    // Every field has a name for who hears the page.
    browser.open(&shop.path("site/index.html"), "");
    let nameless =
        "[...document.querySelectorAll('input, select')].filter((field) => !field.labels.length).length";
    assert_eq!(browser.value(nameless), 0);
}

#[test]
fn every_page_fits_a_phone_and_a_desk_by_night_and_by_day() {
    if !is_there() {
        return;
    }
    let shop = with_site(4, 60);
    let mut browser = Chromium::start(&shop);
    let pages =
        [("index", "index"), ("list/2", "list"), ("apps/acme/tagger-0", "app"), ("withdrawn", "withdrawn")];
    for (width, dark) in [(360, false), (360, true), (1280, true), (1280, false)] {
        browser.window(width, if width == 360 { 2400 } else { 1700 }, dark);
        for (page, name) in pages {
            browser.open(&shop.path(&format!("site/{page}.html")), "");
            browser
                .value("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
            let told = format!("{page} at {width}, dark {dark}");
            let wide = browser.value("document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(wide <= u64::from(width), "{told}: {wide} pixels wide");
            let paper = browser.text("getComputedStyle(document.documentElement).backgroundColor");
            let light =
                paper.trim_start_matches("rgb(").split(',').next().unwrap().parse::<u8>().unwrap() > 128;
            assert_eq!(light, !dark, "{told}: {paper}");
            assert_eq!(browser.complaints(), [""; 0], "{told}");
            browser.keep(&format!("site-{name}-{width}-{}.png", if dark { "dark" } else { "light" }));
        }
    }
}

#[test]
fn without_scripts_it_is_a_list_that_can_be_read() {
    if !is_there() {
        return;
    }
    let shop = with_site(4, 60);
    let mut browser = Chromium::start(&shop);
    browser.window(1280, 900, false);
    browser.scripts(false);
    browser.open(&shop.path("site/index.html"), "");
    let mut seen = Vec::new();
    loop {
        let names =
            browser.text("[...document.querySelectorAll('.apps a')].map((a) => a.textContent).join(' ')");
        seen.extend(names.split(' ').map(str::to_owned));
        assert_eq!(
            browser.value(
                "[...document.querySelectorAll('form, button')].filter((at) => at.offsetParent).length"
            ),
            0
        );
        let next =
            "[...document.querySelectorAll('.pager a')].find((a) => a.textContent == 'Next')?.href ?? ''";
        match browser.text(next) {
            next if next.is_empty() => break,
            next => browser.open(Path::new(next.trim_start_matches("file://")), ""),
        }
    }
    let whole = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((whole, seen.len()), (240, 240));
    browser.open(&shop.path("site/apps/acme/tagger-0.html"), "");
    let words = browser.text("document.body.innerText");
    for word in [
        "tilemark store install acme/tagger-0",
        "image → labels",
        "any × any × 3",
        "its publisher",
        "90.50 %",
        "2026-01-01",
    ] {
        assert!(words.contains(word), "{word} in {words}");
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn what_is_put_into_a_page_is_not_run() {
    if !is_there() {
        return;
    }
    let shop = with_site(1, 1);
    let mut browser = Chromium::start(&shop);
    for page in ["index.html", "apps/acme/tagger-0.html"] {
        browser.open(&shop.path("site").join(page), "");
        let inject = "new Promise((done) => { window.told = []; document.addEventListener('securitypolicyviolation', (event) => told.push(event.effectiveDirective)); \
             const script = document.createElement('script'); script.textContent = 'window.taken = 1'; document.body.append(script); \
             document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.taken = 2\"><p style=\"color: red\" onclick=\"window.taken = 3\">'); \
             document.querySelector('p[onclick]').click(); \
             const other = document.createElement('script'); other.src = 'https://evil.example/x.js'; document.body.append(other); \
             setTimeout(() => done(told.sort().join(' ') + ' ' + window.taken), 300); })";
        let told = browser.text(inject);
        for blocked in ["img-src", "script-src-attr", "script-src-elem", "style-src-attr"] {
            assert!(told.contains(blocked), "{page}: {told}");
        }
        assert!(told.ends_with(" undefined"), "{page}: {told}");
        assert!(!browser.complaints().is_empty(), "a browser that tells nothing would be no test");
    }
}

#[test]
fn what_the_command_refuses_and_what_it_leaves_out() {
    let shop = with_site(2, 3);
    let made =
        shop.tilemark("store site site --title Kiosk --address https://store.example.org --json").ok().json();
    assert_eq!((made["written"].as_u64(), made["apps"].as_u64()), (Some(0), Some(6)));
    shop.tilemark("store site store").fails(1, "TM0839");
    shop.tilemark("store site other --address /srv/store").fails(1, "TM0835");
    shop.tilemark("store site other --store none").fails(2, "TM0601");
    assert!(!shop.path("other").exists());
    let folder =
        std::fs::read_dir(shop.path("store/targets/acme/tagger-0")).unwrap().next().unwrap().unwrap();
    std::fs::write(folder.path(), "damaged").unwrap();
    shop.tilemark("store site site --title Kiosk")
        .fails(3, "TM0804")
        .says("left out   acme/tagger-0")
        .prints("5 apps on offer, 1 no longer");
    assert!(
        String::from_utf8(shop.read("site/apps/acme/tagger-0.html"))
            .unwrap()
            .contains("cannot be accepted at present")
    );
    // All of a mirror gone is nobody's withdrawal: nothing is written.
    let before = shop.read("site/index.html");
    std::fs::rename(shop.path("store"), shop.path("gone")).unwrap();
    shop.tilemark("store site site --title Other").fails(1, "TM0820");
    assert_eq!(shop.read("site/index.html"), before);
}

/// Run it by `cargo nextest run --release -p tilemark-cli --run-ignored only -E 'test(site_of)' --no-capture`.
#[test]
#[ignore = "prints times, which mean something in a release build alone"]
fn site_of_100_000_listings() {
    for (publishers, apps) in [(100, 100), (1000, 100)] {
        let shop = Workshop::new();
        write_store(&shop.path("store"), publishers, apps);
        shop.tilemark("store add store --root store/metadata/1.root.json").ok();
        for round in ["first", "again"] {
            let start = Instant::now();
            let made = shop.tilemark("store site site --json").ok().json();
            println!(
                "{} apps, {round}: {:.1} s, {} files written",
                made["apps"],
                start.elapsed().as_secs_f64(),
                made["written"]
            );
        }
        if is_there() {
            let mut browser = Chromium::start(&shop);
            let start = Instant::now();
            browser.open(&shop.path("site/index.html"), "");
            println!("  opened in {:.0} ms", 1e3 * start.elapsed().as_secs_f64());
            let times = "(() => { const q = document.getElementById('q'), all = []; \
                 for (const text of ['r', 're', 'reads', 'reads acme', '', 'giraffe', 'MIT eiger photo']) { q.value = text; const start = performance.now(); \
                 q.dispatchEvent(new Event('input', { bubbles: true })); all.push((performance.now() - start).toFixed(1)); } return all.join(' '); })()";
            println!("  a search takes {} ms", browser.text(times));
            assert_eq!(browser.complaints(), [""; 0]);
        }
    }
}
