//! One question to a name server. Without cache, search list or a second try: what is asked is what is looked at.

use std::{net::SocketAddr, sync::Arc};

use futures::future::select_ok;
use hickory_proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{Name, RecordType},
};
use regreen_schemas::view::{Check, DnsRecord};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket, lookup_host},
};

use super::{Failed, Found};

/// Where the system names its name servers.
const SYSTEM: &str = "/etc/resolv.conf";
/// How many of them count, as resolv.conf(5) says.
const SYSTEM_MAX: usize = 3;
/// Longest answer by UDP that is asked for, in bytes; what is longer comes by TCP. As DNS flag day 2020 advises.
const DATAGRAM_MAX: u16 = 1232;

pub async fn look(
    check: &Check,
    name: &str,
    record: DnsRecord,
    server: Option<&str>,
    expect: &[Arc<str>],
) -> Result<Found, Failed> {
    let question = question(name, kind(record))?;
    let servers = match server {
        Some(server) => lookup_host(server).await?.take(1).collect(),
        None => system().await,
    };
    let asked: Vec<_> = servers.into_iter().map(|server| Box::pin(ask(server, &question))).collect();
    if asked.is_empty() {
        return Err(Failed::NoAnswer("the name server has no address".into()));
    }
    // The system's are asked at once: which of them answers makes no difference.
    let (answer, _) = select_ok(asked).await?;
    Ok(judge(check, &answer, record, expect))
}

/// Judges an answer.
fn judge(check: &Check, answer: &Message, record: DnsRecord, expect: &[Arc<str>]) -> Found {
    let kind = kind(record);
    let of_kind = |found: &&hickory_proto::rr::Record| found.record_type() == kind;
    let found: Vec<String> =
        answer.answers.iter().filter(of_kind).map(|found| plain(record, &found.data.to_string())).collect();
    if answer.metadata.response_code == ResponseCode::NXDomain {
        return Found::down("there is no such name");
    }
    if found.is_empty() {
        return Found::down(format!("there is no {kind} record"));
    }
    if let Some(missing) = expect.iter().find(|text| !found.contains(&plain(record, text))) {
        return Found::down(format!("`{missing}` is not among the answers: {}", found.join(", ")));
    }
    Found::measured(check, found.len() as f64, format!("{} {kind} records", found.len()))
}

/// A record's text in one form: names have no case and no dot at their end, texts no quotes.
fn plain(record: DnsRecord, text: &str) -> String {
    match record {
        DnsRecord::Txt => text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .map_or_else(|| text.to_owned(), |text| text.replace("\" \"", "")),
        _ => text.trim_end_matches('.').to_ascii_lowercase(),
    }
}

fn kind(record: DnsRecord) -> RecordType {
    match record {
        DnsRecord::A => RecordType::A,
        DnsRecord::Aaaa => RecordType::AAAA,
        DnsRecord::Cname => RecordType::CNAME,
        DnsRecord::Mx => RecordType::MX,
        DnsRecord::Ns => RecordType::NS,
        DnsRecord::Srv => RecordType::SRV,
        DnsRecord::Txt => RecordType::TXT,
    }
}

/// The message that asks, with an id of its own.
fn question(name: &str, kind: RecordType) -> Result<Message, Failed> {
    let mut full = Name::from_str_relaxed(name)
        .map_err(|error| Failed::Blind(format!("`{name}` can't be asked for: {error}")))?;
    full.set_fqdn(true);
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.queries.push(Query::query(full, kind));
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM_MAX);
    message.edns = Some(edns);
    Ok(message)
}

/// The name servers of the system, read anew: it may move.
async fn system() -> Vec<SocketAddr> {
    let text = tokio::fs::read_to_string(SYSTEM).await.unwrap_or_default();
    servers(&text)
}

/// The name servers that a resolv.conf names; the machine's own when there is none.
fn servers(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        Some(SocketAddr::new(address.parse().ok()?, 53))
    });
    let named: Vec<_> = named.take(SYSTEM_MAX).collect();
    if named.is_empty() { vec![SocketAddr::from(([127, 0, 0, 1], 53))] } else { named }
}

/// Asks by UDP, and by TCP for what is too long.
async fn ask(server: SocketAddr, question: &Message) -> Result<Message, Failed> {
    let bytes = question.to_vec().map_err(|error| Failed::Blind(error.to_string()))?;
    let mut answer = by_udp(server, question, &bytes).await?;
    if answer.metadata.truncation {
        answer = by_tcp(server, question, &bytes).await?;
    }
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer),
        // It could not tell.
        code => Err(Failed::NoAnswer(code.to_string())),
    }
}

async fn by_udp(server: SocketAddr, question: &Message, bytes: &[u8]) -> Result<Message, Failed> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    // Connected: only what comes from the server is received, and its refusal is.
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; DATAGRAM_MAX.into()];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What answers another question is not ours; the look's timeout bounds the wait.
        if let Some(answer) = answers(question, &buffer[..length]) {
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, question: &Message, bytes: &[u8]) -> Result<Message, Failed> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(|error| Failed::Blind(error.to_string()))?;
    stream.write_all(&[&length.to_be_bytes()[..], bytes].concat()).await?;
    let mut buffer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut buffer).await?;
    answers(question, &buffer).ok_or_else(|| Failed::NoAnswer("it answers another question".into()))
}

/// The message, if it answers the question.
fn answers(question: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let ours = answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && (answer.queries.is_empty() || answer.queries == question.queries);
    ours.then_some(answer)
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::OpCode,
        rr::{
            RData, Record,
            rdata::{A, AAAA, CNAME, MX, SRV, TXT},
        },
    };
    use regreen_schemas::{
        check::Status,
        view::{Bound, Kind},
    };

    use super::*;
    use crate::look::check_of;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    fn answer(code: ResponseCode, data: Vec<RData>) -> Message {
        let mut message = Message::error_msg(1, OpCode::Query, code);
        message.answers =
            data.into_iter().map(|data| Record::from_rdata(name("a.example."), 60, data)).collect();
        message
    }

    #[test]
    fn answers_are_counted_and_compared_as_in_a_zone_file() {
        let two = || vec![RData::A(A::new(192, 0, 2, 1)), RData::A(A::new(192, 0, 2, 2))];
        let chain = vec![RData::CNAME(CNAME(name("b.example."))), RData::A(A::new(192, 0, 2, 1))];
        let mx = vec![RData::MX(MX::new(10, name("Mail.example.")))];
        let srv = vec![RData::SRV(SRV::new(1, 2, 443, name("b.example.")))];
        let txt = || vec![RData::TXT(TXT::new(vec!["v=spf1 ".into(), "-all".into()]))];
        let six = vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
        let ok = ResponseCode::NoError;
        let table = [
            (DnsRecord::A, ok, two(), vec![], Status::Up, ""),
            (DnsRecord::A, ok, two(), vec!["192.0.2.2"], Status::Up, ""),
            (
                DnsRecord::A,
                ok,
                two(),
                vec!["192.0.2.2", "192.0.2.3"],
                Status::Down,
                "`192.0.2.3` is not among the answers: 192.0.2.1, 192.0.2.2",
            ),
            (DnsRecord::A, ok, chain.clone(), vec![], Status::Degraded, "1 A records"),
            (DnsRecord::Cname, ok, chain, vec!["b.example"], Status::Degraded, "1 CNAME records"),
            (DnsRecord::Mx, ok, mx, vec!["10 mail.example."], Status::Degraded, "1 MX records"),
            (DnsRecord::Srv, ok, srv, vec!["1 2 443 b.example"], Status::Degraded, "1 SRV records"),
            (DnsRecord::Txt, ok, txt(), vec!["v=spf1 -all"], Status::Degraded, "1 TXT records"),
            (DnsRecord::Txt, ok, txt(), vec!["\"v=spf1 \" \"-all\""], Status::Degraded, "1 TXT records"),
            (DnsRecord::Aaaa, ok, six, vec!["2001:DB8::1"], Status::Degraded, "1 AAAA records"),
            (DnsRecord::Ns, ok, two(), vec![], Status::Down, "there is no NS record"),
            (DnsRecord::A, ResponseCode::NXDomain, vec![], vec![], Status::Down, "there is no such name"),
        ];
        for (record, code, data, expect, status, reason) in table {
            let expect: Vec<Arc<str>> = expect.into_iter().map(Arc::from).collect();
            let kind = Kind::Dns { name: "a.example".into(), record, server: None, expect: expect.clone() };
            let check = check_of(kind, Some(Bound::Below(2.0)), None);
            let found = judge(&check, &answer(code, data), record, &expect);
            assert_eq!((found.status, found.reason.as_ref()), (status, reason), "{record:?} {expect:?}");
        }
    }

    #[test]
    fn the_systems_servers() {
        let text = "# local\nsearch a.example\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver 2001:db8::1\n";
        let found: Vec<String> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert_eq!(servers("").len(), 1);
    }

    #[test]
    fn only_an_answer_to_the_question_is_one() {
        let question = question("a.example", RecordType::A).expect("a question");
        let mut other = Message::response(question.metadata.id, OpCode::Query);
        other.queries.push(Query::query(name("b.example."), RecordType::A));
        assert!(answers(&question, &other.to_vec().expect("bytes")).is_none());
        let mut ours = Message::response(question.metadata.id, OpCode::Query);
        ours.queries = question.queries.clone();
        assert!(answers(&question, &ours.to_vec().expect("bytes")).is_some());
        assert!(answers(&question, &question.to_vec().expect("bytes")).is_none(), "a question is no answer");
    }
}
