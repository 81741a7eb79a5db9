//! A LIST of 10,000 claims and the GET of one, many times.

use std::future::Future;

use bytes::Bytes;
use http_body_util::BodyExt;

use crate::backend::{CLAIM, CLAIMS, REMOTE};
use crate::client::Client;
use crate::proxy::{Kind, Proxy};
use crate::{Bed, Error, process};

/// Enough for more than two seconds of a proxy's CPU time, which /proc tells by hundredths.
const LISTS: usize = 80;
const GETS: usize = 50_000;

/// Requests that are under way at once, all on one connection.
const LISTS_AT_ONCE: usize = 2;
const GETS_AT_ONCE: usize = 16;

/// Before anything is counted: connections are made, memory is mapped.
const LISTS_BEFORE: usize = 4;
const GETS_BEFORE: usize = 1000;

/// What one proxy needed in one run.
pub struct Run {
    /// CPU seconds for each 10^9 bytes that the client got.
    pub list_cpu_per_gb: f64,
    /// The most resident memory in the run of LISTs.
    pub peak_mib: f64,
    /// CPU microseconds for each GET.
    pub get_cpu_us: f64,
}

pub async fn measure(bed: &Bed, kind: Kind) -> Result<Run, Error> {
    let proxy = Proxy::start(bed, kind).await?;
    let client = Client::connect(proxy.address, bed.identities.client()?).await?;
    check(&client, kind).await?;
    many(&client, LISTS_BEFORE, LISTS_AT_ONCE, CLAIMS).await?;
    let (bytes, cpu) = counted(&proxy, many(&client, LISTS, LISTS_AT_ONCE, CLAIMS)).await?;
    let peak_kib = process::resident_peak_kib(proxy.pid())?;
    many(&client, GETS_BEFORE, GETS_AT_ONCE, CLAIM).await?;
    let (_, get_cpu) = counted(&proxy, many(&client, GETS, GETS_AT_ONCE, CLAIM)).await?;
    Ok(Run {
        list_cpu_per_gb: cpu / (bytes as f64 / 1e9),
        peak_mib: peak_kib as f64 / 1024.0,
        get_cpu_us: get_cpu * 1e6 / GETS as f64,
    })
}

/// What came of it, and the proxy's CPU seconds meanwhile.
async fn counted<T>(
    proxy: &Proxy,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<(T, f64), Error> {
    let before = process::cpu(proxy.pid())?;
    let result = work.await?;
    let cpu = process::cpu(proxy.pid())? - before;
    Ok((result, cpu.as_secs_f64()))
}

/// Whether the proxy does what it is measured at.
async fn check(client: &Client, kind: Kind) -> Result<(), Error> {
    for path in [CLAIM, CLAIMS] {
        let body = client
            .clone()
            .get(path)
            .await?
            .into_body()
            .collect()
            .await?
            .to_bytes();
        let is_remote = contains(&body, REMOTE);
        if is_remote == (kind == Kind::Rewriting) {
            return Err(format!("{kind}: {path} names {REMOTE}: {is_remote}").into());
        }
    }
    Ok(())
}

fn contains(body: &Bytes, text: &str) -> bool {
    body.windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// Asks `count` times; the bytes of all bodies.
async fn many(
    client: &Client,
    count: usize,
    at_once: usize,
    path: &'static str,
) -> Result<u64, Error> {
    let tasks: Vec<_> = (0..at_once)
        .map(|_| tokio::spawn(one_by_one(client.clone(), count / at_once, path)))
        .collect();
    let mut bytes = 0;
    for task in tasks {
        bytes += task.await??;
    }
    Ok(bytes)
}

async fn one_by_one(mut client: Client, count: usize, path: &str) -> Result<u64, Error> {
    let mut bytes = 0;
    for _ in 0..count {
        let mut body = client.get(path).await?.into_body();
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len) as u64;
        }
    }
    Ok(bytes)
}
