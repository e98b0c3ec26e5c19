//! Text for people: bounded, and harmless wherever it goes. Titles and labels come from alerts; nobody vouches for them.

use regreen_schemas::message::{Ask, Message, Tone};

/// Ends what was cut.
const CUT: char = '…';

/// At most `max` units of UTF-16, which is never fewer than characters; what is cut says so.
#[must_use]
pub fn cut(text: &str, max: usize) -> String {
    map(text, max, |c, out| out.push(c))
}

/// One line without control characters: nothing in it ends a header or begins another.
#[must_use]
pub fn one_line(text: &str, max: usize) -> String {
    let spaced: String = text.chars().map(|c| if is_break(c) { ' ' } else { c }).collect();
    cut(spaced.split_whitespace().collect::<Vec<_>>().join(" ").as_str(), max)
}

/// Lines without other control characters.
#[must_use]
pub fn lines(text: &str, max: usize) -> String {
    cut(&text.chars().map(|c| if is_break(c) && c != '\n' { ' ' } else { c }).collect::<String>(), max)
}

/// For Slack: its three control characters are escaped, so that a label mentions nobody and links nowhere.
#[must_use]
pub fn escaped(text: &str, max: usize) -> String {
    map(text, max, |c, out| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        _ if is_break(c) && c != '\n' => out.push(' '),
        _ => out.push(c),
    })
}

/// What breaks lines or steers terminals, the separators of Unicode and its direction marks included.
fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Maps character by character and stops before `max`: nothing is cut in two.
fn map(text: &str, max: usize, put: impl Fn(char, &mut String)) -> String {
    let (mut out, mut length, mut end) = (String::with_capacity(text.len().min(max)), 0, 0);
    for c in text.chars() {
        let before = out.len();
        put(c, &mut out);
        length += out[before..].encode_utf16().count();
        if length > max {
            out.truncate(end);
            out.push(CUT);
            return out;
        }
        if length < max {
            // Room for the mark.
            end = out.len();
        }
    }
    out
}

/// Title and text together; a text that begins with its title says it once.
#[must_use]
pub fn headline(message: &Message) -> String {
    let Message { title, text, .. } = message;
    let rest = text.strip_prefix(title.as_ref());
    let says = rest.is_some_and(|rest| !title.is_empty() && !rest.starts_with(char::is_alphanumeric));
    if says { text.to_string() } else { format!("{title}: {text}") }
}

/// How it stands, at a glance.
#[must_use]
pub fn sign(tone: Tone) -> char {
    match tone {
        Tone::Working => '🔧',
        Tone::Asking => '✋',
        Tone::Good => '✅',
        Tone::Bad => '🔴',
    }
}

/// Who is asked, and how they answer.
#[must_use]
pub fn how_to_answer(ask: &Ask) -> String {
    format!(
        "{} decide, until {}: `regreen approve {}` or `regreen deny {}`. No answer is a no.",
        ask.by, ask.until, ask.run, ask.run
    )
}

/// The whole message as plain text.
#[must_use]
pub fn plain(message: &Message, max: usize) -> String {
    let mut text = message.text.to_string();
    let list = |head: &str, items: &[std::sync::Arc<str>]| -> String {
        items.iter().fold(format!("\n\n{head}"), |text, item| format!("{text}\n- {item}"))
    };
    if message.news.iter().any(|news| *news != message.text) {
        text.push_str(&list("What happened:", &message.news));
    }
    if let Some(ask) = &message.ask {
        text.push_str(&list("What would be done:", &ask.plan));
        let Ask { by, until, run, .. } = ask;
        text.push_str(&format!(
            "\n\n{by} decide, until {until}; no answer is a no:\n  regreen approve {run}\n  regreen deny {run}"
        ));
    }
    if let Some(run) = &message.run {
        text.push_str(&format!("\n\nRun {run}: `regreen explain {run}`"));
    }
    lines(&text, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_entities() {
        for (text, max, wanted) in
            [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("a🔧b", 3, "a…"), ("a🔧", 3, "a🔧"), ("", 0, "")]
        {
            assert_eq!(cut(text, max), wanted, "{text}");
        }
        assert_eq!(escaped("<!here> & co", 40), "&lt;!here&gt; &amp; co");
        assert_eq!(escaped("a<b", 4), "a…", "an entity stays whole");
        assert_eq!(escaped("a<", 5), "a&lt;");
    }

    #[test]
    fn a_title_is_said_once() {
        for (title, text, wanted) in [
            ("web on a", "it is down", "web on a: it is down"),
            ("web on a", "web on a: failed", "web on a: failed"),
            ("web", "web is blocked", "web is blocked"),
            ("web", "website down", "web: website down"),
            ("", "text", ": text"),
        ] {
            let (title, text) = (title.into(), text.into());
            let message = Message {
                thread: "t".into(),
                tone: Tone::Bad,
                title,
                text,
                news: Vec::new(),
                run: None,
                ask: None,
            };
            assert_eq!(headline(&message), wanted);
        }
    }

    #[test]
    fn a_title_is_one_line() {
        assert_eq!(
            one_line(" a\r\nBcc: all@example.com\t\u{2028}b\u{202e}\0", 99),
            "a Bcc: all@example.com b"
        );
        assert_eq!(lines("a\r\nb\u{1b}[31m", 99), "a \nb [31m");
    }
}
