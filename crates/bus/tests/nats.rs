//! The bus over a real NATS server, which dies and comes back.
//!
//! The server is found by `HAECHI_TEST_NATS`, the path of the program `nats-server`.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use haechi_bus::{Bus, BusConfig, Topic};
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(30);

/// A NATS server with a token, killed when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(port: u16) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "set by the test command, not by an operator"
        )]
        let program = std::env::var_os("HAECHI_TEST_NATS")
            .expect("HAECHI_TEST_NATS names nats-server: run the tests with `cargo xtask test`");
        let child = Command::new(program)
            .args(["-a", "127.0.0.1", "--auth", "secret", "-p"])
            .arg(port.to_string())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn node(server: &Server, token: &str) -> Bus {
    Bus::open(BusConfig {
        servers: vec![format!("nats://127.0.0.1:{}", server.port)],
        token: Some(token.to_owned()),
        prefix: "test".to_owned(),
    })
    .unwrap()
}

/// Tells until it is heard: what is told before the listener is known is lost, as it may be.
async fn until_heard(from: &Bus, to: &mut tokio::sync::mpsc::Receiver<Vec<u8>>, message: &[u8]) {
    let heard = async {
        loop {
            from.tell(Topic::Hint, message.to_vec());
            if let Ok(Some(heard)) = timeout(Duration::from_millis(100), to.recv()).await
                && heard == message
            {
                return;
            }
        }
    };
    timeout(SOON, heard).await.expect("heard in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_hear_one_another_again_when_the_server_comes_back() {
    let server = Server::start(free_port());
    let (one, two) = (node(&server, "secret"), node(&server, "secret"));
    let stranger = node(&server, "wrong");
    let (mut by_one, mut by_two) = (one.listen(Topic::Hint), two.listen(Topic::Hint));
    let mut typing = two.listen(Topic::Typing);
    until_heard(&one, &mut by_two, b"first").await;
    until_heard(&two, &mut by_one, b"second").await;
    assert!(one.is_there() && !stranger.is_there());

    let port = server.port;
    drop(server);
    timeout(SOON, async {
        while one.is_there() || two.is_there() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the loss is noticed");
    for number in 0..10_000_u32 {
        one.tell(Topic::Hint, number.to_be_bytes().to_vec());
    }

    let _server = Server::start(port);
    until_heard(&one, &mut by_two, b"third").await;
    until_heard(&two, &mut by_one, b"fourth").await;
    while let Ok(own) = by_one.try_recv() {
        assert_ne!(own, b"third", "nobody hears himself");
    }
    one.tell(Topic::Typing, b"mina".to_vec());
    assert_eq!(timeout(SOON, typing.recv()).await.expect("in time").expect("open"), b"mina");
}

#[tokio::test]
async fn without_servers_there_is_nobody() {
    let bus = Bus::open(BusConfig::default()).unwrap();
    bus.tell(Topic::Hint, b"to nobody".to_vec());
    assert_eq!(bus.listen(Topic::Hint).recv().await, None);
    assert!(bus.is_there());
    let bad = BusConfig { servers: vec!["nats://[".to_owned()], ..BusConfig::default() };
    assert!(Bus::open(bad).unwrap_err().to_string().contains("nats://host:4222"));
}
