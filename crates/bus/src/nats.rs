//! The port to a real nats-server.

use std::time::Duration;

use async_nats::{
    Client, HeaderMap, Request,
    client::RequestErrorKind,
    connection::State,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, pull},
        context::{GetStreamError, GetStreamErrorKind},
        kv,
        object_store::{GetErrorKind, ObjectStore},
        stream::{LastRawMessageErrorKind, RawMessageErrorKind, Stream},
    },
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use regreen_schemas::Timestamp;
use serde::Deserialize;
use tokio::{io::AsyncReadExt, sync::watch};

use crate::{
    port::{Answer, Coming, Delivery, Durable, Error, Info, Port, Stored, Updated},
    publish::{self, ANSWER_MAX, Ack},
};

/// The server speaks at least this often, so that a dead reader is noticed.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The same for those who take commands.
const TAKE_HEARTBEAT: Duration = Duration::from_secs(2);
/// Length of one pull.
const PULL: Duration = Duration::from_secs(10);
/// Most messages asked for at once; a message is at most 256 KB, mostly far less.
const PULL_MESSAGES: usize = 256;
/// A reader's consumer that nobody asks is removed by the server after this.
const INACTIVE: Duration = Duration::from_secs(30);

/// A connected client.
#[derive(Clone, Debug)]
pub struct Nats {
    /// Core NATS.
    pub client: Client,
    /// JetStream's management and reading.
    pub js: jetstream::Context,
    pub(crate) connects: watch::Receiver<u64>,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

/// A stream that could not be had.
pub(crate) fn missing_or(name: &str, error: &GetStreamError) -> Error {
    match error.kind() {
        GetStreamErrorKind::JetStream(error)
            if error.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND =>
        {
            Error::Missing(name.into())
        }
        _ => failed(error),
    }
}

impl Nats {
    async fn stream(&self, name: &str) -> Result<Stream, Error> {
        self.js.get_stream(name).await.map_err(|error| missing_or(name, &error))
    }

    async fn leader(&self, name: &str) -> Result<Stream<()>, Error> {
        self.js.get_stream_no_info(name).await.map_err(|error| missing_or(name, &error))
    }

    async fn objects(&self, bucket: String) -> Result<ObjectStore, Error> {
        self.js.get_object_store(bucket).await.map_err(failed)
    }

    async fn keys(&self, bucket: String) -> Result<kv::Store, Error> {
        self.js.get_key_value(bucket).await.map_err(failed)
    }

    async fn pull(
        &self,
        stream: String,
        config: pull::Config,
        heartbeat: Duration,
    ) -> Result<pull::Stream, Error> {
        let consumer = self.js.create_consumer_on_stream(config, stream).await.map_err(failed)?;
        let messages =
            consumer.stream().heartbeat(heartbeat).expires(PULL).max_messages_per_batch(PULL_MESSAGES);
        messages.messages().await.map_err(failed)
    }
}

/// A consumer of ours alone, that dies with us.
fn passing(deliver_policy: DeliverPolicy, filter_subject: String) -> pull::Config {
    pull::Config {
        deliver_policy,
        filter_subject,
        ack_policy: AckPolicy::None,
        inactive_threshold: INACTIVE,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    }
}

fn stored(message: &jetstream::Message) -> Result<Stored, Error> {
    let info = message.info().map_err(failed)?;
    Ok(Stored {
        seq: info.stream_sequence,
        time: Timestamp(info.published.timestamp_millis()),
        subject: message.subject.to_string(),
        payload: message.payload.clone(),
        pending: info.pending,
    })
}

fn raw(message: jetstream::message::StreamMessage) -> Stored {
    Stored {
        seq: message.sequence,
        time: Timestamp(message.time.timestamp_millis()),
        subject: message.subject.to_string(),
        payload: message.payload,
        pending: 0,
    }
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    seq: u64,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// What an answer to a publish says, exactly.
fn told(payload: &[u8]) -> Result<Ack, publish::Error> {
    let in_doubt = |why: String| Err(publish::Error::InDoubt(why));
    let reply: Reply = match serde_json::from_slice(payload) {
        Ok(reply) => reply,
        Err(error) => return in_doubt(format!("the answer is no acknowledgement: {error}")),
    };
    match reply.error {
        None if reply.seq > 0 => Ok(Ack { seq: reply.seq }),
        None => in_doubt("the answer names no sequence".into()),
        Some(error) if error.code == 503 && error.err_code != publish::STORE_REFUSED => {
            in_doubt(error.description)
        }
        Some(error) => Err(publish::Error::Refused { code: error.err_code, text: error.description }),
    }
}

impl Port for Nats {
    fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> BoxFuture<'_, Result<Ack, publish::Error>> {
        Box::pin(async move {
            let request = Request::new().headers(headers).payload(payload).timeout(Some(ANSWER_MAX));
            let message =
                self.client.send_request(subject, request).await.map_err(|error| match error.kind() {
                    RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                        publish::Error::Unsendable(error.to_string())
                    }
                    RequestErrorKind::TimedOut => publish::Error::InDoubt("no answer in time".into()),
                    RequestErrorKind::NoResponders => publish::Error::InDoubt("no stream answers".into()),
                    RequestErrorKind::Other => publish::Error::InDoubt(error.to_string()),
                })?;
            told(&message.payload)
        })
    }

    fn send(&self, subject: String, headers: HeaderMap, payload: Bytes) -> Answer<'_, ()> {
        Box::pin(
            async move { self.client.publish_with_headers(subject, headers, payload).await.map_err(failed) },
        )
    }

    fn subscribe(&self, subject: String) -> Answer<'_, BoxStream<'static, Bytes>> {
        Box::pin(async move {
            let messages = self.client.subscribe(subject).await.map_err(failed)?;
            Ok(messages.map(|message| message.payload).boxed())
        })
    }

    fn info(&self, stream: String) -> Answer<'_, Info> {
        Box::pin(async move {
            let stream = self.stream(&stream).await?;
            let info = stream.cached_info();
            Ok(Info {
                created: Timestamp(info.created.timestamp_millis()),
                first: info.state.first_sequence,
                last: info.state.last_sequence,
                bytes: info.state.bytes,
                bytes_max: u64::try_from(info.config.max_bytes).ok(),
            })
        })
    }

    fn message(&self, stream: String, seq: u64) -> Answer<'_, Option<Stored>> {
        Box::pin(async move {
            match self.leader(&stream).await?.get_raw_message(seq).await {
                Ok(message) => Ok(Some(raw(message))),
                Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
                Err(error) => Err(failed(error)),
            }
        })
    }

    fn last(&self, stream: String, subject: String) -> Answer<'_, Option<Stored>> {
        Box::pin(async move {
            match self.leader(&stream).await?.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => Ok(Some(raw(message))),
                Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
                Err(error) => Err(failed(error)),
            }
        })
    }

    fn follow(&self, stream: String, from: u64) -> Answer<'_, Coming<Stored>> {
        Box::pin(async move {
            let config = passing(DeliverPolicy::ByStartSequence { start_sequence: from }, String::new());
            let messages = self.pull(stream, config, HEARTBEAT).await?;
            Ok(messages.map(|message| stored(&message.map_err(failed)?)).boxed())
        })
    }

    fn newest(&self, stream: String, filter: String) -> Answer<'_, Vec<Stored>> {
        Box::pin(async move {
            let config = passing(DeliverPolicy::LastPerSubject, filter);
            let consumer = self.js.create_consumer_on_stream(config, stream).await.map_err(failed)?;
            let mut found = Vec::new();
            loop {
                let batch = consumer.fetch().max_messages(PULL_MESSAGES).messages().await.map_err(failed)?;
                let before = found.len();
                let mut batch = batch.map(|message| stored(&message.map_err(failed)?));
                while let Some(message) = batch.next().await {
                    found.push(message?);
                }
                if found.len() - before < PULL_MESSAGES {
                    return Ok(found);
                }
            }
        })
    }

    fn take(&self, stream: String, durable: Durable) -> Answer<'_, Coming<Delivery>> {
        Box::pin(async move {
            let config = pull::Config {
                durable_name: Some(durable.name),
                filter_subject: durable.filter,
                ack_policy: AckPolicy::Explicit,
                ack_wait: durable.redelivery,
                max_ack_pending: durable.in_hand_max,
                ..pull::Config::default()
            };
            let messages = self.pull(stream, config, TAKE_HEARTBEAT).await?;
            let delivery = |message: jetstream::Message| {
                let payload = message.payload.clone();
                let done = async move { message.ack().await.map_err(failed) };
                Delivery { payload, done: Box::pin(done) }
            };
            Ok(messages.map_ok(delivery).map_err(failed).boxed())
        })
    }

    fn purge(&self, stream: String, before: u64, filter: Option<String>) -> Answer<'_, u64> {
        Box::pin(async move {
            let stream = self.leader(&stream).await?;
            let purge = stream.purge().sequence(before);
            let purged = match filter {
                Some(filter) => purge.filter(filter).await,
                None => purge.await,
            };
            purged.map(|purged| purged.purged).map_err(failed)
        })
    }

    fn get(&self, bucket: String, name: String) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut object = match self.objects(bucket).await?.get(&name).await {
                Ok(object) => object,
                Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            let mut bytes = Vec::new();
            // Its own digest is checked while it is read.
            object.read_to_end(&mut bytes).await.map_err(|error| Error::Damaged(error.to_string()))?;
            Ok(Some(bytes))
        })
    }

    fn put(&self, bucket: String, name: String, bytes: Bytes) -> Answer<'_, ()> {
        Box::pin(async move {
            let store = self.objects(bucket).await?;
            store.put(name.as_str(), &mut bytes.as_ref()).await.map(|_| ()).map_err(failed)
        })
    }

    fn list(&self, bucket: String) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            let objects = self.objects(bucket).await?.list().await.map_err(failed)?;
            objects.map_ok(|info| info.name).map_err(failed).try_collect().await
        })
    }

    fn delete(&self, bucket: String, name: String) -> Answer<'_, ()> {
        Box::pin(async move { self.objects(bucket).await?.delete(&name).await.map_err(failed) })
    }

    fn sweep(&self, bucket: String) -> Answer<'_, ()> {
        Box::pin(async move {
            // Subjects first: an object that is finished meanwhile is known.
            let prefix = format!("$O.{bucket}.C.");
            let stream = self.leader(&format!("OBJ_{bucket}")).await?;
            let subjects = stream.info_with_subjects(format!("{prefix}>")).await.map_err(failed)?;
            let subjects: Vec<(String, usize)> = subjects.map_err(failed).try_collect().await?;
            let objects = self.objects(bucket).await?.list().await.map_err(failed)?;
            let known: std::collections::BTreeSet<String> =
                objects.map_ok(|info| info.nuid).map_err(failed).try_collect().await?;
            for (subject, _) in subjects {
                if subject.strip_prefix(&prefix).is_some_and(|nuid| !known.contains(nuid)) {
                    stream.purge().filter(&subject).await.map_err(failed)?;
                }
            }
            Ok(())
        })
    }

    fn entry(&self, bucket: String, key: String) -> Answer<'_, Option<(u64, Bytes)>> {
        Box::pin(async move {
            let entry = self.keys(bucket).await?.entry(key).await.map_err(failed)?;
            Ok(entry.map(|entry| (entry.revision, entry.value)))
        })
    }

    fn update(&self, bucket: String, key: String, value: Bytes, revision: u64) -> Answer<'_, Updated> {
        Box::pin(async move {
            match self.keys(bucket).await?.update(key, value, revision).await {
                Ok(_) => Ok(Updated::Written),
                Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(Updated::Moved),
                Err(error) => Err(failed(error)),
            }
        })
    }

    fn watch(&self, bucket: String, keys: String) -> Answer<'_, Coming<(String, Bytes)>> {
        Box::pin(async move {
            let entries = self.keys(bucket).await?.watch_with_history(keys).await.map_err(failed)?;
            Ok(entries.map_ok(|entry| (entry.key, entry.value)).map_err(failed).boxed())
        })
    }

    fn connects(&self) -> watch::Receiver<u64> {
        self.connects.clone()
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_acknowledgement_a_refusal_or_nothing() {
        assert_eq!(told(br#"{"stream":"F","seq":7}"#), Ok(Ack { seq: 7 }));
        let refused = told(br#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence"}}"#);
        let text = "wrong last sequence".to_owned();
        assert_eq!(refused, Err(publish::Error::Refused { code: publish::WRONG_LAST_SEQUENCE, text }));
        let full =
            told(br#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}"#);
        assert!(matches!(full, Err(publish::Error::Refused { code: publish::STORE_REFUSED, .. })));
        for doubt in [&br#"{"error":{"code":503,"description":"no leader"}}"#[..], b"{}", b"half"] {
            assert!(matches!(told(doubt), Err(publish::Error::InDoubt(_))));
        }
    }
}
