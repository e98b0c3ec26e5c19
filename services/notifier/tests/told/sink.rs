//! A relay in a few lines: takes what it is told to take, refuses the rest, and may go away at the worst moment.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// What it says; an empty text closes the connection instead.
#[derive(Clone, Copy)]
pub struct Script {
    pub ehlo: &'static str,
    pub auth: &'static str,
    pub rcpt: fn(&str) -> &'static str,
    pub data: &'static str,
    /// After the whole e-mail.
    pub end: &'static str,
}

pub const TAKES: Script = Script {
    ehlo: "250-sink\r\n250 8BITMIME\r\n",
    auth: "535 5.7.8 no\r\n",
    rcpt: |_| "250 ok\r\n",
    data: "354 go on\r\n",
    end: "250 2.0.0 queued\r\n",
};

pub struct Sink {
    pub port: u16,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = lines.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever speaks to it may leave when they like.
                drop(talk(stream, script, &heard).await);
            }
        });
        Self { port, lines }
    }

    /// Every line that it heard, e-mails included.
    pub fn heard(&self) -> Vec<String> {
        self.lines.lock().expect("nobody panics with it").clone()
    }
}

async fn talk(stream: TcpStream, script: Script, heard: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 sink\r\n").await?;
    let mut letter = false;
    while let Some(line) = lines.next_line().await? {
        heard.lock().expect("nobody panics with it").push(line.clone());
        let word = line.split(' ').next().unwrap_or_default();
        let answer = match word {
            "." if letter => {
                letter = false;
                script.end
            }
            _ if letter => continue,
            "EHLO" => script.ehlo,
            "AUTH" => script.auth,
            "RCPT" => (script.rcpt)(&line),
            "DATA" => {
                letter = script.data.starts_with("354");
                script.data
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        if answer.is_empty() {
            return Ok(());
        }
        write.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
