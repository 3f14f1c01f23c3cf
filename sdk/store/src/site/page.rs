//! What surrounds every page.

use std::fmt::Write as _;

use tilemark_bundle::{AppName, Digest};

use super::text::Text;

/// Scripts and styles are files of the site's, nothing is loaded from elsewhere, and no page's own text is run: a browser that
/// finds a mistake in this module does nothing about it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

/// What all pages of a site share.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    /// Of the store.
    pub(super) address: Option<&'a str>,
    /// The SHA-256 of the root that the store was added by.
    pub(super) store: Digest,
}

/// One page, under way.
pub(super) struct Page {
    body: String,
    /// Back to the site's folder: ``, `../`.
    up: &'static str,
    title: String,
    scripts: Vec<String>,
}

/// The page of an app, from the site's folder.
pub(super) fn path_of(app: &AppName) -> String {
    format!("apps/{app}.html")
}

/// From the folder of an app's page to that of the site.
pub(super) const UP_FROM_APP: &str = "../../";

impl Page {
    pub(super) fn new(title: &str, up: &'static str) -> Self {
        Self { body: String::new(), up, title: title.to_owned(), scripts: Vec::new() }
    }

    /// With further scripts, beside those of every page.
    pub(super) fn with_scripts(self, scripts: Vec<String>) -> Self {
        Self { scripts, ..self }
    }

    /// Writes markup, in which what others said is [`Text`].
    pub(super) fn add(&mut self, markup: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = self.body.write_fmt(markup);
        self.body.push('\n');
    }

    /// Names and what they are: text, which is escaped here.
    pub(super) fn facts<'t>(&mut self, facts: impl IntoIterator<Item = (&'t str, String)>) {
        self.add(format_args!("<dl class=\"facts\">"));
        for (name, value) in facts {
            self.add(format_args!("<div><dt>{}</dt><dd><bdi>{}</bdi></dd></div>", Text(name), Text(&value)));
        }
        self.add(format_args!("</dl>"));
    }

    /// A table, which is scrolled by itself where it is wider than the page. `numbers` are the columns set to the right.
    pub(super) fn table(&mut self, caption: &str, head: &[&str], numbers: &[usize], rows: &[Vec<String>]) {
        let class = |at: usize| if numbers.contains(&at) { " class=\"n\"" } else { "" };
        let caption = Text(caption);
        self.add(format_args!(
            "<p class=\"caption\">{caption}</p>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\"><table>"
        ));
        let mut cells = String::new();
        for (at, name) in head.iter().enumerate() {
            let _ = write!(cells, "<th scope=\"col\"{}>{}</th>", class(at), Text(name));
        }
        self.add(format_args!("<thead><tr>{cells}</tr></thead>\n<tbody>"));
        for row in rows {
            cells.clear();
            for (at, cell) in row.iter().enumerate() {
                let _ = write!(cells, "<td{}><bdi>{}</bdi></td>", class(at), Text(cell));
            }
            self.add(format_args!("<tr>{cells}</tr>"));
        }
        self.add(format_args!("</tbody></table></div>"));
    }

    /// A command to type, with a button that copies it.
    pub(super) fn command(&mut self, command: &str, what: &str) {
        // A line may end between words alone: half an option is none.
        let words: Vec<String> =
            command.split(' ').map(|word| format!("<span>{}</span>", Text(word))).collect();
        self.add(format_args!(
            "<div class=\"command\"><code>{}</code><button type=\"button\" class=\"copy\" hidden \
             aria-label=\"Copy: {}\">Copy</button></div>",
            words.join(" "),
            Text(what)
        ));
    }

    /// The file.
    pub(super) fn finish(self, frame: &Frame<'_>) -> String {
        let Self { body, up, title, scripts } = self;
        let scripts =
            std::iter::once("data/state.js".to_owned()).chain(scripts).chain(["site.js".to_owned()]);
        let scripts: String =
            scripts.map(|script| format!("<script src=\"{up}{script}\" defer></script>\n")).collect();
        let (site, title) = (Text(frame.title), Text(&title));
        let title = if title.0 == frame.title { format!("{site}") } else { format!("{title} · {site}") };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"{up}site.css\">\n\
             {scripts}</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
             <header class=\"top\"><div class=\"wide\"><a class=\"home\" href=\"{up}index.html\"><bdi>{site}</bdi></a>\
             <p id=\"state\"><a href=\"{up}index.html#state-of-this-copy\">How current is this?</a></p></div></header>\n\
             <main id=\"main\" class=\"wide\" tabindex=\"-1\">\n{body}</main>\n\
             <footer class=\"wide\"><p>Everything here was signed by its publisher, and checked by <code>tilemark</code> before it was \
             written. A web page proves nothing: <code>tilemark store install</code> checks it again on your machine, \
             byte by byte.</p>\n<p>Store <code class=\"digest\">{}</code> · <a href=\"{up}withdrawn.html\">Not on offer</a></p></footer>\n\
             </body>\n</html>\n",
            frame.store
        )
    }
}
