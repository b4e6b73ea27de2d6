//! Compiles the protos: no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use protox::prost_reflect::prost::Message;

const PROTOS: [&str; 5] = [
    "proto/berth/v1/admin.proto",
    "proto/berth/v1/fetch.proto",
    "proto/berth/v1/lease.proto",
    "proto/berth/v1/page.proto",
    "proto/berth/v1/types.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(PROTOS, ["proto"])?;
    // For reflection.
    let descriptor = PathBuf::from(env::var("OUT_DIR")?).join("berth_descriptor.bin");
    fs::write(descriptor, files.encode_to_vec())?;
    tonic_prost_build::configure()
        // Bodies and pictures are handed on without a copy.
        .bytes(".")
        .compile_fds(files)?;
    Ok(())
}
