//! The secrets of a sink, so that no log line shows them, whoever writes it: client libraries tell much at `-vvv`.

use crate::{
    config::{
        plan_sinks::{LoginPlan, NatsAuth, Target, WebhookPlan},
        secret::Secret,
    },
    source::redact::Secrets,
};

/// Hides what `target` logs in with, for as long as this lives. A file that cannot be read just now holds nothing to hide.
pub(super) fn secrets(target: &Target) -> Secrets {
    let password = |login: &Option<LoginPlan>| login.as_ref().and_then(|login| login.password.clone());
    let (secrets, addresses) = match target {
        Target::Jsonl(_) | Target::Stdout => (Vec::new(), Vec::new()),
        Target::Mqtt(plan) => (vec![password(&plan.login)], Vec::new()),
        Target::Kafka(plan) => (vec![password(&plan.login)], Vec::new()),
        Target::Redis(plan) => (vec![password(&plan.login)], Vec::new()),
        Target::Postgres(plan) => (vec![password(&plan.login)], Vec::new()),
        Target::Nats(plan) => (vec![of_nats(&plan.auth)], Vec::new()),
        Target::Webhook(plan) => (vec![plan.secret.clone(), plan.token.clone()], addresses(plan)),
    };
    let revealed = secrets.into_iter().flatten().filter_map(|secret| secret.reveal().ok());
    Secrets::new("", "", &revealed.chain(addresses).collect::<Vec<_>>())
}

fn of_nats(auth: &NatsAuth) -> Option<Secret> {
    match auth {
        NatsAuth::None => None,
        NatsAuth::Login(login) => login.password.clone(),
        NatsAuth::Token(secret) | NatsAuth::Nkey(secret) | NatsAuth::Credentials(secret) => Some(secret.clone()),
    }
}

/// A webhook's path may be all that keeps others out. With its host before it, as a log would tell it: a path alone may be
/// a word that stands everywhere.
fn addresses(plan: &WebhookPlan) -> Vec<String> {
    let (host, port, path) = (&plan.server.host, plan.server.port, plan.server.path.as_str());
    if path.len() < 2 { Vec::new() } else { vec![format!("{host}:{port}{path}"), format!("{host}{path}")] }
}
