//! How the library is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The library's references to itself are bound here, once. Otherwise, the dynamic linker looks up each of 180,000 by its
    // name whenever a function starts. On macOS, the linker does so by itself.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg=-Wl,-Bsymbolic");
    }
}
