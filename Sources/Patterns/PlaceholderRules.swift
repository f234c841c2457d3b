/// What the rules made of the bytes at one position: a value and its placeholder, or text that stays.
struct MessagePart {
    /// `nil`: the bytes up to `end` stay as they are.
    var placeholder: Placeholder?
    /// Always past the position asked about.
    var end: Int

    @inline(__always)
    static func literal(to end: Int) -> MessagePart { MessagePart(placeholder: nil, end: end) }

    @inline(__always)
    static func value(_ placeholder: Placeholder, to end: Int) -> MessagePart {
        MessagePart(placeholder: placeholder, end: end)
    }
}

/// A run of bytes that are neither blanks nor delimiters, and the classes of all of them; where they were not looked at one
/// by one, `flags` may say `.plainLetter` for any letters and underscores of which one at least is not hexadecimal.
struct MessageChunk {
    var start: Int
    var end: Int
    var flags: ByteClass
}

/// The order of the rules, in one place. The first that matches wins, so each list goes from the most particular form
/// to the most general one; the first byte selects the list.
///
/// **Why normalising a template changes nothing.** Every rule obeys three conditions. (1) No rule reads across a
/// placeholder: all stop at its bracket. (2) After a placeholder the scan starts afresh, in the same state whether the
/// placeholder was written just now or stood in the message. (3) Text kept before a value in one chunk is kept as well
/// when the chunk ends there, because a rule that keeps text looks only at that text. What looks further ahead (dates,
/// units after a blank) needs digits, and digits that were replaced are gone.
extension MessageReader {
    /// The part at `start`, inside `chunk`; `isGlued` says that a placeholder ends at `start`.
    @inline(__always)
    func part(at start: Int, in chunk: MessageChunk, isGlued: Bool) -> MessagePart {
        let first = byteClass(start)
        if first == .digit { return numericPart(at: start, in: chunk) }
        if first.touches(.word) { return wordPart(at: start, in: chunk, isGlued: isGlued) }
        return markedPart(at: start, isGlued: isGlued)
    }

    /// Values that begin with a digit.
    func numericPart(at start: Int, in chunk: MessageChunk) -> MessagePart {
        let flags = chunk.flags
        let digitsEnd = endOfRun(of: .digit, from: start)
        if byteClass(digitsEnd).touches(.stop), !isDayBeforeMonth(at: start, digitsEnd: digitsEnd) {
            // The commonest value by far, a plain integer: none of the longer forms below can match.
            return integer(from: start, to: digitsEnd)
        }
        var end = 0
        // A date with dots has four digits where an address has three, so neither is taken for the other.
        let mayBeAddress = byte(digitsEnd) == UInt8(ascii: ".") && digitsEnd - start <= 3
        if mayBeAddress {
            end = ipv4End(at: start)
            if end > 0 { return .value(.ip, to: end) }
        }
        end = timestampEnd(at: start)
        if end > 0 { return .value(.time, to: end) }
        if flags.touches(.slash) {
            // `1/2/x` is not a date: it may be the first level of a topic.
            end = topicEnd(at: start)
            if end > 0 { return .value(.topic, to: end) }
        }
        if flags.touches(.joiner) {
            end = uuidEnd(at: start)
            if end > 0 { return .value(.uuid, to: end) }
        }
        if flags.touches([.joiner, .colon]) {
            let address = hardwareAddress(at: start)
            if address.end > start { return address }
        }
        if flags.touches(.colon) {
            end = ipv6End(at: start)
            if end > 0 { return .value(.ip, to: end) }
            end = busAddressEnd(at: start)
            if end > 0 { return .value(.id, to: end) }
        }
        if flags.touches(.mark) {
            end = emailEnd(at: start)
            if end > 0 { return .value(.email, to: end) }
        }
        return numberOrName(at: start, digitsEnd: digitsEnd, in: chunk)
    }

    /// Values and words that begin with a letter or an underscore.
    func wordPart(at start: Int, in chunk: MessageChunk, isGlued: Bool) -> MessagePart {
        let flags = chunk.flags
        var end = 0
        if flags.touches(.slash) {
            end = urlEnd(at: start)
            if end > 0 { return .value(.url, to: end) }
        }
        if flags.touches([.mark, .slash]) {
            end = drivePathEnd(at: start)
            if end > 0 { return .value(.path, to: end) }
        }
        if flags.touches(.mark) {
            end = emailEnd(at: start)
            if end > 0 { return .value(.email, to: end) }
        }
        if flags.touches(.slash), !isGlued {
            let topic = topicOrRelativePath(at: start)
            if topic.end > start { return topic }
        }
        if flags.touches(.digit) {
            if byteClass(start) == .hexLetter, flags.touches([.joiner, .colon]) {
                end = uuidEnd(at: start)
                if end > 0 { return .value(.uuid, to: end) }
                let address = hardwareAddress(at: start)
                if address.end > start { return address }
                end = ipv6End(at: start)
                if end > 0 { return .value(.ip, to: end) }
            }
            end = versionWordEnd(at: start)
            if end > 0 { return .value(.version, to: end) }
        }
        return name(at: start, in: chunk)
    }

    /// Values that begin with a mark, and the marks themselves.
    func markedPart(at start: Int, isGlued: Bool) -> MessagePart {
        var end = 0
        switch byte(start) {
        case UInt8(ascii: "/"):
            guard !isGlued, isPathStart(start) else { break }
            // `/10.0.0.1:50010` is how Java prints an address without a name: the slash is part of it.
            end = isDigit(start + 1) ? ipv4End(at: start + 1) : 0
            if end > 0 { return .value(.ip, to: end) }
            end = pathEnd(from: start)
        case UInt8(ascii: "."):
            if !isGlued { end = dottedPathEnd(at: start) }
        case UInt8(ascii: "~"):
            if !isGlued, byte(start + 1) == UInt8(ascii: "/") { end = pathEnd(from: start + 1) }
        case UInt8(ascii: "\\"):
            if !isGlued { end = sharePathEnd(at: start) }
        case UInt8(ascii: "-"), UInt8(ascii: "+"):
            if !isGlued {
                end = signedNumberEnd(at: start)
                if end > 0 { return signedNumber(at: start, end: end) }
            }
        case UInt8(ascii: ":"):
            end = ipv6End(at: start)
            if end > 0 { return .value(.ip, to: end) }
        default:
            // Bytes of non-ASCII text go together, so that nothing is cut inside a scalar.
            return .literal(to: max(start + 1, endOfRun(of: .highByte, from: start)))
        }
        return end > 0 ? .value(.path, to: end) : .literal(to: start + 1)
    }
}
