//! What the fuzz targets share: an input that says itself where it is to be cut.

/// Takes an input apart: its first byte says how many cuts there are, two bytes tell each cut's place, the rest is what is
/// cut. Gives the rest, and its pieces.
pub fn cut(bytes: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let (&first, rest) = bytes.split_first()?;
    let (places, whole) = rest.split_at_checked(usize::from(first % 8) * 2)?;
    let mut places: Vec<usize> = places
        .chunks(2)
        .map(|place| usize::from(u16::from_be_bytes([place[0], place[1]])) % (whole.len() + 1))
        .collect();
    places.extend([0, whole.len()]);
    places.sort_unstable();
    Some((whole, places.windows(2).map(|pair| &whole[pair[0]..pair[1]]).collect()))
}
