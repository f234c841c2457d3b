/// The bytes that a ``JSONCursor`` reads: a view, valid as long as they are. For whoever keeps places of it.
public struct JSONSource {
    @usableFromInline let base: UnsafePointer<UInt8>
    @usableFromInline let count: Int

    @inlinable @inline(__always)
    init(base: UnsafePointer<UInt8>, count: Int) {
        self.base = base
        self.count = count
    }

    /// What stands at a span that a cursor over this text gave.
    @inlinable @inline(__always)
    public func item(_ span: JSONSpan) -> JSONItem {
        let bytes = UnsafeBufferPointer(start: base + span.start, count: span.end &- span.start)
        return JSONItem(kind: span.kind, hasEscapes: span.hasEscapes, bytes: bytes)
    }

    /// The byte at a place of the text.
    @inlinable @inline(__always)
    public subscript(place: Int) -> UInt8 { base[place] }

    /// Where the text behind a value goes on like that behind an earlier one: from the end of the value, of a string from its
    /// closing mark, over commas, brackets, blanks and the next key to where the next value begins. Objects that follow one another
    /// mostly have the same members in the same order, and then what stands between their values is the same, byte for byte. As it
    /// was checked before, one comparison is enough.
    ///
    /// Valid only where the earlier value stood at the same place of the grammar: in an object that is as deep, in the same array.
    ///
    /// - Parameters:
    ///   - end: behind which value; as ``JSONSpan/end``.
    ///   - earlier: what was behind the other value, up to the first byte of the next one (``JSONSpan/start``).
    /// - Returns: where the next value begins, as ``JSONSpan/start`` if it is what the earlier one was; `nil` when the text goes on
    ///   otherwise, or when a look costs more than to read on.
    @inlinable @inline(__always)
    public func repeats(_ earlier: Range<Int>, behind end: Int) -> Int? {
        let length = earlier.upperBound &- earlier.lowerBound
        guard end &+ JSONScan.sameByteCountMax <= count,
            JSONScan.isSame(base + end, base + earlier.lowerBound, count: length)
        else { return nil }
        return end &+ length
    }

    /// Where a string ends that begins at `start`, behind its mark, if it has no escapes and is not among the last bytes of the
    /// text.
    @inlinable @inline(__always)
    public func plainStringEnd(from start: Int) -> Int? {
        JSONScan.plainStringEnd(base, from: start, count: count)
    }
}
