//! Rebuilds a release when the frontend it carries was built anew: files that were not there at the last build are
//! known to no compiler. Other builds read the frontend from disk as it is.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("PROFILE").is_some_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed=../../frontend/dist");
    }
}
