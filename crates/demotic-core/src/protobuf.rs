//! Protocol buffers as bytes: enough to write event files for `TensorBoard` and networks as ONNX.
//!
//! Both are a handful of messages of numbers, texts and bytes; a message compiler would be a build step and a
//! dozen crates for the few lines below.
//!
//! # Source
//! The encoding of protocol buffers: a field is a varint `number << 3 | kind`, then a varint (kind 0), eight
//! bytes (1), a length and as many bytes (2), or four bytes (5).

/// A message, field by field in the order of the calls; a field that is written again is one of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push((value & 0x7f) as u8);
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    /// A whole number; negative ones as two's complement, as `int64` has them.
    pub fn number(&mut self, field: u64, value: i64) {
        self.key(field, 0);
        self.varint(value.cast_unsigned());
    }

    /// A `float`.
    pub fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    /// A `double`.
    pub fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    /// Bytes or a text.
    pub fn bytes(&mut self, field: u64, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    /// A message within this one.
    pub fn message(&mut self, field: u64, value: Self) {
        self.bytes(field, value.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_bytes_of_the_encodings_description() {
        // The examples of its description: `int32 a = 1` of 150, `string b = 2` of "testing", and the first
        // within field 3.
        let mut inner = Message::default();
        inner.number(1, 150);
        assert_eq!(inner.clone().into_bytes(), [0x08, 0x96, 0x01]);
        let mut text = Message::default();
        text.bytes(2, "testing");
        assert_eq!(
            text.into_bytes(),
            [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']
        );
        let mut outer = Message::default();
        outer.message(3, inner);
        assert_eq!(outer.into_bytes(), [0x1a, 3, 0x08, 0x96, 0x01]);
        // A number below zero takes ten bytes; a key beyond 15 two.
        let mut far = Message::default();
        far.number(20, -1);
        assert_eq!(
            far.into_bytes(),
            [&[0xa0, 0x01][..], &[0xff; 9], &[0x01]].concat()
        );
        let mut fixed = Message::default();
        fixed.float(2, 1.0);
        fixed.double(1, 1.0);
        assert_eq!(
            fixed.into_bytes(),
            [0x15, 0, 0, 0x80, 0x3f, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]
        );
    }
}
