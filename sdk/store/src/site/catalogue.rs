//! The list of all apps: the first page with its search, and all of it in numbered pages for browsers without scripts.

use std::fmt::Write as _;

use tilemark_bundle::AppName;

use super::folder::Folder;
use super::listing::price;
use super::page::{Frame, Page, path_of};
use super::text::{Text, bytes, moment, ms, plural, short, task};
use crate::client::View;
use crate::error::Result;
use crate::index::Row;

/// Apps of a numbered page.
const PER_PAGE: usize = 50;
/// Characters of a description in the list.
const DESCRIPTION: usize = 220;
/// Withdrawn apps that are listed; each has a page that says so.
const MAX_GONE: usize = 2000;

/// Writes `index.html` and `list/2.html` on.
pub(super) fn write(
    folder: &mut Folder,
    frame: &Frame<'_>,
    rows: &[Row],
    gone: usize,
    shards: usize,
    view: &View<'_>,
) -> Result<()> {
    let pages = rows.len().div_ceil(PER_PAGE).max(1);
    let mut chunks = rows.chunks(PER_PAGE);
    let first = index(frame, rows.len(), chunks.next().unwrap_or_default(), pages, shards, gone, view);
    folder.put("index.html", first.as_bytes())?;
    for (number, rows) in (2..).zip(chunks) {
        let mut page = Page::new(&format!("Apps, page {number} of {pages}"), "../");
        page.add(format_args!("<h1>Apps</h1>\n<p>Page {number} of {pages}</p>"));
        list(&mut page, rows, "../");
        pager(&mut page, number, pages);
        folder.put(&format!("list/{number}.html"), page.finish(frame).as_bytes())?;
    }
    folder.cut("list", pages + 1, ".html")
}

fn index(
    frame: &Frame<'_>,
    all: usize,
    rows: &[Row],
    pages: usize,
    shards: usize,
    gone: usize,
    view: &View<'_>,
) -> String {
    let data = ["words".to_owned()].into_iter().chain((0..shards).map(|shard| shard.to_string()));
    let scripts = data.map(|name| format!("data/{name}.js")).chain(["catalogue.js".to_owned()]);
    let mut page = Page::new(frame.title, "").with_scripts(scripts.collect());
    page.add(format_args!("<h1>Find an app</h1>"));
    page.add(format_args!(
        "<p class=\"lead\">{}, each signed by its publisher. Search by what goes in, what comes out, where it runs and how fast.</p>",
        plural(all, "app")
    ));
    page.add(format_args!("{}", include_str!("assets/search.html")));
    page.add(format_args!("<div id=\"results\">"));
    list(&mut page, rows, "");
    page.add(format_args!("</div>\n<div id=\"pages\">"));
    pager(&mut page, 1, pages);
    page.add(format_args!("</div>\n</div>\n</div>"));
    state(&mut page, gone, view);
    page.finish(frame)
}

/// How old it is, for browsers without scripts as well.
fn state(page: &mut Page, gone: usize, view: &View<'_>) {
    let freshness = view.freshness();
    page.add(format_args!(
        "<section id=\"state-of-this-copy\"><h2>How current this is</h2>\n<p>Snapshot {} of the store, good until <time datetime=\"{}\">{}</time>: \
         after that, do not rely on prices, versions and withdrawals shown here. {} had a page here and {} not on offer.</p></section>",
        view.version(),
        crate::time::format(freshness.expires),
        moment(freshness.expires),
        plural(gone, "app"),
        if gone == 1 { "is" } else { "are" }
    ));
}

/// The apps, as the script writes them too.
fn list(page: &mut Page, rows: &[Row], up: &str) {
    page.add(format_args!("<ol class=\"apps\">"));
    for row in rows {
        let mut tags = String::new();
        for tag in tags_of(row) {
            let _ = write!(tags, "<li><bdi>{}</bdi></li>", Text(&tag));
        }
        page.add(format_args!(
            "<li><h2><a href=\"{up}{}\"><span class=\"of\">{}/</span>{}</a> <span class=\"version\"><bdi>{}</bdi></span></h2>\
             <p><bdi>{}</bdi></p><ul class=\"tags\">{tags}</ul></li>",
            path_of(&row.app),
            row.app.publisher(),
            row.app.name(),
            Text(&row.version.to_string()),
            Text(&short(&row.description, DESCRIPTION))
        ));
    }
    page.add(format_args!("</ol>"));
}

fn tags_of(row: &Row) -> Vec<String> {
    let mut tags = vec![price(row.price).to_owned(), row.license.clone()];
    if !row.task.is_empty() {
        tags.insert(0, task(&row.task));
    }
    let host = row.speeds.get_key_value("host");
    let measured = host.or_else(|| row.speeds.iter().min_by_key(|(_, time)| **time));
    tags.push(match measured {
        Some((device, time)) => format!("{} on {device}", ms(*time)),
        None => row.targets.join(", "),
    });
    tags.push(bytes(row.size));
    tags.into_iter().map(|tag| short(&tag, 60)).collect()
}

/// Links to the first, the last and the neighbouring pages.
fn pager(page: &mut Page, at: usize, pages: usize) {
    if pages < 2 {
        return;
    }
    let href = |number: usize| match (at, number) {
        (1, 1) => "index.html".to_owned(),
        (1, _) => format!("list/{number}.html"),
        (_, 1) => "../index.html".to_owned(),
        _ => format!("{number}.html"),
    };
    page.add(format_args!("<nav class=\"pager\" aria-label=\"Pages\">"));
    for (words, number) in
        [("First", 1), ("Previous", at.saturating_sub(1)), ("Next", at + 1), ("Last", pages)]
    {
        if number >= 1 && number <= pages && number != at {
            page.add(format_args!("<a href=\"{}\">{words}</a>", href(number)));
        }
    }
    page.add(format_args!("<span>Page {at} of {pages}</span></nav>"));
}

/// What had a page and is not on offer: withdrawn, or unavailable at present.
pub(super) fn withdrawn(frame: &Frame<'_>, gone: &[(AppName, String)]) -> String {
    let mut page = Page::new("Not on offer", "");
    page.add(format_args!(
        "<h1>Not on offer</h1>\n<p class=\"lead\">{}. What is installed runs on, under its terms.</p>",
        plural(gone.len(), "app")
    ));
    page.add(format_args!("<ul class=\"gone\">"));
    for (app, why) in gone.iter().take(MAX_GONE) {
        page.add(format_args!("<li><a href=\"{}\">{app}</a> {}</li>", path_of(app), Text(why)));
    }
    page.add(format_args!("</ul>"));
    if gone.len() > MAX_GONE {
        page.add(format_args!("<p class=\"note\">And {} more.</p>", plural(gone.len() - MAX_GONE, "app")));
    }
    page.finish(frame)
}
