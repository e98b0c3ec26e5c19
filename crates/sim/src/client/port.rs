//! What a process asks of the model: each call of the port as a request on its connection.

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use rand::Rng;
use regreen_bus::{
    port::{Answer, Coming, Delivery, Durable, Info, Port, Stored, Updated},
    publish::{self, Ack},
};
use tokio::sync::{mpsc, watch};

use super::Client;
use crate::server::Server;

impl Port for Client {
    fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> BoxFuture<'_, Result<Ack, publish::Error>> {
        Box::pin(async move {
            match self.write(move |server| server.take_in(&subject, &headers, &payload)).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => Err(publish::Error::InDoubt("no stream answers".into())),
                Err(error) => Err(publish::Error::InDoubt(error.to_string())),
            }
        })
    }

    fn send(&self, subject: String, headers: HeaderMap, payload: Bytes) -> Answer<'_, ()> {
        Box::pin(async move {
            self.running().await;
            let client = self.clone();
            // Not waited for: it is lost, or lands, and nobody is told.
            tokio::spawn(async move {
                let sent = client.write(move |server| server.take_in(&subject, &headers, &payload)).await;
                drop(sent);
            });
            Ok(())
        })
    }

    fn subscribe(&self, subject: String) -> Answer<'_, BoxStream<'static, Bytes>> {
        Box::pin(async move {
            self.running().await;
            let (out, messages) = mpsc::unbounded_channel();
            let client = self.clone();
            // The client subscribes anew with every connection, for ever.
            tokio::spawn(async move {
                let mut line = client.line.subscribe();
                loop {
                    let here = *line.borrow_and_update();
                    if here.dead {
                        return;
                    }
                    if !here.stands() {
                        // The sender is in the client, which we hold.
                        let _ = line.changed().await;
                        continue;
                    }
                    let mut heard = client.server.subscribe(subject.clone());
                    let hear = async {
                        while let Some(message) = heard.recv().await {
                            // Whoever subscribed may be gone.
                            let _ = out.send(message);
                        }
                        // The server is gone: the line says so in a moment.
                        std::future::pending::<()>().await;
                    };
                    let broken = line.wait_for(|line| line.n != here.n || !line.stands() || line.dead);
                    tokio::select! {
                        biased;
                        _ = broken => {}
                        () = hear => {}
                    }
                }
            });
            let client = self.clone();
            let heard = stream::unfold((messages, client), |(mut messages, client)| async move {
                let next: Bytes = messages.recv().await?;
                client.running().await;
                Some((next, (messages, client)))
            });
            Ok(heard.boxed())
        })
    }

    fn info(&self, stream: String) -> Answer<'_, Info> {
        Box::pin(self.asked(stream, Server::info))
    }

    fn message(&self, stream: String, seq: u64) -> Answer<'_, Option<Stored>> {
        Box::pin(self.asked(stream, move |server, name| server.message(name, seq)))
    }

    fn last(&self, stream: String, subject: String) -> Answer<'_, Option<Stored>> {
        Box::pin(self.asked(stream, move |server, name| server.last(name, &subject)))
    }

    fn follow(&self, stream: String, from: u64) -> Answer<'_, Coming<Stored>> {
        Box::pin(async move {
            self.asked(stream.clone(), Server::info).await?;
            Ok(self.coming(|client, out| client.follows(stream, from, out)))
        })
    }

    fn newest(&self, stream: String, filter: String) -> Answer<'_, Vec<Stored>> {
        Box::pin(self.asked(stream, move |server, name| server.newest(name, &filter)))
    }

    fn take(&self, stream: String, durable: Durable) -> Answer<'_, Coming<Delivery>> {
        Box::pin(async move {
            self.asked(stream.clone(), Server::info).await?;
            Ok(self.coming(|client, out| client.takes(stream, durable, out)))
        })
    }

    fn purge(&self, stream: String, before: u64, filter: Option<String>) -> Answer<'_, u64> {
        Box::pin(self.asked(stream, move |server, name| server.purge(name, before, filter.as_deref())))
    }

    fn get(&self, bucket: String, name: String) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let found = self.ask(move |server| server.object(&bucket, &name)).await?;
            Ok(found.map(|bytes| bytes.to_vec()))
        })
    }

    fn put(&self, bucket: String, name: String, bytes: Bytes) -> Answer<'_, ()> {
        Box::pin(self.write(move |server| server.put(&bucket, &name, bytes)))
    }

    fn list(&self, bucket: String) -> Answer<'_, Vec<String>> {
        Box::pin(self.ask(move |server| server.list(&bucket)))
    }

    fn delete(&self, bucket: String, name: String) -> Answer<'_, ()> {
        Box::pin(self.ask(move |server| server.delete(&bucket, &name)))
    }

    fn sweep(&self, _bucket: String) -> Answer<'_, ()> {
        // The model keeps no chunks.
        Box::pin(self.ask(|_| ()))
    }

    fn entry(&self, bucket: String, key: String) -> Answer<'_, Option<(u64, Bytes)>> {
        let stale = self.chance(|net| net.stale);
        Box::pin(self.ask(move |server| server.entry(&bucket, &key, stale)))
    }

    fn update(&self, bucket: String, key: String, value: Bytes, revision: u64) -> Answer<'_, Updated> {
        Box::pin(async move {
            let written = self.write(move |server| server.update(&bucket, &key, value, revision)).await?;
            Ok(if written { Updated::Written } else { Updated::Moved })
        })
    }

    fn watch(&self, bucket: String, key: String) -> Answer<'_, Coming<(String, Bytes)>> {
        Box::pin(async move {
            self.ask(|_| ()).await?;
            Ok(self.coming(|client, out| async move {
                let (mut changes, mut seen) = (client.server.changes(), 0);
                loop {
                    changes.mark_unchanged();
                    if let Some((revision, value)) = client.server.entry(&bucket, &key, false)
                        && revision != seen
                    {
                        seen = revision;
                        if out.send(Ok((key.clone(), value))).await.is_err() {
                            return;
                        }
                    }
                    tokio::select! {
                        biased;
                        () = out.closed() => return,
                        _ = changes.changed() => {}
                    }
                }
            }))
        })
    }

    fn connects(&self) -> watch::Receiver<u64> {
        self.connects.subscribe()
    }

    fn is_connected(&self) -> bool {
        self.line.borrow().stands()
    }

    fn random(&self) -> u64 {
        self.random(Rng::random)
    }
}
