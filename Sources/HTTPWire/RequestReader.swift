/// Reads HTTP/1.1 requests (RFC 9112) from the bytes of a connection, one after the other, strictly: what two readers could
/// understand differently is refused.
///
/// Owns no bytes. Whoever does shows all that are unread, from the first byte of the request under way, each time more came;
/// a request that is whole at once is read in one pass, without an allocation and without a copy. Where the bytes are cut
/// changes nothing: every decision falls at a byte, never at the end of what is there.
package struct RequestReader: Sendable {
    package enum Step: Sendable, Equatable {
        /// Nothing can be said without further bytes.
        case more
        /// ``head`` is complete, the body not looked at. Said once; go on with ``read(_:)``.
        case head
        /// The body comes in chunks: go on with ``readChunks(_:)``.
        case chunks
        /// Complete: see ``body`` and ``byteCount``. Then ``next()``.
        case request
        case refused(RequestFault)
    }

    private enum State: Sendable {
        /// The line that begins here has not been read to its end.
        case head(lineStart: Int, fieldCount: Int)
        case body
        case chunks(ChunkReader)
        case complete
        case refused(RequestFault)
    }

    package let bounds: RequestBounds
    package private(set) var head = RequestHead()
    /// Where the body lies, in bytes from the request's first.
    package private(set) var body = 0..<0
    /// What the request takes of the bytes, framing included: the next one begins there.
    package private(set) var byteCount = 0
    private var state = State.head(lineStart: 0, fieldCount: -1)
    private var seen = FieldsSeen()

    package init(bounds: RequestBounds) {
        self.bounds = bounds
    }

    /// Whether the head of the request under way has been read.
    package var hasHead: Bool {
        if case .head = state { false } else { true }
    }

    /// Nothing of the request has been read to the end of a line.
    var isFresh: Bool {
        if case .head(lineStart: 0, fieldCount: -1) = state { true } else { false }
    }

    /// Where the digits of `Content-Length` stand, at 0 without any; `nil` when the head has anything that is not known by heart
    /// (``KnownHead``).
    var commonLengthDigits: RequestHead.Place? {
        guard seen.isCommon, head.query.isAbsent, case .length = head.framing else { return nil }
        return seen.lengthDigits
    }

    /// Goes on behind a head that was read before.
    mutating func begin(_ known: RequestHead, bodyByteCount: Int) {
        head = known
        head.framing = .length(bodyByteCount)
        body = head.byteCount..<head.byteCount + bodyByteCount
        state = .body
    }

    /// Forgets the request, for the one after it.
    package mutating func next() {
        head = RequestHead()
        body = 0..<0
        byteCount = 0
        seen = FieldsSeen()
        state = .head(lineStart: 0, fieldCount: -1)
    }

    /// - Parameter bytes: all unread bytes, from the request's first on.
    package mutating func read(_ bytes: UnsafeRawBufferPointer) -> Step {
        switch state {
        case .head(let lineStart, let fieldCount):
            do throws(RequestFault) {
                guard try readLines(bytes, from: lineStart, fieldCount: fieldCount) else { return .more }
                try settle(bytes)
                return .head
            } catch {
                state = .refused(error)
                return .refused(error)
            }
        case .body:
            guard bytes.count >= body.upperBound else { return .more }
            byteCount = body.upperBound
            state = .complete
            return .request
        case .chunks: return .chunks
        case .complete: return .request
        case .refused(let fault): return .refused(fault)
        }
    }

    /// Moves what chunks hold together, in place, and takes the framing out.
    ///
    /// - Parameter bytes: as for ``read(_:)``.
    /// - Returns: the step, and how many bytes at the end hold nothing any more: to be cut off.
    package mutating func readChunks(_ bytes: UnsafeMutableRawBufferPointer) -> (step: Step, spareByteCount: Int) {
        guard case .chunks(var chunks) = state else { return (read(UnsafeRawBufferPointer(bytes)), 0) }
        do throws(RequestFault) {
            let isComplete = try chunks.read(bytes, bounds: bounds)
            body = head.byteCount..<chunks.bodyEnd
            guard isComplete else {
                let spare = chunks.closeGap(bytes)
                state = .chunks(chunks)
                return (.more, spare)
            }
            byteCount = chunks.place
            state = .complete
            return (.request, 0)
        } catch {
            state = .refused(error)
            return (.refused(error), 0)
        }
    }

    // MARK: Head

    /// Reads lines as far as they are there. True at the end of the head; false when more bytes are needed.
    private mutating func readLines(
        _ bytes: UnsafeRawBufferPointer,
        from start: Int,
        fieldCount: Int
    ) throws(RequestFault) -> Bool {
        var lineStart = start
        var fieldCount = fieldCount
        if fieldCount < 0 {
            guard let next = try readRequestLine(bytes, from: &lineStart) else {
                state = .head(lineStart: lineStart, fieldCount: -1)
                return false
            }
            lineStart = next
            head.fieldStart = next
            fieldCount = 0
        }
        let end = min(bytes.count, bounds.headByteCountMax)
        while true {
            switch try FieldLine.read(bytes, from: lineStart, to: end) {
            case .cut:
                guard end < bounds.headByteCountMax else { throw .headTooLarge }
                state = .head(lineStart: lineStart, fieldCount: fieldCount)
                return false
            case .field(let name, let value, let next):
                fieldCount += 1
                guard fieldCount <= bounds.fieldCountMax else { throw .headTooLarge }
                try seen.note(name, value, in: bytes, &head)
                lineStart = next
            case .end(let next):
                head.byteCount = next
                return true
            }
        }
    }

    /// Reads the first line; `nil` when it is not there whole. Empty lines before it are passed over (RFC 9112, 2.2).
    ///
    /// - Parameter start: moved past empty lines.
    private mutating func readRequestLine(
        _ bytes: UnsafeRawBufferPointer,
        from start: inout Int
    ) throws(RequestFault) -> Int? {
        let end = min(bytes.count, bounds.requestLineByteCountMax)
        var place = start
        func cut() throws(RequestFault) -> Int? {
            if end == bounds.requestLineByteCountMax { throw .requestLineTooLong }
            return nil
        }
        while place < end, bytes[place] == CharacterRules.carriageReturn {
            guard place + 1 < end else { return try cut() }
            guard bytes[place + 1] == CharacterRules.lineFeed else { throw .requestLine }
            place += 2
            start = place
        }

        let methodStart = place
        while place < end, CharacterRules.isToken(bytes[place]) { place += 1 }
        guard place < end else { return try cut() }
        guard place > methodStart, bytes[place] == CharacterRules.space else { throw .requestLine }
        head.method = Self.method(UnsafeRawBufferPointer(rebasing: bytes[methodStart..<place]))
        place += 1

        let targetStart = place
        var mark = 0
        while place < end, CharacterRules.isVisible(bytes[place]) {
            if bytes[place] == UInt8(ascii: "?"), mark == 0 { mark = place }
            place += 1
        }
        guard place < end else { return try cut() }
        guard place > targetStart, bytes[place] == CharacterRules.space else { throw .requestLine }
        let target = targetStart..<place
        place += 1

        // "HTTP/1.1" and the line's end.
        let version: StaticString = "HTTP/1."
        for offset in 0..<7 {
            guard place < end else { return try cut() }
            guard bytes[place] == version.utf8Start[offset] else {
                // Another version, as long as it looks like one: "HTTP/2.0".
                throw offset == 5 && bytes[place] &- UInt8(ascii: "0") < 10 ? .version : .requestLine
            }
            place += 1
        }
        guard place < end else { return try cut() }
        switch bytes[place] {
        case UInt8(ascii: "1"): head.isVersion10 = false
        case UInt8(ascii: "0"): head.isVersion10 = true
        case UInt8(ascii: "2")...UInt8(ascii: "9"): throw .version
        default: throw .requestLine
        }
        place += 1
        guard place < end else { return try cut() }
        guard bytes[place] == CharacterRules.carriageReturn else { throw .requestLine }
        place += 1
        guard place < end else { return try cut() }
        guard bytes[place] == CharacterRules.lineFeed else { throw .requestLine }
        try setTarget(target, mark: mark, in: bytes)
        return place + 1
    }

    private static func method(_ name: UnsafeRawBufferPointer) -> RequestHead.Method {
        let text = HTTPText(name.assumingMemoryBound(to: UInt8.self))
        switch text.count {
        case 3: return text == "GET" ? .get : .other
        case 4: return text == "POST" ? .post : text == "HEAD" ? .head : .other
        case 6: return text == "DELETE" ? .delete : .other
        default: return .other
        }
    }

    /// Path and query of a path, a URL, or `*` (RFC 9112, 3.2).
    ///
    /// - Parameter mark: where the first `?` is, 0 when there is none.
    private mutating func setTarget(_ target: Range<Int>, mark: Int, in bytes: UnsafeRawBufferPointer)
        throws(RequestFault)
    {
        var start = target.lowerBound
        let pathEnd = mark == 0 ? target.upperBound : mark
        if bytes[start] != UInt8(ascii: "/") {
            let text = HTTPText(UnsafeRawBufferPointer(rebasing: bytes[target]).assumingMemoryBound(to: UInt8.self))
            let scheme =
                text.hasPrefix("http://") ? 7 : text.hasPrefix("https://") ? 8 : 0
            if scheme > 0 {
                // A proxy would say so; the authority counts for nothing here.
                start += scheme
                let authorityStart = start
                while start < pathEnd, bytes[start] != UInt8(ascii: "/") { start += 1 }
                guard start > authorityStart else { throw .target }
            } else if !(text == "*" || head.method == .other) {
                throw .target
            }
        }
        head.path = RequestHead.Place(start, pathEnd)
        if mark != 0 { head.query = RequestHead.Place(mark + 1, target.upperBound) }
    }

    /// What the fields mean together, once all are read.
    private mutating func settle(_ bytes: UnsafeRawBufferPointer) throws(RequestFault) {
        if head.host.isAbsent {
            guard head.isVersion10 else { throw .host }
        } else {
            for place in head.host.range where !CharacterRules.isHost(bytes[place]) { throw .host }
        }
        if seen.isChunked {
            guard !head.isVersion10 else { throw .coding }
            guard seen.length == nil else { throw .lengthTwice }
            head.framing = .chunked
        } else {
            let length = seen.length ?? 0
            guard length <= bounds.bodyByteCountMax else { throw .bodyTooLarge }
            head.framing = .length(length)
        }
        head.isKeptAlive = !seen.saysClose && (!head.isVersion10 || seen.saysKeepAlive)
        // A sender of HTTP/1.0 does not know what the interim answer is (RFC 9110, 10.1.1).
        if head.isVersion10 { head.expectsContinue = false }
        switch head.framing {
        case .length(let length):
            body = head.byteCount..<head.byteCount + length
            state = .body
        case .chunked:
            body = head.byteCount..<head.byteCount
            state = .chunks(ChunkReader(bodyStart: head.byteCount))
        }
    }
}
