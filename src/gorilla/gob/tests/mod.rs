mod bytes;
mod hostile;
mod kinds;
mod random;
mod shown;
mod time;
mod vectors;

fn from_hex(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    base16ct::lower::decode_vec(hex).unwrap()
}

fn to_hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}
