//! socketioxide on axum and one thread of tokio: the figures are per core.

use std::{env, io, net::SocketAddr, time::Duration};

use axum::{Router, serve::ListenerExt};
use rmpv::Value;
use serde::{Deserialize, Serialize};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};
use tokio::net::TcpSocket;

const BACKLOG: u32 = 4096;
const NOTHING: [(); 0] = [];

#[derive(Deserialize, Serialize)]
struct Item {
    count: i64,
    text: String,
}

async fn on_connection(socket: SocketRef) {
    socket.on("echo", async |socket: SocketRef, Data::<Value>(value)| {
        socket.emit("echo", &value).ok();
    });
    socket.on("ack", async |Data::<Value>(value), ack: AckSender| {
        ack.send(&value).ok();
    });
    socket.on("broadcast", async |io: SocketIo, Data::<Value>(value)| {
        io.emit("broadcast", &value).await.ok();
    });
    socket.on(
        "room",
        async |io: SocketIo, Data::<(String, Value)>((name, value))| {
            io.to(name).emit("room", &value).await.ok();
        },
    );
    socket.on(
        "join",
        async |socket: SocketRef, Data::<Vec<String>>(names), ack: AckSender| {
            socket.join(names);
            ack.send(&NOTHING).ok();
        },
    );
    socket.on(
        "leave",
        async |socket: SocketRef, Data::<Vec<String>>(names), ack: AckSender| {
            socket.leave(names);
            ack.send(&NOTHING).ok();
        },
    );
    socket.on("item", async |socket: SocketRef, Data::<Item>(item)| {
        socket.emit("item", &item).ok();
    });
    // Nothing waits to be collected here.
    socket.on("collect", async |ack: AckSender| {
        ack.send(&NOTHING).ok();
    });
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let port: u16 = arguments
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let heartbeats = arguments
        .next()
        .is_some_and(|feature| feature == "heartbeats");
    let interval = Duration::from_secs(if heartbeats { 5 } else { 25 });
    let (layer, io) = SocketIo::builder().ping_interval(interval).build_layer();
    io.ns("/", on_connection);
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let listener = socket.listen(BACKLOG)?.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    println!("ready {}", versions());
    axum::serve(listener, Router::new().layer(layer)).await
}

/// The versions the figures belong to, from the lock file that the program was built with.
fn versions() -> String {
    let lock = include_str!("../Cargo.lock");
    let version = |name: &str| {
        let (_, entry) = lock
            .split_once(&format!("name = \"{name}\"\nversion = \""))
            .expect(name);
        let (version, _) = entry.split_once('"').expect(name);
        format!("{name} {version}")
    };
    format!(
        "{}, {}, {}, {}",
        version("socketioxide"),
        version("axum"),
        version("tokio"),
        env!("RUSTC_VERSION")
    )
}
