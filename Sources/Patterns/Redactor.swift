/// Replaces the secrets in a message, before anything of it is stored, spooled, sampled, forwarded or logged.
///
/// What counts as a secret, with the source of each rule, is in docs/formats/redaction.md. The value goes, its name stays:
/// `password=<REDACTED>`. With a key, `<REDACTED:1a2b3c4d>` says which of them are equal without saying what they are.
///
/// Guarantees, for any bytes at all: redacting the result changes nothing; no scalar of valid UTF-8 is cut; no byte that
/// was not looked at is in the result; the result depends on the message and the key alone. The cost is linear in the
/// message. Not guaranteed: that a secret without a name, a shape or a check digit is found.
///
/// Owns two buffers of 64 KiB, touched only when there is something to replace. Not safe to share between threads: one for
/// each.
public struct Redactor: ~Copyable {
    /// Bytes of a message that are looked at, the bound on what is kept of a message (`Limits.messageByteCountMax`). Of a
    /// message this long the last word is left out, because it may be the beginning of a secret.
    public static var messageByteCountMax: Int { 64 * 1024 }
    /// A cut message ends below the length that makes it count as cut, or a second pass would cut it again.
    private static var keptByteCountMax: Int { messageByteCountMax - 4 }
    /// Rounds until nothing changes. Two suffice for all that is not built to need more; such a message goes as a whole.
    private static var roundCountMax: Int { 6 }

    private let kinds: UnsafeMutablePointer<SecretReader.Kind>
    private let endings: UnsafeMutablePointer<UInt64>
    private let first: UnsafeMutablePointer<UInt8>
    private let second: UnsafeMutablePointer<UInt8>
    /// The last bytes of a message, with blanks after them: the scan reads in steps of 16.
    private let tail: UnsafeMutableRawPointer
    private let hash: SipHash?
    /// What the last answer depended on besides the shape of the message; valid until the next call.
    let conditions = DigitConditions()

    /// Values replaced since the start.
    public private(set) var redactionCount = 0

    /// - Parameter key: at least 16 random bytes, kept with the state of the node; without one the markers say nothing
    ///   about the values.
    public init(key: [UInt8]? = nil) {
        kinds = SecretReader.Kind.makeTable()
        endings = SecretKeys.makeEndings()
        first = .allocate(capacity: Self.messageByteCountMax)
        second = .allocate(capacity: Self.messageByteCountMax)
        tail = .allocate(byteCount: Self.tailByteCount, alignment: 16)
        hash = key.map { SipHash(key: $0) }
    }

    deinit {
        kinds.deallocate()
        endings.deallocate()
        first.deallocate()
        second.deallocate()
        tail.deallocate()
        conditions.deallocate()
    }

    /// The message with its secrets replaced: `text` itself when there are none, which is the usual case, else a view of
    /// memory owned by self, valid until the next call.
    public mutating func redact(_ text: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        conditions.begin()
        guard let bytes = text.baseAddress, text.count > 0 else { return text }
        var end = text.count
        // Whoever cut it at the same bound may have left out up to three bytes of a scalar.
        if end > Self.keptByteCountMax { end = Self.cutEnd(bytes) }
        var source = bytes
        var target = first
        var count = pass(bytes, end, to: target)
        guard count >= 0 else { return UnsafeBufferPointer(start: bytes, count: end) }
        for _ in 1..<Self.roundCountMax {
            source = UnsafePointer(target)
            target = target == first ? second : first
            let again = pass(source, count, to: target)
            guard again >= 0 else { return UnsafeBufferPointer(start: source, count: count) }
            count = again
        }
        count = Self.write("<REDACTED>", to: first)
        return UnsafeBufferPointer(start: first, count: count)
    }

    /// Whether the value of an attribute with this name is a secret as a whole, whatever it looks like.
    public func isSecretKey(_ key: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let bytes = key.baseAddress else { return false }
        let reader = SecretReader(bytes: bytes, end: key.count, kinds: kinds, endings: endings, conditions: conditions)
        switch SecretKeys.meaning(of: reader, endingAt: key.count) {
        case .strong, .unlessPath, .token, .authorization, .cookie, .code: return true
        case .opaque: return !reader.isWord("auth", from: max(0, key.count - 4), to: key.count)
        case .none, .signature, .digest, .wireless: return false
        }
    }

    /// Where a message that is too long ends: at the last mark or blank, so that no secret is left half; or, when a single
    /// word fills the last 4 KiB, before those, because no secret with a prefix is longer.
    private static func cutEnd(_ bytes: UnsafePointer<UInt8>) -> Int {
        var end = keptByteCountMax
        while end > keptByteCountMax - 4096 {
            end -= 1
            switch bytes[end] {
            case 0...0x20, UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "&"), UInt8(ascii: "("),
                UInt8(ascii: "["),
                UInt8(ascii: "{"):
                return end
            default: continue
            }
        }
        return edge(bytes, end)
    }

    /// The last place at or before `end` that does not lie inside a scalar.
    private static func edge(_ bytes: UnsafePointer<UInt8>, _ end: Int) -> Int {
        var edge = end
        // At most three continuation bytes follow a lead byte (RFC 3629).
        while edge > 0, end - edge < 3, bytes[edge] & 0xC0 == 0x80 { edge -= 1 }
        return bytes[edge] & 0xC0 == 0x80 ? end : edge
    }

    private static func write(_ text: StaticString, to target: UnsafeMutablePointer<UInt8>) -> Int {
        target.update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        return text.utf8CodeUnitCount
    }

    // MARK: One pass

    private static var tailByteCount: Int { 64 }

    /// Looks at `bytes` once and writes them with their secrets replaced to `target`; returns the length of the result, or
    /// -1, with nothing written, when there was none.
    private mutating func pass(
        _ bytes: UnsafePointer<UInt8>,
        _ end: Int,
        to target: UnsafeMutablePointer<UInt8>
    ) -> Int {
        var reader = SecretReader(bytes: bytes, end: end, kinds: kinds, endings: endings, conditions: conditions)
        var output = RedactedText(source: bytes, target: target, capacity: Self.keptByteCountMax, hash: hash)
        let raw = UnsafeRawPointer(bytes)
        let last = (end - 1) & ~(SecretTriggers.stride - 1)
        let padded = fillTail(raw + last, end - last)
        var offset = 0
        var wordBefore: UInt64 = 0
        while offset < end {
            let marks = SecretTriggers.marks(offset < last ? raw + offset : padded, wordBefore: &wordBefore)
            let all = marks.places | marks.words
            if all[0] | all[1] != 0 {
                Self.settle(marks.places[0], marks.words[0], at: offset, &reader, &output)
                Self.settle(marks.places[1], marks.words[1], at: offset + 8, &reader, &output)
            }
            offset += SecretTriggers.stride
        }
        guard output.findingCount > 0 else { return -1 }
        redactionCount += output.findingCount
        return output.finish(end)
    }

    /// Copies the last 1 to 16 bytes to the front of `tail`, blanks after them.
    @inline(__always)
    private func fillTail(_ bytes: UnsafeRawPointer, _ count: Int) -> UnsafeRawPointer {
        tail.storeBytes(of: SIMD32<UInt8>(repeating: UInt8(ascii: " ")), as: SIMD32<UInt8>.self)
        // A loop, because a call costs more than these few bytes.
        let target = tail.assumingMemoryBound(to: UInt8.self)
        var index = 0
        if count >= 8 {
            tail.storeBytes(of: bytes.loadUnaligned(as: UInt64.self), as: UInt64.self)
            index = 8
        }
        while index < count {
            target[index] = bytes.load(fromByteOffset: index, as: UInt8.self)
            index += 1
        }
        return UnsafeRawPointer(tail)
    }

    /// Asks the rules about each marked place of eight.
    @inline(__always)
    private static func settle(
        _ places: UInt64,
        _ words: UInt64,
        at offset: Int,
        _ reader: inout SecretReader,
        _ output: inout RedactedText
    ) {
        if words != 0 {
            // The mark stands in the middle of the word, and the word begins before every other mark here.
            let found = reader.word(at: offset)
            if found.isFound {
                output.replace(found)
                reader.floor = found.end
            }
        }
        var left = UInt64(littleEndian: places)
        while left != 0 {
            let shift = left.trailingZeroBitCount & ~7
            left &= ~(0xFF << UInt64(truncatingIfNeeded: shift))
            let position = offset + shift >> 3
            guard position >= reader.floor, position < reader.end, reader.mayMatter(position) else { continue }
            let found = reader.finding(at: position)
            if found.isFound {
                output.replace(found)
                reader.floor = found.end
            }
        }
    }
}

/// The result of a pass while it is written: what is settled, and where the rest of the source begins.
struct RedactedText {
    private let source: UnsafePointer<UInt8>
    private let target: UnsafeMutablePointer<UInt8>
    private let capacity: Int
    private let hash: SipHash?
    private var copied = 0
    private var count = 0
    private var isFull = false
    private(set) var findingCount = 0

    init(source: UnsafePointer<UInt8>, target: UnsafeMutablePointer<UInt8>, capacity: Int, hash: SipHash?) {
        self.source = source
        self.target = target
        self.capacity = capacity
        self.hash = hash
    }

    mutating func replace(_ found: SecretFinding) {
        findingCount += 1
        copy(to: found.start)
        copied = found.end
        // Room for the longest marker; once it is full, nothing more may be written, or bytes would close up over a gap.
        guard !isFull, capacity - count >= 19 else {
            isFull = true
            return
        }
        switch found.marker {
        case .email: append("<EMAIL>")
        case .redacted:
            guard let hash else {
                append("<REDACTED>")
                return
            }
            append("<REDACTED:")
            let value = hash.hash(UnsafeBufferPointer(start: source + found.start, count: found.end - found.start))
            for index in 0..<8 {
                let digit = UInt8(truncatingIfNeeded: value >> UInt64(28 - 4 * index)) & 0x0F
                target[count] = digit < 10 ? 0x30 + digit : 0x57 + digit
                count += 1
            }
            append(">")
        }
    }

    mutating func finish(_ end: Int) -> Int {
        copy(to: end)
        return count
    }

    private mutating func append(_ text: StaticString) {
        (target + count).update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        count += text.utf8CodeUnitCount
    }

    private mutating func copy(to end: Int) {
        guard !isFull, end > copied else { return }
        var room = end - copied
        if room > capacity - count {
            isFull = true
            room = capacity - count
            // Not inside a scalar.
            while room > 0, source[copied + room] & 0xC0 == 0x80 { room -= 1 }
        }
        (target + count).update(from: source + copied, count: room)
        count += room
        copied += room
    }
}
