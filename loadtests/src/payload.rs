//! Payloads: JSON of an exact size.

use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

/// The smallest size of a payload, in bytes.
pub(crate) const SMALLEST: usize = 64;

/// What payloads are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuff {
    /// An order, with as many lines as fit: about as far from both noise and repetition as what
    /// applications tell each other.
    Orders,
    /// Noise, of which a store can pack nothing.
    Noise,
}

/// A JSON object of exactly `size` bytes which no other message has.
pub(crate) fn payload(stuff: Stuff, key: &str, size: usize) -> Vec<u8> {
    const END: &str = r#""}"#;
    let mut payload = format!(r#"{{"key":"{key}","lines":["#);
    let room = |payload: &String| size.saturating_sub(payload.len() + END.len());
    let seed = xxh3_64(key.as_bytes());
    let mut comma = "";
    let lines = match stuff {
        Stuff::Orders => ORDER_LINES.as_slice(),
        Stuff::Noise => &[],
    };
    for line in lines.iter().cycle().skip(seed as usize % ORDER_LINES.len()) {
        if line.len() + r#"],"note":""#.len() + comma.len() > room(&payload) {
            break;
        }
        payload.extend([comma, line]);
        comma = ",";
    }
    payload.push_str(r#"],"note":""#);
    let noise = (0..).flat_map(|number| format!("{:016x}", mix(seed ^ number)).into_bytes());
    let noise: Vec<u8> = noise.take(room(&payload)).collect();
    [payload.as_bytes(), &noise, END.as_bytes()].concat()
}

/// Made once, so that the sender does not compete with what it measures.
static ORDER_LINES: LazyLock<Vec<String>> = LazyLock::new(|| (0..1024).map(order_line).collect());

fn order_line(number: u64) -> String {
    const THINGS: [&str; 8] = [
        "cotton shirt",
        "paper lamp",
        "oak table",
        "tea pot",
        "rain coat",
        "desk",
        "bicycle",
        "map",
    ];
    let random = mix(number);
    let thing = THINGS[(random % 8) as usize];
    let (quantity, cents) = (1 + random / 8 % 9, random / 72 % 99_999);
    format!(
        r#"{{"sku":"{random:016x}","title":"{thing}","quantity":{quantity},"unitCents":{cents}}}"#
    )
}

pub(crate) fn mix(number: u64) -> u64 {
    xxh3_64(&number.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_their_size_and_are_json() {
        let key = format!("{:016x}-{}", u64::MAX, 123_456_789);
        for (stuff, size) in [Stuff::Orders, Stuff::Noise]
            .into_iter()
            .flat_map(|stuff| [64, 100, 1024, 100_000].map(|size| (stuff, size)))
        {
            let payload = payload(stuff, &key, size);
            assert_eq!(payload.len(), size);
            let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(value["key"], key);
        }
    }
}
