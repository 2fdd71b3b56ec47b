//! A reader for the small part of Python's pickle format (protocol 2) in which PyTorch wrote state dicts until 2020.
//!
//! It builds plain nodes and runs nothing: a call in the pickle stays a node that names its function. Hostile input costs
//! at most a bounded number of nodes, and nodes refer to each other by index, so nothing here recurses.

/// Index of a node of an `Pickle`.
pub type NodeId = usize;

/// One Python object.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits 64 bits; others are `Opaque`.
    Int(i64),
    /// A string.
    Str(String),
    /// A tuple or a list.
    Sequence(Vec<NodeId>),
    /// A dict, pairs in order.
    Dict(Vec<(NodeId, NodeId)>),
    /// A class or function, by module and name.
    Global(String, String),
    /// The result of calling `function` with `arguments`, plus what was later put into it as into a dict.
    Call {
        /// A `Global`.
        function: NodeId,
        /// A `Sequence`.
        arguments: NodeId,
        /// Pairs set after the call.
        items: Vec<(NodeId, NodeId)>,
    },
    /// An object kept outside the pickle, by its identifier.
    Persistent(NodeId),
    /// Something read and not needed (a float, a huge integer).
    Opaque,
}

/// Why bytes are not a pickle this reader knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// The bytes end inside the pickle.
    #[error("the pickle ends early")]
    Truncated,
    /// An instruction this reader has no use for.
    #[error("pickle instruction 0x{0:02x} at byte {1} is not one PyTorch writes")]
    Unknown(u8, usize),
    /// An instruction that lacks what it works on.
    #[error("pickle instruction 0x{0:02x} at byte {1} finds no operand")]
    Operand(u8, usize),
    /// More objects than any model has.
    #[error("the pickle makes more than {MAX_NODES} objects")]
    TooLarge,
}

/// A state dict makes about 20 nodes a tensor; the largest networks have some ten thousand tensors.
const MAX_NODES: usize = 1_000_000;

/// A pickle that was read: nodes, of which one is the object itself.
#[derive(Debug)]
pub struct Pickle {
    nodes: Vec<Node>,
    root: NodeId,
}

impl Pickle {
    /// Reads one pickle from the start of `bytes`; also says how many bytes it took.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), PickleError> {
        let mut machine =
            Machine { bytes, at: 0, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: Vec::new() };
        loop {
            if let Some(root) = machine.step()? {
                return Ok((Self { nodes: machine.nodes, root }, machine.at));
            }
        }
    }

    /// The pickled object.
    pub fn root(&self) -> &Node {
        &self.nodes[self.root]
    }

    /// A node named by another.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The items of a tuple or list.
    pub fn sequence(&self, id: NodeId) -> Option<&[NodeId]> {
        match self.node(id) {
            Node::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// A string.
    pub fn text(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            Node::Str(text) => Some(text),
            _ => None,
        }
    }

    /// An integer that is not negative.
    pub fn size(&self, id: NodeId) -> Option<usize> {
        match self.node(id) {
            Node::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }
}

/// The stack machine a pickle is a program for.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<NodeId>,
    marks: Vec<usize>,
    memo: Vec<Option<NodeId>>,
}

impl Machine<'_> {
    /// Runs one instruction; gives the root when it was the last.
    fn step(&mut self) -> Result<Option<NodeId>, PickleError> {
        let position = self.at;
        let opcode = self.take(1)?[0];
        let done = match opcode {
            b'.' => return self.stack.pop().map(Some).ok_or(PickleError::Operand(opcode, position)),
            0x80 => self.take(1).map(|_| Some(()))?,
            b'(' => {
                self.marks.push(self.stack.len());
                Some(())
            }
            b'N' => self.push(Node::None)?,
            0x88 | 0x89 => self.push(Node::Bool(opcode == 0x88))?,
            b'K' | b'M' | b'J' | 0x8a | b'G' => self.number(opcode)?,
            b'X' | 0x8c | b'c' => self.words(opcode)?,
            b')' | b']' => self.push(Node::Sequence(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b't' | 0x85..=0x87 => self.tuple(opcode)?,
            b'q' | b'r' | b'h' | b'j' => self.remember(opcode)?,
            b'R' | b'Q' | b'b' => self.object(opcode)?,
            b'a' | b'e' | b's' | b'u' => self.fill(opcode)?,
            _ => return Err(PickleError::Unknown(opcode, position)),
        };
        done.map(|()| None).ok_or(PickleError::Operand(opcode, position))
    }

    fn take(&mut self, count: usize) -> Result<&[u8], PickleError> {
        let end = self.at.checked_add(count).ok_or(PickleError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(PickleError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    /// A little-endian number of at most 8 bytes, sign-extended.
    fn little_endian(&mut self, bytes: usize) -> Result<i64, PickleError> {
        let taken = self.take(bytes)?;
        let negative = taken.last().is_some_and(|last| last & 0x80 != 0);
        let mut wide = if negative { [0xff; 8] } else { [0; 8] };
        wide[..bytes].copy_from_slice(taken);
        Ok(i64::from_le_bytes(wide))
    }

    fn unsigned(&mut self, bytes: usize) -> Result<usize, PickleError> {
        let mut wide = [0; 8];
        wide[..bytes].copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|_| PickleError::Truncated)
    }

    fn push(&mut self, node: Node) -> Result<Option<()>, PickleError> {
        if self.nodes.len() == MAX_NODES {
            return Err(PickleError::TooLarge);
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(Some(()))
    }

    fn number(&mut self, opcode: u8) -> Result<Option<()>, PickleError> {
        let node = match opcode {
            b'K' => Node::Int(self.unsigned(1)? as i64),
            b'M' => Node::Int(self.unsigned(2)? as i64),
            b'J' => Node::Int(self.little_endian(4)?),
            b'G' => self.take(8).map(|_| Node::Opaque)?,
            _ => match self.unsigned(1)? {
                length @ 0..=8 => Node::Int(self.little_endian(length)?),
                length => self.take(length).map(|_| Node::Opaque)?,
            },
        };
        self.push(node)
    }

    fn words(&mut self, opcode: u8) -> Result<Option<()>, PickleError> {
        if opcode == b'c' {
            let (module, name) = (self.line()?, self.line()?);
            return self.push(Node::Global(module, name));
        }
        let length = self.unsigned(if opcode == b'X' { 4 } else { 1 })?;
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.push(Node::Str(text))
    }

    fn line(&mut self) -> Result<String, PickleError> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or(PickleError::Truncated)?;
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.at += length + 1;
        Ok(line)
    }

    /// Everything above the last mark.
    fn above_mark(&mut self) -> Option<Vec<NodeId>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn tuple(&mut self, opcode: u8) -> Result<Option<()>, PickleError> {
        let items = match opcode {
            b't' => self.above_mark(),
            _ => {
                let count = usize::from(opcode - 0x84);
                self.stack.len().checked_sub(count).map(|start| self.stack.split_off(start))
            }
        };
        items.map_or(Ok(None), |items| self.push(Node::Sequence(items)))
    }

    fn remember(&mut self, opcode: u8) -> Result<Option<()>, PickleError> {
        let slot = self.unsigned(if matches!(opcode, b'q' | b'h') { 1 } else { 4 })?;
        if matches!(opcode, b'h' | b'j') {
            let remembered = self.memo.get(slot).copied().flatten();
            return Ok(remembered.map(|id| self.stack.push(id)));
        }
        if slot >= MAX_NODES {
            return Err(PickleError::TooLarge);
        }
        if self.memo.len() <= slot {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = self.stack.last().copied();
        Ok(self.memo[slot].map(|_| ()))
    }

    fn object(&mut self, opcode: u8) -> Result<Option<()>, PickleError> {
        let Some(top) = self.stack.pop() else { return Ok(None) };
        match opcode {
            b'Q' => self.push(Node::Persistent(top)),
            // Attributes set on an object; PyTorch keeps a version table there that nobody needs.
            b'b' => Ok(self.stack.last().map(|_| ())),
            _ => {
                let Some(function) = self.stack.pop() else { return Ok(None) };
                self.push(Node::Call { function, arguments: top, items: Vec::new() })
            }
        }
    }

    /// Puts items into the list or dict below them.
    fn fill(&mut self, opcode: u8) -> Result<Option<()>, PickleError> {
        let items = match opcode {
            b'a' => self.stack.len().checked_sub(1).map(|start| self.stack.split_off(start)),
            b's' => self.stack.len().checked_sub(2).map(|start| self.stack.split_off(start)),
            _ => self.above_mark(),
        };
        let (Some(items), Some(&target)) = (items, self.stack.last()) else { return Ok(None) };
        let pairs = || items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        match (&mut self.nodes[target], opcode) {
            (Node::Sequence(list), b'a' | b'e') => list.extend(items),
            (Node::Dict(dict) | Node::Call { items: dict, .. }, b's' | b'u') => dict.extend(pairs()),
            _ => return Ok(None),
        }
        Ok(Some(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn containers_numbers_and_text() {
        // python3 -c "import pickle; print(pickle.dumps({'a': (1, 300, -2, None), 'b': [True, 'x']}, 2))"
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01(K\x01M,\x01J\xfe\xff\xff\xffNtq\x02\
            X\x01\x00\x00\x00bq\x03]q\x04(\x88X\x01\x00\x00\x00xq\x05eu.rest";
        let (pickle, taken) = Pickle::read(bytes).unwrap();
        assert_eq!(&bytes[taken..], b"rest");
        let Node::Dict(pairs) = pickle.root() else { panic!("{:?}", pickle.root()) };
        assert_eq!(pairs.iter().map(|&(key, _)| pickle.text(key).unwrap()).collect::<Vec<_>>(), ["a", "b"]);
        let numbers = pickle.sequence(pairs[0].1).unwrap();
        let nodes: Vec<_> = numbers.iter().map(|&id| pickle.node(id).clone()).collect();
        assert_eq!(nodes, [Node::Int(1), Node::Int(300), Node::Int(-2), Node::None]);
        assert_eq!(pickle.sequence(pairs[1].1).unwrap().len(), 2);
    }

    #[test]
    fn calls_stay_calls() {
        let (pickle, _) = Pickle::read(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap();
        let Node::Call { function, .. } = pickle.root() else { panic!("{:?}", pickle.root()) };
        assert_eq!(*pickle.node(*function), Node::Global("posix".into(), "system".into()));
    }

    #[test]
    fn faults() {
        let cases: [(&[u8], PickleError); 6] = [
            (b"", PickleError::Truncated),
            (b"\x80\x02", PickleError::Truncated),
            (b"X\xff\xff\xff\xffabc", PickleError::Truncated),
            (b".", PickleError::Operand(b'.', 0)),
            (b"Na.", PickleError::Operand(b'a', 1)),
            (b"\x80\x02i", PickleError::Unknown(b'i', 2)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Pickle::read(bytes).unwrap_err(), expected, "{bytes:?}");
        }
        assert_eq!(Pickle::read(&b"N".repeat(MAX_NODES + 2)).unwrap_err(), PickleError::TooLarge);
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pickle::read(&bytes);
        }

        #[test]
        fn any_instructions_end_without_panic(
            codes in prop::collection::vec(prop::sample::select(b"(N\x88K)]}t\x85\x86qhRQbaesuX.".to_vec()), 0..300)
        ) {
            let _ = Pickle::read(&codes);
        }
    }
}
