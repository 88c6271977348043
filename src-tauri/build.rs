//! Compiles the desktop's configuration, its capabilities and the built frontend into the binary.

fn main() {
    let attributes =
        tauri_build::Attributes::new().capabilities_path_pattern("src-tauri/capabilities/*.json");
    if let Err(error) = tauri_build::try_build(attributes) {
        println!("cargo:warning=tauri.conf.json or its capabilities: {error:#}");
        std::process::exit(1);
    }
}
