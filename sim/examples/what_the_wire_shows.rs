//! Two runs of one world, silent and busy, as someone on the links sees them; then the network the busy one met.
//!
//! `cargo run -p b4ae-sim --example what_the_wire_shows`

use std::error::Error;
use std::time::Duration;

use b4ae_core::{Accept, Config, ModePolicy, Traffic};
use b4ae_sim::{Action, Behaviour, HostSpec, Network, Observer, Sighting, World};

fn main() -> Result<(), Box<dyn Error>> {
    let silent = watch(Behaviour::Silent)?;
    let busy = watch(Behaviour::File { at_ms: 500, bytes: 100_000 })?;
    println!("silent: {} datagrams, busy: {}", silent.len(), busy.len());
    for seen in busy.iter().take(5) {
        println!("  {seen}");
    }
    match Observer::difference(&silent, &busy) {
        None => println!("no difference"),
        Some(difference) => println!("they differ: {difference}"),
    }
    Ok(())
}

/// Three seconds on a mobile network.
fn watch(behaviour: Behaviour) -> Result<Vec<Sighting>, Box<dyn Error>> {
    let traffic = Traffic::constant(Duration::from_millis(5));
    let server = Config::builder(traffic).accept(Accept::Anyone(ModePolicy::A)).build()?;
    let client = Config::builder(traffic).build()?;

    let mut world = World::new([7; 32]);
    world.act(Action::Network(Network::Mobile.config()))?;
    let server = world.add(HostSpec::new(server))?;
    let client = world.add(HostSpec::new(client).behaviour(behaviour))?;
    world.connect(client, server, ModePolicy::A)??;
    world.run_for(Duration::from_secs(3))?;

    let session = world.sessions(client).first().copied().ok_or("no session within three seconds")?;
    println!("{behaviour:?}: {:?}", world.delivery(client, session));
    Ok(world.observer().leaving().collect())
}
