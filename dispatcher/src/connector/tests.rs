//! The connector against receivers that mean no good.

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    names::tests::{Says, Server},
    *,
};

const TIMEOUT: Duration = Duration::from_millis(800);
const MOST_IDLE: usize = 16;
const OK: &str = "HTTP/1.1 200 OK\r\n";

/// A connector that may go to this machine.
fn connector() -> Connector {
    patient_connector(TIMEOUT)
}

fn patient_connector(timeout: Duration) -> Connector {
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    guarded_connector(guard, timeout)
}

fn guarded_connector(guard: Guard, timeout: Duration) -> Connector {
    let names = Arc::new(Names::of_system().unwrap());
    Connector::new(Arc::new(guard), names, timeout, idle(true)).unwrap()
}

fn idle(is_too_much: bool) -> Idle {
    Idle { unasked: MOST_IDLE, is_too_much: Arc::new(move || is_too_much) }
}

fn request(url: &str) -> Request {
    let body = Bytes::from_static(b"{}");
    Request { url: url.parse().unwrap(), headers: HeaderMap::new(), body }
}

/// A receiver that treats each connection like this.
async fn receiver<F>(treat: impl Fn(TcpStream) -> F + 'static) -> (String, JoinHandle<()>)
where
    F: Future<Output = std::io::Result<()>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = actix_rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            actix_rt::spawn(treat(stream));
        }
    });
    (url, serving)
}

/// Reads a request up to the end of its body, which is `{}`.
async fn hear(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n{}") {
        if stream.read_buf(&mut heard).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Ends a connection with a reset instead of an orderly close.
fn reset(stream: TcpStream) -> std::io::Result<()> {
    stream.set_zero_linger()
}

/// How a receiver can misbehave.
#[derive(Debug, Clone, Copy)]
enum Evil {
    Silent,
    TrickledHead,
    EndlessHeaders,
    TrickledBody,
    EndlessBody,
    EndlessChunks,
    Informational(usize),
    EndlessInformational,
    ResetBeforeHead,
    ResetAfterHead,
    CloseBeforeHead,
    Garbage,
    Redirect,
    Bomb,
}

async fn misbehave(evil: Evil, canary: String, mut stream: TcpStream) -> std::io::Result<()> {
    hear(&mut stream).await?;
    let head = |headers: &str| format!("{OK}{headers}\r\n");
    match evil {
        Evil::Silent => std::future::pending().await,
        Evil::TrickledHead => {
            stream.write_all(OK.as_bytes()).await?;
            loop {
                stream.write_all(b"x").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Evil::EndlessHeaders => {
            stream.write_all(OK.as_bytes()).await?;
            loop {
                stream.write_all(format!("x-more: {}\r\n", "a".repeat(1000)).as_bytes()).await?;
            }
        }
        Evil::TrickledBody => {
            stream.write_all(head("content-length: 4000\r\n").as_bytes()).await?;
            loop {
                stream.write_all(b"a").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Evil::EndlessBody => {
            stream.write_all(head("content-length: 1073741824\r\n").as_bytes()).await?;
            loop {
                stream.write_all(&[b'a'; 65_536]).await?;
            }
        }
        Evil::EndlessChunks => {
            stream.write_all(head("transfer-encoding: chunked\r\n").as_bytes()).await?;
            loop {
                stream.write_all(b"1\r\na\r\n").await?;
            }
        }
        Evil::Informational(count) => {
            for _ in 0..count {
                stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n").await?;
            }
            stream.write_all(head("content-length: 2\r\n").as_bytes()).await?;
            stream.write_all(b"ok").await
        }
        Evil::EndlessInformational => loop {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n").await?;
        },
        Evil::ResetBeforeHead => reset(stream),
        Evil::ResetAfterHead => {
            stream.write_all(head("content-length: 100\r\n").as_bytes()).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            reset(stream)
        }
        Evil::CloseBeforeHead => Ok(()),
        Evil::Garbage => stream.write_all(b"\x16\x03\x01 no HTTP \xff\xfe\r\n\r\n").await,
        Evil::Redirect => {
            let head =
                format!("HTTP/1.1 302 Found\r\nlocation: {canary}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
        Evil::Bomb => {
            // The beginning of a gzip stream: whoever inflates it fails, or shows other bytes.
            let head = head("content-encoding: gzip\r\ncontent-length: 4\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(b"\x1f\x8bzz").await
        }
    }
}

#[rstest]
#[case(Evil::Silent, Outcome::Timeout)]
#[case(Evil::TrickledHead, Outcome::Timeout)]
#[case(Evil::EndlessHeaders, Outcome::Broken)]
#[case(Evil::TrickledBody, Outcome::Delivered)]
#[case(Evil::EndlessBody, Outcome::Delivered)]
#[case(Evil::EndlessChunks, Outcome::Delivered)]
#[case(Evil::Informational(1000), Outcome::Delivered)]
#[case(Evil::EndlessInformational, Outcome::Timeout)]
#[case(Evil::ResetBeforeHead, Outcome::Broken)]
#[case(Evil::ResetAfterHead, Outcome::Delivered)]
#[case(Evil::CloseBeforeHead, Outcome::Broken)]
#[case(Evil::Garbage, Outcome::Broken)]
#[case(Evil::Redirect, Outcome::Redirected)]
#[case(Evil::Bomb, Outcome::Delivered)]
#[actix_rt::test]
async fn an_evil_receiver_gets_its_outcome_and_no_more(
    #[case] evil: Evil,
    #[case] expected: Outcome,
) {
    let (canary, touched) = canary().await;
    let (url, serving) = receiver(move |stream| misbehave(evil, canary.clone(), stream)).await;
    let patience = TIMEOUT + Duration::from_secs(5);
    let answer = tokio::time::timeout(patience, connector().post(request(&url))).await;
    let answer = answer.expect("the attempt ends by itself");
    assert_eq!(answer.outcome, expected);
    assert!(!answer.refused, "it may have been sent");
    assert!(answer.body.len() <= RESPONSE_CAP, "{} bytes were kept", answer.body.len());
    if matches!(evil, Evil::Bomb) {
        assert!(answer.body.ends_with("zz"), "it was inflated");
    }
    assert!(!touched.is_finished(), "the redirect was followed");
    serving.abort();
}

#[rstest]
#[case(Evil::EndlessBody)]
#[case(Evil::EndlessChunks)]
#[actix_rt::test]
async fn no_more_is_read_than_is_kept(#[case] evil: Evil) {
    let (url, serving) = receiver(move |stream| misbehave(evil, String::new(), stream)).await;
    let connector = patient_connector(Duration::from_secs(3600));
    let answer = connector.post(request(&url));
    let answer = tokio::time::timeout(Duration::from_secs(60), answer).await.expect("it ends");
    assert_eq!(answer.body.len(), RESPONSE_CAP);
    serving.abort();
}

/// A listener that nobody must connect to, and what ends when somebody does.
async fn canary() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let touched = actix_rt::spawn(async move {
        listener.accept().await.unwrap();
    });
    (url, touched)
}

/// Where a name leads is known only once it is resolved.
#[rstest]
#[case::nothing_allowed(&[], "http", Outcome::Forbidden)]
#[case::another_network_allowed(&["10.0.0.0/8"], "http", Outcome::Forbidden)]
#[case::another_network_allowed_tls(&["10.0.0.0/8"], "https", Outcome::Forbidden)]
#[actix_rt::test]
async fn no_connection_is_made_to_a_private_address_behind_a_name(
    #[case] allowed: &[&str],
    #[case] scheme: &str,
    #[case] expected: Outcome,
) {
    let (url, touched) = canary().await;
    let port = url.parse::<Url>().unwrap().port().unwrap();
    let guard = Guard::new(allowed.iter().map(|network| network.parse().unwrap()).collect());
    let connector = guarded_connector(guard, TIMEOUT);
    let answer = connector.post(request(&format!("{scheme}://localhost:{port}/"))).await;
    assert_eq!(answer.outcome, expected);
    let literal = connector.post(request(&format!("{scheme}://127.0.0.1:{port}/"))).await;
    assert_eq!(literal.outcome, Outcome::Forbidden);
    tokio::task::yield_now().await;
    assert!(!touched.is_finished(), "somebody connected");
}

#[actix_rt::test]
async fn an_allowed_name_is_connected_to() {
    let (url, serving) =
        receiver(|stream| misbehave(Evil::Informational(0), String::new(), stream)).await;
    let answer = connector().post(request(&url.replace("127.0.0.1", "localhost"))).await;
    assert_eq!(answer.outcome, Outcome::Delivered);
    serving.abort();
}

#[actix_rt::test]
async fn a_closed_port_is_a_failed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let answer = connector().post(request(&url)).await;
    assert_eq!(answer.outcome, Outcome::ConnectFailed);
    assert!(answer.refused, "it can be sent again at once");
}

/// The receiver closes each connection after one answer without saying so, as servers do with idle
/// ones. What finds its pooled connection closed was not sent, and is no failed attempt.
#[actix_rt::test]
async fn a_connection_that_was_closed_while_idle_costs_no_attempt() {
    let (url, serving) = receiver(|mut stream| async move {
        hear(&mut stream).await?;
        stream.write_all(format!("{OK}content-length: 0\r\n\r\n").as_bytes()).await
    })
    .await;
    let connector = connector();
    for attempt in 0..50 {
        let answer = connector.post(request(&url)).await;
        assert_eq!(answer.outcome, Outcome::Delivered, "attempt {attempt}");
    }
    serving.abort();
}

/// Each of the addresses that a name server gives is judged.
#[actix_rt::test]
async fn no_connection_is_made_where_a_name_server_says_a_private_address() {
    let (url, touched) = canary().await;
    let port = url.parse::<Url>().unwrap().port().unwrap();
    let server = Server::start(&[("evil.test", Says::Address("127.0.0.1"))]).await;
    let guard = Guard::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let connector =
        Connector::new(Arc::new(guard), Arc::new(server.names), TIMEOUT, idle(true)).unwrap();
    for scheme in ["http", "https"] {
        let answer = connector.post(request(&format!("{scheme}://evil.test:{port}/"))).await;
        assert_eq!(answer.outcome, Outcome::Forbidden);
    }
    assert!(!touched.is_finished(), "somebody connected");
}

/// Receivers that answer once and keep their connections: those that nobody uses are bounded.
#[actix_rt::test]
async fn idle_connections_of_many_hosts_are_bounded() {
    let open = Arc::new(std::sync::atomic::AtomicIsize::new(0));
    let connector = connector();
    let mut serving = Vec::new();
    for _ in 0..4 * MOST_IDLE {
        let count = Arc::clone(&open);
        let (url, task) = receiver(move |mut stream| {
            let count = Arc::clone(&count);
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                hear(&mut stream).await?;
                stream.write_all(format!("{OK}content-length: 0\r\n\r\n").as_bytes()).await?;
                // Until the other side closes it.
                while stream.read(&mut [0; 64]).await? > 0 {}
                count.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        })
        .await;
        serving.push(task);
        assert_eq!(connector.post(request(&url)).await.outcome, Outcome::Delivered);
    }
    let bounded = async {
        while open.load(Ordering::SeqCst) > MOST_IDLE as isize {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), bounded).await.expect("they are closed");
    serving.iter().for_each(JoinHandle::abort);
}

/// A busy receiver keeps more connections than that, where nothing else runs short of them.
#[actix_rt::test]
async fn bursts_use_the_connections_of_those_before() {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let (url, serving) = receiver(move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            loop {
                hear(&mut stream).await?;
                // All of a burst have their requests out by then.
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.write_all(format!("{OK}content-length: 0\r\n\r\n").as_bytes()).await?;
            }
        }
    })
    .await;
    let mut connector = patient_connector(Duration::from_secs(10));
    connector.idle = idle(false);
    let burst = 4 * MOST_IDLE;
    for _ in 0..5 {
        let answers = join_all((0..burst).map(|_| connector.post(request(&url)))).await;
        assert!(answers.iter().all(|answer| answer.outcome == Outcome::Delivered));
    }
    // One for each of a burst, and some that a connection which became free made superfluous.
    assert!(opened.load(Ordering::SeqCst) < 2 * burst, "{opened:?}");
    serving.abort();
}
