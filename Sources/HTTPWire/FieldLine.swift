/// One line of a head or a trailer.
enum FieldLine {
    enum Outcome {
        /// The bytes end within the line.
        case cut
        case field(name: RequestHead.Place, value: RequestHead.Place, next: Int)
        /// The empty line.
        case end(next: Int)
    }

    /// Reads `name: value` and the line's end, or the empty line (RFC 9112, 5). One pass.
    static func read(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) throws(RequestFault) -> Outcome {
        var place = start
        while place < end, CharacterRules.isToken(bytes[place]) { place += 1 }
        guard place < end else { return .cut }
        let nameEnd = place
        if nameEnd == start {
            if bytes[place] == CharacterRules.carriageReturn {
                guard place + 1 < end else { return .cut }
                guard bytes[place + 1] == CharacterRules.lineFeed else { throw .fieldLine }
                return .end(next: place + 2)
            }
            let isBlank = bytes[place] == CharacterRules.space || bytes[place] == CharacterRules.tab
            throw isBlank ? .fold : .fieldLine
        }
        guard bytes[place] == CharacterRules.colon else { throw .fieldLine }
        place += 1
        while place < end, bytes[place] == CharacterRules.space || bytes[place] == CharacterRules.tab { place += 1 }
        let valueStart = place
        // Eight bytes at a time while none of them could be the end: no byte below a blank, none above 0x7E.
        while place + 8 <= end {
            let word = bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            let below = (word &- 0x2020_2020_2020_2020) & ~word
            let above = (word &+ 0x0101_0101_0101_0101) | word
            if (below | above) & 0x8080_8080_8080_8080 != 0 { break }
            place += 8
        }
        while place < end, CharacterRules.isFieldValue(bytes[place]) { place += 1 }
        guard place < end else { return .cut }
        guard bytes[place] == CharacterRules.carriageReturn else { throw .fieldLine }
        guard place + 1 < end else { return .cut }
        guard bytes[place + 1] == CharacterRules.lineFeed else { throw .fieldLine }
        var valueEnd = place
        while valueEnd > valueStart,
            bytes[valueEnd - 1] == CharacterRules.space || bytes[valueEnd - 1] == CharacterRules.tab
        {
            valueEnd -= 1
        }
        return .field(
            name: RequestHead.Place(start, nameEnd),
            value: RequestHead.Place(valueStart, valueEnd),
            next: place + 2
        )
    }
}

/// What the fields read so far say of the body and the connection.
struct FieldsSeen: Sendable {
    var length: Int?
    var isChunked = false
    var saysClose = false
    var saysKeepAlive = false
    /// Only fields that nearly every client sends, and that nobody uses to say who they are.
    private(set) var isCommon = true
    /// The value of `Content-Length`; empty and at 0 when there is none.
    private(set) var lengthDigits = RequestHead.Place()
    private var hasExpectation = false

    /// Takes note of a field if it is one of those that matter here.
    mutating func note(
        _ name: RequestHead.Place,
        _ value: RequestHead.Place,
        in bytes: UnsafeRawBufferPointer,
        _ head: inout RequestHead
    ) throws(RequestFault) {
        func isNamed(_ wanted: StaticString) -> Bool {
            Self.text(name, bytes).equals(lowercase: wanted)
        }
        switch name.count {
        case 4 where isNamed("host"):
            // Told by its own name: two of them are an attack or a mistake, not a list.
            guard head.host.isAbsent else { throw .host }
            head.host = value
        case 6 where isNamed("expect"):
            guard !hasExpectation else { throw .repeated }
            hasExpectation = true
            isCommon = false
            guard Self.text(value, bytes).equals(lowercase: "100-continue") else { throw .expectation }
            head.expectsContinue = true
        case 6 where isNamed("accept"): break
        case 6 where isNamed("origin"):
            isCommon = false
            try Self.keep(value, in: &head.origin)
        case 10 where isNamed("connection"): noteConnection(value, bytes)
        case 10 where isNamed("user-agent"): break
        case 12 where isNamed("content-type"): try Self.keep(value, in: &head.contentType)
        case 13 where isNamed("authorization"):
            isCommon = false
            try Self.keep(value, in: &head.authorization)
        case 14 where isNamed("content-length"):
            guard length == nil else { throw .repeated }
            length = try Self.length(value, bytes)
            lengthDigits = value
        case 14 where isNamed("sec-fetch-site"):
            isCommon = false
            try Self.keep(value, in: &head.fetchSite)
        case 15 where isNamed("accept-encoding") || isNamed("accept-language"): break
        case 15 where isNamed("idempotency-key"):
            isCommon = false
            try Self.keep(value, in: &head.idempotencyKey)
        case 16 where isNamed("content-encoding"): try Self.keep(value, in: &head.contentEncoding)
        case 17 where isNamed("transfer-encoding"):
            guard !isChunked, Self.text(value, bytes).equals(lowercase: "chunked") else { throw .coding }
            isChunked = true
        default: isCommon = false
        }
    }

    private static func keep(_ value: RequestHead.Place, in place: inout RequestHead.Place) throws(RequestFault) {
        guard place.isAbsent else { throw .repeated }
        place = value
    }

    private static func text(_ place: RequestHead.Place, _ bytes: UnsafeRawBufferPointer) -> HTTPText {
        HTTPText(UnsafeRawBufferPointer(rebasing: bytes[place.range]).assumingMemoryBound(to: UInt8.self))
    }

    /// Digits and nothing else (RFC 9110, 8.6): no sign, no list. More digits than any length has say a length past every
    /// bound.
    private static func length(_ value: RequestHead.Place, _ bytes: UnsafeRawBufferPointer) throws(RequestFault) -> Int
    {
        guard value.count > 0 else { throw .length }
        var length = 0
        for place in value.range {
            let digit = bytes[place] &- UInt8(ascii: "0")
            guard digit < 10 else { throw .length }
            if length < 1_000_000_000_000_000 { length = length * 10 + Int(digit) }
        }
        return length
    }

    /// A list of tokens (RFC 9110, 7.6.1), of which two matter.
    private mutating func noteConnection(_ value: RequestHead.Place, _ bytes: UnsafeRawBufferPointer) {
        var start = value.range.lowerBound
        let end = value.range.upperBound
        while start < end {
            var comma = start
            while comma < end, bytes[comma] != UInt8(ascii: ",") { comma += 1 }
            let token = Self.text(RequestHead.trimmed(start, comma, in: bytes), bytes)
            if token.equals(lowercase: "close") { saysClose = true }
            if token.equals(lowercase: "keep-alive") { saysKeepAlive = true }
            start = comma + 1
        }
    }
}
