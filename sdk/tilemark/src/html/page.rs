//! A page: headings, sentences, tables and pictures, in one file that asks for nothing else.

use std::fmt::Write as _;

use tilemark_bundle::text::{entity, is_deceptive};

use super::svg::Svg;

/// Nothing is loaded, nothing is run: also a browser that finds a mistake in this module does neither.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// How every page begins.
fn begin() -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n"
    )
}

/// Whether a file that begins so is a page of ours, which may be written over.
#[must_use]
pub fn is_page(bytes: &[u8]) -> bool {
    bytes.starts_with(begin().as_bytes())
}

/// A page under way.
#[derive(Debug)]
pub(crate) struct Page {
    title: String,
    body: String,
}

/// A table: what it shows, its head, and which columns are numbers.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) head: Vec<&'static str>,
    pub(crate) numbers: &'static [usize],
    pub(crate) rows: Vec<Vec<String>>,
}

impl Page {
    pub(crate) fn new(title: &str) -> Self {
        let mut page = Self { title: title.to_owned(), body: String::new() };
        page.add(format_args!("<h1>{}</h1>", escape(title)));
        page
    }

    pub(crate) fn heading(&mut self, text: &str) {
        self.add(format_args!("<h2>{}</h2>", escape(text)));
    }

    pub(crate) fn sentence(&mut self, text: &str) {
        self.paragraph("", text);
    }

    /// A sentence of a class of the style sheet: `lead`, `warning`.
    pub(crate) fn paragraph(&mut self, class: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.add(format_args!("<p{class}>{}</p>", escape(text)));
    }

    /// Who chose the data: the first thing to know of a number.
    pub(crate) fn mark(&mut self, text: &str) {
        self.add(format_args!("<p><span class=\"mark\">{}</span></p>", escape(text)));
    }

    /// A picture, and its numbers for who wants them or cannot see it.
    pub(crate) fn figure(&mut self, picture: Svg, numbers: Table) {
        self.add(format_args!(
            "<figure>\n{}<figcaption>{}</figcaption>",
            picture.finish(),
            escape(&numbers.caption)
        ));
        self.add(format_args!("<details><summary>The numbers</summary>"));
        self.rows(&numbers);
        self.add(format_args!("</details>\n</figure>"));
    }

    /// A table with its caption.
    pub(crate) fn table(&mut self, table: &Table) {
        self.add(format_args!("<p class=\"caption\">{}</p>", escape(&table.caption)));
        self.rows(table);
    }

    /// A table, which is scrolled by itself where it is wider than the page.
    fn rows(&mut self, table: &Table) {
        let caption = escape(&table.caption);
        self.add(format_args!(
            "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\"><table>"
        ));
        let class = |at: usize| if table.numbers.contains(&at) { " class=\"n\"" } else { "" };
        let mut row = String::new();
        for (at, head) in table.head.iter().enumerate() {
            let _ = write!(row, "<th scope=\"col\"{}>{}</th>", class(at), escape(head));
        }
        self.add(format_args!("<thead><tr>{row}</tr></thead>\n<tbody>"));
        for cells in &table.rows {
            row.clear();
            for (at, cell) in cells.iter().enumerate() {
                let _ = write!(row, "<td{}>{}</td>", class(at), escape(cell));
            }
            self.add(format_args!("<tr>{row}</tr>"));
        }
        self.add(format_args!("</tbody></table></div>"));
    }

    /// Names and what they are.
    pub(crate) fn facts(&mut self, facts: &[(String, String)]) {
        self.add(format_args!("<table class=\"facts\"><tbody>"));
        for (name, value) in facts {
            let (name, value) = (escape(name), escape(value));
            self.add(format_args!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>"));
        }
        self.add(format_args!("</tbody></table>"));
    }

    /// The file.
    pub(crate) fn finish(self) -> String {
        format!(
            "{}<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
            begin(),
            escape(&self.title),
            include_str!("style.css"),
            self.body
        )
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing into a string does not fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// Text as a page spells it, within an element or a quoted attribute. What moves a cursor or turns the direction of text has no place in it.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match entity(c) {
            Some(entity) => escaped.push_str(entity),
            None if is_deceptive(c) || c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            None => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_elses_words_are_markup() {
        let evil = "</td><script>alert(1)</script><img src=x onerror=\"a()\">\u{1b}[2J\u{202e}";
        let mut page = Page::new(evil);
        page.sentence(evil);
        page.facts(&[(evil.to_owned(), evil.to_owned())]);
        let row = vec![evil.to_owned()];
        page.table(&Table { caption: evil.to_owned(), head: vec!["name"], numbers: &[], rows: vec![row] });
        let text = page.finish();
        assert!(is_page(text.as_bytes()) && !is_page(b"<!DOCTYPE html>\n<html>") && !is_page(b""));
        for bad in ["<script", "<img", "onerror=\"", "\u{1b}", "\u{202e}"] {
            assert!(!text.contains(bad), "{bad:?} in {text}");
        }
    }
}
