//! What actions do to machines, and when: power goes at once, an action is over when its time is.

use std::{sync::Arc, time::Duration};

use super::{
    Cloud,
    api::show::now,
    state::{Progress, State},
};

/// Why an action is there.
#[derive(Clone, Debug)]
pub struct Order {
    pub droplet: u64,
    pub action: u64,
    pub kind: &'static str,
    /// Of a snapshot.
    pub name: Option<String>,
}

impl Cloud {
    /// Writes down what was ordered and has it done; returns at once, as the API does.
    pub fn order(self: &Arc<Self>, order: Order, by: Option<&str>) {
        let name = self.with(|state| state.droplets[&order.droplet].name.clone());
        self.effects.happen(order.kind, order.droplet, &name, by);
        let cloud = self.clone();
        tokio::spawn(async move { cloud.carry_out(order).await });
    }

    async fn carry_out(&self, order: Order) {
        let Order { droplet, action, kind, name } = order;
        let Some(machine) = self.machine(droplet) else { return };
        let mut heard = true;
        {
            let mut machine = machine.lock().await;
            match kind {
                "reboot" => machine.shut_down().await,
                "shutdown" => {
                    heard = !machine.hung;
                    machine.shut_down().await;
                }
                "power_cycle" | "power_off" => machine.kill().await,
                _ => {}
            }
        }
        self.pass(action).await;
        if ["create", "reboot", "power_cycle", "power_on"].contains(&kind) {
            machine.lock().await.start();
        }
        // A machine that hangs does not hear that it shall end.
        let progress = if heard { Progress::Completed } else { Progress::Errored };
        self.with(|state: &mut State| state.end(action, progress, name.as_deref(), now()));
    }

    /// Until the action's time is over.
    async fn pass(&self, action: u64) {
        let started = self.with(|state| state.actions[&action].started);
        let elapsed = Duration::from_millis(u64::try_from(now() - started).unwrap_or(0));
        tokio::time::sleep(self.action_time.saturating_sub(elapsed)).await;
    }

    /// Destroys a droplet with its disk.
    pub fn destroy(self: &Arc<Self>, droplet: u64, what: &str, by: &str) {
        let gone = self.with(|state| state.droplets.remove(&droplet));
        let Some(gone) = gone else { return };
        self.effects.happen(what, droplet, &gone.name, Some(by));
        if let Some(machine) = self.take_machine(droplet) {
            tokio::spawn(async move {
                let mut machine = machine.lock().await;
                machine.kill().await;
                machine.wipe();
            });
        }
    }
}
