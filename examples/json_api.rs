//! A small API: typed state without locks, typed parameters, a function wrapped around all handlers, a handler that blocks.
//!
//! `cargo run --example json_api 127.0.0.1:8082`, then
//! `curl -d '{"name":"lamp"}' http://127.0.0.1:8082/items` and `curl http://127.0.0.1:8082/items/1`.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use hythe::{Asked, Call, Context, Fault, Method, Next, Reply, Response, Server, State, Status};
use serde_json::{Value, json};

/// What the program remembers. One handler at a time has it.
#[derive(Default)]
pub struct Shop {
    items: BTreeMap<u64, String>,
    requests: u64,
}

impl State for Shop {
    type Entry = ();
}

fn list(shop: &mut Shop, call: &Call<'_>, _: &mut Context<'_>) -> Result<Response, Fault> {
    let most = call.query_as("limit")?.unwrap_or(usize::MAX);
    let items: Vec<Value> = shop.items.iter().take(most).map(|(id, name)| json!({"id": id, "name": name})).collect();
    Ok(Response::json(Status::OK, &json!({ "items": items })))
}

fn add(_: &mut Shop, _: &Call<'_>, _: &mut Context<'_>) -> Reply<Shop> {
    Reply::collect(64 << 10, |shop: &mut Shop, body, _| {
        let name =
            serde_json::from_slice::<Value>(&body).ok().and_then(|item| Some(item.get("name")?.as_str()?.to_owned()));
        let Some(name) = name else {
            return Fault::new(Status::BAD_REQUEST, "bad_item", "an item is {\"name\": text}").into();
        };
        let id = shop.items.keys().last().map_or(1, |last| last + 1);
        shop.items.insert(id, name.clone());
        let answer = Response::json(Status::CREATED, &json!({ "id": id, "name": name }));
        answer.header("Location", &format!("/items/{id}")).into()
    })
}

fn one(shop: &mut Shop, call: &Call<'_>, _: &mut Context<'_>) -> Result<Response, Fault> {
    let id: u64 = call.parameter_as("id")?;
    let name = shop.items.get(&id).ok_or_else(Fault::not_found)?;
    Ok(Response::json(Status::OK, &json!({ "id": id, "name": name })))
}

fn remove(shop: &mut Shop, call: &Call<'_>, _: &mut Context<'_>) -> Result<Response, Fault> {
    let id: u64 = call.parameter_as("id")?;
    shop.items.remove(&id).map(|_| Response::new(Status::NO_CONTENT)).ok_or_else(Fault::not_found)
}

/// Takes its time, on a helper.
fn sum(asked: Asked) -> Result<Response, Fault> {
    let most: u64 = asked.parameter_as("most")?;
    let sum: u128 = (0..=u128::from(most.min(1_000_000))).sum();
    Ok(Response::text(sum.to_string()))
}

/// Counts every request, and tells so in its answer.
fn count(shop: &mut Shop, call: &Call<'_>, cx: &mut Context<'_>, next: Next<'_, Shop>) -> Reply<Shop> {
    shop.requests += 1;
    let number = shop.requests.to_string();
    next.run(shop, call, cx).map(Arc::new(move |answer| answer.header("X-Request-Number", &number)))
}

/// The server, still without an address.
pub fn server() -> Result<Server<Shop>, Box<dyn Error>> {
    let mut server = Server::new(Shop::default());
    server.add_layer(count);
    server.add_route(&[Method::Get], "/items", list)?;
    server.add_route_limited(&[Method::Post], "/items", 1 << 10, add)?;
    server.add_route(&[Method::Get], "/items/:id", one)?;
    server.add_route(&[Method::Delete], "/items/:id", remove)?;
    server.add_blocking(&[Method::Get], "/sum/:most", sum)?;
    Ok(server)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = server()?;
    server.listen(std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8082".to_owned()))?;
    server.take_signals();
    server.run()?;
    Ok(())
}
