//! socketioxide on axum and one thread of tokio: the figures are per core.

use std::env;

use axum::{Router, serve::ListenerExt};
use rmpv::Value;
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};
use tokio::net::TcpListener;

async fn on_connection(socket: SocketRef) {
    socket.on("echo", async |socket: SocketRef, Data::<Value>(data)| {
        socket.emit("echo", &data).ok();
    });
    socket.on("ack", async |Data::<Value>(data), ack: AckSender| {
        ack.send(&data).ok();
    });
    socket.on("broadcast", async |io: SocketIo, Data::<Value>(data)| {
        io.emit("broadcast", &data).await.ok();
    });
    // Nothing waits to be collected here.
    socket.on("collect", async |ack: AckSender| {
        ack.send::<[(); 0]>(&[]).ok();
    });
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", on_connection);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    println!("ready {}", versions());
    axum::serve(listener, Router::new().layer(layer)).await
}

/// The versions the figures belong to, from the lock file that the program was built with.
fn versions() -> String {
    let lock = include_str!("../Cargo.lock");
    let version = |name: &str| {
        let (_, entry) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).expect(name);
        let (version, _) = entry.split_once('"').expect(name);
        format!("{name} {version}")
    };
    format!("{}, {}, {}, {}", version("socketioxide"), version("axum"), version("tokio"), env!("RUSTC_VERSION"))
}
