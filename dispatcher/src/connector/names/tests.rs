//! Against a name server that does as it is told.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use hickory_resolver::{
    config::ConnectionConfig,
    proto::{
        op::{Message, MessageType, ResponseCode},
        rr::{RData, Record, RecordType},
    },
};
use tokio::{net::UdpSocket, sync::watch};

use super::*;

/// What a name server says of a name.
#[derive(Debug, Clone, Copy)]
pub(in crate::connector) enum Says {
    Address(&'static str),
    /// Nothing, ever.
    Nothing,
}

/// A name server; names that it does not know do not exist.
pub(in crate::connector) struct Server {
    pub(in crate::connector) names: Names,
    questions: Arc<AtomicUsize>,
    asked: watch::Receiver<usize>,
}

impl Server {
    pub(in crate::connector) async fn start(says: &[(&'static str, Says)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let says: HashMap<_, _> = says.iter().copied().collect();
        let questions = Arc::new(AtomicUsize::new(0));
        let (asking, asked) = watch::channel(0);
        let count = Arc::clone(&questions);
        actix_rt::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                asking.send_replace(count.fetch_add(1, Ordering::SeqCst) + 1);
                if let Some(answer) = answer(&buffer[..length], &says) {
                    socket.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        Self { names: Names::new(resolver(address), || Err(NetError::Timeout)), questions, asked }
    }
}

fn resolver(address: SocketAddr) -> TokioResolver {
    let mut connection = ConnectionConfig::udp();
    connection.port = address.port();
    let server = NameServerConfig::new(address.ip(), true, vec![connection]);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    configure(builder.options_mut());
    builder.build().unwrap()
}

fn answer(question: &[u8], says: &HashMap<&'static str, Says>) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let name = query.name().to_string();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.add_query(query.clone());
    match says.get(name.trim_end_matches('.')) {
        Some(Says::Nothing) => return None,
        Some(Says::Address(address)) => {
            let address: IpAddr = address.parse().unwrap();
            let data = match (query.query_type(), address) {
                (RecordType::A, IpAddr::V4(address)) => Some(RData::A(address.into())),
                (RecordType::AAAA, IpAddr::V6(address)) => Some(RData::AAAA(address.into())),
                _ => None,
            };
            answer
                .answers
                .extend(data.map(|data| Record::from_rdata(query.name().clone(), 60, data)));
        }
        None => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(answer.to_vec().unwrap())
}

#[actix_rt::test]
async fn a_name_whose_server_hangs_holds_up_no_other() {
    let says = [("hangs.test", Says::Nothing), ("fine.test", Says::Address("192.0.2.1"))];
    let mut server = Server::start(&says).await;
    let names = &server.names;
    let mut hanging = std::pin::pin!(join_all((0..200).map(|_| names.addresses("hangs.test"))));
    tokio::select! {
        _ = &mut hanging => panic!("it hangs"),
        asked = server.asked.wait_for(|count| *count > 0) => drop(asked.unwrap()),
    }
    let fine = tokio::select! {
        _ = &mut hanging => panic!("it held the other one up"),
        fine = names.addresses("fine.test") => fine,
    };
    assert_eq!(&*fine.unwrap(), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert!(hanging.await.iter().all(|end| *end == Err(Unresolved::Late)));
    let questions = server.questions.load(Ordering::SeqCst);
    assert!(questions < 100, "{questions} for a name that was wanted 200 times, and another");
    assert_eq!(names.addresses("hangs.test").await, Err(Unresolved::Late), "it is remembered");
}

#[actix_rt::test]
async fn answers_and_failures_are_remembered() {
    let server = Server::start(&[("six.test", Says::Address("2001:db8::1"))]).await;
    for _ in 0..3 {
        let six = server.names.addresses("six.test").await.unwrap();
        assert_eq!(&*six, ["2001:db8::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(server.names.addresses("none.test").await, Err(Unresolved::Failed));
    }
    assert_eq!(server.questions.load(Ordering::SeqCst), 4);
}

#[actix_rt::test]
async fn hosts_of_the_system_are_honoured() {
    let names = Names::of_system().unwrap();
    assert!(names.addresses("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
}
