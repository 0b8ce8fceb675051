//! Text, sections and the frame of a page.

use std::io::{self, Write};

/// Text that means nothing to a browser.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A heading and what stands below it.
pub(super) fn section(title: &str, inner: &str) -> String {
    format!("<section><h2>{}</h2>{inner}</section>", escape(title))
}

/// Begins a page: what every page has before its first section. `below` stands under the name.
pub(super) fn begin(page: &mut dyn Write, name: &str, below: &str) -> io::Result<()> {
    let name = escape(name);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{name}</title><style>{}</style></head>\n<body><main>\
         <header><h1>{name}</h1>{below}</header>",
        include_str!("page.css")
    )
}

/// Ends a page that [`begin`] began.
pub(super) fn end(page: &mut dyn Write) -> io::Result<()> {
    writeln!(
        page,
        "</main><script>{}</script></body></html>",
        include_str!("page.js")
    )
}
