//! A configuration as lines, words and sections. Comments, order, indentation and everything that is not asked for come
//! out as they went in.

use std::ops::Range;

/// Words that begin a section.
const SECTIONS: &[&str] = &[
    "acme",
    "backend",
    "cache",
    "crt-store",
    "defaults",
    "fcgi-app",
    "frontend",
    "global",
    "http-errors",
    "listen",
    "log-forward",
    "log-profile",
    "mailers",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
    "userlist",
];

/// A word, without its quotes, and where it stands in its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub at: Range<usize>,
}

/// A line, with its end.
#[derive(Clone, Debug)]
pub struct Line {
    raw: String,
    words: Vec<Word>,
}

/// A section: its kind, its name if it has one, and its lines, the first of which begins it.
#[derive(Debug)]
pub struct Section<'a> {
    pub kind: &'a str,
    pub lines: Range<usize>,
    head: &'a [Word],
}

/// The whole file.
#[derive(Clone, Debug)]
pub struct Text {
    pub lines: Vec<Line>,
}

impl Line {
    pub fn read(raw: impl Into<String>) -> Self {
        let raw = raw.into();
        Self { words: split(&raw), raw }
    }

    pub fn raw(&self) -> &str {
        &self.raw
    }

    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// The word at a place.
    pub fn word(&self, n: usize) -> Option<&str> {
        self.words.get(n).map(|word| word.text.as_str())
    }

    /// Whether it begins with these words.
    pub fn says(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.word(n) == Some(word))
    }
}

impl<'a> Section<'a> {
    /// Its name; `global` has none, and `defaults` may have none.
    pub fn name(&self) -> Option<&'a str> {
        self.head.get(1).map(|word| word.text.as_str()).filter(|word| *word != "from")
    }

    /// The `defaults` that it names.
    pub fn from(&self) -> Option<&'a str> {
        let at = self.head.iter().position(|word| word.text == "from")?;
        self.head.get(at + 1).map(|word| word.text.as_str())
    }

    /// Whether it may have servers.
    pub fn balances(&self) -> bool {
        matches!(self.kind, "backend" | "listen")
    }
}

impl Text {
    pub fn read(text: &str) -> Self {
        Self { lines: text.split_inclusive('\n').map(Line::read).collect() }
    }

    /// As a file.
    pub fn written(&self) -> String {
        self.lines.iter().map(Line::raw).collect()
    }

    /// All sections, in their order.
    pub fn sections(&self) -> Vec<Section<'_>> {
        let begins = |line: &Line| line.word(0).is_some_and(|word| SECTIONS.contains(&word));
        let heads: Vec<usize> = (0..self.lines.len()).filter(|n| begins(&self.lines[*n])).collect();
        let ends = heads.iter().skip(1).copied().chain([self.lines.len()]);
        let section = |(head, end): (&usize, usize)| {
            let words = self.lines[*head].words();
            Section { kind: &words[0].text, lines: *head..end, head: words }
        };
        heads.iter().zip(ends).map(section).collect()
    }

    /// Whether parts of it hold under a condition only: what is in force can't be told by reading then.
    pub fn conditional(&self) -> bool {
        self.lines.iter().any(|line| line.word(0) == Some(".if"))
    }
}

/// As HAProxy does: spaces part words unless they are quoted or escaped, and `#` ends what counts.
fn split(raw: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut quote, mut open) = (None, false);
    let mut chars = raw.char_indices();
    while let Some((at, c)) = chars.next() {
        let space = c.is_ascii_whitespace() && quote.is_none();
        if space || (c == '#' && quote.is_none()) {
            if c == '#' {
                break;
            }
            open = false;
            continue;
        }
        if !open {
            words.push(Word { text: String::new(), at: at..at });
            open = true;
        }
        let Some(word) = words.last_mut() else { continue };
        let mut end = at + c.len_utf8();
        match (c, quote) {
            ('\\', None | Some('"')) => {
                if let Some((at, escaped)) = chars.next() {
                    word.text.push(escaped);
                    end = at + escaped.len_utf8();
                }
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(quoted)) if c == quoted => quote = None,
            (c, _) => word.text.push(c),
        }
        word.at.end = end;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_haproxy_parts_them() {
        let table: [(&str, &[&str]); 8] = [
            ("  server app1\t10.0.0.1:80 check # the first\n", &["server", "app1", "10.0.0.1:80", "check"]),
            ("# backend app\n", &[]),
            ("\r\n", &[]),
            ("backend app#1", &["backend", "app"]),
            (
                r#"http-check send hdr Host "a # b" ver HTTP/1.1"#,
                &["http-check", "send", "hdr", "Host", "a # b", "ver", "HTTP/1.1"],
            ),
            (r"log-format a\ b\#c", &["log-format", "a b#c"]),
            (r#"set-header X 'say "hi" \n'"#, &["set-header", "X", r#"say "hi" \n"#]),
            (r#"a "" b"#, &["a", "", "b"]),
        ];
        for (raw, words) in table {
            let line = Line::read(raw);
            let got: Vec<&str> = line.words().iter().map(|word| word.text.as_str()).collect();
            assert_eq!(got, words, "{raw}");
        }
        let line = Line::read("  server \"app 1\" x # c");
        assert_eq!(&line.raw()[line.words()[1].at.clone()], "\"app 1\"");
    }

    #[test]
    fn sections_are_found_and_nothing_is_lost() {
        let text = "# top\nglobal\n  daemon\n\ndefaults base\r\n mode http\nbackend app from base # x\n server a b:1\nlisten l\n";
        let read = Text::read(text);
        assert_eq!(read.written(), text);
        let sections = read.sections();
        let told: Vec<_> =
            sections.iter().map(|one| (one.kind, one.name(), one.from(), one.lines.clone())).collect();
        assert_eq!(
            told,
            [
                ("global", None, None, 1..4),
                ("defaults", Some("base"), None, 4..6),
                ("backend", Some("app"), Some("base"), 6..8),
                ("listen", Some("l"), None, 8..9),
            ]
        );
        assert!(!read.conditional());
        assert!(Text::read("  .if defined(X)\n.endif\n").conditional());
    }
}
