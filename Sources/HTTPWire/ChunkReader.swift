/// Reads a chunked body (RFC 9112, 7.1): moves what the chunks hold together behind the head, in the memory they came in.
struct ChunkReader: Sendable {
    private enum State: Sendable {
        /// In front of a chunk's first line, of which nothing was read.
        case size
        /// Within a chunk: bytes of it that are to come.
        case data(rest: Int)
        /// Behind a chunk's last byte, in front of its line's end.
        case dataEnd
        /// In front of a line of the trailer.
        case trailer(fieldCount: Int)
    }

    /// Where what the chunks held ends.
    private(set) var bodyEnd: Int
    /// The first byte that was not read.
    private(set) var place: Int
    private let bodyStart: Int
    private var state = State.size
    private var extensionByteCount = 0
    /// Of trailer lines that were read.
    private var trailerByteCount = 0

    init(bodyStart: Int) {
        self.bodyStart = bodyStart
        bodyEnd = bodyStart
        place = bodyStart
    }

    /// Reads as far as the bytes go. True at the body's end.
    mutating func read(_ bytes: UnsafeMutableRawBufferPointer, bounds: RequestBounds) throws(RequestFault) -> Bool {
        while true {
            switch state {
            case .size:
                guard try readSize(UnsafeRawBufferPointer(bytes), bounds) else { return false }
            case .data(let rest):
                let count = min(rest, bytes.count - place)
                guard count > 0 else { return false }
                move(count, in: bytes)
                place += count
                bodyEnd += count
                state = count == rest ? .dataEnd : .data(rest: rest - count)
            case .dataEnd:
                guard place < bytes.count else { return false }
                guard bytes[place] == CharacterRules.carriageReturn else { throw .chunk }
                guard place + 1 < bytes.count else { return false }
                guard bytes[place + 1] == CharacterRules.lineFeed else { throw .chunk }
                place += 2
                state = .size
            case .trailer(let fieldCount):
                guard try readTrailer(UnsafeRawBufferPointer(bytes), fieldCount, bounds) else { return false }
                return true
            }
        }
    }

    private func move(_ count: Int, in bytes: UnsafeMutableRawBufferPointer) {
        guard place != bodyEnd, let base = bytes.baseAddress else { return }
        (base + bodyEnd).copyMemory(from: base + place, byteCount: count)
    }

    /// The chunk's first line: its size in hexadecimal digits, and extensions that are passed over.
    private mutating func readSize(_ bytes: UnsafeRawBufferPointer, _ bounds: RequestBounds) throws(RequestFault)
        -> Bool
    {
        var cursor = place
        var size = 0
        while cursor < bytes.count, let digit = CharacterRules.hexValue(bytes[cursor]) {
            // As many digits as fit; leading zeros count, so that nobody sends them for ever.
            guard cursor - place < 16 else { throw .chunk }
            // Past every bound it need not be exact.
            size = size >= 1 << 48 ? size : size << 4 | digit
            cursor += 1
        }
        guard cursor < bytes.count else { return false }
        guard cursor > place else { throw .chunk }
        var extensionCount = 0
        if bytes[cursor] == UInt8(ascii: ";") {
            let start = cursor
            while cursor < bytes.count, CharacterRules.isFieldValue(bytes[cursor]) {
                cursor += 1
                guard extensionByteCount + cursor - start <= bounds.chunkExtensionByteCountMax else { throw .chunk }
            }
            guard cursor < bytes.count else { return false }
            extensionCount = cursor - start
        }
        guard bytes[cursor] == CharacterRules.carriageReturn else { throw .chunk }
        guard cursor + 1 < bytes.count else { return false }
        guard bytes[cursor + 1] == CharacterRules.lineFeed else { throw .chunk }
        guard bodyEnd - bodyStart + size <= bounds.bodyByteCountMax else { throw .bodyTooLarge }
        extensionByteCount += extensionCount
        place = cursor + 2
        state = size == 0 ? .trailer(fieldCount: 0) : .data(rest: size)
        return true
    }

    /// Fields behind the last chunk, which are checked and passed over, and the empty line.
    private mutating func readTrailer(
        _ bytes: UnsafeRawBufferPointer,
        _ fieldCount: Int,
        _ bounds: RequestBounds
    ) throws(RequestFault) -> Bool {
        var fieldCount = fieldCount
        while true {
            let room = place + bounds.headByteCountMax - trailerByteCount
            let end = min(bytes.count, room)
            let outcome: FieldLine.Outcome
            do {
                outcome = try FieldLine.read(bytes, from: place, to: end)
            } catch {
                throw .trailer
            }
            switch outcome {
            case .cut:
                guard end < room else { throw .headTooLarge }
                state = .trailer(fieldCount: fieldCount)
                return false
            case .field(_, _, let next):
                fieldCount += 1
                guard fieldCount <= bounds.fieldCountMax else { throw .headTooLarge }
                trailerByteCount += next - place
                place = next
            case .end(let next):
                place = next
                return true
            }
        }
    }

    /// Moves what was not read up to what was kept, so that framing takes no memory. Returns how many bytes the end is shorter by.
    mutating func closeGap(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        let gap = place - bodyEnd
        guard gap > 0, let base = bytes.baseAddress else { return 0 }
        let rest = bytes.count - place
        if rest > 0 { (base + bodyEnd).copyMemory(from: base + place, byteCount: rest) }
        place = bodyEnd
        return gap
    }
}
