//! The API and the page over a line that is none, to work on the page and to fuzz the API:
//! `cargo run --all-features --example page 127.0.0.1:8080 [TOKEN]`.

use eyeline::{
    config::raw::Stream,
    frame::ImageSize,
    serve::{
        Gate, Listen, Server,
        fake::FakeLine,
        operate::{Operate, StreamState},
    },
};
use std::{env, error::Error, sync::Arc, thread, time::Duration};

const PICTURE: ImageSize = ImageSize { width: 640, height: 360 };
const FRAME_INTERVAL: Duration = Duration::from_millis(66);

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into()).parse()?;
    let gate = env::args().nth(2).map_or(Gate::ThisMachine, |token| Gate::token(&token));
    let line = FakeLine::default();
    for name in ["Car park", "Front gate", "Loading bay"] {
        line.add(&Stream { name: Some(name.into()), file: "camera.mp4".into(), ..Stream::default() })?;
        line.set(name, |status| (status.state, status.fps) = (StreamState::Live, 15.0));
    }
    let server = Server::start(&Listen { address, tls: None }, gate, Arc::new(line.clone()))?;
    eprintln!("http://{}/", server.address());
    for frame in 0.. {
        line.streams().iter().for_each(|stream| line.show(&stream.name, frame, PICTURE));
        thread::sleep(FRAME_INTERVAL);
    }
    Ok(())
}
