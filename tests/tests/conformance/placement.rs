//! A place for the loop that cannot be had is refused, and not another taken for it.

use b4ae_core::{Accept, Config, Identity, ModePolicy, SecretIdentity, Seed, Traffic};
use b4ae_tokio::{BindError, EndpointConfig, Placement};

fn config() -> EndpointConfig {
    let core = Config::builder(Traffic::balanced()).accept(Accept::Anyone(ModePolicy::A)).build().expect("sound");
    let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new([1; 32])));
    EndpointConfig::new(identity, core).listen("127.0.0.1:0".parse().expect("an address")).placement(Placement::Runtime)
}

#[test]
fn a_runtime_that_is_not_there_is_refused() {
    // Futures of Tokio's adapter, polled by another runtime.
    let tokio = smol::block_on(b4ae_tokio::Endpoint::bind(config())).map(drop);
    let smol = smol::block_on(b4ae_smol::Endpoint::bind(config())).map(drop);
    let blocking = b4ae_blocking::Endpoint::bind(config()).map(drop);
    for refused in [tokio, smol, blocking] {
        assert!(matches!(refused, Err(BindError::NoRuntime)), "{refused:?}");
    }
}
