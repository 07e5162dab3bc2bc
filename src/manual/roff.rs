//! The language of manual pages, as much of it as our pages need: a few macros of man(7), escapes, and lines that are filled.

/// How long a line of the source may be, as [`width`] counts; mandoc complains of longer ones.
const WIDTH: usize = 78;

/// A page that grows.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    /// Whether a paragraph may begin without being told apart from what stands above it.
    is_after_heading: bool,
}

impl Page {
    /// Begins a page below the lines of `head`; `manual` is what its section is called.
    pub(super) fn new(head: &str, title: &str, section: &str, manual: &str) -> Page {
        let title = escaped(&title.to_uppercase());
        let version = env!("CARGO_PKG_VERSION");
        let manual = escaped(manual);
        let date = super::DATE;
        Page {
            text: format!(
                "{head}.TH {title} {section} {date} \"retracker {version}\" \"{manual}\"\n"
            ),
            is_after_heading: true,
        }
    }

    /// The source of the page.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.control("SH", &marked(text));
        self.is_after_heading = true;
    }

    pub(super) fn subheading(&mut self, text: &str) {
        self.control("SS", &term(text));
        self.is_after_heading = true;
    }

    /// Adds a paragraph for each line of `text`.
    pub(super) fn paragraph(&mut self, text: &str) {
        for paragraph in text.lines() {
            if !self.is_after_heading {
                self.line(".PP");
            }
            self.is_after_heading = false;
            self.fill(paragraph);
        }
    }

    /// Adds a line of usage.
    pub(super) fn usage(&mut self, text: &str) {
        if !self.is_after_heading {
            self.line(".br");
        }
        self.is_after_heading = false;
        self.protected(&term(text));
    }

    /// Adds a term, and the paragraphs that explain it.
    pub(super) fn item(&mut self, name: &str, text: &str) {
        self.line(".TP");
        self.protected(&term(name));
        self.is_after_heading = false;
        for (number, paragraph) in text.lines().enumerate() {
            if number > 0 {
                self.line(".br");
            }
            self.fill(paragraph);
        }
    }

    /// Adds lines that stay as they are.
    pub(super) fn example(&mut self, lines: &str) {
        if !self.is_after_heading {
            self.line(".PP");
        }
        self.is_after_heading = false;
        self.line(".EX");
        for line in lines.lines() {
            // An empty line would be taken for a mistake.
            let line = if line.is_empty() {
                "\\&".to_owned()
            } else {
                escaped(line)
            };
            self.protected(&line);
        }
        self.line(".EE");
    }

    fn control(&mut self, name: &str, argument: &str) {
        self.line(&format!(".{name} \"{argument}\""));
    }

    /// Breaks a paragraph into lines of the source.
    fn fill(&mut self, paragraph: &str) {
        let mut line = String::new();
        for word in marked(paragraph).split_whitespace() {
            if !line.is_empty() && width(&line) + 1 + width(word) > WIDTH {
                self.protected(&line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.protected(&line);
        }
    }

    /// Adds a line of text that is no control line, whatever it begins with.
    fn protected(&mut self, line: &str) {
        if line.starts_with(['.', '\'']) {
            self.text.push_str("\\&");
        }
        self.line(line);
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// The text with what stands between two backquotes in bold.
fn marked(text: &str) -> String {
    alternating(text, '`', 'B', escaped)
}

/// A term: as [`marked`], and what stands between two asterisks in italics, as values that others fill in.
fn term(text: &str) -> String {
    alternating(text, '*', 'I', marked)
}

/// The text with every second piece between two `mark`s in `font`, and every piece as `rest` makes it.
fn alternating(text: &str, mark: char, font: char, rest: fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (number, piece) in text.split(mark).map(rest).enumerate() {
        if number % 2 == 1 {
            out.push_str(&format!("\\f{font}{piece}\\fR"));
        } else {
            out.push_str(&piece);
        }
    }
    out
}

/// The bytes of a text as mandoc counts them, which first makes an escape of each character that is not ASCII.
pub(super) fn width(text: &str) -> usize {
    let bytes = |c: char| {
        if c.is_ascii() {
            1
        } else {
            format!("\\[u{:04X}]", u32::from(c)).len()
        }
    };
    text.chars().map(bytes).sum()
}

/// Letters that stand as they are, in UTF-8: not every program that lists pages knows escapes.
fn is_cyrillic(c: char) -> bool {
    ('\u{0400}'..='\u{04FF}').contains(&c)
}

/// The text as roff shows it: every character is itself.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '"' => out.push_str("\\(dq"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '`' => out.push_str("\\(ga"),
            _ if c.is_ascii() || is_cyrillic(c) => out.push(c),
            _ => out.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_shown_as_itself() {
        assert_eq!(
            escaped(r#"a-b \n 'x' "y" ~µ"#),
            r"a\-b \en \(aqx\(aq \(dqy\(dq \(ti\[u00B5]"
        );
        assert_eq!(escaped("«Ёж» — ёж"), r"\[u00AB]Ёж\[u00BB] \[u2014] ёж");
        assert_eq!(marked("run `a-b` *now"), r"run \fBa\-b\fR *now");
        assert_eq!(term("`-a` *FILE*"), r"\fB\-a\fR \fIFILE\fR");
    }

    #[test]
    fn text_is_no_command_and_no_line_too_long() {
        let mut page = Page::new("", "x", "8", "m");
        page.heading("NAME");
        page.paragraph(&format!(".env {}", "word ".repeat(40)));
        page.paragraph("second");
        page.example(".a\n\nb");
        let text = page.into_text();
        assert!(text.contains("\n\\&.env word"), "{text}");
        assert!(
            text.contains("\n.PP\nsecond\n.PP\n.EX\n\\&.a\n\\&\nb\n.EE\n"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
    }
}
