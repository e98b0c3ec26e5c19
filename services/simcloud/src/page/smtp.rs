//! A relay that sends nothing on: enough of SMTP to be told a letter, which is kept as it came.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::kept::{Kept, Way};

/// Longest line, and so longest command.
const LINE_BYTES_MAX: u64 = 4096;
/// Largest letter.
const LETTER_BYTES_MAX: usize = 1 << 20;
/// How long the other side may think.
const PATIENCE: Duration = Duration::from_secs(30);
/// Conversations at the same time.
const AT_ONCE: usize = 32;

pub async fn serve(listener: TcpListener, kept: Kept) -> anyhow::Result<()> {
    let mut talking = JoinSet::new();
    loop {
        let (stream, from) = listener.accept().await?;
        while talking.len() >= AT_ONCE {
            talking.join_next().await;
        }
        let kept = kept.clone();
        talking.spawn(async move {
            if let Err(error) = talk(stream, &kept).await {
                tracing::warn!(%from, %error, "a letter was broken off");
            }
        });
    }
}

async fn talk(mut stream: TcpStream, kept: &Kept) -> anyhow::Result<()> {
    let (read, mut write) = stream.split();
    converse(&mut BufReader::new(read), &mut write, kept).await
}

async fn converse(
    from: &mut (impl AsyncBufRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    kept: &Kept,
) -> anyhow::Result<()> {
    let mut people: Vec<String> = Vec::new();
    say(to, "220 page").await?;
    loop {
        let Some(line) = line(from).await? else { return Ok(()) };
        let command = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
        let answer = match command.as_str() {
            "EHLO" => "250-page\r\n250 8BITMIME",
            "RCPT" => {
                people.push(line.split_once(':').map_or("", |(_, to)| to).trim().to_owned());
                "250 ok"
            }
            "DATA" => {
                say(to, "354 go on").await?;
                let letter = letter(from).await?;
                let subject =
                    letter.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default();
                let title = format!("to {}", people.join(", "));
                kept.keep(Way::Email, title, subject.to_owned(), json!({"letter": letter}));
                people.clear();
                "250 kept"
            }
            "HELO" | "MAIL" | "RSET" | "NOOP" => "250 ok",
            "QUIT" => return say(to, "221 bye").await,
            _ => "502 not known here",
        };
        say(to, answer).await?;
    }
}

async fn say(to: &mut (impl AsyncWrite + Unpin), answer: &str) -> anyhow::Result<()> {
    Ok(timeout(PATIENCE, to.write_all(format!("{answer}\r\n").as_bytes())).await??)
}

/// The next line without its end; none when the other side has gone.
async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<Option<String>> {
    let mut line = Vec::new();
    let mut bounded = from.take(LINE_BYTES_MAX);
    if timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await?? == 0 {
        return Ok(None);
    }
    anyhow::ensure!(line.ends_with(b"\n"), "a line of more than {LINE_BYTES_MAX} bytes, or without an end");
    Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
}

/// The letter until the dot that stands alone.
async fn letter(from: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<String> {
    let mut letter = String::new();
    while let Some(line) = line(from).await? {
        if line == "." {
            return Ok(letter);
        }
        // A dot at the beginning of a line was doubled by the sender.
        letter.push_str(line.strip_prefix('.').unwrap_or(&line));
        letter.push('\n');
        anyhow::ensure!(letter.len() <= LETTER_BYTES_MAX, "a letter of more than {LETTER_BYTES_MAX} bytes");
    }
    anyhow::bail!("the letter has no end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_letter_is_kept_as_it_came() {
        let said = "EHLO us\r\nMAIL FROM:<a@b>\r\nRCPT TO:<ops@b>\r\nDATA\r\nSubject: two is down\r\n\r\n..a dot\r\n.\r\nQUIT\r\n";
        let (kept, mut answers) = (Kept::default(), Vec::new());
        converse(&mut said.as_bytes(), &mut answers, &kept).await.expect("a whole conversation");
        let answers = String::from_utf8(answers).expect("text");
        let codes: Vec<&str> = answers.lines().map(|line| &line[..3]).collect();
        assert_eq!(codes, ["220", "250", "250", "250", "250", "354", "250", "221"]);
        let all = kept.all();
        assert_eq!((all[0].title.as_str(), all[0].text.as_str()), ("to <ops@b>", "two is down"));
        assert_eq!(all[0].whole["letter"], "Subject: two is down\n\n.a dot\n");
    }

    #[tokio::test]
    async fn a_letter_without_end_is_not_kept() {
        let kept = Kept::default();
        let said = "HELO us\r\nDATA\r\nSubject: x\r\n";
        assert!(converse(&mut said.as_bytes(), &mut Vec::new(), &kept).await.is_err());
        assert!(kept.all().is_empty());
    }
}
