//! Two endpoints in one process, on async-std: the loop of one on its own thread, that of the other a task.

use std::error::Error;
use std::time::Duration;

use b4ae_core::{Accept, Config, Identity, ModePolicy, SecretIdentity, Seed, Traffic};
use b4ae_smol::{Endpoint, EndpointConfig};

fn identity() -> Result<Identity, Box<dyn Error>> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(|e| e.to_string())?;
    Ok(Identity::from_secret(&SecretIdentity::generate(&Seed::new(entropy))))
}

fn main() -> Result<(), Box<dyn Error>> {
    async_std::task::block_on(async {
        let config = Config::builder(Traffic::constant(Duration::from_millis(5)));
        let listening = config.clone().accept(Accept::Anyone(ModePolicy::A_THEN_B)).build()?;
        let listening = EndpointConfig::new(identity()?, listening).listen("127.0.0.1:0".parse()?);
        let (bob, run) = Endpoint::bind_with_loop(listening)?;
        async_std::task::spawn(run);
        let dialling = EndpointConfig::new(identity()?, config.build()?).listen("127.0.0.1:0".parse()?);
        let alice = Endpoint::bind(dialling).await?;

        let answering = async_std::task::spawn({
            let bob = bob.clone();
            async move {
                let peer = bob.accept().await?;
                let message = peer.recv().await?;
                peer.send(message).await?;
                peer.flush().await?;
                Ok::<_, Box<dyn Error + Send + Sync>>(())
            }
        });
        let peer = alice.connect(&bob.uri("127.0.0.1")).await?;
        peer.send("hello").await?;
        println!("{} bytes came back", peer.recv().await?.len());
        answering.await.map_err(|e| e.to_string())?;
        alice.close(Duration::from_secs(5)).await;
        bob.close(Duration::from_secs(5)).await;
        Ok(())
    })
}
